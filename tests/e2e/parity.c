/* Whole models against PyTorch, without stored weights: makes the numbers that
 * tests/torch/make_models.py makes too, and holds what a program computed from them against the
 * digests that it stored.
 *     parity make OUT.safetensors [N] < LIST      every line of LIST a tensor; its first N rows are the last
 *     parity check DIGESTS SECTION LIST ACTUAL    ACTUAL: .safetensors, or .jsonl for `losses`
 * in: LIST has lines `kind key shape low high`; the kinds, and the formula of the numbers,
 * stand in tests/torch/README.md. out: the files; or the worst tensor, or each one that fails; exit 0 or 1
 * (2: unusable files). It shares no code with the runtime, so that both cannot be wrong alike. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lives for one comparison: what it read goes with it. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "detect_leaks=0";
}

enum { MAX_KEY = 256, MAX_LINES = 4096, MAX_RANK = 5 };
enum { VALUES, POSITIONS, SIGNS }; /* the streams of random numbers of a key */
enum { BOUND, NORM, PROJECTION, SAMPLES };

typedef struct Line {
    char kind[16], key[MAX_KEY];
    int rank;
    int64_t dim[MAX_RANK], count;
    double low, high;
} Line;

typedef struct List {
    Line v[MAX_LINES];
    int n;
} List;

typedef struct File { /* of safetensors */
    const char *path;
    json_t *header;
    char *data;
    size_t size;
} File;

typedef struct Verdict {
    double worst; /* in bounds: 1 is just allowed */
    double far;   /* what that is, a relative distance */
    const char *where;
    int failed;
} Verdict;

static _Noreturn void refuse(const char *what, const char *why)
{
    fprintf(stderr, "parity: %s: %s\n", what, why);
    exit(2);
}

/* ---- the numbers ---- */

static uint64_t key_hash(const char *key)
{
    uint64_t h = 0xcbf29ce484222325u;
    while (*key) h = (h ^ (unsigned char)*key++) * 0x100000001b3u;
    return h;
}

static uint64_t random_bits(uint64_t hash, int stream, int64_t i)
{
    uint64_t z = hash + (uint64_t)stream * 0xd1b54a32d192ed03u;
    z += ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double value_at(const Line *l, uint64_t hash, int64_t i)
{
    double u = (double)(random_bits(hash, VALUES, i) >> 11) * 0x1p-53;
    return l->low + (l->high - l->low) * u;
}

static bool is_int(const Line *l)
{
    return !strcmp(l->kind, "labels") || !strcmp(l->kind, "mask") || !strcmp(l->kind, "counter");
}

/* ---- lists ---- */

static void read_shape(Line *l, char *text)
{
    l->count = 1;
    for (char *t = strtok(text, ","); t && strcmp(t, "-") != 0; t = strtok(NULL, ",")) {
        if (l->rank == MAX_RANK) refuse(l->key, "too many dimensions");
        l->dim[l->rank] = strtoll(t, NULL, 10);
        l->count *= l->dim[l->rank++];
    }
}

static List *read_list(FILE *f, const char *path)
{
    List *list = calloc(1, sizeof *list);
    char text[1024], shape[128];
    if (!f || !list) refuse(path, "cannot be opened");
    while (fgets(text, sizeof text, f)) {
        if (text[0] == '#') continue;
        if (list->n == MAX_LINES) refuse(path, "too many lines");
        Line *l = &list->v[list->n++];
        if (sscanf(text, "%15s %255s %127s %lf %lf", l->kind, l->key, shape, &l->low, &l->high) !=
            5)
            refuse(path, "a line that is not `kind key shape low high`");
        read_shape(l, shape);
    }
    return list;
}

/* ---- making ---- */

static void print_header(FILE *f, const List *list)
{
    int64_t at = 0;
    fputc('{', f);
    for (int i = 0; i < list->n; i++) {
        const Line *l = &list->v[i];
        int64_t end = at + l->count * (is_int(l) ? 8 : 4);
        fprintf(f, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "", l->key,
                is_int(l) ? "I64" : "F32");
        for (int d = 0; d < l->rank; d++) fprintf(f, "%s%" PRId64, d ? "," : "", l->dim[d]);
        fprintf(f, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", at, end);
        at = end;
    }
    fputc('}', f);
}

static void write_values(FILE *f, const Line *l, int64_t turn)
{
    uint64_t hash = key_hash(l->key);
    int64_t first = l->rank && l->dim[0] ? turn * (l->count / l->dim[0]) : 0;
    for (int64_t i = 0; i < l->count; i++) {
        double v = value_at(l, hash, (first + i) % l->count);
        int64_t whole = (int64_t)floor(v);
        if (!strcmp(l->kind, "mask") && (double)whole == l->high - 1) whole = 255; /* no class */
        float real = (float)(!strcmp(l->kind, "truth") ? floor(v) : v);
        if (is_int(l))
            fwrite(&whole, sizeof whole, 1, f);
        else
            fwrite(&real, sizeof real, 1, f);
    }
}

static int make(const char *path, int64_t turn)
{
    const List *list = read_list(stdin, "stdin");
    char *header = NULL;
    size_t size = 0;
    FILE *text = open_memstream(&header, &size), *f = fopen(path, "wb");
    if (!text || !f) refuse(path, "cannot be written");
    print_header(text, list);
    while (ftell(text) % 8) fputc(' ', text);
    fclose(text);
    uint64_t length = size;
    fwrite(&length, sizeof length, 1, f);
    fwrite(header, 1, size, f);
    for (int i = 0; i < list->n; i++) write_values(f, &list->v[i], turn);
    if (ferror(f) || fclose(f)) refuse(path, "cannot be written");
    return 0;
}

/* ---- reading ---- */

static File open_tensors(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) refuse(path, "cannot be opened");
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    uint64_t length;
    char *p = malloc(n + 1);
    rewind(f);
    if (fread(p, 1, n, f) != n || n < sizeof length) refuse(path, "cannot be read");
    fclose(f);
    memcpy(&length, p, sizeof length);
    if (length > n - sizeof length) refuse(path, "not a safetensors file");
    File file = {.path = path, .header = json_loadb(p + sizeof length, length, 0, NULL)};
    if (!json_is_object(file.header)) refuse(path, "the header is not JSON");
    file.data = p + sizeof length + length;
    file.size = n - sizeof length - length;
    return file;
}

/* The F32 values of a tensor (malloc) and their number, which is a multiple of `row`; NULL: none. */
static float *find_tensor(const File *f, const char *key, size_t *n)
{
    json_t *t = json_object_get(f->header, key), *at = json_object_get(t, "data_offsets");
    const char *dtype = json_string_value(json_object_get(t, "dtype"));
    size_t begin = (size_t)json_integer_value(json_array_get(at, 0));
    size_t end = (size_t)json_integer_value(json_array_get(at, 1));
    if (!dtype || strcmp(dtype, "F32") != 0) return NULL;
    if (begin > end || end > f->size) refuse(f->path, "offsets leave the file");
    float *v = malloc(end - begin + 1);
    memcpy(v, f->data + begin, end - begin);
    *n = (end - begin) / sizeof *v;
    return v;
}

/* ---- checking ---- */

static void judge(Verdict *v, const char *where, double far, double bound)
{
    double ratio = far / bound;
    if (!(ratio <= 1)) { /* NaN is not within any bound */
        printf("%s: differs by %.2e, allowed %.1e\n", where, far, bound);
        v->failed++;
    }
    if (ratio > v->worst) *v = (Verdict){ratio, far, where, v->failed};
}

/* The largest of three estimates of |x - expected| / |expected|: of the norms, which is never too
 * large; of projections on random signs, whose square is right in the mean; of the samples. The
 * last two may by chance be some times too large, hence the 4 and the 2. Where nothing but zero is
 * expected, the distance is |x|. */
static double distance(const float *row, int samples, const float *x, size_t n, const char *key)
{
    uint64_t hash = key_hash(key);
    double norm = 0, projection = 0, diff = 0, some = 0;
    size_t taken = n < (size_t)samples ? n : (size_t)samples;
    for (size_t i = 0; i < n; i++) {
        double v = x[i];
        norm += v * v;
        projection += random_bits(hash, SIGNS, (int64_t)i) & 1 ? v : -v;
    }
    for (size_t j = 0; j < taken; j++) {
        uint64_t at = n == taken ? j : random_bits(hash, POSITIONS, (int64_t)j) % n;
        double e = row[SAMPLES + j], d = (double)x[at] - e;
        diff += d * d;
        some += e * e;
    }
    double whole = row[NORM] > 0 ? row[NORM] : 1, share = sqrt((double)taken / (double)n);
    double by_norm = fabs(sqrt(norm) - row[NORM]) / whole;
    double by_projection = fabs(projection - row[PROJECTION]) / whole / 4;
    double by_samples = sqrt(diff) / fmax(sqrt(some), whole * share) / (n == taken ? 1 : 2);
    return isnan(norm) ? NAN : fmax(by_samples, fmax(by_norm, by_projection));
}

static bool is_in(const Line *l, const char *section)
{
    bool param = !strcmp(l->kind, "param"), buffer = !strcmp(l->kind, "buffer");
    return (param && strcmp(section, "buffers") != 0) || (buffer && strcmp(section, "grads") != 0);
}

/* What five steps did to a tensor; its own values would hide it. */
static void take_start(const Line *l, float *x)
{
    uint64_t hash = key_hash(l->key);
    for (int64_t i = 0; i < l->count; i++) x[i] -= (float)value_at(l, hash, i);
}

static void check_tensors(const File *digests, const char *section, const List *list,
                          const File *actual, Verdict *v)
{
    size_t size = 0, rows = 0, row = 0;
    const float *digest = find_tensor(digests, section, &size);
    for (int i = 0; i < list->n; i++) rows += is_in(&list->v[i], section);
    if (!digest || !rows || size % rows || size / rows <= SAMPLES)
        refuse(digests->path, "does not have a row for every tensor");
    size /= rows;
    for (int i = 0; i < list->n; i++) {
        const Line *l = &list->v[i];
        size_t n;
        if (!is_in(l, section)) continue;
        const float *d = digest + size * row++;
        float *x = find_tensor(actual, l->key, &n);
        if (!x || n != (size_t)l->count) refuse(l->key, x ? "another size" : "missing");
        if (!strcmp(section, "changes")) take_start(l, x);
        judge(v, l->key, distance(d, (int)(size - SAMPLES), x, n, l->key), d[BOUND]);
        free(x);
    }
}

static void check_output(const File *digests, const File *actual, Verdict *v)
{
    size_t size, n;
    const float *d = find_tensor(digests, "output", &size), *x = find_tensor(actual, "output", &n);
    if (!d || size <= SAMPLES) refuse(digests->path, "has no output");
    if (!x) refuse(actual->path, "has no output");
    judge(v, "output", distance(d, (int)size - SAMPLES, x, n, "output"), d[BOUND]);
}

/* A loss of a sure model is the logarithm of a sum just above 1, whose last bit is 2^-23: smaller losses than this are
 * not known to 1e-5 of themselves. */
#define SMALL_LOSS (0x1p-23 / 1e-5)

static void check_losses(const File *digests, const char *path, Verdict *v)
{
    static const char *const names[] = {"step 1", "step 2", "step 3", "step 4", "step 5"};
    size_t n;
    const float *d = find_tensor(digests, "losses", &n);
    FILE *f = fopen(path, "r");
    if (!d || n != 10) refuse(digests->path, "has not five losses");
    if (!f) refuse(path, "cannot be opened");
    char text[256];
    for (int i = 0; i < 5; i++) {
        if (!fgets(text, sizeof text, f)) refuse(path, "has not five lines");
        json_t *loss = json_object_get(json_loads(text, 0, NULL), "loss");
        if (!json_is_number(loss)) refuse(path, "a line without a loss");
        double want = d[2 * i + 1], size = fmax(fabs(want), SMALL_LOSS);
        judge(v, names[i], fabs(json_number_value(loss) - want) / size, d[2 * i]);
    }
    fclose(f);
}

static int check(const char *digests, const char *section, const char *keys, const char *actual)
{
    Verdict v = {.worst = -1, .where = ""};
    File d = open_tensors(digests);
    if (!strcmp(section, "losses")) {
        check_losses(&d, actual, &v);
    } else {
        File a = open_tensors(actual);
        if (!strcmp(section, "output"))
            check_output(&d, &a, &v);
        else
            check_tensors(&d, section, read_list(fopen(keys, "r"), keys), &a, &v);
    }
    printf("worst: %.1e in %s, %.2f of what is allowed\n", v.far, v.where, v.worst);
    return v.failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    if ((argc == 3 || argc == 4) && !strcmp(argv[1], "make")) return make(argv[2], argc == 4 ? atoll(argv[3]) : 0);
    if (argc == 6 && !strcmp(argv[1], "check")) return check(argv[2], argv[3], argv[4], argv[5]);
    fprintf(stderr,
            "usage: parity make OUT [N] < LIST\n"
            "       parity check DIGESTS output|grads|buffers|changes|losses LIST ACTUAL\n");
    return 2;
}
