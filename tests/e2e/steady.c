/* steady WEIGHTS FILE: for every BatchNorm whose statistics are among WEIGHTS (.safetensors) a weight of 1/2 and a bias
 * of 3, in FILE: what a ReLU or a ReLU6 then gets lies well within (0, 6), where no rounding of a sum turns it on or off.
 * Every other channel of a `bn1`, which a ReLU follows, has -3: those are off. Exit status 3: there is no BatchNorm. */
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *header_of(const char *path)
{
    uint64_t n = 0;
    FILE *f = fopen(path, "rb");
    if (!f || fread(&n, sizeof n, 1, f) != 1 || n > (1u << 26)) exit(1);
    char *text = malloc(n);
    if (!text || fread(text, 1, n, f) != n) exit(1);
    fclose(f);
    json_t *header = json_loadb(text, n, 0, NULL);
    free(text);
    return header;
}

typedef struct Out {
    json_t *header;
    float *value;
    int64_t n;
} Out;

static void add(Out *o, const char *layer, const char *part, int64_t channels, float even, float odd)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", layer, part);
    o->value = realloc(o->value, sizeof(float) * (size_t)(o->n + channels));
    if (!o->value) exit(1);
    json_object_set_new(o->header, name,
                        json_pack("{s:s,s:[I],s:[I,I]}", "dtype", "F32", "shape", (json_int_t)channels, "data_offsets",
                                  (json_int_t)(4 * o->n), (json_int_t)(4 * (o->n + channels))));
    for (int64_t i = 0; i < channels; i++) o->value[o->n++] = i % 2 ? odd : even;
}

static int write_file(const Out *o, const char *path)
{
    char *text = json_dumps(o->header, JSON_COMPACT);
    uint64_t size = strlen(text);
    FILE *f = fopen(path, "wb");
    if (!f) return 1;
    fwrite(&size, sizeof size, 1, f);
    fwrite(text, 1, size, f);
    fwrite(o->value, sizeof(float), (size_t)o->n, f);
    return fclose(f) ? 1 : 0;
}

int main(int argc, char **argv)
{
    static const char statistic[] = ".running_mean";
    if (argc != 3) {
        fprintf(stderr, "usage: steady WEIGHTS FILE\n");
        return 2;
    }
    Out o = {.header = json_object()};
    json_t *in = header_of(argv[1]), *entry;
    const char *key;
    json_object_foreach(in, key, entry) {
        char layer[200];
        size_t n = strlen(key), tail = sizeof statistic - 1;
        if (n <= tail || n - tail >= sizeof layer || strcmp(key + n - tail, statistic) != 0) continue;
        snprintf(layer, sizeof layer, "%.*s", (int)(n - tail), key);
        int64_t channels = json_integer_value(json_array_get(json_object_get(entry, "shape"), 0));
        bool first = n - tail >= 3 && !strcmp(layer + n - tail - 3, "bn1");
        add(&o, layer, "weight", channels, 0.5f, 0.5f);
        add(&o, layer, "bias", channels, 3, first ? -3 : 3);
    }
    return o.n ? write_file(&o, argv[2]) : 3;
}
