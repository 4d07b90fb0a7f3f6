/* Link: objects + the runtime library -> an executable. */
#ifndef LINK_H
#define LINK_H
#include "backend.h"

/* Writes `out` through a temporary name. force: replace a file that sinter did not write. Reports
 * through diag/fatal (no `cc`: EXIT_TOOL; cannot write: EXIT_WRITE). */
void link_executable(Arena *a, const Object *obj, int nobj, const char *out, bool force,
                     bool keep_temps);
/* Where the runtime library lies: $SINTER_RT, beside this program, or ../lib/sinter. NULL: nowhere.
 */
const char *link_runtime_path(Arena *a);
/* Would link_executable overwrite something that is not ours? -> reason, or NULL. */
const char *link_refuses(const char *out, bool force);
#endif
