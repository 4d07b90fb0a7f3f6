/* For LD_PRELOAD: kills the process as with kill -9 at its KILL_AT-th call that changes files, before the call; a write is
 * half done first. Without KILL_AT the calls are counted, and their number is written to the file KILL_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static long calls;

static int now(void)
{
    const char *at = getenv("KILL_AT");
    return __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) == (at ? atol(at) : -1);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

__attribute__((destructor)) static void count(void)
{
    const char *path = getenv("KILL_COUNT");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f) return;
    fprintf(f, "%ld\n", calls);
    fclose(f);
}

#define REAL(type, name) type (*real)() = (type(*)())(void (*)(void))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *p, size_t n)
{
    REAL(ssize_t, "write");
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && now()) {
        real(fd, p, n / 2);
        die();
    }
    return real(fd, p, n);
}

int openat(int dir, const char *path, int flags, ...)
{
    REAL(int, "openat");
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    if (flags & O_CREAT && now()) die();
    return real(dir, path, flags, mode);
}

int fsync(int fd)
{
    REAL(int, "fsync");
    if (now()) die();
    return real(fd);
}

int renameat(int a, const char *from, int b, const char *to)
{
    REAL(int, "renameat");
    if (now()) die();
    return real(a, from, b, to);
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename");
    if (now()) die();
    return real(from, to);
}

int link(const char *from, const char *to)
{
    REAL(int, "link");
    if (now()) die();
    return real(from, to);
}

int unlink(const char *path)
{
    REAL(int, "unlink");
    if (now()) die();
    return real(path);
}
