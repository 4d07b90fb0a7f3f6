/* The cache: a file an entry in $XDG_CACHE_HOME/sinter or ~/.cache/sinter.
 *
 * A file is the entry's bytes and a mark: the SHA-256 of the bytes, in hex. An entry whose mark does not fit is as
 * good as none, and is written again. Files come into place by rename, so that programs may share the folder. */
#include "support/cache.h"
#include "../runtime/sha256.h"
#include "support/file.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_ENTRIES = 32768, MOST_BYTES = 1 << 30, MARK = RT_SHA256_HEX };

static void digest(const void *p, size_t n, char hex[RT_SHA256_HEX + 1])
{
    RtSha256 s;
    rt_sha256_begin(&s);
    rt_sha256_add(&s, p, n);
    rt_sha256_hex(&s, hex);
}

char *cache_key(Arena *a, const Buf *material)
{
    char hex[RT_SHA256_HEX + 1];
    digest(material->s, material->n, hex);
    return arena_strdup(a, hex);
}

/* NULL: there is no place for one. */
static char *folder(Arena *a)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && *base != '/')
        base = NULL; /* XDG Base Directory Specification: relative paths are invalid */
    if (!base && (!home || *home != '/')) return NULL;
    char *parent = base ? arena_strdup(a, base) : arena_printf(a, "%s/.cache", home);
    char *dir = arena_printf(a, "%s/sinter", parent);
    mkdir(parent, 0700);
    mkdir(dir, 0700);
    return access(dir, R_OK | W_OK | X_OK) ? NULL : dir;
}

void *cache_get(Arena *a, const char *key, size_t *n, const char **path)
{
    char hex[RT_SHA256_HEX + 1], *dir = folder(a);
    if (!dir) return NULL;
    const char *why, *file = arena_printf(a, "%s/%s", dir, key);
    char *p = file_read(a, file, MOST_BYTES, n, &why);
    if (!p || *n < MARK) return NULL;
    *n -= MARK;
    digest(p, *n, hex);
    if (memcmp(p + *n, hex, MARK) != 0) return NULL;
    utimensat(AT_FDCWD, file, NULL, 0); /* used now */
    if (path) *path = file;
    return p;
}

/* ---- bounds ---- */

typedef struct Entry {
    const char *path;
    struct timespec used;
    off_t bytes;
} Entry;

static int oldest_first(const void *x, const void *y)
{
    const struct timespec *a = &((const Entry *)x)->used, *b = &((const Entry *)y)->used;
    if (a->tv_sec != b->tv_sec) return a->tv_sec < b->tv_sec ? -1 : 1;
    return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

static int list_entries(Arena *a, const char *dir, Entry *e, off_t *total)
{
    int n = 0;
    struct dirent *d;
    struct stat st;
    DIR *open = opendir(dir);
    while (open && n < MOST_ENTRIES && (d = readdir(open))) {
        char *path = arena_printf(a, "%s/%s", dir, d->d_name);
        if (stat(path, &st) || !S_ISREG(st.st_mode)) continue;
        e[n++] = (Entry){path, st.st_mtim, st.st_size};
        *total += st.st_size;
    }
    if (open) closedir(open);
    return n;
}

static void shrink(Arena *a, const char *dir)
{
    off_t total = 0;
    Entry *e = NEWN(a, Entry, MOST_ENTRIES);
    int n = list_entries(a, dir, e, &total);
    qsort(e, (size_t)n, sizeof *e, oldest_first);
    for (int i = 0; i < n && (total > MOST_BYTES || n - i >= MOST_ENTRIES); i++) {
        unlink(e[i].path);
        total -= e[i].bytes;
    }
}

void cache_put(const char *key, const void *p, size_t n, int mode)
{
    Arena *a = arena_new();
    char hex[RT_SHA256_HEX + 1], *dir = folder(a);
    Buf all = {0};
    if (dir && n < MOST_BYTES - MARK) {
        digest(p, n, hex);
        buf_write(&all, p, n);
        buf_write(&all, hex, MARK);
        if (file_write_atomic(arena_printf(a, "%s/%s", dir, key), all.s, all.n, mode))
            shrink(a, dir);
    }
    buf_free(&all);
    arena_free(a);
}
