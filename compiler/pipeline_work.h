/* What the files of the pipeline share: its state, and what is done after and behind the stages. */
#ifndef PIPELINE_WORK_H
#define PIPELINE_WORK_H
#include "blob.h"
#include "pipeline.h"

typedef struct Pipeline {
    Arena *perm;
    const CompileOptions *o;
    const Machine *cpu, *gpu[MOST_ARCHS], *baseline; /* baseline: the first GPU, for unfused programs */
    const Machine *m; /* of the program at work */
    const Spec *spec;
    const char *program; /* name of the one at work; NULL outside */
    double t0;
    double time[16]; /* by stage */
} Pipeline;

/* pipeline_stage.c */
/* Books the time since the last call, dumps the product of `stage` if that was asked for, and says whether the compiler
 * was asked to stop here. print may be NULL. */
bool after(Pipeline *p, const char *stage, void (*print)(Buf *, const void *), const void *product);
bool wants_dump(const Pipeline *p, const char *stage);

/* pipeline_emit.c: behind the stages of all programs, n of which are in the blob. -> false: stop here */
/* The GPUs' kernels, if they are wanted, compiled into the blob, and what is known of them beside OUT. */
bool emit_images(Pipeline *p, Blob *blob, const BlobProgram *prog, int n);
/* The CPU's kernels and the blob's data. *obj is malloc'ed, as are their data. */
bool emit_objects(Pipeline *p, Blob *blob, Object **obj, int *nobj);
/* PTX of the first GPU, for a driver to assemble: "compute_80" gives no cubin, whose making takes most of the time. */
void emit_ptx(Pipeline *p, const Blob *blob, Compiled *out);
const char *base_name(const char *path);
#endif
