/* features: values of layers into a .safetensors file. tsne: the same as points of two or three dimensions.
 *
 * in:  image files and folders, or --split of the data set
 * out: features: a tensor for each layer, `labels` of a split, the items' names in the metadata; tsne: a CSV with a line an
 * item, and for two dimensions a plot
 * rule: what has a plane is averaged over it before t-SNE */
#include "classes.h"
#include "err.h"
#include "file.h"
#include "json.h"
#include "layer_values.h"
#include "model.h"
#include "report/chart.h"
#include "safetensors.h"
#include "tsne.h"
#include "verbs.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITERATIONS = 1000, NEAREST = 5, LONGEST_SPLIT = 1 << 30 };

/* --layer, else what the description keeps. */
static char **asked_layers(const RtOptions *o, int *n)
{
    const char *text = rt_option_str(o, "run.layer", NULL);
    if (!text) text = rt_option_str(o, "report.tsne.layer", NULL);
    if (!text) text = rt_option_str(o, "keep", "output");
    return rt_option_list(text, n);
}

static void gather(RtFeatures *f, RtSession *s, int64_t most)
{
    if (s->opt.nrest) {
        rt_features_paths(f, s->opt.rest, s->opt.nrest);
    } else {
        RtData *d = rt_session_data(s);
        rt_features_split(f, d, rt_session_split(s), most);
        rt_data_close(d);
    }
    if (f->n == 0) rt_fail(RT_EXIT_DATA, "D001", "no image could be read");
}

/* ---- features ---- */

static char *names_as_json(const RtFeatures *f)
{
    RtJson j;
    rt_json_begin(&j, false);
    rt_json_array(&j, "items");
    for (int64_t i = 0; i < f->n; i++) rt_json_str(&j, NULL, f->item[i]);
    char *text = rt_strdup(rt_json_text(&j));
    rt_json_free(&j);
    return text;
}

static void save(const RtFeatures *f, const char *path)
{
    RtStTensor t[RT_FEATURES_MOST + 1] = {0};
    int n = 0;
    for (; n < f->nlayers; n++) {
        const RtTensor *from = rt_features_tensor(f, n);
        t[n] = (RtStTensor){.name = (char *)(uintptr_t)f->layer[n].name,
                            .dtype = "F32",
                            .rank = from->rank,
                            .count = f->n * f->layer[n].size,
                            .data = (const void *)f->layer[n].x};
        memcpy(t[n].dim, from->dim, sizeof from->dim);
        t[n].dim[0] = f->n;
    }
    if (f->label[0] >= 0)
        t[n++] = (RtStTensor){.name = "labels",
                              .dtype = "I32",
                              .rank = 1,
                              .dim = {f->n},
                              .count = f->n,
                              .data = (const void *)f->label};
    char *names = names_as_json(f);
    rt_st_write(path, t, n, &(RtPair){"items", names}, 1, NULL);
    free(names);
}

static int features(const RtVerb *v)
{
    RtSession s;
    RtFeatures f;
    RtJson j;
    int n;
    rt_session_open(&s, v, RT_VERB_FEATURES);
    const char *out = rt_option_str(&s.opt, "run.output", NULL),
               *json = rt_option_str(&s.opt, "run.json", NULL);
    if (!out) rt_fail(RT_EXIT_USAGE, "C001", "features needs --output F.safetensors");
    char **layer = asked_layers(&s.opt, &n);
    rt_st_free(rt_session_weights(&s));
    rt_features_open(&f, &s, (const char *const *)layer, n);
    gather(&f, &s, rt_option_int(&s.opt, "report.tsne.items", LONGEST_SPLIT));
    save(&f, out);
    rt_json_begin(&j, true);
    rt_json_int(&j, "items", f.n);
    rt_json_int(&j, "failed", f.failed);
    rt_json_str(&j, "file", out);
    if (json)
        rt_json_save(&j, json);
    else
        rt_json_free(&j);
    if (!json || strcmp(json, "-")) {
        printf("%lld items", (long long)f.n);
        for (int i = 0; i < f.nlayers; i++)
            printf(", '%s' of %lld values", rt_esc(f.layer[i].name), (long long)f.layer[i].size);
        printf(" -> %s\n", rt_esc(out));
    }
    int code = f.failed ? RT_EXIT_DATA : RT_EXIT_OK;
    rt_features_free(&f);
    free(layer);
    rt_session_close(&s);
    return code;
}

/* ---- tsne ---- */

/* Means over what lies behind axis 1 -> how many values are left. */
static int64_t average(const RtFeatures *f, float **out)
{
    const RtTensor *t = rt_features_tensor(f, 0);
    int64_t plane = 1, size = f->layer[0].size;
    for (int a = 2; a < t->rank; a++) plane *= t->dim[a];
    *out = rt_alloc((size_t)f->n, (size_t)(size / plane) * sizeof **out, "features");
    for (int64_t i = 0; i < f->n * (size / plane); i++) {
        double sum = 0;
        for (int64_t k = 0; k < plane; k++) sum += f->layer[0].x[i * plane + k];
        (*out)[i] = (float)(sum / (double)plane);
    }
    return size / plane;
}

/* Of the nearest NEAREST points, which share is of the point's own class? NaN: classes are not known. */
static double agreement(const RtFeatures *f, const float *y, int dims)
{
    int64_t own = 0, all = 0;
    for (int64_t i = 0; i < f->n; i++) {
        double far[NEAREST + 1];
        int64_t who[NEAREST + 1];
        int have = 0;
        for (int64_t k = 0; k < f->n; k++) {
            double d = 0;
            for (int a = 0; a < dims; a++)
                d += ((double)y[i * dims + a] - y[k * dims + a]) *
                     ((double)y[i * dims + a] - y[k * dims + a]);
            if (k == i || (have == NEAREST && d >= far[have - 1])) continue;
            int at = have < NEAREST ? have++ : have - 1;
            for (; at > 0 && far[at - 1] > d; at--) far[at] = far[at - 1], who[at] = who[at - 1];
            far[at] = d;
            who[at] = k;
        }
        for (int r = 0; r < have && f->label[i] >= 0; r++)
            all++, own += f->label[who[r]] == f->label[i];
    }
    return all ? (double)own / (double)all : NAN;
}

static const char *name_of(const RtFeatures *f, char *const *names, int32_t label)
{
    return label >= 0 && label < f->feed.classes ? names[label] : "";
}

static void cell(FILE *f, const char *s)
{
    bool plain = !strpbrk(s, ",\"\r\n");
    if (!plain) fputc('"', f);
    for (; *s; s++) {
        if (*s == '"') fputc('"', f);
        fputc(*s, f);
    }
    if (!plain) fputc('"', f);
}

/* Takes text from open_memstream. */
static void save_text(const char *path, FILE *f, char **text, size_t *n)
{
    if (fclose(f) != 0)
        rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate memory for '%s'", rt_esc(path));
    rt_file_save(path, *text, *n, NULL);
    free(*text);
}

static FILE *open_text(char **text, size_t *n)
{
    FILE *f = open_memstream(text, n);
    if (!f) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate memory for a text");
    return f;
}

static void save_csv(const char *path, const RtFeatures *f, char *const *names, const float *y,
                     int dims)
{
    char *text;
    size_t n;
    FILE *out = open_text(&text, &n);
    fprintf(out, "item,label,class,x,y%s\n", dims == 3 ? ",z" : "");
    for (int64_t i = 0; i < f->n; i++) {
        cell(out, f->item[i]);
        if (f->label[i] >= 0)
            fprintf(out, ",%d,", (int)f->label[i]);
        else
            fputs(",,", out);
        cell(out, name_of(f, names, f->label[i]));
        for (int a = 0; a < dims; a++) fprintf(out, ",%.6g", (double)y[i * dims + a]);
        fputc('\n', out);
    }
    save_text(path, out, &text, &n);
}

static const char *kind_name(const void *of, int kind)
{
    char *const *names = of;
    return names ? names[kind] : "image";
}

static void save_plot(const char *path, const RtFeatures *f, char *const *names, const float *y)
{
    char *text, *title = rt_format("t-SNE of %s, %lld images", f->layer[0].name, (long long)f->n);
    size_t n;
    double *x = rt_alloc(2 * (size_t)f->n, sizeof *x, "points");
    int *kind = rt_alloc((size_t)f->n, sizeof *kind, "classes");
    bool known = names && f->label[0] >= 0;
    for (int64_t i = 0; i < f->n; i++) {
        x[i] = y[2 * i];
        x[f->n + i] = y[2 * i + 1];
        kind[i] = known ? f->label[i] : 0;
    }
    FILE *out = open_text(&text, &n);
    RtSvg svg;
    rt_svg_init(&svg, out, 1);
    rt_chart_scatter(&svg.paint,
                     &(RtScatter){title, x, x + f->n, kind, kind_name, known ? names : NULL,
                                  (int)f->n, known ? f->feed.classes : 1});
    save_text(path, out, &text, &n);
    free(title);
    free(x);
    free(kind);
}

static void embed(RtFeatures *f, RtJson *j, bool say, const char *prefix, char *const *names,
                  const float *x, int64_t d, int dims)
{
    RtTsne t = {.dims = dims,
                .perplexity = rt_option_num(&f->s->opt, "report.tsne.perplexity", 30),
                .iterations = ITERATIONS,
                .seed = (uint64_t)rt_option_int(&f->s->opt, "train.seed", 0),
                .pool = f->s->pool};
    float *y = rt_alloc((size_t)f->n, (size_t)dims * sizeof *y, "points");
    if (!rt_tsne_run(&t, x, f->n, d, y))
        rt_fail(RT_EXIT_MEMORY, "E003",
                "t-SNE of %lld items: no memory, or values that are not finite", (long long)f->n);
    double own = agreement(f, y, dims);
    char *csv = rt_format("%s-%dd.csv", prefix, dims),
         *svg = dims == 2 ? rt_format("%s-2d.svg", prefix) : NULL;
    save_csv(csv, f, names, y, dims);
    if (svg) save_plot(svg, f, names, y);
    if (say) {
        printf("%d dimensions: divergence %.4f", dims, t.divergence);
        if (isfinite(own))
            printf(", %.1f%% of the %d nearest are of the point's class", 100 * own, NEAREST);
        printf(" -> %s%s%s\n", rt_esc(csv), svg ? ", " : "", svg ? rt_esc(svg) : "");
    }
    rt_json_object(j, NULL);
    rt_json_int(j, "dims", dims);
    rt_json_num(j, "divergence", t.divergence);
    rt_json_num(j, "agreement", own);
    rt_json_str(j, "csv", csv);
    if (svg) rt_json_str(j, "svg", svg);
    rt_json_end_object(j);
    free(csv);
    free(svg);
    free(y);
}

static void embed_all(RtFeatures *f, RtSession *s, char *const *names)
{
    const char *dims = rt_option_str(&s->opt, "report.tsne.dims", "2"),
               *json = rt_option_str(&s->opt, "run.json", NULL),
               *out = rt_option_str(&s->opt, "run.output", NULL),
               *split = rt_option_str(&s->opt, "run.split", "test");
    char *dir = rt_session_dir(s),
         *prefix =
             out ? rt_strdup(out) : rt_format("%s/tsne-%s", dir, s->opt.nrest ? "images" : split);
    float *x;
    RtJson j;
    bool say = !json || strcmp(json, "-") != 0;
    int64_t d = average(f, &x);
    if (f->n < 4)
        rt_fail(RT_EXIT_DATA, "D020", "t-SNE needs at least 4 items, there are %lld",
                (long long)f->n);
    rt_json_begin(&j, true);
    rt_json_str(&j, "layer", f->layer[0].name);
    rt_json_int(&j, "items", f->n);
    rt_json_array(&j, "embeddings");
    if (say)
        printf("%lld items, '%s': %lld values each\n", (long long)f->n, rt_esc(f->layer[0].name),
               (long long)d);
    for (int k = 2; k <= 3; k++)
        if (strchr(dims, '0' + k)) embed(f, &j, say, prefix, names, x, d, k);
    rt_json_end_array(&j);
    if (json)
        rt_json_save(&j, json);
    else
        rt_json_free(&j);
    free(x);
    free(dir);
    free(prefix);
}

static int tsne(const RtVerb *v)
{
    RtSession s;
    RtFeatures f;
    int n;
    rt_session_open(&s, v, RT_VERB_TSNE);
    char **layer = asked_layers(&s.opt, &n);
    if (n > 1 && rt_option_given(&s.opt, "run.layer"))
        rt_fail(RT_EXIT_USAGE, "C002", "--layer: tsne takes one layer");
    RtSt *weights = rt_session_weights(&s);
    rt_features_open(&f, &s, (const char *const *)layer, 1);
    char **names = f.feed.classes ? rt_classes(weights, f.feed.classes) : NULL;
    rt_st_free(weights);
    gather(&f, &s, rt_option_int(&s.opt, "report.tsne.items", 2000));
    embed_all(&f, &s, names);
    int code = f.failed ? RT_EXIT_DATA : RT_EXIT_OK;
    if (names) rt_classes_free(names);
    rt_features_free(&f);
    free(layer);
    rt_session_close(&s);
    return code;
}

static int either(const RtVerb *v)
{
    return strcmp(v->all_argv[1], "tsne") ? features(v) : tsne(v);
}

const RtVerbPart rt_part_layers = {either};
