/* train: epochs of shuffled batches, validation, checkpoints.
 *
 * In: a training program, data, options. Out: a run's folder (rundir.h) and a summary.
 * Rule: everything that decides a number is a function of (seed, epoch, batch, step); the clock
 * decides nothing. A step allocates nothing. Batches are whole: items that do not fill one wait for
 * the next epoch's order. Not here: the format of checkpoints (resume.c). */
#include "train.h"
#include "ckpt.h"
#include "ema.h"
#include "err.h"
#include "json.h"
#include "loss_scale.h"
#include "model.h"
#include "parts.h"
#include "progress.h"
#include "report/collect.h"
#include "scalars.h"
#include "verbs.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
    if (stop_signal) _exit(128 + sig);
    stop_signal = sig;
}

static void catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    stop_signal = 0;
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

/* ---- setting up ---- */

static char *class_list(const RtData *d)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the class names");
    for (int i = 0; i < rt_data_nclasses(d); i++) {
        const char *name = rt_data_class_name(d, i);
        fputs(i ? ", " : "[", f);
        rt_json_quote(f, name, strlen(name));
    }
    fputs(rt_data_nclasses(d) ? "]" : "[]", f);
    fclose(f);
    return text;
}

/* The more the better. */
static bool is_share(RtMonitor m)
{
    return m != RT_VAL_LOSS && m != RT_TRAIN_LOSS;
}

static RtMonitor pick_monitor(const RtTrain *t)
{
    bool val = t->val_items > 0, classes = t->train.classes > 0;
    const char *asked = rt_option_str(&t->s->opt, "train.early_stopping.monitor", NULL);
    RtMonitor m = val ? (classes ? RT_VAL_ACCURACY : RT_VAL_LOSS) : RT_TRAIN_LOSS;
    for (int i = 0; asked && i < RT_NMONITORS; i++) {
        if (!strcmp(asked, rt_monitor_name[i])) m = (RtMonitor)i;
    }
    const char *why = NULL;
    if (!val && !strncmp(rt_monitor_name[m], "val/", 4)) why = "the data has no val split";
    if (!classes && is_share(m)) why = "the model does not classify";
    if (m == RT_VAL_IOU && t->train.label_size == 1) why = "the model does not classify pixels";
    if (why) rt_fail(RT_EXIT_USAGE, "C003", "%s cannot be monitored: %s", rt_monitor_name[m], why);
    return m;
}

static void open_schedule(RtTrain *t)
{
    const RtOptions *o = &t->s->opt;
    double lr = rt_option_num(o, "train.lr", rt_scalars_get(t->s->state, "lr", 0));
    rt_schedule_init(&t->schedule, o, lr, rt_option_int(o, "train.epochs", 10), t->batches);
    if (t->schedule.kind == RT_PLATEAU && t->schedule.maximize && !t->train.classes) {
        rt_fail(RT_EXIT_USAGE, "C003",
                "ReduceLROnPlateau(mode=max) watches the accuracy; this model does not classify");
    }
}

/* What a plateau is a plateau of: of the validation, if there is one. */
static double watched(const RtTrain *t)
{
    bool val = t->val_items > 0;
    if (t->schedule.maximize) return t->value[val ? RT_VAL_ACCURACY : RT_TRAIN_ACCURACY];
    return t->value[val ? RT_VAL_LOSS : RT_TRAIN_LOSS];
}

static bool rate_changes(const RtTrain *t)
{
    return t->schedule.kind != RT_CONSTANT || t->schedule.warmup;
}

/* What the loss holds besides the description's losses, in full: there is more than one custom. */
static void say_penalty(const RtTrain *t)
{
    const RtOptions *o = &t->s->opt;
    if (rt_feed_in_bits(&t->train)) rt_progress_line("the loss is in bits (log_base=2), and so is its gradient");
    if (!rt_option_known(o, "train.l2.lambda")) return;
    const char *over = rt_option_str(o, "train.l2.over", "");
    bool half = !strcmp(rt_option_str(o, "train.l2.scale", "half"), "half");
    char by[48] = "";
    if (*over) snprintf(by, sizeof by, " / %lld (%s)", (long long)(*over == 'b' ? t->train.batch : t->items), over);
    rt_progress_line("the loss holds %g%s * the sum of all squared weights%s", rt_option_num(o, "train.l2.lambda", 0),
                     half ? " / 2" : "", by);
}

static void open_data(RtTrain *t)
{
    t->data = rt_session_data(t->s);
    rt_feed_check(&t->train, t->data);
    int64_t n = rt_data_count(t->data, RT_SPLIT_TRAIN), b = t->train.batch;
    if (n < b) rt_fail(RT_EXIT_DATA, "D026", "batch %lld > %lld items", (long long)b, (long long)n);
    t->batches = n / b;
    t->items = n;
    rt_scalars_set(t->s->state, "dataset_size", (double)n);
    t->val_items = rt_data_count(t->data, RT_SPLIT_VAL);
    if (n % b) {
        rt_progress_line("%lld items make %lld batches of %lld; the last %lld of each epoch's "
                         "order are left out",
                         (long long)n, (long long)t->batches, (long long)b, (long long)(n % b));
    }
    t->classes = class_list(t->data);
    say_penalty(t);
}

static void open_run(RtTrain *t, RtSession *s)
{
    memset(t, 0, sizeof *t);
    t->s = s;
    t->seed = (uint64_t)rt_option_int(&s->opt, "train.seed", 0);
    t->saved_step = -1;
    t->best = NAN;
    for (int i = 0; i < RT_NMONITORS; i++) t->value[i] = NAN;
    rt_feed_init(&t->train, rt_session_exec(s, RT_TRAIN, 0), &s->opt);
    if (!t->train.has_loss) rt_fail(RT_EXIT_BUG, "B001", "the training program has no loss");
    for (int i = 0; i < 2; i++) rt_batch_init(&t->at[i], &t->train);
    open_data(t);
    if (t->val_items) rt_feed_init(&t->infer, rt_session_exec(s, RT_INFER, 0), &s->opt);
    t->monitor = pick_monitor(t);
    open_schedule(t);
    const char *resume = rt_option_str(&s->opt, "run.resume", NULL);
    static const char *const first[][2] = {{"run.weights", "--weights"},
                                           {"weights.load", "--init"}};
    for (int i = 0; i < 2 && resume; i++) {
        if (rt_option_given(&s->opt, first[i][0]))
            rt_fail(RT_EXIT_USAGE, "C003", "--resume and %s cannot be used together", first[i][1]);
    }
    rt_rundir_open(&t->dir, s, resume != NULL);
    if (!resume || !rt_train_resume(t, resume)) rt_session_begin_weights(s);
    char *split = rt_rundir_file(&t->dir, "split.csv"), hash[65];
    RtError e;
    if (!rt_data_save_split(t->data, split, hash, &e)) rt_fail(e.exit, e.id, "%s", e.text);
    free(split);
    rt_rundir_describe(&t->dir, s, hash);
    t->events = rt_events_open(t->dir.path, t->step == 0, t->epoch + 1);
}

static void close_run(RtTrain *t)
{
    rt_exec_free(t->train.exec);
    rt_exec_free(t->infer.exec);
    rt_feed_free(&t->train);
    rt_feed_free(&t->infer);
    rt_data_close(t->data);
    rt_rundir_close(&t->dir);
    rt_events_close(t->events);
    for (int i = 0; i < 2; i++) rt_batch_free(&t->at[i]);
    free(t->history);
    free(t->classes);
}

/* Who writes the report; NULL: nobody was asked to. */
static const RtReporter *reporter(const RtTrain *t)
{
    bool wanted = rt_option_bool(&t->s->opt, "run.report", true);
    return wanted ? rt_part("report", "yes", NULL) : NULL;
}

/* ---- a step ---- */

/* A step on the batch that was put. A device may work on it while the next batch is read. */
void rt_train_begin_step(RtTrain *t)
{
    if (rate_changes(t))
        rt_scalars_set(t->s->state, "lr", rt_schedule_lr(&t->schedule, t->epoch, t->step));
    rt_scalars_step(t->s->state, &t->s->opt, ++t->step);
    rt_feed_start(&t->train);
}

static void end_step(RtTrain *t, const int32_t *labels)
{
    RtFeed *f = &t->train;
    rt_feed_fetch(f);
    double loss = rt_feed_loss(f);
    if (!isfinite(loss)) rt_train_nonfinite(t, loss);
    t->loss_sum += loss * f->batch;
    t->seen += f->batch;
    for (int i = 0; i < f->batch; i++)
        rt_feed_count(f, f->output + i * f->output_size, labels + i * f->label_size, NULL, &t->labelled, &t->correct);
    t->batch++;
    int64_t every = rt_option_int(&t->s->opt, "train.save_every", 0);
    if (every && t->step % every == 0 && t->batch < t->batches) rt_train_save(t, false);
}

/* ---- an epoch ---- */

static double ratio(double a, int64_t b)
{
    return b ? a / (double)b : NAN;
}

static bool must_stop(const RtTrain *t)
{
    int64_t most = rt_option_int(&t->s->opt, "train.max_steps", 0);
    return stop_signal || (most && t->step >= most);
}

RtLoader *rt_train_loader(RtTrain *t)
{
    int64_t *order = rt_alloc((size_t)t->items, sizeof *order, "the order");
    for (int64_t i = 0; i < t->items; i++) order[i] = i;
    if (rt_option_bool(&t->s->opt, "train.shuffle", true)) {
        rt_shuffle(order, t->items, t->seed, (uint64_t)t->epoch);
    }
    int64_t from = t->batch * t->train.batch, to = t->batches * t->train.batch;
    RtLoader *l = rt_loader_start(t->data, RT_SPLIT_TRAIN, order + from, to - from, t->train.batch,
                                  true, t->seed, (uint64_t)t->epoch, 2);
    if (!l) rt_fail(RT_EXIT_MEMORY, "E004", "cannot start the loader");
    free(order);
    return l;
}

/* The rest of the epoch; false: stopped before its end. */
static bool run_batches(RtTrain *t)
{
    RtError e;
    RtLoader *l = rt_train_loader(t);
    RtBatch *b = t->at;
    int now = 0, got = 1;
    if (!must_stop(t)) got = rt_feed_next(&t->train, l, &b[now], &e);
    for (; got == 1 && !must_stop(t); now = !now) {
        rt_train_begin_step(t);
        got = rt_feed_next(&t->train, l, &b[!now], &e);
        end_step(t, b[now].labels);
        rt_progress_step(t->batch * t->train.batch, ratio(t->loss_sum, t->seen),
                         t->train.classes ? ratio((double)t->correct, t->labelled) : NAN);
    }
    rt_loader_stop(l);
    if (got < 0) rt_fail(e.exit, e.id, "%s", e.text);
    return t->batch == t->batches;
}

static void score_progress(int64_t done)
{
    rt_progress_step(done, NAN, NAN);
}

static void validate(RtTrain *t)
{
    RtScore score;
    if (!t->infer.exec) return;
    rt_progress_begin("validating", t->val_items, 0);
    rt_ema_swap(t->s->state);
    rt_exec_prepare(t->infer.exec);
    rt_score(&t->infer, t->data, RT_SPLIT_VAL, &score, &(RtWatch){.progress = score_progress});
    t->value[RT_VAL_LOSS] = score.loss;
    t->value[RT_VAL_ACCURACY] = score.accuracy;
    t->value[RT_VAL_F1_MACRO] = score.f1_macro;
    t->value[RT_VAL_F1_WEIGHTED] = score.f1_weighted;
    t->value[RT_VAL_IOU] = t->infer.label_size > 1 ? score.iou : NAN;
    rt_score_free(&score);
    rt_ema_swap(t->s->state);
}

static bool is_best(RtTrain *t)
{
    double v = t->value[t->monitor];
    double least = rt_option_num(&t->s->opt, "train.early_stopping.min_delta", 0);
    bool better = t->best_epoch == 0 || (is_share(t->monitor) ? v > t->best + least : v < t->best - least);
    t->waited = better ? 0 : t->waited + 1;
    if (!better) return false;
    t->best = v;
    t->best_epoch = t->epoch;
    return true;
}

static void add_history(RtTrain *t, double seconds, double rate)
{
    RtJson j;
    rt_json_begin(&j, false);
    rt_json_int(&j, "epoch", t->epoch);
    rt_json_int(&j, "step", t->step);
    for (int i = 0; i < RT_NMONITORS; i++) {
        if (!isnan(t->value[i])) rt_json_num(&j, rt_monitor_name[i], t->value[i]);
    }
    rt_json_num(&j, "lr", rt_scalars_get(t->s->state, "lr", NAN));
    rt_json_num(&j, "weight_norm2", rt_weight_norm2(t->s->state));
    RtLossScale scaling = rt_loss_scale(t->s->state);
    if (scaling.there) {
        rt_json_num(&j, "loss_scale", scaling.scale);
        rt_json_num(&j, "skipped_steps", scaling.skipped);
    }
    rt_json_num(&j, "seconds", seconds);
    rt_json_num(&j, "images_per_second", rate);
    char *all = rt_format("%s%s", t->history ? t->history : "", rt_json_text(&j));
    free(t->history);
    t->history = all;
    t->history_len = strlen(all);
    rt_json_free(&j);
}

static void add_events(const RtTrain *t)
{
    const char *name[RT_NMONITORS + 2];
    double value[RT_NMONITORS + 2];
    int n = 0;
    for (; n < RT_NMONITORS; n++) {
        name[n] = rt_monitor_name[n];
        value[n] = t->value[n];
    }
    name[n] = "lr";
    value[n++] = rt_scalars_get(t->s->state, "lr", NAN);
    name[n] = "weight_norm2";
    value[n++] = rt_weight_norm2(t->s->state);
    rt_events_scalars(t->events, t->epoch, name, value, n);
}

static void print_epoch(const RtTrain *t, int64_t epochs, double seconds, double rate, bool best)
{
    char line[256], time[16];
    const double *v = t->value;
    int n = snprintf(line, sizeof line, "epoch %lld/%lld  loss %.4f", (long long)t->epoch,
                     (long long)epochs, v[RT_TRAIN_LOSS]);
    if (!isnan(v[RT_TRAIN_ACCURACY]))
        n += snprintf(line + n, 32, "  acc %.2f%%", 100 * v[RT_TRAIN_ACCURACY]);
    if (!isnan(v[RT_VAL_LOSS])) n += snprintf(line + n, 32, "  val loss %.4f", v[RT_VAL_LOSS]);
    if (!isnan(v[RT_VAL_ACCURACY]))
        n += snprintf(line + n, 32, "  val acc %.2f%%", 100 * v[RT_VAL_ACCURACY]);
    if (!isnan(v[RT_VAL_IOU])) n += snprintf(line + n, 32, "  val IoU %.4f", v[RT_VAL_IOU]);
    if (rate_changes(t))
        n += snprintf(line + n, 32, "  lr %.4g", rt_scalars_get(t->s->state, "lr", NAN));
    RtLossScale scaling = rt_loss_scale(t->s->state);
    if (scaling.there) n += snprintf(line + n, 32, "  scale %.6g", scaling.scale);
    if (scaling.skipped > 0) snprintf(line + n, 32, "  %.0f steps left out", scaling.skipped);
    rt_progress_line("%s  %.0f img/s  %s%s", line, rate, rt_duration(seconds, time),
                     best ? "  best" : "");
}

static void finish_epoch(RtTrain *t, int64_t epochs, double begin, int64_t ran)
{
    double spent = rt_now() - begin, rate = spent > 0 ? (double)(ran * t->train.batch) / spent : 0;
    t->value[RT_TRAIN_LOSS] = ratio(t->loss_sum, t->seen);
    t->value[RT_TRAIN_ACCURACY] = t->train.classes ? ratio((double)t->correct, t->labelled) : NAN;
    validate(t);
    t->epoch++;
    t->batch = t->seen = t->labelled = t->correct = 0;
    t->loss_sum = 0;
    bool best = is_best(t);
    rt_schedule_epoch(&t->schedule, watched(t));
    add_history(t, rt_now() - begin, rate);
    add_events(t);
    print_epoch(t, epochs, rt_now() - begin, rate, best);
    rt_train_save(t, best);
}

static bool out_of_patience(const RtTrain *t)
{
    int64_t patience = rt_option_int(&t->s->opt, "train.early_stopping.patience", 0);
    return patience && t->waited >= patience;
}

/* Runs epochs until the end or a reason to stop; returns how many batches it ran. */
static int64_t run_epochs(RtTrain *t, int64_t epochs)
{
    int64_t total = 0;
    while (t->epoch < epochs && !out_of_patience(t)) {
        char title[64];
        int64_t first = t->batch;
        double begin = rt_now();
        snprintf(title, sizeof title, "epoch %lld/%lld", (long long)t->epoch + 1,
                 (long long)epochs);
        rt_progress_begin(title, t->batches * t->train.batch, first * t->train.batch);
        bool whole = run_batches(t);
        total += t->batch - first;
        rt_progress_end();
        if (whole) finish_epoch(t, epochs, begin, t->batch - first);
        if (must_stop(t)) break;
    }
    return total;
}

/* ---- the end ---- */

static void stopped(RtTrain *t, int argc, char **argv)
{
    if (t->saved_step != t->step) rt_train_save(t, false);
    fprintf(stderr, "stopped after step %lld; go on with:\n ", (long long)t->step);
    bool resumes = false;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--max-steps"))
            i++;
        else if (strncmp(argv[i], "--max-steps=", 12) != 0 && strcmp(argv[i], "--force") != 0) {
            fprintf(stderr, " %s", rt_esc(argv[i]));
            resumes = resumes || !strncmp(argv[i], "--resume", 8);
        }
    }
    fputs(resumes ? "\n" : " --resume auto\n", stderr);
}

static void print_summary(const RtTrain *t, double seconds)
{
    char time[16];
    const RtModel *m = t->s->model;
    printf("%s: %lld epochs, %lld steps, this run %s\n", RT_STR(m, m->name), (long long)t->epoch,
           (long long)t->step, rt_duration(seconds, time));
    if (t->best_epoch) {
        bool share = is_share(t->monitor);
        printf(share ? "best %s %.2f%% in epoch %lld\n" : "best %s %.4f in epoch %lld\n",
               rt_monitor_name[t->monitor], share ? 100 * t->best : t->best,
               (long long)t->best_epoch);
    }
    printf("wrote %s: weights/best.safetensors, weights/last.safetensors, metrics.jsonl%s\n",
           rt_esc(t->dir.path), reporter(t) ? ", report.html" : "");
}

static void write_json(const RtTrain *t, const char *path, double seconds, int64_t ran)
{
    RtJson j;
    rt_json_begin(&j, true);
    rt_json_int(&j, "epochs", t->epoch);
    rt_json_int(&j, "steps", t->step);
    for (int i = 0; i < RT_NMONITORS; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s", rt_monitor_name[i]);
        *strchr(key, '/') = '_';
        rt_json_num(&j, key, t->value[i]);
    }
    rt_json_num(&j, "weight_norm2", rt_weight_norm2(t->s->state));
    rt_json_str(&j, "monitor", rt_monitor_name[t->monitor]);
    rt_json_num(&j, "best", t->best);
    rt_json_int(&j, "best_epoch", t->best_epoch);
    rt_json_num(&j, "seconds", seconds);
    rt_json_num(&j, "images_per_second",
                seconds > 0 ? (double)(ran * t->train.batch) / seconds : 0);
    rt_json_int(&j, "bad_images", rt_data_nbad(t->data));
    rt_json_str(&j, "output_dir", t->dir.path);
    rt_json_save(&j, path);
}

int rt_verb_train(const RtVerb *v)
{
    RtSession s;
    RtTrain t;
    rt_session_open(&s, v, RT_VERB_TRAIN);
    open_run(&t, &s);
    int64_t epochs = rt_option_int(&s.opt, "train.epochs", 10);
    const RtReporter *report = reporter(&t);
    if (report && t.step == 0) report->begin(&t);
    catch_signals();
    rt_exec_prepare(t.train.exec);
    double begin = rt_now();
    int64_t ran = run_epochs(&t, epochs);
    double seconds = rt_now() - begin;
    int code = stop_signal ? 128 + stop_signal : RT_EXIT_OK;
    bool done = t.epoch >= epochs || out_of_patience(&t);
    if (!done)
        stopped(&t, v->all_argc, v->all_argv);
    else if (rt_option_bool(&s.opt, "train.early_stopping.restore_best", false) && t.best_epoch) {
        rt_train_restore_best(&t);
    }
    const char *json = rt_option_str(&s.opt, "run.json", NULL);
    if (json) write_json(&t, json, seconds, ran);
    if (done && report) report->end(&t);
    if (done && !(json && !strcmp(json, "-"))) print_summary(&t, seconds);
    close_run(&t);
    rt_session_close(&s);
    return done ? RT_EXIT_OK : code;
}
