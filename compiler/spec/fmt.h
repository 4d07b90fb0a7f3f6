/* `sinter fmt`: a description in one arrangement of lines. */
#ifndef SPEC_FMT_H
#define SPEC_FMT_H
#include "support/arena.h"
#include <stdbool.h>

/* The file's text arranged anew, comments kept; long_form: layers as {type: ..., ...}. NULL after a
 * diag_error. */
const char *fmt_file(Arena *a, const char *path, bool long_form);
#endif
