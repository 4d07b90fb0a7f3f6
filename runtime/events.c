/* Event files by hand.
 *
 * In: scalars. Out: length (8 bytes), its masked CRC-32C, an Event message, its masked CRC-32C; little-endian.
 * Rule: numbers of fields are those of tensorflow/core/util/event.proto and framework/summary.proto: Event.wall_time 1,
 * step 2, file_version 3, summary 5, session_log 7; SessionLog.status 1 (START 1); Summary.value 1; Value.tag 1,
 * simple_value 2. */
#include "events.h"
#include "err.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096 };
#define PREFIX "events.out.tfevents."

struct RtEvents {
    int fd;
    char *path;
};

typedef struct Bytes {
    size_t n;
    unsigned char at[MOST];
} Bytes;

uint32_t rt_crc32c(const void *data, size_t n)
{
    uint32_t c = ~0u;
    for (const unsigned char *p = data; n; n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
    }
    return ~c;
}

static void put(Bytes *b, const void *p, size_t n)
{
    if (n > MOST - b->n) rt_fail(RT_EXIT_BUG, "B001", "an event is too large");
    memcpy(b->at + b->n, p, n);
    b->n += n;
}

static void put_number(Bytes *b, uint64_t v)
{
    for (; v >= 128; v >>= 7) put(b, &(unsigned char){(unsigned char)(v | 128)}, 1);
    put(b, &(unsigned char){(unsigned char)v}, 1);
}

static void put_key(Bytes *b, unsigned field, unsigned wire)
{
    put_number(b, field << 3 | wire);
}

static void put_message(Bytes *b, unsigned field, const void *p, size_t n)
{
    put_key(b, field, 2);
    put_number(b, n);
    put(b, p, n);
}

static void put_masked_crc(Bytes *b, const void *p, size_t n)
{
    uint32_t c = rt_crc32c(p, n);
    c = (c >> 15 | c << 17) + 0xa282ead8u;
    put(b, &c, 4);
}

static void begin(Bytes *b, int64_t step)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double t = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    b->n = 0;
    put_key(b, 1, 1);
    put(b, &t, 8);
    put_key(b, 2, 0);
    put_number(b, (uint64_t)step);
}

static void write_record(RtEvents *e, const Bytes *message)
{
    Bytes r = {0};
    uint64_t n = message->n;
    put(&r, &n, 8);
    put_masked_crc(&r, &n, 8);
    put(&r, message->at, message->n);
    put_masked_crc(&r, message->at, message->n);
    for (size_t done = 0; done < r.n;) {
        ssize_t k = write(e->fd, r.at + done, r.n - done);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) rt_fail(RT_EXIT_WRITE, "E001", "cannot write '%s': %s", rt_esc(e->path), strerror(errno));
        done += (size_t)k;
    }
}

static void remove_old(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        size_t n = strlen(d->d_name);
        if (!strncmp(d->d_name, PREFIX, sizeof PREFIX - 1) && n > 7 && !strcmp(d->d_name + n - 7, ".sinter"))
            unlinkat(dirfd(dir), d->d_name, 0);
    }
    if (dir) closedir(dir);
}

RtEvents *rt_events_open(const char *dir, int fresh, int64_t first_step)
{
    RtEvents *e = rt_alloc(1, sizeof *e, "an event file");
    Bytes b;
    if (fresh) remove_old(dir);
    e->path = rt_format("%s/" PREFIX "%lld.sinter", dir, (long long)time(NULL));
    e->fd = open(e->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (e->fd < 0) rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(e->path), strerror(errno));
    begin(&b, 0);
    put_message(&b, 3, "brain.Event:2", 13);
    write_record(e, &b);
    if (fresh) return e;
    begin(&b, first_step);
    put_message(&b, 7, "\x08\x01", 2);
    write_record(e, &b);
    return e;
}

void rt_events_scalars(RtEvents *e, int64_t step, const char *const *name, const double *value, int n)
{
    Bytes event, summary = {0};
    for (int i = 0; i < n; i++) {
        Bytes v = {0};
        float x = (float)value[i];
        if (isnan(value[i])) continue;
        put_message(&v, 1, name[i], strlen(name[i]));
        put_key(&v, 2, 5);
        put(&v, &x, 4);
        put_message(&summary, 1, v.at, v.n);
    }
    begin(&event, step);
    put_message(&event, 5, summary.at, summary.n);
    write_record(e, &event);
}

void rt_events_close(RtEvents *e)
{
    if (!e) return;
    close(e->fd);
    free(e->path);
    free(e);
}
