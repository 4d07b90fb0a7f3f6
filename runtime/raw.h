/* Tensors from files for `run` and `step`. */
#ifndef RUNTIME_RAW_H
#define RUNTIME_RAW_H
#include "exec.h"
#include "safetensors.h"

typedef struct RtRaw { /* rows of a program's tensor, plain */
    int64_t rows, row; /* row: elements of one */
    int batch;
    char *values; /* 4 bytes each */
} RtRaw;

/* Tensor `name` of the file, checked against the program's tensor of that name: its first dimension
 * may be any number of rows. Exits with W00x if it does not fit. */
void rt_raw_read(RtRaw *r, const char *path, const RtExec *e, const char *name);
void rt_raw_free(RtRaw *r);
/* Rows [first, first + n) into the program, n <= batch; rows that are missing repeat row `first`.
 */
void rt_raw_put(const RtRaw *r, RtExec *e, const char *name, int64_t first, int64_t n);
#endif
