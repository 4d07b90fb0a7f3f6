/* Reading a run's folder.
 *
 * In: its files. Out: RtRun, whose every number was checked for its place: counts are not negative, matrices square.
 * Rule: which epoch is the best follows from the monitor, as in training. Not here: split.csv (run_split.c). */
#include "run.h"
#include "../err.h"
#include "../file.h"
#include "../options.h"
#include "read.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_EPOCHS = 1000000, MOST_SIDE = 4096 };

const char *const rt_split_name[RT_NSPLITS] = {"train", "val", "test"};
static const char *const series_key[RT_NSERIES] = {"train/loss",     "val/loss", "train/accuracy",
                                                   "val/accuracy",   "lr",       "seconds",
                                                   "images_per_second", "weight_norm2", "val/iou",
                                                   "val/f1_macro", "val/f1_weighted"};

double rt_json_at(const json_t *array, size_t k)
{
    const json_t *x = json_array_get(array, k);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

double rt_json_of(const json_t *object, const char *key)
{
    const json_t *x = json_object_get(object, key);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

const char *rt_json_text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

/* ---- files ---- */

char *rt_run_file(const RtRun *r, const char *name)
{
    return rt_format("%s/%s", r->path, name);
}

/* A file's text; NULL: there is none. */
char *rt_run_text(const RtRun *r, const char *name, size_t *n)
{
    const char *why;
    char *path = rt_run_file(r, name), *text = NULL;
    if (access(path, F_OK) == 0) {
        text = rt_file_read(path, n, &why);
        if (!text) rt_fail(RT_EXIT_DATA, "D002", "cannot read '%s': %s", rt_esc(path), why);
    }
    free(path);
    return text;
}

_Noreturn void rt_run_damaged(const RtRun *r, const char *name, const char *what)
{
    rt_fail(RT_EXIT_DATA, "D028", "'%s/%s' is damaged: %s", rt_esc(r->path), name, what);
}

static json_t *read_json(const RtRun *r, const char *name)
{
    size_t n;
    json_error_t e;
    char *text = rt_run_text(r, name, &n);
    if (!text) return NULL;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (!json_is_object(j)) rt_run_damaged(r, name, "it holds no JSON object");
    free(text);
    return j;
}

/* ---- metrics.jsonl ---- */

static int count_lines(const char *s)
{
    int n = 0;
    for (; *s && n < MOST_EPOCHS; s++) n += *s == '\n';
    return n + 1;
}

static void read_epoch(RtRun *r, const char *line, size_t n)
{
    json_t *j = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(j)) rt_run_damaged(r, "metrics.jsonl", "a line is no JSON object");
    for (int k = 0; k < RT_NSERIES; k++) r->series[k][r->nepochs] = rt_json_of(j, series_key[k]);
    r->nepochs++;
    json_decref(j);
}

static void read_metrics(RtRun *r)
{
    size_t n;
    char *text = rt_run_text(r, "metrics.jsonl", &n);
    int lines = text ? count_lines(text) : 1;
    for (int k = 0; k < RT_NSERIES; k++) r->series[k] = rt_alloc((size_t)lines, sizeof **r->series, "epochs");
    for (char *s = text; s && *s;) {
        size_t len = strcspn(s, "\n");
        if (len) read_epoch(r, s, len);
        s += len + (s[len] == '\n');
    }
    free(text);
}

static bool known(const RtRun *r, RtSeries k)
{
    for (int i = 0; i < r->nepochs; i++) {
        if (isfinite(r->series[k][i])) return true;
    }
    return false;
}

static void find_best(RtRun *r)
{
    const char *asked = rt_run_setting(r, "train.early_stopping.monitor");
    RtSeries k = known(r, RT_ACC_VAL) ? RT_ACC_VAL : known(r, RT_LOSS_VAL) ? RT_LOSS_VAL : RT_LOSS_TRAIN;
    for (int i = 0; i < RT_NSERIES && asked; i++) {
        if (!strcmp(asked, series_key[i])) k = (RtSeries)i;
    }
    bool up = k != RT_LOSS_VAL && k != RT_LOSS_TRAIN;
    r->best = -1;
    r->monitor = series_key[k];
    for (int i = 0; i < r->nepochs; i++) {
        double v = r->series[k][i], best = r->best < 0 ? NAN : r->series[k][r->best];
        if (isfinite(v) && (r->best < 0 || (up ? v > best : v < best))) r->best = i;
    }
}

/* ---- args.yaml: `key: "JSON string"` ---- */

static void read_settings(RtRun *r)
{
    size_t n;
    char *text = rt_run_text(r, "args.yaml", &n), *save = NULL;
    r->setting = rt_alloc((size_t)(text ? count_lines(text) : 1), sizeof *r->setting, "settings");
    for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
        char *colon = strstr(line, ": ");
        if (!colon || *line == '#') continue;
        json_t *v = json_loads(colon + 2, JSON_DECODE_ANY, NULL);
        if (!json_is_string(v)) rt_run_damaged(r, "args.yaml", "a value is no quoted text");
        *colon = 0;
        r->setting[r->nsettings++] = (RtSetting){rt_strdup(line), rt_strdup(json_string_value(v))};
        json_decref(v);
    }
    free(text);
}

const char *rt_run_setting(const RtRun *r, const char *key)
{
    for (int i = 0; i < r->nsettings; i++) {
        if (!strcmp(r->setting[i].key, key)) return r->setting[i].value;
    }
    return NULL;
}

/* ---- report.json ---- */

static void read_classes(RtRun *r)
{
    const json_t *list = json_object_get(r->report, "classes");
    size_t n = json_array_size(list);
    if (n > RT_RUN_CLASSES) rt_run_damaged(r, "report.json", "too many classes");
    rt_run_classes(r, (int)n);
    for (size_t k = 0; k < n; k++) {
        const char *name = json_string_value(json_array_get(list, k));
        if (!name) rt_run_damaged(r, "report.json", "a class has no name");
        free(r->class_name[k]);
        r->class_name[k] = rt_strdup(name);
    }
}

/* Classes of masks, which split.csv does not count. */
static void read_pixels(RtRun *r)
{
    const json_t *all = json_object_get(r->report, "pixels");
    for (int s = 0; s < RT_NSPLITS; s++) {
        const json_t *list = json_object_get(all, rt_split_name[s]);
        for (size_t k = 0; k < json_array_size(list) && k < (size_t)r->nclasses; k++) {
            double v = rt_json_at(list, k);
            if (v >= 0 && v < 1e15) r->count[s][k] = (int64_t)v;
            r->pixels = true;
        }
    }
}

static RtConfusion *read_confusion(const RtRun *r, const json_t *rows)
{
    size_t n = json_array_size(rows);
    if (!n) return NULL;
    RtConfusion *c = n <= MOST_SIDE ? rt_confusion_new((int)n) : NULL;
    if (!c) rt_run_damaged(r, "report.json", "the confusion matrix is too large");
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        if (json_array_size(row) != n) rt_run_damaged(r, "report.json", "the confusion matrix is not square");
        for (size_t k = 0; k < n; k++) {
            double v = rt_json_at(row, k);
            if (!(v >= 0 && v < 1e15)) rt_run_damaged(r, "report.json", "the confusion matrix counts what cannot be");
            c->count[i * n + k] = (uint64_t)v;
        }
    }
    return c;
}

/* The test split before the others, of which train comes last. */
static void read_scores(RtRun *r)
{
    static const enum RtSplit order[] = {RT_SPLIT_TEST, RT_SPLIT_VAL, RT_SPLIT_TRAIN};
    const json_t *all = json_object_get(r->report, "scores");
    for (int i = 0; i < RT_NSPLITS; i++) {
        const json_t *j = json_object_get(all, rt_split_name[order[i]]);
        if (!json_is_object(j)) continue;
        RtScored *s = &r->scored[r->nscored++];
        *s = (RtScored){.split = order[i], .json = j, .loss = rt_json_of(j, "loss")};
        double items = rt_json_of(j, "items");
        s->items = items >= 0 && items < 1e15 ? (int64_t)items : 0;
        s->confusion = read_confusion(r, json_object_get(j, "confusion"));
        if (!s->confusion) continue;
        rt_run_classes(r, s->confusion->n);
        if (!rt_metrics(s->confusion, &s->m)) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the metrics");
    }
}

/* ---- all of it ---- */

const char *rt_class_name(const RtRun *r, int k)
{
    return k >= 0 && k < r->nclasses ? r->class_name[k] : "?";
}

static void name_the_rest(RtRun *r)
{
    for (int k = 0; k < r->nclasses; k++) {
        if (!r->class_name[k]) r->class_name[k] = rt_format("%d", k);
    }
}

void rt_run_classes(RtRun *r, int n)
{
    if (n <= r->nclasses) return;
    char **name = rt_alloc((size_t)n, sizeof *name, "class names");
    for (int k = 0; k < r->nclasses; k++) name[k] = r->class_name[k];
    free(r->class_name);
    r->class_name = name;
    for (int s = 0; s < RT_NSPLITS; s++) {
        int64_t *count = rt_alloc((size_t)n, sizeof *count, "class counts");
        for (int k = 0; k < r->nclasses; k++) count[k] = r->count[s][k];
        free(r->count[s]);
        r->count[s] = count;
    }
    r->nclasses = n;
}

RtRun *rt_run_read(const char *path)
{
    struct stat st;
    RtRun *r = rt_alloc(1, sizeof *r, "a run");
    r->path = rt_strdup(path);
    for (size_t n = strlen(r->path); n > 1 && r->path[n - 1] == '/'; n--) r->path[n - 1] = 0;
    const char *slash = strrchr(r->path, '/');
    r->name = rt_strdup(slash && slash[1] ? slash + 1 : r->path);
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        rt_fail(RT_EXIT_DATA, "D001", "'%s' is no folder of a run", rt_esc(path));
    read_settings(r);
    read_metrics(r);
    find_best(r);
    r->env = read_json(r, "env.json");
    r->report = read_json(r, "report.json");
    if (!r->nepochs && !r->report && !r->env)
        rt_fail(RT_EXIT_DATA, "D001",
                "'%s' is no folder of a run: it has neither metrics.jsonl nor env.json\n"
                "OUT train --output-dir DIR writes one",
                rt_esc(path));
    rt_run_split(r);
    read_classes(r);
    read_scores(r);
    read_pixels(r);
    name_the_rest(r);
    return r;
}

void rt_run_free(RtRun *r)
{
    for (int k = 0; k < RT_NSERIES; k++) free(r->series[k]);
    for (int i = 0; i < r->nsettings; i++) free(r->setting[i].key), free(r->setting[i].value);
    for (int k = 0; k < r->nclasses; k++) free(r->class_name[k]);
    for (int s = 0; s < RT_NSPLITS; s++) free(r->count[s]);
    for (int i = 0; i < r->nscored; i++) {
        if (!r->scored[i].confusion) continue;
        rt_metrics_free(&r->scored[i].m);
        rt_confusion_free(r->scored[i].confusion);
    }
    json_decref(r->env);
    json_decref(r->report);
    free(r->setting);
    free(r->class_name);
    free(r->path);
    free(r->name);
    free(r);
}
