/* Small kernels with their data, and the bugs that both oracles, the SIMT shim and the PTX interpreter, must find in
 * them. One table of bugs; each is a change of the kernel's text. */
#ifndef SIMT_MUTANTS_H
#define SIMT_MUTANTS_H
#include "simt.h"

enum { WORK_ARGS = 4 };

typedef struct Work { /* one launch */
    unsigned grid[3], block[3];
    size_t shared;
    SimtArg arg[WORK_ARGS];
    int nargs;
} Work;

typedef struct WorkDef {
    const char *file;   /* tests/simt/NAME.cu, or templates/kernels/NAME.cu as it stands; its kernel has the same name */
    bool template;
    void (*make)(Arena *a, Work *w); /* data, and room for results */
    /* Largest error of the results, relative to what they should be. */
    double (*error)(const Work *w);
    double tolerance;
} WorkDef;
extern const WorkDef work_defs[]; /* ends with a NULL file */

typedef struct Mutant {
    const char *name, *file;
    const char *from, *to; /* `from` stands in the text once */
    SimtVerdict verdict;   /* of the shim; OK: right numbers all the same, what suffers is speed */
    const char *said;      /* by the PTX interpreter: one of these, `|` between them */
    double conflicts;      /* verdict OK: turns that an access to shared memory takes, at least; 1 without the bug */
} Mutant;
extern const Mutant mutants[]; /* ends with a NULL name */

const WorkDef *work_find(const char *file);
char *work_source(Arena *a, const WorkDef *d);
/* A text that does not hold `from` just once is a bug of ours. */
char *mutant_source(Arena *a, const Mutant *m);
#endif
