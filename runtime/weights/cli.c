/* `weights`: what is in a file of weights, how two differ, from .pth to safetensors.
 *
 * Rule: results go to stdout, or as JSON where --json says; `diff` and `verify` exit with 1 when the
 * files differ or a value is not finite, everything damaged exits with 4 like everywhere. */
#include "err.h"
#include "json.h"
#include "weights.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Args {
    const char *file[2], *json;
    int n;
    double tolerance;
    bool force;
} Args;

typedef struct Stats {
    double min, max, mean;
    int64_t bad; /* not finite */
} Stats;

static Stats stats(const RtStTensor *t)
{
    Stats s = {INFINITY, -INFINITY, 0, 0};
    for (int64_t i = 0; i < t->count; i++) {
        double v = rt_st_element(t, i);
        s.bad += !isfinite(v);
        if (!isfinite(v)) continue;
        s.min = fmin(s.min, v);
        s.max = fmax(s.max, v);
        s.mean += v;
    }
    int64_t good = t->count - s.bad;
    if (good == 0) return (Stats){NAN, NAN, NAN, s.bad};
    s.mean /= (double)good;
    return s;
}

/* "-" for what there is not. */
static const char *number(double v, char out[16])
{
    snprintf(out, 16, isnan(v) ? "-" : "%.4g", v);
    return out;
}

static const char *shape(const RtStTensor *t, char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "[");
    for (int a = 0; a < t->rank && at < size; a++) {
        at += (size_t)snprintf(out + at, size - at, "%s%lld", a ? "," : "", (long long)t->dim[a]);
    }
    if (at < size) snprintf(out + at, size - at, "]");
    return out;
}

static void shape_json(RtJson *j, const char *key, const RtStTensor *t)
{
    rt_json_array(j, key);
    for (int a = 0; a < t->rank; a++) rt_json_int(j, NULL, t->dim[a]);
    rt_json_end_array(j);
}

static int widest(const RtSt *s)
{
    size_t most = 3;
    for (int i = 0; i < s->n; i++) {
        size_t n = strlen(rt_esc(s->tensor[i].name));
        if (n > most) most = n;
    }
    return (int)most;
}

static bool as_text(const Args *a)
{
    return !a->json || strcmp(a->json, "-") != 0;
}

/* ---- ls ---- */

static void print_head(const RtSt *s)
{
    int64_t values = 0;
    uint64_t bytes = 0;
    for (int i = 0; i < s->n; i++) {
        values += s->tensor[i].count;
        bytes += s->tensor[i].bytes;
    }
    printf("%s: %s, %d tensors, %lld values, %.1f MiB\n", rt_esc(s->name), s->format, s->n,
           (long long)values, (double)bytes / 1048576);
    for (int i = 0; i < s->nmeta; i++) {
        const RtPair *m = &s->meta[i];
        if (strlen(m->value) <= 200) printf("  %s: %s\n", rt_esc(m->key), rt_esc(m->value));
    }
}

static void print_tensors(const RtSt *s)
{
    char text[200], min[16], max[16], mean[16];
    int w = widest(s);
    printf("%-*s  %-5s %-18s %10s %10s %10s %10s  %s\n", w, "key", "dtype", "shape", "bytes", "min",
           "max", "mean", "non-finite");
    for (int i = 0; i < s->n; i++) {
        const RtStTensor *t = &s->tensor[i];
        Stats x = stats(t);
        printf("%-*s  %-5s %-18s %10llu %10s %10s %10s  %lld\n", w, rt_esc(t->name), t->dtype,
               shape(t, text, sizeof text), (unsigned long long)t->bytes, number(x.min, min),
               number(x.max, max), number(x.mean, mean), (long long)x.bad);
    }
}

static void ls_json(const RtSt *s, const char *path)
{
    RtJson j;
    rt_json_begin(&j, true);
    rt_json_str(&j, "file", s->name);
    rt_json_str(&j, "format", s->format);
    rt_json_object(&j, "metadata");
    for (int i = 0; i < s->nmeta; i++) rt_json_str(&j, s->meta[i].key, s->meta[i].value);
    rt_json_end_object(&j);
    rt_json_array(&j, "tensors");
    for (int i = 0; i < s->n; i++) {
        const RtStTensor *t = &s->tensor[i];
        Stats x = stats(t);
        rt_json_object(&j, NULL);
        rt_json_str(&j, "key", t->name);
        rt_json_str(&j, "dtype", t->dtype);
        shape_json(&j, "shape", t);
        rt_json_int(&j, "bytes", (int64_t)t->bytes);
        rt_json_num(&j, "min", x.min);
        rt_json_num(&j, "max", x.max);
        rt_json_num(&j, "mean", x.mean);
        rt_json_int(&j, "non_finite", x.bad);
        rt_json_end_object(&j);
    }
    rt_json_end_array(&j);
    rt_json_save(&j, path);
}

static int ls(const Args *a)
{
    RtSt *s = rt_weights_open(a->file[0]);
    if (as_text(a)) {
        print_head(s);
        print_tensors(s);
    }
    if (a->json) ls_json(s, a->json);
    rt_st_free(s);
    return RT_EXIT_OK;
}

/* ---- diff ---- */

typedef struct Difference {
    double max_abs, rel_l2; /* of the finite pairs; rel_l2: |a - b| / |b| */
    bool same;              /* every element, a NaN being like a NaN */
    bool close;             /* rel_l2 is within the tolerance, and only finite pairs differ */
} Difference;

static bool same_shape(const RtStTensor *a, const RtStTensor *b)
{
    return a->rank == b->rank && !memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->rank);
}

static Difference compare(const RtStTensor *a, const RtStTensor *b, double tolerance)
{
    Difference d = {0, 0, true, true};
    double above = 0, below = 0;
    for (int64_t i = 0; i < a->count; i++) {
        double x = rt_st_element(a, i), y = rt_st_element(b, i);
        bool finite = isfinite(x) && isfinite(y);
        if (x != y && !(isnan(x) && isnan(y))) {
            d.same = false;
            d.close = d.close && finite;
        }
        if (!finite) continue;
        d.max_abs = fmax(d.max_abs, fabs(x - y));
        above += (x - y) * (x - y);
        below += y * y;
    }
    d.rel_l2 = above == 0 ? 0 : below == 0 ? INFINITY : sqrt(above / below);
    d.close = d.close && d.rel_l2 <= tolerance;
    return d;
}

static int only_in(const RtSt *a, const RtSt *b, RtJson *j, const char *key, bool text)
{
    int n = 0;
    rt_json_array(j, key);
    for (int i = 0; i < a->n; i++) {
        const char *name = a->tensor[i].name;
        if (rt_st_find(b, name)) continue;
        n++;
        rt_json_str(j, NULL, name);
        if (text) printf("only in %s: %s\n", rt_esc(a->name), rt_esc(name));
    }
    rt_json_end_array(j);
    return n;
}

static int other_shapes(const RtSt *a, const RtSt *b, RtJson *j, bool text)
{
    int n = 0;
    char x[200], y[200];
    rt_json_array(j, "shapes");
    for (int i = 0; i < a->n; i++) {
        const RtStTensor *t = &a->tensor[i], *u = rt_st_find(b, t->name);
        if (!u || same_shape(t, u)) continue;
        n++;
        rt_json_object(j, NULL);
        rt_json_str(j, "key", t->name);
        shape_json(j, "a", t);
        shape_json(j, "b", u);
        rt_json_end_object(j);
        if (text)
            printf("shape of %s: %s and %s\n", rt_esc(t->name), shape(t, x, sizeof x),
                   shape(u, y, sizeof y));
    }
    rt_json_end_array(j);
    return n;
}

static void print_difference(int w, const RtStTensor *t, const RtStTensor *u, const Difference *d)
{
    char types[32];
    snprintf(types, sizeof types, strcmp(t->dtype, u->dtype) ? "%s,%s" : "%s", t->dtype, u->dtype);
    printf("%-*s  %-9s %11.4g %11.4g%s\n", w, rt_esc(t->name), types, d->max_abs, d->rel_l2,
           d->close ? "  within the tolerance" : "");
}

static void difference_json(RtJson *j, const char *key, const Difference *d)
{
    rt_json_object(j, NULL);
    rt_json_str(j, "key", key);
    rt_json_num(j, "max_abs", d->max_abs);
    rt_json_num(j, "rel_l2", d->rel_l2);
    rt_json_bool(j, "within_tolerance", d->close);
    rt_json_end_object(j);
}

typedef struct Counts {
    int equal, close, other;
} Counts;

static Counts other_values(const RtSt *a, const RtSt *b, double tolerance, RtJson *j, bool text)
{
    Counts n = {0};
    int w = widest(a);
    rt_json_array(j, "values");
    for (int i = 0; i < a->n; i++) {
        const RtStTensor *t = &a->tensor[i], *u = rt_st_find(b, t->name);
        if (!u || !same_shape(t, u)) continue;
        Difference d = compare(t, u, tolerance);
        bool head = text && !d.same && n.close + n.other == 0;
        *(d.same ? &n.equal : d.close ? &n.close : &n.other) += 1;
        if (d.same) continue;
        if (head) printf("%-*s  %-9s %11s %11s\n", w, "key", "dtypes", "max |a-b|", "rel L2");
        if (text) print_difference(w, t, u, &d);
        difference_json(j, t->name, &d);
    }
    rt_json_end_array(j);
    return n;
}

static int diff(const Args *a)
{
    RtSt *x = rt_weights_open(a->file[0]), *y = rt_weights_open(a->file[1]);
    RtJson j;
    bool text = as_text(a);
    rt_json_begin(&j, true);
    rt_json_str(&j, "a", x->name);
    rt_json_str(&j, "b", y->name);
    int missing = only_in(x, y, &j, "only_in_a", text) + only_in(y, x, &j, "only_in_b", text);
    int shapes = other_shapes(x, y, &j, text);
    Counts n = other_values(x, y, a->tolerance, &j, text);
    rt_json_int(&j, "equal", n.equal);
    if (text) {
        printf(
            "%d tensors are equal, %d within the tolerance, %d differ in values, %d in shape, %d "
            "are in one file only\n",
            n.equal, n.close, n.other, shapes, missing);
    }
    if (a->json)
        rt_json_save(&j, a->json);
    else
        rt_json_free(&j);
    rt_st_free(x);
    rt_st_free(y);
    return missing + shapes + n.other ? RT_EXIT_CHECK : RT_EXIT_OK;
}

/* ---- convert, verify ---- */

static bool ends_in(const char *s, const char *last)
{
    size_t n = strlen(s), k = strlen(last);
    return n >= k && !strcmp(s + n - k, last);
}

static int convert(const Args *a)
{
    const char *to = a->file[1];
    if (!ends_in(to, ".safetensors"))
        rt_fail(RT_EXIT_USAGE, "C002", "'%s': only .safetensors is written", rt_esc(to));
    if (!a->force && access(to, F_OK) == 0)
        rt_fail(RT_EXIT_WRITE, "C004", "'%s' exists (use --force)", rt_esc(to));
    RtSt *s = rt_weights_open(a->file[0]);
    RtPair format = {"format", "pt"};
    rt_st_write(to, s->tensor, s->n, s->nmeta ? s->meta : &format, s->nmeta ? s->nmeta : 1, NULL);
    printf("wrote %s: %d tensors\n", rt_esc(to), s->n);
    rt_st_free(s);
    return RT_EXIT_OK;
}

static int verify(const Args *a)
{
    RtSt *s = rt_weights_open(a->file[0]); /* every rule of the format was checked by this */
    int64_t bad = 0;
    for (int i = 0; i < s->n; i++) {
        Stats x = stats(&s->tensor[i]);
        bad += x.bad;
        if (x.bad && as_text(a))
            printf("%s: %lld values are not finite\n", rt_esc(s->tensor[i].name), (long long)x.bad);
    }
    if (as_text(a)) {
        print_head(s);
        puts(bad ? "the file is sound, but holds values that are not finite" : "the file is sound");
    }
    if (a->json) {
        RtJson j;
        rt_json_begin(&j, true);
        rt_json_str(&j, "file", s->name);
        rt_json_str(&j, "format", s->format);
        rt_json_int(&j, "tensors", s->n);
        rt_json_int(&j, "non_finite", bad);
        rt_json_save(&j, a->json);
    }
    rt_st_free(s);
    return bad ? RT_EXIT_CHECK : RT_EXIT_OK;
}

/* ---- the command line ---- */

static const struct {
    const char *name, *args, *help;
    int files;
    int (*run)(const Args *a);
} verbs[] = {
    {"ls", "F", "tensors of a file: dtype, shape, smallest, largest and mean value", 1, ls},
    {"diff", "A B", "what two files do not have in common; exit 1 if anything", 2, diff},
    {"convert", "A B.safetensors", "the same tensors as safetensors", 2, convert},
    {"verify", "F", "every rule of the format, and that all values are finite", 1, verify},
};
enum { NVERBS = sizeof verbs / sizeof *verbs };

static int help(int code)
{
    puts("usage: sinter weights VERB FILE...   of .safetensors and PyTorch's .pth (zip, legacy, "
         "tar)");
    for (int i = 0; i < NVERBS; i++)
        printf("  %-8s %-16s %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
    puts("\n  --json F|-     results as JSON, to a file or to stdout\n"
         "  --tolerance X  diff: relative L2 distance that passes (0)\n"
         "  --force        convert: write over an existing file");
    return code;
}

static double tolerance(const char *s)
{
    char *end;
    double v = strtod(s, &end);
    if (end == s || *end || !(v >= 0 && v < 1))
        rt_fail(RT_EXIT_USAGE, "C002", "--tolerance: '%s' is not a number 0..1", rt_esc(s));
    return v;
}

static void parse(Args *a, int argc, char **argv, int files)
{
    for (int i = 0; i < argc; i++) {
        const char *s = argv[i];
        if (!strcmp(s, "--force")) {
            a->force = true;
        } else if (!strncmp(s, "--json=", 7)) {
            a->json = s + 7;
        } else if (!strcmp(s, "--json") && i + 1 < argc) {
            a->json = argv[++i];
        } else if (!strcmp(s, "--tolerance") && i + 1 < argc) {
            a->tolerance = tolerance(argv[++i]);
        } else if (s[0] == '-' && s[1]) {
            rt_fail(RT_EXIT_USAGE, "C001", "unknown option '%s'", rt_esc(s));
        } else if (a->n == files) {
            rt_fail(RT_EXIT_USAGE, "C001", "extra argument '%s'", rt_esc(s));
        } else
            a->file[a->n++] = s;
    }
    if (a->n < files) rt_fail(RT_EXIT_USAGE, "C001", "a file is missing\nsinter weights --help");
}

int rt_weights_main(int argc, char **argv)
{
    Args a = {0};
    if (argc < 1) return help(RT_EXIT_USAGE);
    if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) return help(RT_EXIT_OK);
    for (int i = 0; i < NVERBS; i++) {
        if (strcmp(argv[0], verbs[i].name) != 0) continue;
        parse(&a, argc - 1, argv + 1, verbs[i].files);
        int code = verbs[i].run(&a);
        if (fflush(stdout) != 0)
            rt_fail(RT_EXIT_WRITE, "E001", "cannot write the results: %s", strerror(errno));
        return code;
    }
    rt_fail(RT_EXIT_USAGE, "C003", "unknown command '%s'\nsinter weights --help", rt_esc(argv[0]));
}
