/* What stands on the command line. */
#ifndef FLAGS_H
#define FLAGS_H
#include "pipeline.h"

typedef struct Args {
    CompileOptions o;
    Setting set[64];
    const char *verb, *rest[4];
    int nrest;
    bool help;
    char *word[512]; /* run: the program's command line, from its verb on */
    int nword;
    bool predicts; /* --predict is among the arguments */
} Args;

void flags_parse(Args *a, int argc, char **argv); /* what it cannot read is reported, and the process ends (2) */
void flags_help(void);
void flags_gpus(Args *a, const char *list); /* "sm_80,sm_90" into o.arch */
/* The place of a word that must be among the names, which end with NULL. `kind`: what stands before it, "cuda:". */
int flags_word(const char *what, const char *kind, const char *word, const char *const *names);
/* The command line is wrong: the error, and the process ends. near: a word that was perhaps meant, or NULL. */
_Noreturn void usage(const char *id, const char *near, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#endif
