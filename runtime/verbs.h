/* The verbs of the built program, one file each. */
#ifndef RUNTIME_VERBS_H
#define RUNTIME_VERBS_H
#include "device.h"

typedef struct RtVerb {
    const RtModel *model;
    const RtKernel *kernels;
    const RtDriver *const *drivers;
    int argc; /* what follows the verb */
    char **argv;
    int all_argc; /* the whole command line */
    char **all_argv;
} RtVerb;

/* The program: picks the verb, returns the exit code. */
int rt_main(const RtModel *m, const RtKernel *kernels, const RtDriver *const *drivers, int argc, char **argv);

/* A verb that is a part (parts.def). */
typedef struct RtVerbPart {
    int (*run)(const RtVerb *v);
} RtVerbPart;

int rt_verb_train(const RtVerb *v);
int rt_verb_eval(const RtVerb *v);
int rt_verb_predict(const RtVerb *v);
int rt_verb_bench(const RtVerb *v);
int rt_verb_info(const RtVerb *v);
int rt_verb_run(const RtVerb *v);
int rt_verb_step(const RtVerb *v);
int rt_verb_time(const RtVerb *v);
#endif
