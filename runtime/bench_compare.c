/* bench --compare: this run against one that was kept with --json.
 *
 * Rule: slower means that the two 95 % intervals of the median do not touch and that the medians
 * are more than 3 % apart: two runs at two times see two states of the machine, which intervals
 * within a run know nothing of. */
#include "bench.h"
#include "err.h"
#include "file.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const double margin = 1.03;

RtBaseline *rt_baseline_open(const char *path)
{
    size_t n;
    const char *why;
    json_error_t e;
    char *text = rt_file_read(path, &n, &why);
    if (!text) rt_fail(RT_EXIT_DATA, "D002", "cannot read '%s': %s", rt_esc(path), why);
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    free(text);
    if (json_integer_value(json_object_get(j, "version")) != 1 ||
        !json_is_array(json_object_get(j, "results"))) {
        rt_fail(RT_EXIT_DATA, "D002", "'%s' is not what `bench --json` writes", rt_esc(path));
    }
    return j;
}

void rt_baseline_close(RtBaseline *base)
{
    json_decref(base);
}

static bool is_text(const json_t *object, const char *key, const char *value)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s && !strcmp(s, value);
}

static bool is_int(const json_t *object, const char *key, int64_t value)
{
    return json_integer_value(json_object_get(object, key)) == value;
}

/* The entry of the same phase, batch, threads and variant; NULL: there is none. */
static const json_t *find(const json_t *base, const RtBench *b, const RtLane *l)
{
    size_t i, k;
    json_t *r, *v;
    json_array_foreach(json_object_get(base, "results"), i, r)
    {
        if (!is_text(r, "phase", rt_phase_name(b->phase)) || !is_int(r, "batch", b->batch) ||
            !is_int(r, "threads", b->threads))
            continue;
        json_array_foreach(json_object_get(r, "variants"), k, v)
        {
            if (is_text(v, "variant", rt_variant_name(l->variant))) return v;
        }
    }
    return NULL;
}

static bool compare_lane(const json_t *base, const RtBench *b, const RtLane *l, bool text)
{
    const json_t *v = find(base, b, l);
    double p50 = json_number_value(json_object_get(v, "p50_ms"));
    double low = json_number_value(json_object_get(v, "p50_low_ms"));
    double high = json_number_value(json_object_get(v, "p50_high_ms"));
    if (!(p50 > 0) || !(low > 0) || !(high > 0)) {
        if (text) printf("  %s: the base has none\n", rt_variant_name(l->variant));
        return false;
    }
    double ratio = 1e3 * l->p50 / p50, least = 1e3 * l->low / high, most = 1e3 * l->high / low;
    bool slower = least > 1 && ratio > margin, faster = most < 1 && ratio * margin < 1;
    if (text) {
        printf("  %s takes %.3f of the base's time (%.3f..%.3f): %s\n", rt_variant_name(l->variant),
               ratio, least, most,
               slower   ? "slower"
               : faster ? "faster"
                        : "the same");
    }
    return slower;
}

int rt_baseline_compare(const RtBaseline *base, const RtBench *b, bool text)
{
    int slower = 0;
    for (int i = 0; i < b->nlanes; i++) slower += compare_lane(base, b, &b->lane[i], text);
    if (text) putchar('\n');
    return slower;
}
