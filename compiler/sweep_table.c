/* Results of a sweep: means over seeds and their spread.
 *
 * In: result.json of every run (what `train --json` writes). Out: a table, JSON.
 * Rule: spread is the sample standard deviation, of at least two seeds; runs that were not finite are counted, not
 * averaged. */
#include "../runtime/err.h"
#include "../runtime/json.h"
#include "sweep.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const shown[] = {"best", "val_loss", "val_accuracy", "val_iou", "train_loss", "train_accuracy",
                                    "weight_norm2"};
enum { NSHOWN = sizeof shown / sizeof *shown };

typedef struct Point { /* of the grid */
    int n, failed;
    double mean[NSHOWN], spread[NSHOWN]; /* NaN: not known */
} Point;

/* NaN: the run has none. */
static double result(const SweepRun *r, const char *key)
{
    char *path = rt_format("%s/result.json", r->dir);
    json_t *j = json_load_file(path, 0, NULL), *v = json_object_get(j, key);
    double x = json_is_number(v) ? json_number_value(v) : NAN;
    json_decref(j);
    free(path);
    return x;
}

static Point summed(const Sweep *s, int first)
{
    Point p = {0};
    for (int k = 0; k < NSHOWN; k++) {
        double x[1000], sum = 0, squares = 0;
        int n = 0;
        for (int i = 0; i < s->seeds; i++) {
            double v = s->run[first + i].status ? NAN : result(&s->run[first + i], shown[k]);
            if (!isnan(v)) sum += x[n++] = v;
        }
        p.mean[k] = n ? sum / n : NAN;
        for (int i = 0; i < n; i++) squares += (x[i] - p.mean[k]) * (x[i] - p.mean[k]);
        p.spread[k] = n > 1 ? sqrt(squares / (n - 1)) : NAN;
        if (n > p.n) p.n = n;
    }
    p.failed = s->seeds - p.n;
    return p;
}

static bool known(const Point *p, int n, int k)
{
    for (int i = 0; i < n; i++)
        if (!isnan(p[i].mean[k])) return true;
    return false;
}

static void print_table(const Sweep *s, const Point *p, int n)
{
    for (int k = 0; k < s->nkey; k++) printf("%-12s", s->key[k].flag);
    printf("seeds");
    for (int k = 0; k < NSHOWN; k++)
        if (known(p, n, k)) printf("  %20s", shown[k]);
    putchar('\n');
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < s->nkey; k++) printf("%-12s", rt_esc(s->key[k].value[s->run[i * s->seeds].at[k]]));
        printf("%5d", p[i].n);
        for (int k = 0; k < NSHOWN; k++) {
            char text[48] = "-";
            if (!isnan(p[i].mean[k])) snprintf(text, sizeof text, "%.4g", p[i].mean[k]);
            if (!isnan(p[i].spread[k])) snprintf(text, sizeof text, "%.4g +- %.2g", p[i].mean[k], p[i].spread[k]);
            if (known(p, n, k)) printf("  %20s", text);
        }
        if (p[i].failed) printf("  %d not finite", p[i].failed);
        putchar('\n');
    }
    if (s->seeds > 1) puts("mean +- standard deviation over the seeds");
}

static void json_values(RtJson *j, const Sweep *s, const SweepRun *r)
{
    rt_json_object(j, "values");
    for (int k = 0; k < s->nkey; k++) rt_json_str(j, s->key[k].key, s->key[k].value[r->at[k]]);
    rt_json_end_object(j);
}

static void json_point(RtJson *j, const Sweep *s, const Point *p, int first)
{
    rt_json_object(j, NULL);
    json_values(j, s, &s->run[first]);
    rt_json_int(j, "seeds", p->n);
    rt_json_int(j, "not_finite", p->failed);
    for (int k = 0; k < NSHOWN; k++) {
        if (isnan(p->mean[k])) continue;
        rt_json_object(j, shown[k]);
        rt_json_num(j, "mean", p->mean[k]);
        rt_json_num(j, "spread", p->spread[k]);
        rt_json_end_object(j);
    }
    rt_json_end_object(j);
}

static void json_run(RtJson *j, const Sweep *s, const SweepRun *r)
{
    rt_json_object(j, NULL);
    rt_json_str(j, "dir", r->dir);
    json_values(j, s, r);
    rt_json_int(j, "seed", r->seed);
    rt_json_int(j, "status", r->status);
    for (int k = 0; k < NSHOWN; k++) {
        double x = r->status ? NAN : result(r, shown[k]);
        if (!isnan(x)) rt_json_num(j, shown[k], x);
    }
    rt_json_end_object(j);
}

static void write_json(const Sweep *s, const Point *p, int n, const char *path)
{
    RtJson j;
    rt_json_begin(&j, true);
    rt_json_str(&j, "spec", s->spec);
    rt_json_array(&j, "points");
    for (int i = 0; i < n; i++) json_point(&j, s, &p[i], i * s->seeds);
    rt_json_end_array(&j);
    rt_json_array(&j, "runs");
    for (int i = 0; i < s->nrun; i++) json_run(&j, s, &s->run[i]);
    rt_json_end_array(&j);
    rt_json_save(&j, path);
}

void sweep_report(const Sweep *s, const char *json)
{
    int n = s->nrun / s->seeds;
    Point *p = rt_alloc((size_t)n, sizeof *p, "results");
    for (int i = 0; i < n; i++) p[i] = summed(s, i * s->seeds);
    if (!json || strcmp(json, "-") != 0) print_table(s, p, n);
    if (json) write_json(s, p, n, json);
    free(p);
}
