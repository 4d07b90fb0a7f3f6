/* The CUDA driver's functions, by dlopen: a program starts, and says what is wrong, where there is no driver.
 * Types and numbers are declared here, so that nothing of the toolkit is needed to build. Source: NVIDIA, CUDA Driver
 * API; tests/unit/test_virtual_abi.c holds such declarations against cuda.h where that is installed. */
#ifndef CUDA_API_H
#define CUDA_API_H
#include "err.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct CUctx_st *CuContext;
typedef struct CUmod_st *CuModule;
typedef struct CUfunc_st *CuFunction;
typedef struct CUstream_st *CuStream;
typedef struct CUevent_st *CuEvent;
typedef struct CUgraph_st *CuGraph;
typedef struct CUgraphExec_st *CuGraphExec;
typedef unsigned long long CuAddress;

enum { /* CUresult */
       CU_OK = 0,
       CU_OUT_OF_MEMORY = 2,
       CU_NO_DEVICE = 100,
       CU_INVALID_IMAGE = 200,
       CU_NO_BINARY = 209,
       CU_UNSUPPORTED_PTX = 222,
};
enum { CU_CAPABILITY_MAJOR = 75, CU_CAPABILITY_MINOR = 76 };             /* CUdevice_attribute */
enum { CU_MOST_DYNAMIC_SHARED = 8 };                                     /* CUfunction_attribute */
enum { CU_JIT_ERROR_LOG = 5, CU_JIT_ERROR_LOG_SIZE = 6 };                /* CUjit_option */
enum { CU_STREAM_NON_BLOCKING = 1, CU_EVENT_NO_TIMING = 2, CU_CAPTURE_THREAD = 1 };

typedef struct CuApi {
#define X(symbol, parameters) int(*symbol) parameters;
#include "api.def"
#undef X
} CuApi;

extern CuApi cu; /* after cu_load */

/* Loads the driver: `virtual` that of sinter's virtual device, else the system's. NULL: it works; otherwise *e has why
 * and what is returned is e. */
const RtError *cu_load(bool virtual, RtError *e);
/* "out of memory (CUDA_ERROR_OUT_OF_MEMORY)". Lives until the next call. */
const char *cu_reason(int result);
/* Exits with 5 unless result is CU_OK. what: "copy to the device". */
void cu_check(int result, const char *what);
/* "13.0" of 13000, into text[16]; returns text. */
const char *cu_version(int version, char *text);
#endif
