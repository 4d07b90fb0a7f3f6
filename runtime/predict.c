/* predict: the likeliest classes of image files, of all images in folders and below, or of one item of the data set;
 * the classes of every pixel, or the image again, where that is what the model answers (pictures.c).
 *
 * Rule: a damaged image is reported and the others are still done; the exit code is then 4. */
#include "predict.h"
#include "classes.h"
#include "data/folder.h"
#include "err.h"
#include "model.h"
#include "parts.h"
#include "verbs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32 };

/* Takes the likeliest class out of p (-1 marks what was taken). */
static int take_best(double *p, int n, double *value)
{
    int best = 0;
    for (int i = 1; i < n; i++) {
        if (p[i] > p[best]) best = i;
    }
    *value = p[best];
    p[best] = -1;
    return best;
}

static void show_classes(Predict *x, const char *name, const char *truth)
{
    rt_feed_probabilities(&x->feed, x->feed.output, x->p);
    int64_t k = rt_option_int(&x->s.opt, "run.topk", 5);
    if (x->as_text) printf("%s", rt_esc(name));
    if (x->as_text && truth) printf(" (%s)", rt_esc(truth));
    rt_json_object(&x->json, NULL);
    rt_json_str(&x->json, "file", name);
    if (truth) rt_json_str(&x->json, "truth", truth);
    rt_json_array(&x->json, "top");
    for (int i = 0; i < k && i < x->feed.classes; i++) {
        double p;
        int best = take_best(x->p, x->feed.classes, &p);
        if (x->as_text) printf("  %s %.1f%%", rt_esc(x->names[best]), 100 * p);
        rt_json_object(&x->json, NULL);
        rt_json_str(&x->json, "class", x->names[best]);
        rt_json_num(&x->json, "probability", p);
        rt_json_end_object(&x->json);
    }
    rt_json_end_array(&x->json);
    rt_json_end_object(&x->json);
    if (x->as_text) putchar('\n');
}

/* path: NULL: an item of the data set, whose class is `truth`, if that is known. */
static void show(Predict *x, const char *name, const char *path, const char *truth)
{
    rt_feed_put(&x->feed, x->chw, NULL, 1);
    rt_feed_run(&x->feed);
    if (x->pictures)
        x->pictures->show(x, name, path);
    else
        show_classes(x, name, truth);
}

static void predict_file(Predict *x, const char *path)
{
    RtError e;
    if (rt_data_image(&x->config, path, x->chw, &e)) {
        show(x, path, path, NULL);
        return;
    }
    rt_warn(e.id, "%s", e.text);
    x->failed++;
}

/* -> images found */
static int predict_dir(Predict *x, const char *path, int depth)
{
    RtList list;
    RtError e;
    int found = 0;
    if (depth > DEEPEST) rt_fail(RT_EXIT_DATA, "D022", "directory loop at '%s'", rt_esc(path));
    if (!rt_list_dir(path, path, &list, &e)) rt_fail(e.exit, e.id, "%s", e.text);
    for (int64_t i = 0; i < list.n; i++) {
        char *file = rt_format("%s/%s", path, list.name[i]);
        if (rt_is_dir(file)) {
            found += predict_dir(x, file, depth + 1);
        } else if (rt_is_image_name(file)) {
            predict_file(x, file);
            found++;
        }
        free(file);
    }
    rt_list_free(&list);
    if (!found && !depth) rt_fail(RT_EXIT_DATA, "D001", "no images found under '%s'", rt_esc(path));
    return found;
}

static void predict_item(Predict *x, int64_t i)
{
    const char *s = rt_option_str(&x->s.opt, "run.split", "test");
    enum RtSplit split = rt_session_split(&x->s);
    RtData *d = rt_session_data(&x->s);
    RtError e;
    int32_t *label = rt_alloc((size_t)rt_data_label_size(d), sizeof *label, "labels");
    if (i >= rt_data_count(d, split)) {
        rt_fail(RT_EXIT_USAGE, "C002", "--idx: %s has %lld items", s,
                (long long)rt_data_count(d, split));
    }
    if (!rt_data_batch(d, split, &i, 1, false, 0, 0, x->chw, label, &e))
        rt_fail(e.exit, e.id, "%s", e.text);
    bool known = x->names && *label >= 0 && *label < x->feed.classes;
    show(x, rt_data_item_name(d, split, i), NULL, known ? x->names[*label] : NULL);
    free(label);
    rt_data_close(d);
}

static void open_predict(Predict *x, const RtVerb *v)
{
    rt_session_open(&x->s, v, RT_VERB_PREDICT);
    RtSt *weights = rt_session_weights(&x->s);
    bool single = rt_model_program(v->model, x->s.device->kind, RT_INFER, x->s.variant, 1) != NULL;
    rt_feed_init(&x->feed, rt_session_exec(&x->s, RT_INFER, single ? 1 : 0), &x->s.opt);
    x->pictures = rt_part("train.target", rt_option_str(&x->s.opt, "train.target", "label"), NULL);
    if (!x->feed.classes && !x->pictures)
        rt_fail(RT_EXIT_USAGE, "C003", "this model does not classify\n`run` gives its raw output");
    rt_exec_without_loss(x->feed.exec);
    rt_exec_prepare(x->feed.exec);
    rt_session_data_config(&x->s, &x->config);
    if (x->feed.classes) x->names = rt_classes(weights, x->feed.classes);
    x->chw = rt_alloc((size_t)x->feed.input_size, sizeof *x->chw, "an image");
    x->p = rt_alloc((size_t)x->feed.classes + 1, sizeof *x->p, "probabilities");
    const char *json = rt_option_str(&x->s.opt, "run.json", NULL);
    x->as_json = json != NULL;
    x->as_text = !json || strcmp(json, "-") != 0;
    rt_json_begin(&x->json, true);
    rt_json_array(&x->json, "predictions");
    rt_st_free(weights);
    if (x->pictures) x->pictures->open(x);
}

static void close_predict(Predict *x)
{
    rt_json_end_array(&x->json);
    rt_json_int(&x->json, "failed", x->failed);
    if (x->pictures) x->pictures->close(x);
    if (x->as_json)
        rt_json_save(&x->json, rt_option_str(&x->s.opt, "run.json", "-"));
    else
        rt_json_free(&x->json);
    if (x->names) rt_classes_free(x->names);
    free((void *)(uintptr_t)x->config.classes);
    free(x->chw);
    free(x->p);
    rt_exec_free(x->feed.exec);
    rt_feed_free(&x->feed);
    rt_session_close(&x->s);
}

int rt_verb_predict(const RtVerb *v)
{
    Predict x = {0};
    open_predict(&x, v);
    int64_t item = rt_option_int(&x.s.opt, "run.idx", -1);
    if (x.s.opt.nrest == 0 && item < 0) {
        rt_fail(RT_EXIT_USAGE, "C001", "nothing to predict: give image files, folders, or --idx N");
    }
    if (item >= 0) predict_item(&x, item);
    for (int i = 0; i < x.s.opt.nrest; i++) {
        const char *path = x.s.opt.rest[i];
        if (rt_is_dir(path))
            predict_dir(&x, path, 0);
        else
            predict_file(&x, path);
    }
    close_predict(&x);
    return x.failed ? RT_EXIT_DATA : RT_EXIT_OK;
}
