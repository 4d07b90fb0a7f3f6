/* torch.save's files: every form gives the same tensors; whatever is foreign, damaged or lies about
 * its sizes is refused, and nothing in it ever runs. The fixtures come from
 * tests/torch/make_pth.py.
 */
#include "err.h"
#include "file.h"
#include "weights.h"
#include "weights/pth.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FIXTURES "tests/fixtures/pth/"

static RtSt *reference;

static int begin(void **state)
{
    (void)state;
    reference = rt_weights_open(FIXTURES "ref.safetensors");
    return 0;
}

static int end(void **state)
{
    (void)state;
    rt_st_free(reference);
    return 0;
}

static bool same(const RtStTensor *a, const RtStTensor *b)
{
    return !strcmp(a->dtype, b->dtype) && a->rank == b->rank && a->count == b->count &&
           a->bytes == b->bytes && !memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->rank) &&
           (a->bytes == 0 || !memcmp(a->data, b->data, a->bytes));
}

static RtSt *parse(const void *p, size_t n, RtError *e)
{
    void *copy =
        malloc(n ? n : 1); /* of the exact size, so that a sanitizer sees every step too far */
    memcpy(copy, p, n);
    memset(e, 0, sizeof *e);
    return rt_pth_parse(copy, n, 0, "x.pth", e);
}

static char *slurp(const char *name, size_t *n)
{
    const char *why = "";
    char path[128];
    snprintf(path, sizeof path, FIXTURES "%s", name);
    char *p = rt_file_read(path, n, &why);
    if (!p) fail_msg("%s: %s", path, why);
    return p;
}

/* ---- what is read ---- */

static void every_form(void **state)
{
    (void)state;
    static const struct {
        const char *name, *format;
        int n;
    } file[] = {{"zip.pth", "pth (zip)", 12},       {"zip_protocol4.pth", "pth (zip)", 12},
                {"deflated.pth", "pth (zip)", 12},  {"nested.pth", "pth (zip)", 12},
                {"legacy.pth", "pth (legacy)", 12}, {"tar.pth", "pth (tar)", 6}};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        char path[128];
        snprintf(path, sizeof path, FIXTURES "%s", file[i].name);
        RtSt *s = rt_weights_open(path);
        assert_string_equal(s->format, file[i].format);
        assert_int_equal(s->n, file[i].n);
        for (int k = 0; k < s->n; k++) {
            const RtStTensor *t = rt_st_find(reference, s->tensor[k].name);
            assert_non_null(t);
            if (!same(t, &s->tensor[k])) fail_msg("%s: '%s' differs", path, t->name);
        }
        rt_st_free(s);
    }
}

static void conversions(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        float first[3];
    } want[] = {
        {"half", {1, -0.0f, 65504}}, {"bf", {1, -3.25f, 0x1.94p+99f}}, {"slice", {0.5f, 0.75f, 1}}};
    RtError e;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        float *v = rt_st_values(reference, rt_st_find(reference, want[i].name), true, &e);
        assert_non_null(v);
        assert_memory_equal(v, want[i].first, sizeof want[i].first);
        free(v);
    }
    float *v = rt_st_values(reference, rt_st_find(reference, "half"), true, &e);
    assert_true(v[3] == 0x1p-24f && v[4] == 0x1p-14f);
    free(v);
    int32_t *w = rt_st_values(reference, rt_st_find(reference, "flag"), false, &e);
    assert_true(w[0] == 1 && w[1] == 0);
    free(w);
    assert_null(rt_st_values(reference, rt_st_find(reference, "i32"), true, &e));
    assert_string_equal(e.id, "W006");
}

/* ---- what is refused ---- */

static void foreign(void **state)
{
    (void)state;
    static const struct {
        const char *file, *names;
    } bad[] = {{"hostile_zip.pth", "'posix.system'"},
               {"hostile_legacy.pth", "'posix.system'"},
               {"hostile_protocol4.pth", "'posix.system'"},
               {"module.pth", "'torch.nn.modules.linear.Linear'"},
               {"complex.pth", "'torch.ComplexFloatStorage'"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n;
        RtError e;
        char *p = slurp(bad[i].file, &n);
        assert_null(parse(p, n, &e));
        assert_string_equal(e.id, "W012");
        assert_int_equal(e.exit, RT_EXIT_DATA);
        assert_non_null(strstr(e.text, "refuses to construct "));
        assert_non_null(strstr(e.text, bad[i].names));
        free(p);
    }
}

/* A legacy file around a hand-made object; storage "0" has four floats, 1 to 4. */
typedef struct Made {
    char b[1024];
    size_t n;
} Made;

static void put(Made *m, const void *p, size_t n)
{
    memcpy(m->b + m->n, p, n);
    m->n += n;
}
#define PUT(m, text) put(m, text, sizeof(text) - 1)

static void put_int(Made *m, int64_t v)
{
    PUT(m, "\x8a\x08");
    put(m, &v, sizeof v);
}

static void head(Made *m)
{
    m->n = 0;
    PUT(m, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.");
    PUT(m, "\x80\x02M\xe9\x03.");
    PUT(m, "\x80\x02}X\x0d\0\0\0little_endian\x88s.\x80\x02");
}

static void tail(Made *m)
{
    static const float value[4] = {1, 2, 3, 4};
    PUT(m, ".\x80\x02]U\x01"
           "0a.\x04\0\0\0\0\0\0\0");
    put(m, value, sizeof value);
}

static void put_storage(Made *m, int64_t count)
{
    PUT(m, "(U\x07storagectorch\nFloatStorage\nU\x01"
           "0U\x03"
           "cpu");
    put_int(m, count);
    PUT(m, "NtQ");
}

/* {"w": a view of the storage} */
static RtSt *view(int64_t offset, int rank, const int64_t *size, const int64_t *stride, RtError *e)
{
    Made m;
    head(&m);
    PUT(&m, "}U\x01wctorch._utils\n_rebuild_tensor_v2\n(");
    put_storage(&m, 4);
    put_int(&m, offset);
    for (int k = 0; k < 2; k++) {
        PUT(&m, "(");
        for (int a = 0; a < rank; a++) put_int(&m, k ? stride[a] : size[a]);
        PUT(&m, "t");
    }
    PUT(&m, "\x89}tRs");
    tail(&m);
    return parse(m.b, m.n, e);
}

static void views(void **state)
{
    (void)state;
    static const int64_t big = INT64_MAX, half = (int64_t)1 << 32;
    const struct {
        const char *id; /* NULL: fine */
        int64_t offset;
        int rank;
        int64_t size[3], stride[3];
    } v[] = {
        {NULL, 0, 1, {4}, {1}},
        {NULL, 1, 2, {2, 2}, {1, 1}},
        {NULL, 3, 1, {1}, {big}},
        {NULL, 4, 1, {0}, {1}},
        {NULL, 3, 0, {0}, {0}},
        {NULL, 0, 2, {1000, 1000}, {0, 0}},
        {"W004", 0, 1, {5}, {1}},
        {"W004", 1, 1, {4}, {1}},
        {"W004", 0, 1, {2}, {4}},
        {"W004", -1, 1, {1}, {1}},
        {"W004", 4, 0, {0}, {0}},
        {"W004", 5, 1, {0}, {1}},
        {"W004", 3, 1, {2}, {-1}},
        {"W004", 0, 1, {3}, {big}},
        {"W004", 0, 2, {2, 2}, {big, big}},
        {"W005", 0, 1, {-1}, {1}},
        {"W005", 0, 2, {half, half}, {0, 0}},
        {"W005", 0, 1, {big}, {0}},
        {"W005", 0, 2, {100000, 1000}, {0, 0}},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        RtError e;
        RtSt *s = view(v[i].offset, v[i].rank, v[i].size, v[i].stride, &e);
        if (!s != !!v[i].id || (v[i].id && strcmp(v[i].id, e.id) != 0))
            fail_msg("view %zu: expected %s, got %s %s", i, v[i].id ? v[i].id : "a tensor",
                     s ? "a tensor" : e.id, e.text);
        rt_st_free(s);
    }
}

static void pickles(void **state)
{
    (void)state;
    static const struct {
        const char *id, *text;
        size_t n;
    } bad[] = {
#define BAD(id, text) {id, text, sizeof(text) - 1}
        BAD("W012", "cos\nsystem\nU\x02ls\x85R"),
        BAD("W012", "U\x02osU\x06system\x93"),
        BAD("W012", "ctorch\nload\n"),
        BAD("W012", "ctorch._utils\n_rebuild_tensor_v2x\n"),
        BAD("W012", "ccollections\x00.\nOrderedDict\n"),
        BAD("W012", "ccollections.OrderedDict\n\n"),
        BAD("W012", "(ios\nsystem\n"),                    /* INST */
        BAD("W012", "(cbuiltins\neval\nU\x01xo"),         /* OBJ */
        BAD("W012", "ccollections\nOrderedDict\n)\x81"),  /* NEWOBJ */
        BAD("W012", "ccollections\nOrderedDict\n)}\x92"), /* NEWOBJ_EX */
        BAD("W012", "\x82\x01"),                          /* EXT1 */
        BAD("W012", "Pname\n"),                           /* PERSID */
        BAD("W012", "I1\n"),
        BAD("W012", "N2"), /* DUP */
        BAD("W012", "ctorch\nFloatStorage\n)R"),
        BAD("W002", ""),
        BAD("W004", "N"),
        BAD("W002", "NN"),
        BAD("W002", "(N"),
        BAD("W002", "]Ns"),
        BAD("W002", "}Na"),
        BAD("W002", "}(Nu"),
        BAD("W002", "NNs"),
        BAD("W002", "e"),
        BAD("W002", "t"),
        BAD("W002", "h\x05"),
        BAD("W002", "Nr\xff\xff\xff\xff"),
        BAD("W002", "X\xff\xff\xff\xff"),
        BAD("W002", "N)R"),
        BAD("W002", "ccollections\nOrderedDict\nNR"),
        BAD("W002", "ccollections\nOrderedDict\nN\x85R"),
        BAD("W002", "ctorch._utils\n_rebuild_tensor_v2\n)R"),
        BAD("W002", "ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR"),
        BAD("W002", "ctorch._utils\n_rebuild_parameter\nN\x85R"),
        BAD("W002", "NQ"),
        BAD("W002", "(NNNNNtQ"),
        BAD("W002", "N}b"),
        BAD("W002", "\x80\x09N"),
        BAD("W004", "]q\x00h\x00"
                    "a"), /* a list that holds itself */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Made m;
        RtError e;
        head(&m);
        put(&m, bad[i].text, bad[i].n);
        tail(&m);
        RtSt *s = parse(m.b, m.n, &e);
        if (s || strcmp(e.id, bad[i].id) != 0)
            fail_msg("pickle %zu: expected %s, got %s %s", i, bad[i].id, s ? "a file" : e.id,
                     e.text);
    }
}

static void deep_and_large(void **state)
{
    (void)state;
    RtError e;
    Made m;
    size_t n = 5000000;
    head(&m);
    char *p = malloc(m.n + n);
    memcpy(p, m.b, m.n);
    memset(p + m.n, '(', n);
    assert_null(parse(p, m.n + n, &e));
    assert_non_null(strstr(e.text, "nested too deeply"));
    memset(p + m.n, ']', n);
    assert_null(parse(p, m.n + n, &e));
    assert_non_null(strstr(e.text, "values"));
    free(p);
}

static void twice(void **state)
{
    (void)state;
    RtError e;
    Made m;
    head(&m);
    PUT(&m, "}(");
    for (int i = 0; i < 2; i++) {
        PUT(&m, "U\x01wctorch._utils\n_rebuild_tensor_v2\n(");
        put_storage(&m, 4);
        PUT(&m, "K\x00K\x04\x85K\x01\x85\x89}tR");
    }
    PUT(&m, "u");
    tail(&m);
    assert_null(parse(m.b, m.n, &e));
    assert_string_equal(e.id, "W003");
}

static void wrong_counts(void **state)
{
    (void)state;
    for (int64_t count = 3; count <= 5; count++) {
        RtError e;
        Made m;
        head(&m);
        PUT(&m, "}U\x01wctorch._utils\n_rebuild_tensor_v2\n(");
        put_storage(&m, count);
        PUT(&m, "K\x00K\x03\x85K\x01\x85\x89}tRs");
        tail(&m);
        RtSt *s = parse(m.b, m.n, &e);
        assert_true(!s == (count != 4));
        if (!s) assert_string_equal(e.id, "W004");
        rt_st_free(s);
    }
}

/* ---- damage ---- */

static bool same_as_reference(const RtSt *s)
{
    for (int i = 0; i < s->n; i++) {
        const RtStTensor *t = rt_st_find(reference, s->tensor[i].name);
        if (t && !same(t, &s->tensor[i])) return false;
    }
    return true;
}

static void damage(const char *name, bool checksums)
{
    size_t n, last;
    RtError e;
    char *p = slurp(name, &n);
    for (last = n; last && !p[last - 1];
         last--) { /* a tar archive may end in any number of zeros */
    }
    for (size_t cut = 0; cut < n; cut++) {
        RtSt *s = parse(p, cut, &e);
        if (s && cut < last) fail_msg("%s cut at %zu was read", name, cut);
        if (!s) assert_non_null(e.id);
        rt_st_free(s);
    }
    for (size_t bit = 0; bit < 8 * n; bit++) {
        p[bit / 8] ^= (char)(1 << bit % 8);
        RtSt *s = parse(p, n, &e);
        if (s && checksums && !same_as_reference(s))
            fail_msg("%s: bit %zu flipped was not noticed", name, bit);
        rt_st_free(s);
        p[bit / 8] ^= (char)(1 << bit % 8);
    }
    free(p);
}

static void damaged_zip(void **state)
{
    (void)state;
    damage("zip.pth", true);
    damage("deflated.pth", true);
}

static void damaged_legacy(void **state)
{
    (void)state;
    damage("legacy.pth", false);
}

static void damaged_tar(void **state)
{
    (void)state;
    damage("tar.pth", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form),  cmocka_unit_test(conversions),
        cmocka_unit_test(foreign),     cmocka_unit_test(views),
        cmocka_unit_test(pickles),     cmocka_unit_test(deep_and_large),
        cmocka_unit_test(twice),       cmocka_unit_test(wrong_counts),
        cmocka_unit_test(damaged_zip), cmocka_unit_test(damaged_legacy),
        cmocka_unit_test(damaged_tar),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
