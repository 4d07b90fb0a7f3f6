/* A plain or gzip file read once from front to back.
 *
 * rule: memory is one fixed buffer however much the file would expand to, and the end of a gzip
 * file is only reported after its checksum was right.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

struct RtSource {
    int fd;
    bool gz, ended;
    uint64_t size;
    char *path;
    z_stream z;
    uint8_t in[1 << 16];
};

static bool cannot_read(const char *path, int error, RtError *e)
{
    return rt_data_fail(e, RT_EXIT_DATA, "D002", "cannot read '%s': %s", rt_esc(path),
                        strerror(error));
}

static bool open_file(RtSource *s, const char *path, RtError *e)
{
    struct stat st;
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (s->fd < 0 || fstat(s->fd, &st) != 0) return cannot_read(path, errno, e);
    if (!S_ISREG(st.st_mode))
        return rt_data_fail(e, RT_EXIT_DATA, "D002", "cannot read '%s': not a regular file",
                            rt_esc(path));
    s->size = (uint64_t)st.st_size;
    s->path = strdup(path);
    return s->path || rt_data_no_memory(e, "a file name", strlen(path));
}

RtSource *rt_source_open(const char *path, bool gz, RtError *e)
{
    RtSource *s = rt_data_alloc(1, sizeof *s, "a file buffer", e);
    if (!s) return NULL;
    bool ok = open_file(s, path, e);
    if (ok && gz) {
        s->gz = inflateInit2(&s->z, 15 + 16) == Z_OK;
        ok = s->gz || rt_data_no_memory(e, "the gzip reader", 1 << 15);
    }
    if (ok) return s;
    rt_source_close(s);
    return NULL;
}

static ssize_t read_some(RtSource *s, void *dst, size_t n, RtError *e)
{
    ssize_t got;
    do got = read(s->fd, dst, n);
    while (got < 0 && errno == EINTR);
    if (got < 0) cannot_read(s->path, errno, e);
    return got;
}

/* -1, as rt_source_read answers a failure. */
static int damaged(RtSource *s, const char *why, RtError *e)
{
    rt_data_fail(e, RT_EXIT_DATA, "D008", "'%s': gzip data damaged: %s", rt_esc(s->path), why);
    return -1;
}

/* More compressed bytes if there are none; false: failed. At the end of the file avail_in stays 0.
 */
static bool refill(RtSource *s, RtError *e)
{
    if (s->z.avail_in) return true;
    ssize_t got = read_some(s, s->in, sizeof s->in, e);
    if (got < 0) return false;
    s->z.next_in = s->in;
    s->z.avail_in = (uInt)got;
    return true;
}

/* After the last byte of a member: another member, or nothing at all. */
static bool next_member(RtSource *s, RtError *e)
{
    if (!refill(s, e)) return false;
    if (s->z.avail_in == 0) {
        s->ended = true;
        return true;
    }
    if (*s->z.next_in == 0x1f && inflateReset(&s->z) == Z_OK) return true;
    damaged(s, "bytes after the end of the data", e);
    return false;
}

static int64_t read_gz(RtSource *s, uint8_t *dst, size_t n, RtError *e)
{
    size_t done = 0;
    while (done < n && !s->ended) {
        if (!refill(s, e)) return -1;
        if (s->z.avail_in == 0) return damaged(s, "it ends early", e);
        size_t piece = n - done < (1u << 30) ? n - done : (1u << 30);
        s->z.next_out = dst + done;
        s->z.avail_out = (uInt)piece;
        int r = inflate(&s->z, Z_NO_FLUSH);
        done += piece - s->z.avail_out;
        if (r == Z_STREAM_END) {
            if (!next_member(s, e)) return -1;
        } else if (r == Z_MEM_ERROR) {
            rt_data_no_memory(e, "the gzip reader", 1 << 15);
            return -1;
        } else if (r != Z_OK && r != Z_BUF_ERROR) {
            return damaged(s, s->z.msg ? s->z.msg : "unknown method", e);
        }
    }
    return (int64_t)done;
}

int64_t rt_source_read(RtSource *s, void *dst, size_t n, RtError *e)
{
    if (s->gz) return read_gz(s, dst, n, e);
    size_t done = 0;
    while (done < n) {
        ssize_t got = read_some(s, (uint8_t *)dst + done, n - done, e);
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

uint64_t rt_source_size(const RtSource *s)
{
    return s->size;
}

void rt_source_close(RtSource *s)
{
    if (!s) return;
    if (s->gz) inflateEnd(&s->z);
    if (s->fd >= 0) close(s->fd);
    free(s->path);
    free(s);
}
