/* safetensors: every rule of the format with a file that breaks it, and a round trip. */
#include "err.h"
#include "file.h"
#include "safetensors.h"
#include "sha256.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A file of this header and `data` bytes of zeros. */
static RtSt *parse(const char *header, size_t data, RtError *e)
{
    size_t n = strlen(header);
    unsigned char *p = calloc(1, 8 + n + data);
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)((uint64_t)n >> 8 * i);
    memcpy(p + 8, header, n);
    memset(e, 0, sizeof *e);
    return rt_st_parse(p, 8 + n + data, "x.safetensors", e);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *id, *header;
        size_t data;
    } bad[] = {
        {"W002", "", 0},
        {"W002", "[]", 0},
        {"W002", " {}", 0},
        {"W002", "{", 0},
        {"W002", "{} x", 0},
        {"W002", "{\"a\":1}", 0},
        {"W002", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4},
        {"W002", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4},
        {"W002", "{\"\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
        {"W002", "{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
        {"W002", "{\"a\":[[[[1]]]]}", 0},
        {"W002", "{\"__metadata__\":{\"a\":1}}", 0},
        {"W002", "{\"__metadata__\":[]}", 0},
        {"W003",
         "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         8},
        {"W004", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4},
        {"W004", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3},
        {"W004", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5},
        {"W004", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8},
        {"W004", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 8},
        {"W004", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]}}", 8},
        {"W004", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 8},
        {"W004",
         "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         12},
        {"W004",
         "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         4},
        {"W004",
         "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}",
         8},
        {"W004", "{}", 1},
        {"W005", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4},
        {"W005",
         "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4},
        {"W005",
         "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4},
        {"W006", "{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
        {"W006", "{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
        {"W006", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4},
        {"W006", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1e0],\"data_offsets\":[0,4]}}", 4},
        {"W006", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4},
        {"W006", "{\"a\":{\"dtype\":\"F32\",\"shape\":4,\"data_offsets\":[0,4]}}", 4},
        {"W006", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}",
         4},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        RtError e;
        RtSt *s = parse(bad[i].header, bad[i].data, &e);
        if (s || !e.id || strcmp(e.id, bad[i].id) != 0) {
            print_error("%s: expected %s, got %s %s\n", bad[i].header, bad[i].id,
                        s ? "a file" : e.id, e.text);
        }
        assert_null(s);
        assert_string_equal(e.id, bad[i].id);
        assert_int_equal(e.exit, RT_EXIT_DATA);
    }
}

static void bad_lengths(void **state)
{
    (void)state;
    RtError e;
    for (size_t n = 0; n < 8; n++) {
        assert_null(rt_st_parse(calloc(1, 8), n, "x", &e));
        assert_string_equal(e.id, "W001");
    }
    uint64_t length[] = {3, 100000001, UINT64_MAX, (uint64_t)1 << 63};
    for (int i = 0; i < 4; i++) {
        char *p = calloc(1, 10);
        memcpy(p, &length[i], 8);
        memcpy(p + 8, "{}", 2);
        assert_null(rt_st_parse(p, 10, "x", &e));
        assert_string_equal(e.id, "W001");
    }
}

static void accepted(void **state)
{
    (void)state;
    RtError e;
    RtSt *s = parse("{}  ", 0, &e);
    assert_int_equal(s->n, 0);
    rt_st_free(s);
    /* out of order, an empty tensor at a border, a scalar, unknown names in metadata */
    s = parse("{\"__metadata__\":{\"a\":\"b\"},\"y\":{\"dtype\":\"I64\",\"shape\":[],\"data_"
              "offsets\":[8,16]},"
              "\"x\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
              "\"z\":{\"dtype\":\"F16\",\"shape\":[0,3],\"data_offsets\":[8,8]}}",
              16, &e);
    assert_non_null(s);
    assert_int_equal(s->n, 3);
    assert_string_equal(s->tensor[0].name, "x");
    assert_string_equal(rt_st_meta(s, "a"), "b");
    assert_null(rt_st_meta(s, "c"));
    assert_int_equal(rt_st_find(s, "y")->count, 1);
    assert_null(rt_st_find(s, "w"));
    int32_t *v = rt_st_values(s, rt_st_find(s, "y"), false, &e);
    assert_int_equal(v[0], 0);
    free(v);
    assert_null(rt_st_values(s, rt_st_find(s, "y"), true, &e));
    assert_string_equal(e.id, "W006");
    rt_st_free(s);
}

static void values(void **state)
{
    (void)state;
    RtError e;
    RtSt *s = parse("{\"x\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
                    "\"y\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[16,24]}}",
                    24, &e);
    float x[4] = {1, NAN, INFINITY, 2};
    int64_t big = 1ll << 40;
    memcpy((void *)(uintptr_t)s->tensor[0].data, x, sizeof x);
    memcpy((void *)(uintptr_t)s->tensor[1].data, &big, sizeof big);
    assert_null(rt_st_values(s, &s->tensor[0], true, &e));
    assert_string_equal(e.id, "W009");
    assert_non_null(strstr(e.text, "2 values that are not finite (first at 1)"));
    assert_null(rt_st_values(s, &s->tensor[1], false, &e));
    assert_string_equal(e.id, "W006");
    rt_st_free(s);
}

static void round_trip(void **state)
{
    (void)state;
    char path[] = "/tmp/sinter-st-XXXXXX";
    close(mkstemp(path));
    float x[6] = {1, 2, 3, 4, 5, -0.0f};
    int32_t y = -7;
    RtStTensor t[] = {
        {.name = "a\"b\n\xc3\xa9", .dtype = "F32", .rank = 2, .dim = {2, 3}, .count = 6, .data = x},
        {.name = "y", .dtype = "I32", .rank = 0, .count = 1, .data = &y}};
    RtPair meta[] = {{"step", "12"}, {"odd", "\\\"\x01 line\n"}};
    rt_st_write(path, t, 2, meta, 2, NULL);
    RtSt *s = rt_st_open(path);
    RtError e;
    assert_int_equal(s->n, 2);
    assert_string_equal(rt_st_meta(s, "odd"), meta[1].value);
    const RtStTensor *a = rt_st_find(s, t[0].name);
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->dim[1], 3);
    assert_int_equal((uintptr_t)a->data % 8, (uintptr_t)s->file % 8);
    float *v = rt_st_values(s, a, true, &e);
    assert_memory_equal(v, x, sizeof x);
    free(v);
    rt_st_free(s);
    unlink(path);
}

/* Every truncation and many flipped bits of a good file: refused or read, never a crash. */
static void damaged(void **state)
{
    (void)state;
    const char *h = "{\"__metadata__\":{\"a\":\"b\"},\"x\":{\"dtype\":\"F32\",\"shape\":[2,1],"
                    "\"data_offsets\":[0,8]}}";
    size_t n = 8 + strlen(h) + 8;
    RtError e;
    for (size_t cut = 0; cut < n * 8 + n; cut++) {
        char *p = calloc(1, n);
        p[0] = (char)strlen(h);
        memcpy(p + 8, h, strlen(h));
        size_t size = cut < n ? cut : n;
        if (cut >= n) p[(cut - n) / 8] ^= (char)(1 << (cut - n) % 8);
        RtSt *s = rt_st_parse(p, size, "x", &e);
        if (cut < n) assert_null(s);
        rt_st_free(s);
    }
}

static void sums(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } known[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                 {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    RtSha256 s;
    char hex[RT_SHA256_HEX + 1];
    for (int i = 0; i < 3; i++) {
        rt_sha256_begin(&s);
        rt_sha256_add(&s, known[i].text, strlen(known[i].text));
        rt_sha256_hex(&s, hex);
        assert_string_equal(hex, known[i].hex);
    }
    char a[1000]; /* a million letters, in pieces of odd lengths */
    memset(a, 'a', sizeof a);
    rt_sha256_begin(&s);
    for (size_t done = 0, n; done < 1000000; done += n) {
        n = done * 7 % 997 + 1;
        if (n > 1000000 - done) n = 1000000 - done;
        rt_sha256_add(&s, a, n);
    }
    rt_sha256_hex(&s, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* A file with metadata carries a checksum: no flipped bit goes unnoticed. */
static void sealed(void **state)
{
    (void)state;
    char path[] = "/tmp/sinter-st-XXXXXX";
    close(mkstemp(path));
    float x[2] = {1, 2};
    RtStTensor t = {.name = "x", .dtype = "F32", .rank = 1, .dim = {2}, .count = 2, .data = x};
    static char zeros[] = "00000000000000000000000000000000000000000000000000000000000000000000";
    RtPair meta[] = {{"a", zeros}, {RT_ST_SHA, "of another file"}, {"step", "3"}};
    rt_st_write(path, &t, 1, meta, 3, NULL);
    size_t n;
    const char *why;
    RtError e;
    char *good = rt_file_read(path, &n, &why);
    for (size_t bit = 0; bit <= 8 * n; bit++) {
        char *p = malloc(n);
        memcpy(p, good, n);
        if (bit < 8 * n) p[bit / 8] ^= (char)(1 << bit % 8);
        RtSt *s = rt_st_parse(p, n, "x", &e);
        if (bit == 8 * n) assert_string_equal(rt_st_meta(s, "a"), zeros);
        if (s && bit < 8 * n) assert_null(rt_st_meta(s, RT_ST_SHA)); /* the name itself was hit */
        if (bit == 8 * n - 1) assert_string_equal(e.id, "W011");
        rt_st_free(s);
    }
    free(good);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused), cmocka_unit_test(bad_lengths), cmocka_unit_test(accepted),
        cmocka_unit_test(values),  cmocka_unit_test(round_trip),  cmocka_unit_test(damaged),
        cmocka_unit_test(sums),    cmocka_unit_test(sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
