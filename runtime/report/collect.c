/* The end of a training run, told for its report.
 *
 * In: a finished run. Out: RUN/report.json, and from it, as `sinter report RUN` would, RUN/report.html.
 * Rule: the numbers are those of the best weights. Every section is a row of the table below. */
#include "collect.h"
#include "../ckpt.h"
#include "../err.h"
#include "../model.h"
#include "../progress.h"
#include "report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void begin(RtTrain *t)
{
    rt_collect_first_weights(t);
}

static void load_best(RtTrain *t)
{
    char *path = rt_rundir_file(&t->dir, "weights/best.safetensors");
    if (t->best_epoch && access(path, R_OK) == 0) {
        RtSt *f = rt_st_open(path);
        rt_ckpt_load(t->s->state, RT_WEIGHTS, f, NULL);
        rt_st_free(f);
    }
    free(path);
}

static void collect_model(const RtCollect *x)
{
    const RtModel *m = x->t->s->model;
    const RtTensor *state = rt_model_states(m);
    const char *description = rt_model_option(m, "report.description", NULL);
    int64_t parameters = 0;
    for (uint32_t i = 0; i < m->nstates; i++)
        if (state[i].role == RT_PARAM) parameters += rt_tensor_count(&state[i]);
    rt_json_int(x->j, "version", 1);
    rt_json_str(x->j, "spec_file", RT_STR(m, m->spec_file));
    rt_json_int(x->j, "parameters", parameters);
    if (description) rt_json_str(x->j, "description", description);
    rt_json_str(x->j, "monitor", rt_monitor_name[x->t->monitor]);
    rt_json_int(x->j, "best_epoch", x->t->best_epoch);
    rt_json_int(x->j, "bad_images", rt_data_nbad(x->t->data));
    rt_json_array(x->j, "classes");
    for (int i = 0; i < rt_data_nclasses(x->t->data); i++) rt_json_str(x->j, NULL, rt_data_class_name(x->t->data, i));
    rt_json_end_array(x->j);
}

static const struct {
    const char *doing;
    void (*collect)(const RtCollect *x);
} rows[] = {
    {"model", collect_model},
    {"scores", rt_collect_scores},
    {"augmented samples", rt_collect_augmented},
    {"brightness", rt_collect_brightness},
    {"masks", rt_collect_pixels},
    {"t-SNE", rt_collect_tsne},
    {"weights", rt_collect_weights},
    {"kernels", rt_collect_programs}, /* the last: it trains a few steps */
};
enum { NROWS = sizeof rows / sizeof *rows };

static void open_collect(RtCollect *x, RtTrain *t, RtFeed *feed, RtJson *j)
{
    *x = (RtCollect){.t = t, .feed = feed, .j = j};
    rt_session_data_config(t->s, &x->config);
    const RtTensor *in = rt_exec_tensor(feed->exec, "input");
    if (in->rank != 4) return;
    x->c = (int)in->dim[1];
    x->h = (int)in->dim[2];
    x->w = (int)in->dim[3];
}

static void write_report(RtTrain *t)
{
    RtRun *r = rt_run_read(t->dir.path);
    rt_report_write(r);
    rt_run_free(r);
}

static void end(RtTrain *t)
{
    RtFeed feed;
    RtJson j;
    RtCollect x;
    load_best(t);
    rt_feed_init(&feed, rt_session_exec(t->s, RT_INFER, 0), &t->s->opt);
    rt_exec_prepare(feed.exec);
    rt_json_begin(&j, false);
    open_collect(&x, t, &feed, &j);
    rt_progress_begin("report", NROWS, 0);
    for (int i = 0; i < NROWS; i++) {
        rows[i].collect(&x);
        rt_progress_step(i + 1, NAN, NAN);
    }
    rt_progress_end();
    char *path = rt_rundir_file(&t->dir, "report.json");
    rt_json_save(&j, path);
    free(path);
    free((void *)(uintptr_t)x.config.classes);
    rt_exec_free(feed.exec);
    rt_feed_free(&feed);
    write_report(t);
}

const RtReporter rt_part_report = {begin, end};
