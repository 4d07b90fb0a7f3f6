/* The folder of a run. */
#ifndef RUNTIME_RUNDIR_H
#define RUNTIME_RUNDIR_H
#include "session.h"

typedef struct RtRunDir {
    char *path;
    int lock;
} RtRunDir;

/* Creates and locks it; exits 7 when it cannot (C005), when another run holds it (C007), or when it
 * holds a run already and neither --resume nor --force was given (C004). Removes what a killed run
 * left half-written. */
void rt_rundir_open(RtRunDir *d, const RtSession *s, bool resume);
void rt_rundir_close(RtRunDir *d);
char *rt_rundir_file(const RtRunDir *d, const char *name); /* caller frees */
/* args.yaml and env.json; split_hash: of split.csv */
void rt_rundir_describe(const RtRunDir *d, const RtSession *s, const char *split_hash);
#endif
