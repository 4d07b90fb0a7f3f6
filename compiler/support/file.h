/* Whole files, temporary folders, processes. */
#ifndef SUPPORT_FILE_H
#define SUPPORT_FILE_H
#include "support/arena.h"
#include <stdbool.h>
#include <stdint.h>

/* Reads a regular file of at most max bytes; NUL-terminated; *len set. NULL, *why and errno on failure
 * (EFBIG: larger than max; EINVAL: not a regular file). */
char *file_read(Arena *a, const char *path, size_t max, size_t *len, const char **why);
/* Writes through a temporary name and rename, so that nobody sees half a file. false and errno on failure. */
bool file_write_atomic(const char *path, const void *p, size_t n, int mode);
char *file_temp_dir(Arena *a);            /* creates it, 0700, under $TMPDIR; removed at exit */
void file_keep_dir(const char *path);     /* not removed at exit */
void file_remove_tree(const char *path);
/* Runs argv (posix_spawn, no shell), stderr collected to *err (arena). Exit status (128 + signal if
 * killed), or -1 and errno if it cannot start. */
int file_run(Arena *a, char *const argv[], char **err);
double time_now(void);                    /* monotonic seconds */
#endif
