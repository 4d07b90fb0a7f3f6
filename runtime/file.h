/* Files that are either the old one or the whole new one. */
#ifndef RUNTIME_FILE_H
#define RUNTIME_FILE_H
#include <stddef.h>

typedef struct RtFile RtFile;

/* Opens a temporary file beside `path`. `kept` ends the message of a failure ("step 400 is kept");
 * may be NULL. All of these exit with 7 when the system refuses, and leave no temporary file. */
RtFile *rt_file_create(const char *path, const char *kept);
void rt_file_write(RtFile *f, const void *data, size_t n);
void rt_file_commit(RtFile *f); /* fsync, rename, fsync of the directory; frees f */

void rt_file_save(const char *path, const void *data, size_t n,
                  const char *kept); /* the three in one */
/* Gives the file `path` the second name `other`, so that it outlives its own replacement. Where that
 * cannot be done nothing happens. */
void rt_file_keep(const char *path, const char *other);
/* A whole regular file, NUL-terminated, from malloc; NULL: *why says what is wrong (strerror or own
 * words). */
char *rt_file_read(const char *path, size_t *n, const char **why);
/* The same, mapped (munmap frees it) and not NUL-terminated; an empty file is an error. For files
 * that are only ever replaced whole, as ours are. */
void *rt_file_map(const char *path, size_t *n, const char **why);
#endif
