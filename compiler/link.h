/* Link: objects + the runtime library -> an executable. */
#ifndef LINK_H
#define LINK_H
#include "backend.h"

/* parts: symbols of the runtime library that the objects do not name (parts.h); ends with NULL.
 * Writes `out` through a temporary name. fatal() without `cc` (EXIT_TOOL) or when it cannot write
 * (EXIT_WRITE). keep_temps: the folder of objects stays, and `out` keeps its names for perf and gdb. */
void link_executable(Arena *a, const Object *obj, int nobj, const char *const *parts, const char *out,
                     bool keep_temps);
/* Links the objects alone into a shared object in dir, for this process. -> its path */
char *link_shared(Arena *a, const Object *obj, int nobj, const char *dir);
/* Where a library of ours lies: what the environment variable names, beside this program, or in ../lib/sinter.
 * NULL: nowhere. */
const char *link_library_path(Arena *a, const char *file, const char *variable);
/* Looks before anything is compiled: may `out` be written? false after a diag_error (C004, C005).
 */
bool link_may_write(const char *out, bool force);
#endif
