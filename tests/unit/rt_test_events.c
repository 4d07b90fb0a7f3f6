/* Event files: CRC-32C of RFC 3720's examples; framing, fields, and what a resumed run adds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "events.h"
#include "file.h"
#include <dirent.h>
#include <math.h>
#include <unistd.h>

static char dir[] = "/tmp/sinter-events-XXXXXX";

static int begin(void **state)
{
    (void)state;
    return !mkdtemp(dir);
}

static int end(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void crc(void **state)
{
    (void)state;
    unsigned char zeros[32] = {0}, ones[32], up[32];
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++) up[i] = (unsigned char)i;
    assert_int_equal(rt_crc32c(zeros, 32), 0x8a9136aau);
    assert_int_equal(rt_crc32c(ones, 32), 0x62a8ab43u);
    assert_int_equal(rt_crc32c(up, 32), 0x46dd794eu);
    assert_int_equal(rt_crc32c("123456789", 9), 0xe3069283u);
}

static char *only_file(void)
{
    static char path[400];
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        n++;
    }
    closedir(d);
    assert_int_equal(n, 1);
    return path;
}

static uint32_t masked(const void *p, size_t n)
{
    uint32_t c = rt_crc32c(p, n);
    return (c >> 15 | c << 17) + 0xa282ead8u;
}

/* The next record's message; both sums must be right. */
static const unsigned char *record(const char **at, const char *end, size_t *n)
{
    uint64_t size;
    uint32_t sum;
    assert_true(end - *at >= 12);
    memcpy(&size, *at, 8);
    memcpy(&sum, *at + 8, 4);
    assert_int_equal(sum, masked(*at, 8));
    assert_true((uint64_t)(end - *at) >= 16 + size);
    const unsigned char *m = (const unsigned char *)*at + 12;
    memcpy(&sum, m + size, 4);
    assert_int_equal(sum, masked(m, size));
    *at += 16 + size;
    *n = size;
    return m;
}

static void assert_event(const char **at, const char *end, const void *rest, size_t nrest)
{
    size_t n;
    const unsigned char *m = record(at, end, &n);
    assert_true(n > 9);
    assert_int_equal(m[0], 0x09); /* wall_time, a double */
    assert_int_equal(n - 9, nrest);
    assert_memory_equal(m + 9, rest, nrest);
}

#define BYTES(s) (s), sizeof(s) - 1

static void framing(void **state)
{
    (void)state;
    static const char *const name[] = {"train/loss", "val/loss", "lr"};
    size_t n;
    const char *why;
    RtEvents *e = rt_events_open(dir, 1, 1);
    rt_events_scalars(e, 300, name, (double[]){1.5, NAN, 0.25}, 3);
    rt_events_close(e);
    char *text = rt_file_read(only_file(), &n, &why);
    const char *at = text;
    assert_event(&at, text + n, BYTES("\x10\x00\x1a\x0d" "brain.Event:2"));
    assert_event(&at, text + n, BYTES("\x10\xac\x02\x2a\x1e" /* step 300, summary of 30 bytes */
                                      "\x0a\x11\x0a\x0a" "train/loss" "\x15\x00\x00\xc0\x3f" /* 1.5f */
                                      "\x0a\x09\x0a\x02" "lr" "\x15\x00\x00\x80\x3e"));      /* 0.25f; val/loss is not known */
    assert_ptr_equal(at, text + n);
    free(text);
}

static void resumed(void **state)
{
    (void)state;
    size_t n;
    const char *why;
    RtEvents *e = rt_events_open(dir, 1, 1); /* removes what lies there */
    rt_events_close(e);
    assert_non_null(only_file());
    unlink(only_file());
    e = rt_events_open(dir, 0, 5);
    rt_events_close(e);
    char *text = rt_file_read(only_file(), &n, &why);
    const char *at = text;
    assert_event(&at, text + n, BYTES("\x10\x00\x1a\x0d" "brain.Event:2"));
    assert_event(&at, text + n, BYTES("\x10\x05\x3a\x02\x08\x01")); /* a session starts at step 5 */
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(crc), cmocka_unit_test(framing), cmocka_unit_test(resumed)};
    return cmocka_run_group_tests(tests, begin, end);
}
