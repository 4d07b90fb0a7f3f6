/* The safetensors format: 8 bytes header length, a JSON header, the tensors' bytes. */
#ifndef RUNTIME_SAFETENSORS_H
#define RUNTIME_SAFETENSORS_H
#include "data/data.h"

enum { RT_ST_RANK = 8 };
#define RT_ST_SHA "sha256"

typedef struct RtStTensor {
    char *name;
    char dtype[12]; /* "F32" */
    int rank;
    int64_t dim[RT_ST_RANK];
    int64_t count;          /* elements */
    const void *data;       /* as in the file: little-endian, of any alignment */
    uint64_t bytes, offset; /* offset: in the data area */
    void *own;              /* the data's memory where it does not lie in the file's; or NULL */
} RtStTensor;

typedef struct RtPair {
    char *key, *value;
} RtPair;

typedef struct RtSt {
    char *name;         /* of the file, for messages */
    const char *format; /* "safetensors", "pth (zip)", ... */
    void *file;
    size_t mapped; /* bytes, if `file` is mapped; 0: it is from malloc */
    int n, nmeta;
    RtStTensor *tensor; /* in order of their data */
    RtPair *meta;
    void **own; /* more memory that tensors' data lie in */
    size_t nown;
} RtSt;

/* Takes over `file` (malloc). NULL: e says why; the memory is freed. */
RtSt *rt_st_parse(void *file, size_t size, const char *name, RtError *e);
RtSt *rt_st_open(const char *path);             /* exits when the file is bad */
RtSt *rt_st_read(const char *path, RtError *e); /* NULL: e says why */
/* As rt_st_open, of a file that rt_file_map gave. NULL: e says why; the memory is unmapped. */
RtSt *rt_st_parse_map(void *file, size_t size, const char *name, RtError *e);
void rt_st_free(RtSt *s);
const RtStTensor *rt_st_find(const RtSt *s, const char *name);
const char *rt_st_meta(const RtSt *s, const char *key); /* NULL: none */

unsigned rt_st_dtype_size(const char *dtype); /* 0: there is no such dtype */

/* ---- safetensors_values.c ---- */

/* The elements as f32 (from F32, F64, F16, BF16) or i32 (real = false; from any whole dtype). NULL
 * after setting e: dtype that does not convert (W006), value out of int32 (W006), not finite
 * (W009). From malloc. */
void *rt_st_values(const RtSt *s, const RtStTensor *t, bool real, RtError *e);
/* The elements where they lie, as 4 bytes each of any alignment, if they are f32 there; else NULL. */
const void *rt_st_f32(const RtStTensor *t);
/* Of n such elements: how many are not finite; *first: the first of them. */
int64_t rt_st_nonfinite(const void *f32, int64_t n, int64_t *first);
/* e says that t has so many. */
void rt_st_refuse_nonfinite(const RtStTensor *t, int64_t bad, int64_t first, RtError *e);
/* Element i as a double; NaN for a dtype that is none of numbers (rt_st_is_number). */
double rt_st_element(const RtStTensor *t, int64_t i);
bool rt_st_is_number(const RtStTensor *t);

/* ---- safetensors_write.c ---- */

/* Writes tensors (name, dtype, rank, dim, count, data are read) with metadata, atomically. A file
 * with metadata gets RT_ST_SHA as well: the SHA-256 of the whole file behind the first 8 bytes, with
 * zeros where its own digits stand. A reader that finds it checks it (W011). */
void rt_st_write(const char *path, const RtStTensor *t, int n, const RtPair *meta, int nmeta,
                 const char *kept);
#endif
