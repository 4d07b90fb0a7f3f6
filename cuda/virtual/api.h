/* The part of the CUDA driver API that the virtual device has, without the toolkit's cuda.h: names, numbers and
 * layouts are NVIDIA's (CUDA Driver API), the text is ours. Everything comes from the tables api.def, types.def,
 * errors.def and attributes.def. */
#ifndef CUDA_VIRTUAL_API_H
#define CUDA_VIRTUAL_API_H
#include <stddef.h>
#include <stdint.h>

typedef enum CUresult {
#define E(name, number, text) name = number,
#include "errors.def"
#undef E
} CUresult;

#define H(name, tag)  typedef struct tag *name;
#define T(name, type) typedef type name;
#define V(name, number)
#include "types.def"
#undef H
#undef T
#undef V
typedef struct CUctxCreateParams_st CUctxCreateParams; /* must be NULL here */

enum {
#define H(name, tag)
#define T(name, type)
#define V(name, number) name = number,
#include "types.def"
#undef H
#undef T
#undef V
#define A(name, number, value) name = number,
#include "attributes.def"
#undef A
};
#define CU_STREAM_LEGACY ((CUstream)1)

/* All symbols but these are hidden. */
#define X(symbol, name, since, params)                                                             \
    __attribute__((visibility("default"))) CUresult symbol params;
#include "api.def"
#undef X
#endif
