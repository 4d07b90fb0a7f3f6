/* Whole files, temporary folders, processes.
 * Rule: every return code is looked at; what fails leaves nothing half-written behind.
 * Not here: messages. The caller knows what the file was for and says so. */
#include "support/file.h"
#include "support/buf.h"
#include "support/diag.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { MAX_PROCESS_TEXT = 1 << 20 };

/* Reads up to n bytes; fewer only at the end of the file. -1 and errno on failure. */
static ssize_t read_full(int fd, char *p, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t k = read(fd, p + got, n - got);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return -1;
        if (k == 0) break;
        got += (size_t)k;
    }
    return (ssize_t)got;
}

static char *read_open(Arena *a, int fd, size_t max, size_t *len, const char **why)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        *why = arena_strdup(a, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        *why = "not a regular file";
        return NULL;
    }
    if ((uint64_t)st.st_size > max) {
        errno = EFBIG;
        *why = arena_printf(a, "larger than %zu bytes", max);
        return NULL;
    }
    char *text = arena_alloc(a, (size_t)st.st_size + 1);
    ssize_t n = read_full(fd, text, (size_t)st.st_size);
    if (n < 0) {
        *why = arena_strdup(a, strerror(errno));
        return NULL;
    }
    *len = (size_t)n;
    return text;
}

char *file_read(Arena *a, const char *path, size_t max, size_t *len, const char **why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0) {
        int e = errno;
        *why = arena_strdup(a, strerror(e));
        errno = e;
        return NULL;
    }
    char *text = read_open(a, fd, max, len, why);
    int e = errno;
    close(fd);
    errno = e;
    return text;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static bool write_temp(int fd, const void *p, size_t n, int mode)
{
    mode_t mask = umask(0);
    umask(mask);
    bool ok = write_all(fd, p, n) && fchmod(fd, (mode_t)mode & ~mask) == 0 && fsync(fd) == 0;
    int e = errno;
    if (close(fd) != 0 && ok) return false;
    errno = e;
    return ok;
}

bool file_write_atomic(const char *path, const void *p, size_t n, int mode)
{
    Buf temp = {0};
    buf_printf(&temp, "%s.XXXXXX", path);
    int fd = mkostemp(temp.s, O_CLOEXEC);
    bool ok = fd >= 0 && write_temp(fd, p, n, mode) && rename(temp.s, path) == 0;
    int e = errno;
    if (fd >= 0 && !ok) unlink(temp.s);
    buf_free(&temp);
    errno = e;
    return ok;
}

/* Folders that go when the program ends, however it does: a failed link leaves nothing behind. */
enum { MOST_TEMP_DIRS = 8 };
static char *temp_dirs[MOST_TEMP_DIRS];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static void remove_temp_dirs(void)
{
    for (int i = 0; i < MOST_TEMP_DIRS; i++)
        if (temp_dirs[i]) file_remove_tree(temp_dirs[i]);
}

char *file_temp_dir(Arena *a)
{
    static bool registered;
    const char *base = getenv("TMPDIR");
    char *path = arena_printf(a, "%s/sinter.XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path)) fatal(EXIT_WRITE, "cannot create a folder like '%s':", path);
    if (!registered) atexit(remove_temp_dirs);
    registered = true;
    for (int i = 0; i < MOST_TEMP_DIRS; i++)
        if (!temp_dirs[i]) {
            temp_dirs[i] = strdup(path);
            break;
        }
    return path;
}

void file_keep_dir(const char *path)
{
    for (int i = 0; i < MOST_TEMP_DIRS; i++)
        if (temp_dirs[i] && !strcmp(temp_dirs[i], path)) {
            free(temp_dirs[i]); /* which may be `path` itself */
            temp_dirs[i] = NULL;
            return;
        }
}

void file_remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    file_keep_dir(path);
}

/* Everything that the child says, up to a bound; the rest is read and dropped so that it can end.
 */
static char *collect(Arena *a, int fd)
{
    Buf b = {0};
    char part[4096];
    for (;;) {
        ssize_t k = read(fd, part, sizeof part);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) break;
        if (b.n < MAX_PROCESS_TEXT) buf_write(&b, part, (size_t)k);
    }
    char *text = arena_strndup(a, b.s ? b.s : "", b.n);
    buf_free(&b);
    return text;
}

static int spawn(char *const argv[], int err_fd, pid_t *pid)
{
    posix_spawn_file_actions_t act;
    int e = posix_spawn_file_actions_init(&act);
    if (e) return e;
    e = posix_spawn_file_actions_addopen(&act, 0, "/dev/null", O_RDONLY, 0);
    if (!e) e = posix_spawn_file_actions_adddup2(&act, err_fd, 2);
    if (!e) e = posix_spawnp(pid, argv[0], &act, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&act);
    return e;
}

int file_run(Arena *a, char *const argv[], char **err)
{
    int fd[2];
    *err = "";
    if (pipe2(fd, O_CLOEXEC) != 0) return -1;
    pid_t pid;
    int e = spawn(argv, fd[1], &pid);
    close(fd[1]);
    if (e) {
        close(fd[0]);
        *err = arena_strdup(a, strerror(e));
        errno = e;
        return -1;
    }
    *err = collect(a, fd[0]);
    close(fd[0]);
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

double time_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
