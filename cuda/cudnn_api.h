/* Inside of cuda/cudnn*.c: cuDNN's functions and numbers, and descriptors built one after the other.
 * Rule: a Build keeps the first error and does nothing after it, so that no step needs a check of its own. */
#ifndef CUDA_CUDNN_API_H
#define CUDA_CUDNN_API_H
#include "cudnn.h"
#include <stdbool.h>

struct cudnnContext;
struct CUstream_st;

#define VALUE(name, value) DNN_##name = value,
enum {
#include "cudnn.def"
};

extern struct DnnApi {
#define FUNCTION(result, name, parameters) result(*name) parameters;
#include "cudnn.def"
} dnn_api;

enum { DNN_MOST_PARTS = 64 };
typedef struct Build {
    void *part[DNN_MOST_PARTS]; /* all descriptors made */
    int n;
    unsigned status; /* the first error's */
    char *why;       /* [CUDNN_WHY] */
} Build;

void dnn_note(Build *b, unsigned status, const char *doing);
void *dnn_make(Build *b, unsigned kind); /* NULL after an error */
void dnn_set(Build *b, void *d, unsigned name, unsigned type, int64_t count, const void *v);
void dnn_set_int(Build *b, void *d, unsigned name, int64_t v);
void dnn_set_enum(Build *b, void *d, unsigned name, unsigned type, unsigned v);
void dnn_set_part(Build *b, void *d, unsigned name, void *part);
void dnn_set_double(Build *b, void *d, unsigned name, double v);
void dnn_finish(Build *b, void *d, const char *what);
void dnn_discard(void **part, int n);

void *dnn_operation_graph(Build *b, const CudnnConv *c); /* cudnn_graph.c */
#endif
