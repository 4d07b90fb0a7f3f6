/* Texts about a whole build, and the words that they share with pipeline.c. */
#ifndef PIPELINE_REPORT_H
#define PIPELINE_REPORT_H
#include "blob.h"
#include "pipeline.h"

bool wants_exe(const CompileOptions *o);
const char *phase_name(uint32_t phase); /* RT_TRAIN, RT_INFER */
/* One line on stdout (quiet: stderr). The size is that of the file o->out; prog: n programs, those of a GPU last. */
void report_built(Arena *a, const CompileOptions *o, const Machine *cpu, const Machine *const *gpu, const BlobProgram *prog,
                  int n, double seconds);
/* Seconds of every stage of stage_names and of all, on stderr. */
void report_times(const double *stage, double total);
#endif
