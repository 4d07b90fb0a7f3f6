/* MATLAB's files of version 5 ("MAT-File Format", MathWorks): numeric arrays, one after another, plain or deflated.
 *
 * Why not libmatio: Debian's static archive needs HDF5, for files of version 7.3; the sets that are read here (SVHN,
 * NIST36) are of version 5, which is this one file. */
#ifndef RUNTIME_DATA_MAT_H
#define RUNTIME_DATA_MAT_H
#include "internal.h"

enum { RT_MAT_DIMS = 8 };

typedef struct RtMat RtMat;
typedef struct RtMatArray {
    char name[64];
    int ndims;
    uint64_t dim[RT_MAT_DIMS]; /* the first changes fastest */
    uint64_t count;
    int type; /* how the numbers are stored */
} RtMatArray;

RtMat *rt_mat_open(const char *path, RtError *e);
/* The next numeric array: 1; 0: there is none; -1: failed. What was not read of the last one is passed over. */
int rt_mat_next(RtMat *m, RtMatArray *a, RtError *e);
/* The array's next n numbers. */
bool rt_mat_read(RtMat *m, double *to, size_t n, RtError *e);
bool rt_mat_bytes(RtMat *m, uint8_t *to, size_t n, RtError *e); /* if they are stored as uint8; else D003 */
uint64_t rt_mat_size(const RtMat *m); /* of the file, in bytes */
void rt_mat_close(RtMat *m);
#endif
