/* Atomic files: temporary name (O_EXCL, O_NOFOLLOW), write, fsync, rename, fsync of the directory.
 *
 * Rule: every return value counts; after a failed fsync nothing is retried, because the kernel may
 * have dropped the pages already. */
#include "file.h"
#include "err.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct RtFile {
    int dir, fd;
    char *path, *temp;
    const char *base, *kept;
};

static _Noreturn void refuse(RtFile *f, const char *what)
{
    int e = errno;
    if (f->fd >= 0) unlinkat(f->dir, f->temp, 0);
    const char *id = e == ENOSPC || e == EDQUOT ? "E001" : f->fd < 0 ? "C005" : "E002";
    rt_fail(RT_EXIT_WRITE, id, "cannot %s '%s': %s%s%s", what, rt_esc(f->path), strerror(e),
            f->kept ? "; " : "", f->kept ? f->kept : "");
}

static int open_dir(const char *path, const char *base)
{
    char *dir = base == path ? rt_strdup(".") : rt_format("%.*s", (int)(base - path), path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int e = errno;
    free(dir);
    errno = e;
    return fd;
}

RtFile *rt_file_create(const char *path, const char *kept)
{
    RtFile *f = rt_alloc(1, sizeof *f, "a file");
    f->path = rt_strdup(path);
    f->kept = kept;
    f->fd = -1;
    char *slash = strrchr(f->path, '/');
    f->base = slash ? slash + 1 : f->path;
    f->dir = open_dir(f->path, f->base);
    if (f->dir < 0) refuse(f, "create");
    for (int tries = 0; tries < 8 && f->fd < 0; tries++) {
        uint64_t r = 0;
        if (getrandom(&r, sizeof r, GRND_NONBLOCK) < 0)
            r = (uint64_t)getpid() << 8 | (unsigned)tries;
        free(f->temp);
        f->temp = rt_format(".%s.%016llx.tmp", f->base, (unsigned long long)r);
        f->fd = openat(f->dir, f->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (f->fd < 0 && errno != EEXIST) break;
    }
    if (f->fd < 0) refuse(f, "create");
    return f;
}

void rt_file_write(RtFile *f, const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        ssize_t k = write(f->fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) refuse(f, "write");
        p += k;
        n -= (size_t)k;
    }
}

void rt_file_commit(RtFile *f)
{
    if (fsync(f->fd) != 0) refuse(f, "write");
    if (close(f->fd) != 0) refuse(f, "write");
    if (renameat(f->dir, f->temp, f->dir, f->base) != 0) refuse(f, "write");
    if (fsync(f->dir) != 0 || close(f->dir) != 0) refuse(f, "write");
    free(f->path);
    free(f->temp);
    free(f);
}

void rt_file_save(const char *path, const void *data, size_t n, const char *kept)
{
    RtFile *f = rt_file_create(path, kept);
    rt_file_write(f, data, n);
    rt_file_commit(f);
}

void rt_file_keep(const char *path, const char *other)
{
    const char *slash = strrchr(other, '/');
    char *temp =
        rt_format("%.*s.keep.%ld.tmp", slash ? (int)(slash + 1 - other) : 0, other, (long)getpid());
    if (link(path, temp) == 0) {
        rename(temp, other);
        unlink(temp); /* still there if `other` was a name of the same file already */
    }
    free(temp);
}

static char *read_fd(int fd, size_t size, size_t *n)
{
    char *p = malloc(size + 1);
    if (!p) return NULL;
    for (*n = 0; *n < size;) {
        ssize_t k = read(fd, p + *n, size - *n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) {
            free(p);
            return NULL;
        }
        if (k == 0) break;
        *n += (size_t)k;
    }
    p[*n] = 0;
    return p;
}

/* Opens a regular file; -1: *why says what is wrong. */
static int open_regular(const char *path, size_t *n, const char **why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *n = (size_t)st.st_size;
        return fd;
    }
    *why = fd < 0 ? strerror(errno) : "not a regular file";
    if (fd >= 0) close(fd);
    return -1;
}

char *rt_file_read(const char *path, size_t *n, const char **why)
{
    int fd = open_regular(path, n, why);
    if (fd < 0) return NULL;
    char *p = read_fd(fd, *n, n);
    if (!p) *why = strerror(errno);
    close(fd);
    return p;
}

void *rt_file_map(const char *path, size_t *n, const char **why)
{
    int fd = open_regular(path, n, why);
    if (fd < 0) return NULL;
    errno = 0;
    void *p = *n ? mmap(NULL, *n, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (p == MAP_FAILED) *why = errno ? strerror(errno) : "empty file";
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}
