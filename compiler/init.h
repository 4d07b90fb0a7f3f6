/* `sinter init KIND`. */
#ifndef INIT_H
#define INIT_H
#include <stdbool.h>

extern const char *const init_kinds[]; /* ends with NULL */
/* Writes the template of this kind, filled in from what lies in the folder `data` (NULL: the usual example), to `out`
 * (NULL: stdout). -> exit code; messages have been printed. */
int init_write(const char *kind, const char *data, const char *out, bool force);
#endif
