/* eval: one split through the inference program; loss, confusion matrix and what follows from it, predictions.csv. */
#include "classes.h"
#include "err.h"
#include "feed.h"
#include "gather.h"
#include "json.h"
#include "metrics.h"
#include "model.h"
#include "progress.h"
#include "session.h"
#include "verbs.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Eval {
    RtSession s;
    RtFeed feed;
    RtScore score;
    RtMetrics m; /* if there is a confusion matrix */
    const char *const *names;
    RtGather *gather;
} Eval;

static void on_progress(int64_t done)
{
    rt_progress_step(done, NAN, NAN);
}

static const char *split_name(const Eval *x)
{
    return rt_option_str(&x->s.opt, "run.split", "test");
}

static void print_head(const Eval *x, bool pixels)
{
    const RtScore *s = &x->score;
    printf("%s: %lld items", split_name(x), (long long)s->n);
    if (!isnan(s->loss)) printf(", loss %.4f%s", s->loss, rt_feed_in_bits(&x->feed) ? " bits" : "");
    if (!isnan(s->accuracy)) printf(", %s %.2f%%", pixels ? "pixel accuracy" : "accuracy", 100 * s->accuracy);
    if (s->confusion && pixels)
        printf(", mean IoU %.4f, mean Dice %.4f (over %d classes)", x->m.iou_macro, x->m.f1_macro, x->m.n - x->m.absent);
    else if (s->confusion)
        printf(", F1 %.4f weighted, %.4f macro", x->m.f1_weighted, x->m.f1_macro);
    putchar('\n');
}

static void print_score(const Eval *x)
{
    bool pixels = x->feed.label_size > 1;
    print_head(x, pixels);
    rt_gather_print(x->gather, stdout);
    if (!x->score.confusion) return;
    putchar('\n');
    rt_metrics_print(stdout, &x->m, x->names, pixels);
    putchar('\n');
    rt_confusion_print(stdout, x->score.confusion, x->names);
    putchar('\n');
    rt_pairs_print(stdout, x->score.confusion, x->names);
}

static void write_json(const Eval *x, const char *weights)
{
    RtJson j;
    rt_json_begin(&j, true);
    rt_json_str(&j, "model", RT_STR(x->s.model, x->s.model->name));
    rt_json_str(&j, "weights", weights);
    rt_json_str(&j, "split", split_name(x));
    rt_json_int(&j, "items", x->score.n);
    rt_json_num(&j, "loss", x->score.loss);
    if (rt_feed_in_bits(&x->feed)) rt_json_str(&j, "loss_unit", "bits");
    if (x->score.confusion) {
        rt_json_members(&j);
        rt_metrics_json(j.f, x->score.confusion, &x->m, x->names);
    }
    rt_gather_json(x->gather, &j);
    rt_json_save(&j, rt_option_str(&x->s.opt, "run.json", "-"));
}

/* The run's folder that these weights lie in: DIR of DIR/weights/F; NULL: none. */
static char *run_of(const char *weights)
{
    char *dir = rt_strdup(weights), *slash = strrchr(dir, '/');
    if (slash) *slash = 0;
    size_t n = strlen(dir);
    bool inside = slash && n > 8 && !strcmp(dir + n - 8, "/weights");
    if (inside) dir[n - 8] = 0;
    char *args = rt_format("%s/args.yaml", dir);
    inside = inside && access(args, F_OK) == 0;
    free(args);
    if (inside) return dir;
    free(dir);
    return NULL;
}

static void report(Eval *x, const char *weights, const char *dir)
{
    const char *json = rt_option_str(&x->s.opt, "run.json", NULL);
    if (x->score.confusion && !rt_metrics(x->score.confusion, &x->m)) {
        rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the metrics");
    }
    if (json) write_json(x, weights);
    if (!json || strcmp(json, "-") != 0) print_score(x);
    char *csv = dir ? rt_format("%s/predictions.csv", dir) : NULL;
    if (csv) rt_gather_save_csv(x->gather, csv);
    free(csv);
    if (x->score.confusion) rt_metrics_free(&x->m);
}

int rt_verb_eval(const RtVerb *v)
{
    Eval x = {0};
    rt_session_open(&x.s, v, RT_VERB_EVAL);
    enum RtSplit split = rt_session_split(&x.s);
    RtSt *weights = rt_session_weights(&x.s);
    RtData *d = rt_session_data(&x.s);
    if (rt_data_count(d, split) == 0) rt_fail(RT_EXIT_DATA, "D001", "the data has no %s split", split_name(&x));
    rt_feed_init(&x.feed, rt_session_exec(&x.s, RT_INFER, 0), &x.s.opt);
    rt_feed_check(&x.feed, d);
    char **names = rt_classes(weights, x.feed.classes), *dir = run_of(weights->name);
    x.names = (const char *const *)names;
    x.gather = rt_gather_new(&x.feed, &x.s, d, split, x.names, dir != NULL);
    rt_exec_prepare(x.feed.exec);
    rt_progress_begin("evaluating", rt_data_count(d, split), 0);
    rt_score(&x.feed, d, split, &x.score, &(RtWatch){on_progress, rt_gather_item, x.gather});
    rt_progress_end();
    report(&x, weights->name, dir);
    rt_gather_free(x.gather);
    rt_classes_free(names);
    free(dir);
    rt_score_free(&x.score);
    rt_exec_free(x.feed.exec);
    rt_feed_free(&x.feed);
    rt_data_close(d);
    rt_st_free(weights);
    rt_session_close(&x.s);
    return RT_EXIT_OK;
}
