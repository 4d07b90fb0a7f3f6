/* eval: one split through the inference program; loss, accuracy, F1, confusion matrix. */
#include "classes.h"
#include "err.h"
#include "feed.h"
#include "json.h"
#include "metrics.h"
#include "model.h"
#include "progress.h"
#include "session.h"
#include "verbs.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static void on_progress(int64_t done)
{
    rt_progress_step(done, NAN, NAN);
}

static void print_score(const RtScore *s, const RtMetrics *m, const char *split,
                        const char *const *names)
{
    printf("%s: %lld items", split, (long long)s->n);
    if (!isnan(s->loss)) printf(", loss %.4f", s->loss);
    if (!isnan(s->accuracy)) printf(", accuracy %.2f%%", 100 * s->accuracy);
    if (s->confusion) printf(", F1 %.4f weighted, %.4f macro", m->f1_weighted, m->f1_macro);
    putchar('\n');
    if (!s->confusion) return;
    putchar('\n');
    rt_metrics_print(stdout, m, names);
    putchar('\n');
    rt_confusion_print(stdout, s->confusion, names);
}

static void write_json(const RtScore *s, const RtMetrics *m, const RtSession *x,
                       const char *weights, const char *const *names)
{
    RtJson j;
    rt_json_begin(&j, true);
    rt_json_str(&j, "model", RT_STR(x->model, x->model->name));
    rt_json_str(&j, "weights", weights);
    rt_json_str(&j, "split", rt_option_str(&x->opt, "run.split", "test"));
    rt_json_int(&j, "items", s->n);
    rt_json_num(&j, "loss", s->loss);
    if (s->confusion) {
        rt_json_members(&j);
        rt_metrics_json(j.f, s->confusion, m, names);
    }
    rt_json_save(&j, rt_option_str(&x->opt, "run.json", "-"));
}

static void report(const RtScore *score, const RtSession *s, const RtSt *weights)
{
    RtMetrics m = {0};
    char **names = rt_classes(weights, score->confusion ? score->confusion->n : 0);
    if (score->confusion && !rt_metrics(score->confusion, &m)) {
        rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the metrics");
    }
    const char *json = rt_option_str(&s->opt, "run.json", NULL);
    const char *const *shown = (const char *const *)names;
    if (json) write_json(score, &m, s, weights->name, shown);
    if (!json || strcmp(json, "-") != 0) {
        print_score(score, &m, rt_option_str(&s->opt, "run.split", "test"), shown);
    }
    if (score->confusion) rt_metrics_free(&m);
    rt_classes_free(names);
}

int rt_verb_eval(const RtVerb *v)
{
    RtSession s;
    RtFeed f;
    RtScore score;
    rt_session_open(&s, v, RT_VERB_EVAL);
    enum RtSplit split = rt_session_split(&s);
    RtSt *weights = rt_session_weights(&s);
    RtData *d = rt_session_data(&s);
    if (rt_data_count(d, split) == 0) {
        rt_fail(RT_EXIT_DATA, "D001", "the data has no %s split",
                rt_option_str(&s.opt, "run.split", "test"));
    }
    rt_feed_init(&f, rt_session_exec(&s, RT_INFER, 0), &s.opt);
    rt_exec_prepare(f.exec);
    rt_progress_begin("evaluating", rt_data_count(d, split), 0);
    rt_score(&f, d, split, &score, on_progress);
    rt_progress_end();
    report(&score, &s, weights);
    rt_score_free(&score);
    rt_exec_free(f.exec);
    rt_feed_free(&f);
    rt_data_close(d);
    rt_st_free(weights);
    rt_session_close(&s);
    return RT_EXIT_OK;
}
