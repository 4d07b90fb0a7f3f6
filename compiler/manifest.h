/* What is known of every launch of a GPU's programs before anything runs, for one architecture. */
#ifndef MANIFEST_H
#define MANIFEST_H
#include "blob.h"
#include "gpu/gpu.h"
#include "loop/work.h"
#include "nvrtc/stats.h"

typedef struct LaunchFacts {
    const Kernel *kernel; /* layers, nest */
    const Func *func;     /* the one that was compiled, as equal kernels are one */
    const CudaStats *stats;
    Geometry geometry;
    Occupancy occupancy;
    Work work;
    GpuWork model; /* the same as the time model takes it */
} LaunchFacts;

typedef struct ProgramFacts {
    const BlobProgram *program;
    int nprepare; /* the first launches: they run once after the weights changed, not every time */
    int n;
    LaunchFacts *launch;
} ProgramFacts;

typedef struct Manifest {
    const char *model, *arch; /* "cnn", "sm_80" */
    int n;
    ProgramFacts *program;
} Manifest;

/* Of l->func alone, which is given: what it needs on one architecture, as it was counted. */
void launch_facts(Arena *a, const GpuArch *arch, const CudaStats *stats, LaunchFacts *l);
/* Of the GPU's programs among those that the blob was built of; stats: of their kernels on arch, by name. */
Manifest *manifest_build(Arena *a, const char *model, const char *arch, const Blob *blob, const BlobProgram *program,
                         int nprogram, const CudaStats *stats, int nstats);
/* JSON: an object for each architecture, with what each board of the table is predicted to need. */
void manifest_print(Buf *out, Manifest *const *m, int n);
const char *manifest_phase(const BlobProgram *p);   /* "train-step", "infer" */
const char *manifest_variant(const BlobProgram *p); /* "fused" */
#endif
