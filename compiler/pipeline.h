/* The compiler as one call. */
#ifndef PIPELINE_H
#define PIPELINE_H
#include "stages.h"

#define SINTER_VERSION "0.1.0"

typedef struct CompileOptions {
    const char *spec, *out;
    const char *machine; /* "native", "x86-64-v3", ... */
    const Setting *set;
    int nset;
    int64_t batch; /* 0: the description's */
    bool infer_only, no_fuse, no_reuse, no_simplify, no_variants;
    const char *no_fuse_rule; /* --no-fuse=RULE */
    bool explain, time, force, save_temps, verbose;
    const char *dump;       /* "graph,fuse", "all" or NULL */
    const char *dump_dir;   /* NULL: stdout */
    const char *stop_after; /* stage name or NULL */
} CompileOptions;

extern const char *const stage_names[]; /* in order, ends with NULL */
extern const char *const fuse_rule_names[];

/* Builds o->out. -> exit code; messages have been printed. */
int compile(const CompileOptions *o);
/* Reads, shapes, differentiates; no code. Prints a summary. -> exit code */
int check(const CompileOptions *o);
#endif
