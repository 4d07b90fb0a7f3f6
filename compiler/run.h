/* `sinter run SPEC VERB ...`: a description's program, without a place for it. */
#ifndef RUN_H
#define RUN_H
#include "pipeline.h"

/* Builds the program, unless the cache has it, and becomes it. word: its command line; word[0] is how it calls itself,
 * word[1] the verb. `--device cuda...` among the words asks for GPU kernels, if o does not. -> exit code when it does
 * not come so far. */
int run_program(const CompileOptions *o, char **word, int n);
#endif
