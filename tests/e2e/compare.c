/* compare [--mean] TOLERANCE EXPECTED ACTUAL: do two files of numbers agree?
 *
 * In: two .safetensors (every tensor of EXPECTED must be in ACTUAL, with its shape, in F32), or two .jsonl (the "loss"
 * of every line, or its "train/loss"). Out: the worst tensor, or each one that fails; exit 0 or 1 (2: unusable files).
 * Rule: |expected - actual| / |expected| <= TOLERANCE in the L2 norm, a tensor at a time. With --mean a tensor whose
 * elements are smaller than those of all of EXPECTED is held against their root mean square: the gradient of a bias
 * before a batch normalisation is 0, and what is computed for it is rounding. It shares no code with the runtime, so
 * that both cannot be wrong alike. */
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

typedef struct Series {
    const char *name;
    float *v;
    size_t n;
    char shape[128];
} Series;

typedef struct Table {
    Series *row;
    size_t n;
} Table;

static _Noreturn void refuse(const char *path, const char *why)
{
    fprintf(stderr, "compare: %s: %s\n", path, why);
    exit(2);
}

static Series *add_row(Table *t, const char *name)
{
    t->row = realloc(t->row, (t->n + 1) * sizeof *t->row);
    Series *s = &t->row[t->n++];
    *s = (Series){.name = name};
    return s;
}

static char *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) refuse(path, "cannot be opened");
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(*n + 1);
    if (fread(p, 1, *n, f) != *n) refuse(path, "cannot be read");
    p[*n] = 0;
    fclose(f);
    return p;
}

static void add_tensor(Table *t, const char *path, const char *key, json_t *info, const char *data,
                       size_t size)
{
    const char *dtype = json_string_value(json_object_get(info, "dtype"));
    if (!dtype || strcmp(dtype, "F32")) return;
    Series *s = add_row(t, key);
    json_t *offsets = json_object_get(info, "data_offsets"),
           *shape = json_object_get(info, "shape");
    size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0));
    size_t end = (size_t)json_integer_value(json_array_get(offsets, 1));
    if (begin > end || end > size) refuse(path, "offsets leave the file");
    s->n = (end - begin) / sizeof(float);
    s->v = malloc(end - begin + 1);
    memcpy(s->v, data + begin, end - begin);
    size_t at = 0, i;
    json_t *dim;
    json_array_foreach(shape, i, dim) at +=
        (size_t)snprintf(s->shape + at, sizeof s->shape - at, "%s%" JSON_INTEGER_FORMAT,
                         i ? "," : "", json_integer_value(dim));
}

static Table read_safetensors(const char *path)
{
    size_t n;
    char *p = read_all(path, &n);
    uint64_t header;
    if (n < sizeof header) refuse(path, "not a safetensors file");
    memcpy(&header, p, sizeof header);
    if (header > n - sizeof header) refuse(path, "not a safetensors file");
    json_t *root = json_loadb(p + sizeof header, header, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) refuse(path, "header is not JSON");
    Table t = {0};
    const char *key;
    json_t *info;
    json_object_foreach(root, key, info)
    {
        size_t before = sizeof header + header;
        if (strcmp(key, "__metadata__")) add_tensor(&t, path, key, info, p + before, n - before);
    }
    if (!t.n) refuse(path, "holds no F32 tensor");
    return t;
}

static Table read_losses(const char *path)
{
    size_t n;
    char *p = read_all(path, &n);
    Table t = {0};
    Series *s = add_row(&t, "loss");
    for (char *line = strtok(p, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *row = json_loads(line, 0, NULL), *loss = json_object_get(row, "loss");
        if (!loss) loss = json_object_get(row, "train/loss");
        if (!json_is_number(loss)) refuse(path, "a line without a loss");
        s->v = realloc(s->v, (s->n + 1) * sizeof *s->v);
        s->v[s->n++] = (float)json_number_value(loss);
    }
    snprintf(s->shape, sizeof s->shape, "%zu", s->n);
    return t;
}

static Table read_table(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && !strcmp(dot, ".jsonl") ? read_losses(path) : read_safetensors(path);
}

static double sum_of_squares(const Series *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) sum += (double)s->v[i] * s->v[i];
    return sum;
}

static double root_mean_square(const Table *t)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < t->n; i++) {
        sum += sum_of_squares(&t->row[i]);
        n += (double)t->row[i].n;
    }
    return sqrt(sum / n);
}

/* floor: of an element */
static double distance(const Series *expected, const Series *actual, double floor)
{
    double diff = 0;
    for (size_t i = 0; i < expected->n; i++) {
        double d = (double)expected->v[i] - actual->v[i];
        diff += d * d;
    }
    double norm = fmax(sqrt(sum_of_squares(expected)), floor * sqrt((double)expected->n));
    return sqrt(diff) / fmax(norm, 1e-6);
}

int main(int argc, char **argv)
{
    bool mean = argc > 1 && !strcmp(argv[1], "--mean");
    argv += mean;
    if (argc != 4 + mean) {
        fprintf(stderr, "usage: compare [--mean] TOLERANCE EXPECTED ACTUAL\n");
        return 2;
    }
    double tolerance = strtod(argv[1], NULL), worst = -1;
    Table expected = read_table(argv[2]), actual = read_table(argv[3]);
    double floor = mean ? root_mean_square(&expected) : 0;
    const char *where = "";
    bool good = true;
    for (size_t i = 0; i < expected.n; i++) {
        const Series *e = &expected.row[i], *a = NULL;
        for (size_t j = 0; j < actual.n; j++)
            if (!strcmp(actual.row[j].name, e->name)) a = &actual.row[j];
        if (!a || strcmp(a->shape, e->shape)) {
            printf("%s [%s]: %s%s\n", e->name, e->shape, a ? "has shape " : "missing",
                   a ? a->shape : "");
            good = false;
            continue;
        }
        double far = distance(e, a, floor);
        if (!(far <= tolerance)) { /* NaN is not within any tolerance */
            printf("%s [%s]: differs by %.2e, allowed %.1e\n", e->name, e->shape, far, tolerance);
            good = false;
        }
        if (far > worst) worst = far, where = e->name;
    }
    if (good) printf("worst: %.2e in %s\n", worst, where);
    return good ? 0 : 1;
}
