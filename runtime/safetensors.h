/* The safetensors format: 8 bytes header length, a JSON header, the tensors' bytes. */
#ifndef RUNTIME_SAFETENSORS_H
#define RUNTIME_SAFETENSORS_H
#include "data/data.h"

enum { RT_ST_RANK = 8 };

typedef struct RtStTensor {
    char *name;
    char dtype[12]; /* "F32" */
    int rank;
    int64_t dim[RT_ST_RANK];
    int64_t count; /* elements */
    const void *data;
    uint64_t bytes, offset; /* offset: in the data area */
} RtStTensor;

typedef struct RtPair {
    char *key, *value;
} RtPair;

typedef struct RtSt {
    char *name; /* of the file, for messages */
    void *file;
    int n, nmeta;
    RtStTensor *tensor; /* in order of their data */
    RtPair *meta;
} RtSt;

/* Takes over `file` (malloc). NULL: e says why; the memory is freed. */
RtSt *rt_st_parse(void *file, size_t size, const char *name, RtError *e);
RtSt *rt_st_open(const char *path); /* exits when the file is bad */
void rt_st_free(RtSt *s);
const RtStTensor *rt_st_find(const RtSt *s, const char *name);
const char *rt_st_meta(const RtSt *s, const char *key); /* NULL: none */

/* The elements as f32 or i32 (real = false). NULL after setting e: dtype that does not convert
 * (W006), value out of int32 (W006), not finite (W009). From malloc. */
void *rt_st_values(const RtSt *s, const RtStTensor *t, bool real, RtError *e);

/* Writes tensors (name, dtype, rank, dim, count, data are read; F32 and I32) with metadata,
 * atomically. */
void rt_st_write(const char *path, const RtStTensor *t, int n, const RtPair *meta, int nmeta,
                 const char *kept);
#endif
