/* Items go through in batches; what layers made of them is gathered in the items' order.
 *
 * Rule: a damaged file is reported and the others are still done; a damaged item of a data set stops it, as in eval. */
#include "layer_values.h"
#include "data/folder.h"
#include "err.h"
#include "model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32 };

/* Layers that the program can give, "output, flat". */
static char *known_layers(const RtExec *e)
{
    const RtProgram *p = rt_exec_program(e);
    const RtTensor *t = rt_program_tensors(rt_exec_model(e), p);
    char *all = rt_strdup("");
    for (uint32_t i = 0; i < p->ntensors; i++, t++) {
        if (t->role != RT_OUTPUT || t->rank == 0 || t->dim[0] != p->batch) continue;
        char *more = rt_format("%s%s%s", all, *all ? ", " : "", RT_STR(rt_exec_model(e), t->name));
        free(all);
        all = more;
    }
    return all;
}

static const RtTensor *find_layer(const RtExec *e, const char *name)
{
    const RtTensor *t = rt_exec_tensor(e, name);
    if (t && t->role == RT_OUTPUT && t->rank > 0 && t->dim[0] == rt_exec_program(e)->batch &&
        t->dtype == RT_F32)
        return t;
    rt_fail(RT_EXIT_USAGE, "C002",
            "--layer: this program does not give the values of '%s', but of: %s\n"
            "build it with --keep %s, or with `keep: [%s]` in its description",
            rt_esc(name), known_layers(e), rt_esc(name), rt_esc(name));
}

const RtTensor *rt_features_tensor(const RtFeatures *f, int layer)
{
    return rt_exec_tensor(f->feed.exec, f->layer[layer].name);
}

void rt_features_open(RtFeatures *f, RtSession *s, const char *const *layer, int nlayers)
{
    memset(f, 0, sizeof *f);
    f->s = s;
    if (nlayers > RT_FEATURES_MOST)
        rt_fail(RT_EXIT_USAGE, "C002", "--layer: more than %d names", RT_FEATURES_MOST);
    rt_feed_init(&f->feed, rt_session_exec(s, RT_INFER, 0), &s->opt);
    rt_exec_without_loss(f->feed.exec);
    rt_exec_prepare(f->feed.exec);
    rt_session_data_config(s, &f->config);
    for (int i = 0; i < nlayers; i++) {
        const RtTensor *t = find_layer(f->feed.exec, layer[i]);
        f->layer[f->nlayers++] = (RtLayerValues){layer[i], rt_tensor_count(t) / t->dim[0], NULL};
    }
    f->input = rt_alloc((size_t)(f->feed.batch * f->feed.input_size), sizeof *f->input, "a batch");
}

/* ---- items ---- */

static void *grown(void *p, int64_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow((size_t)n, size, &bytes) || !(p = realloc(p, bytes ? bytes : 1)))
        rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate %lld times %zu bytes for features",
                (long long)n, size);
    return p;
}

static void grow(RtFeatures *f)
{
    if (f->n < f->cap) return;
    f->cap = 2 * f->cap + 64;
    f->item = grown(f->item, f->cap, sizeof *f->item);
    f->label = grown(f->label, f->cap, sizeof *f->label);
    for (int i = 0; i < f->nlayers; i++)
        f->layer[i].x = grown(f->layer[i].x, f->cap, (size_t)f->layer[i].size * sizeof(float));
}

static void run(RtFeatures *f)
{
    if (f->waiting == 0) return;
    rt_feed_put(&f->feed, f->input, NULL, f->waiting);
    rt_feed_run(&f->feed);
    for (int i = 0; i < f->nlayers; i++) {
        RtLayerValues *v = &f->layer[i];
        rt_exec_get_rows(f->feed.exec, v->name, v->x + (f->n - f->waiting) * v->size, 0,
                         f->waiting);
    }
    f->waiting = 0;
}

static float *next_input(RtFeatures *f)
{
    return f->input + f->waiting * f->feed.input_size;
}

/* What lies in next_input is an item. */
static void add(RtFeatures *f, const char *name, int32_t label)
{
    grow(f);
    f->item[f->n] = rt_strdup(name);
    f->label[f->n++] = label;
    if (++f->waiting == f->feed.batch) run(f);
}

static void add_file(RtFeatures *f, const char *path)
{
    RtError e;
    if (rt_data_image(&f->config, path, next_input(f), &e)) {
        add(f, path, -1);
        return;
    }
    rt_warn(e.id, "%s", e.text);
    f->failed++;
}

static void add_dir(RtFeatures *f, const char *path, int depth)
{
    RtList list;
    RtError e;
    int64_t before = f->n + f->failed;
    if (depth > DEEPEST) rt_fail(RT_EXIT_DATA, "D022", "directory loop at '%s'", rt_esc(path));
    if (!rt_list_dir(path, path, &list, &e)) rt_fail(e.exit, e.id, "%s", e.text);
    for (int64_t i = 0; i < list.n; i++) {
        char *file = rt_format("%s/%s", path, list.name[i]);
        if (rt_is_dir(file))
            add_dir(f, file, depth + 1);
        else if (rt_is_image_name(file))
            add_file(f, file);
        free(file);
    }
    rt_list_free(&list);
    if (!depth && f->n + f->failed == before)
        rt_fail(RT_EXIT_DATA, "D001", "no images found under '%s'", rt_esc(path));
}

void rt_features_paths(RtFeatures *f, const char *const *path, int n)
{
    for (int i = 0; i < n; i++) {
        if (rt_is_dir(path[i]))
            add_dir(f, path[i], 0);
        else
            add_file(f, path[i]);
    }
    run(f);
}

void rt_features_split(RtFeatures *f, RtData *d, enum RtSplit split, int64_t most)
{
    int64_t items = rt_data_count(d, split), n = items < most ? items : most;
    int32_t *label = rt_alloc((size_t)rt_data_label_size(d), sizeof *label, "labels");
    for (int64_t i = 0; i < n; i++) {
        int64_t index = i * items / n;
        RtError e;
        if (!rt_data_batch(d, split, &index, 1, false, 0, 0, next_input(f), label, &e))
            rt_fail(e.exit, e.id, "%s", e.text);
        add(f, rt_data_item_name(d, split, index), rt_data_label_size(d) == 1 ? *label : -1);
    }
    run(f);
    free(label);
}

void rt_features_free(RtFeatures *f)
{
    for (int64_t i = 0; i < f->n; i++) free(f->item[i]);
    for (int i = 0; i < f->nlayers; i++) free(f->layer[i].x);
    free(f->item);
    free(f->label);
    free(f->input);
    free((void *)(uintptr_t)f->config.classes);
    rt_exec_free(f->feed.exec);
    rt_feed_free(&f->feed);
}
