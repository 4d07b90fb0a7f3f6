/* The compiler as one call. */
#ifndef PIPELINE_H
#define PIPELINE_H
#include "images.h"
#include "loops.h"
#include "stages.h"

#define SINTER_VERSION "0.1.0"

/* What `build` writes: the program, or a GPU's kernels beside OUT as OUT.cu, OUT.sm_80.ptx, OUT.sm_80.cubin,
 * and OUT.manifest.json: what is known of every launch. */
enum { EMIT_EXE = 1, EMIT_CUDA = 2, EMIT_PTX = 4, EMIT_CUBIN = 8, EMIT_MANIFEST = 16 };
extern const char *const emit_names[]; /* by bit, ends with NULL */

typedef struct CompileOptions {
    const char *spec, *out;
    const char *machine; /* "native", "x86-64-v3", ... */
    const char *arch[MOST_ARCHS]; /* "sm_80", ... by rising number: GPUs that the program can use too */
    int narch;
    bool predict;        /* bench: no program, but what it is predicted to need on GPUs */
    unsigned emit;       /* EMIT_..; 0: EMIT_EXE */
    const Setting *set;
    int nset;
    Provider provider; /* of the GPUs' convolutions */
    const char *baseline; /* name of the provider of their unfused programs; NULL: the same */
    int64_t batch; /* 0: the description's */
    bool infer_only, no_fuse, no_reuse, no_simplify, no_variants;
    const char *no_fuse_rule; /* --no-fuse=RULE */
    const char *algorithm;    /* "fast", "exact"; NULL: the description's */
    bool tune; /* tiles of GPUs' contractions by predicted time */
    bool explain, explain_choice, time, force, save_temps, verbose, no_cache;
    const char *dump;       /* "graph,fuse", "all" or NULL */
    const char *dump_dir;   /* NULL: stdout */
    const char *stop_after; /* stage name or NULL */
    bool summary;           /* check: the table of layers */
    bool long_form;         /* fmt */
    const char *data;       /* init: a folder, or NULL */
    int64_t max_memory;     /* GiB; 0: the usual limit */
    int64_t seed;           /* verify; 0: its own */
    double tolerance;       /* verify; 0: its own */
    const char *device;     /* verify, of a GPU's kernels: "cuda:virtual" (NULL), "cuda" */
    bool json;              /* results as JSON instead of tables */
    bool quiet;             /* the report of `build` to stderr: stdout is the program's */
} CompileOptions;

extern const char *const stage_names[]; /* in order, ends with NULL */
extern const char *const fuse_rule_names[];
extern const char *const provider_names[]; /* by Provider, ends with NULL */

/* Builds o->out. -> exit code; messages have been printed. */
int compile(const CompileOptions *o);
/* The fused training step (if the description trains) and inference in memory, for `verify`: the CPU's, or those of the
 * GPU that o->arch names. */
typedef struct CompiledProgram {
    const char *what; /* "training step" */
    bool training;
    const Loops *loops;
    const uint32_t *kernel; /* by launch: its index in the objects' rt_kernels, in func */
} CompiledProgram;
typedef struct Compiled {
    const Spec *spec;
    const Machine *machine;
    CompiledProgram program[2];
    int nprogram;
    Object *obj; /* malloc'ed, as are their data */
    int nobj;
    Func *const *func; /* the kernels, by whose names they are found in the PTX */
    Object ptx;        /* a GPU's, malloc'ed text; data NULL: they are the CPU's, in obj */
} Compiled;
int compile_kernels(Arena *a, const CompileOptions *o, Compiled *out); /* -> exit code */
/* Reads, shapes, differentiates; no code. Prints a summary. -> exit code */
int check(const CompileOptions *o);
#endif
