/* The cache on disk: entries come back whole or not at all, are private, and are bounded. */
#include "support/cache.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int begin(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sinter-cache-XXXXXX");
    return !mkdtemp(folder) || setenv("XDG_CACHE_HOME", folder, 1);
}

static int end(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static char *key_of(Arena *a, const char *text)
{
    Buf b = {0};
    buf_puts(&b, text);
    char *key = cache_key(a, &b);
    buf_free(&b);
    return key;
}

static char *file_of(Arena *a, const char *key)
{
    return arena_printf(a, "%s/sinter/%s", folder, key);
}

static void entries(void **state)
{
    (void)state;
    Arena *a = arena_new();
    size_t n = 0;
    struct stat st;
    const char *path, *key = key_of(a, "abc");
    /* FIPS 180-4's example */
    assert_string_equal(key, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_not_equal(key, key_of(a, "abd"));
    assert_null(cache_get(a, key, &n, NULL));
    cache_put(key, "\0bytes\xff", 7, 0700);
    assert_memory_equal(cache_get(a, key, &n, &path), "\0bytes\xff", 7);
    assert_int_equal(n, 7);
    assert_string_equal(path, file_of(a, key));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    cache_put(key, "", 0, 0600);
    assert_non_null(cache_get(a, key, &n, NULL));
    assert_int_equal(n, 0);
    arena_free(a);
}

static void damage(void **state)
{
    (void)state;
    Arena *a = arena_new();
    size_t n = 0;
    const char *key = key_of(a, "damage");
    cache_put(key, "0123456789", 10, 0600);
    for (off_t at = 0; at < 74; at += 9) { /* in the bytes, in the mark */
        cache_put(key, "0123456789", 10, 0600);
        int fd = open(file_of(a, key), O_WRONLY);
        assert_int_equal(pwrite(fd, "~", 1, at), 1);
        close(fd);
        assert_null(cache_get(a, key, &n, NULL));
    }
    assert_int_equal(truncate(file_of(a, key), 5), 0);
    assert_null(cache_get(a, key, &n, NULL));
    cache_put(key, "0123456789", 10, 0600);
    assert_non_null(cache_get(a, key, &n, NULL));
    arena_free(a);
}

/* A file of that size, all hole, last used then. */
static const char *fill(Arena *a, const char *text, off_t bytes, time_t used)
{
    char *path = file_of(a, key_of(a, text));
    struct timespec t[2] = {{used, 0}, {used, 0}};
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    assert_int_equal(futimens(fd, t), 0);
    close(fd);
    return path;
}

static void bounds(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const off_t mib = 1 << 20;
    const char *oldest = fill(a, "1", 400 * mib, 1000), *middle = fill(a, "2", 400 * mib, 2000),
               *newest = fill(a, "3", 400 * mib, 3000), *key = key_of(a, "4");
    size_t n = 0;
    cache_put(key, "small", 5, 0600);
    assert_int_not_equal(access(oldest, F_OK), 0);
    assert_int_equal(access(middle, F_OK), 0);
    assert_int_equal(access(newest, F_OK), 0);
    assert_non_null(cache_get(a, key, &n, NULL));
    arena_free(a);
}

static void without_a_place(void **state)
{
    (void)state;
    Arena *a = arena_new();
    size_t n = 0;
    const char *key = key_of(a, "nowhere");
    const char *const places[] = {"/proc/nowhere", "relative", ""};
    setenv("HOME", "/proc/nowhere", 1);
    for (int i = 0; i < 3; i++) {
        setenv("XDG_CACHE_HOME", places[i], 1);
        cache_put(key, "x", 1, 0600);
        assert_null(cache_get(a, key, &n, NULL));
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(entries), cmocka_unit_test(damage),
                                       cmocka_unit_test(bounds), cmocka_unit_test(without_a_place)};
    return cmocka_run_group_tests(tests, begin, end);
}
