/* Checkpoints of a training run.
 *
 * In: RtTrain and the state. Out: weights/last, weights/best (weights for users), optim
 * (everything). Rule: a resumed run goes on bit for bit. So the position within the epoch, the sums
 * of the epoch, the best value and the history are saved with the moments, doubles in hexadecimal;
 * and settings that would change the numbers are refused (C006). No checkpoint holds a NaN (N001).
 */
#include "ckpt.h"
#include "ema.h"
#include "err.h"
#include "file.h"
#include "model.h"
#include "train.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const rt_monitor_name[RT_NMONITORS] = {"val/loss",     "val/accuracy",    "train/loss", "train/accuracy",
                                                   "val/f1_macro", "val/f1_weighted", "val/iou"};

enum { MAX_META = 48 };

typedef struct Meta {
    int n;
    RtPair pair[MAX_META];
} Meta;

static void add(Meta *m, const char *key, char *value)
{
    m->pair[m->n++] = (RtPair){(char *)(uintptr_t)key, value};
}

static void add_int(Meta *m, const char *key, int64_t v)
{
    add(m, key, rt_format("%lld", (long long)v));
}

static void add_real(Meta *m, const char *key, double v)
{
    add(m, key, rt_format("%a", v));
}

static void free_meta(Meta *m)
{
    for (int i = 0; i < m->n; i++) free(m->pair[i].value);
}

static const char *precision_text(const RtModel *m)
{
    const char *p = rt_model_option(m, "model.precision", NULL);
    return p ? p : "fp32";
}

static const char *optimizer_text(const RtModel *m)
{
    return m->optimizer ? RT_STR(m, m->optimizer) : "";
}

static void common_meta(const RtTrain *t, Meta *m)
{
    const RtModel *model = t->s->model;
    add(m, "format", rt_strdup("pt"));
    add(m, "model", rt_strdup(RT_STR(model, model->name)));
    add(m, "spec_hash", rt_strdup(RT_STR(model, model->spec_hash)));
    add(m, "classes", rt_strdup(t->classes));
    add_int(m, "step", t->step);
    add_int(m, "epoch", t->epoch);
}

/* Run-time values that must be the same to go on, and what they are where nobody says. */
static const struct {
    const char *name, *key, *otherwise;
} settings[] = {{"l2", "train.l2.lambda", "0"}, {"accumulate", "train.accumulate", "1"}, {"ema", "train.ema", "0"}};
enum { NSETTINGS = sizeof settings / sizeof *settings };

static char *setting_text(const RtTrain *t, int i)
{
    return rt_format("%g", strtod(rt_option_str(&t->s->opt, settings[i].key, settings[i].otherwise), NULL));
}

static char *plateau_text(const RtPlateau *p)
{
    return rt_format("%a %a %lld %lld", p->lr, p->best, (long long)p->bad, (long long)p->cooldown);
}

static void resume_meta(const RtTrain *t, Meta *m)
{
    add_int(m, "batch", t->batch);
    add_int(m, "batch_size", t->train.batch);
    add_int(m, "seed", (int64_t)t->seed);
    add_int(m, "items", t->items);
    add(m, "optimizer", rt_strdup(optimizer_text(t->s->model)));
    add(m, "precision", rt_strdup(precision_text(t->s->model)));
    add_real(m, "lr", t->schedule.base);
    add(m, "schedule", rt_schedule_text(&t->schedule, &t->s->opt));
    add(m, "plateau", plateau_text(&t->schedule.plateau));
    for (int i = 0; i < NSETTINGS; i++) add(m, settings[i].name, setting_text(t, i));
    add_real(m, "loss_sum", t->loss_sum);
    add_int(m, "seen", t->seen);
    add_int(m, "labelled", t->labelled);
    add_int(m, "correct", t->correct);
    add(m, "monitor", rt_strdup(rt_monitor_name[t->monitor]));
    for (int i = 0; i < RT_NMONITORS; i++) add_real(m, rt_monitor_name[i], t->value[i]);
    add_real(m, "best", t->best);
    add_int(m, "best_epoch", t->best_epoch);
    add_int(m, "waited", t->waited);
    add(m, "history", rt_strdup(t->history ? t->history : ""));
}

static void save(const RtTrain *t, unsigned roles, const char *name, const Meta *m,
                 const char *kept)
{
    char *path = rt_rundir_file(&t->dir, name);
    rt_ckpt_save(t->s->state, roles, path, m->pair, m->n, kept);
    free(path);
}

static const char newest[] = "optim.safetensors", previous[] = "optim.previous.safetensors";

static void keep_previous(const RtTrain *t)
{
    char *path = rt_rundir_file(&t->dir, newest), *other = rt_rundir_file(&t->dir, previous);
    rt_file_keep(path, other);
    free(path);
    free(other);
}

void rt_train_save(RtTrain *t, bool best)
{
    Meta m = {0};
    if (rt_ckpt_nonfinite(t->s->state)) rt_train_nonfinite(t, NAN);
    char *kept = t->saved_step < 0 ? NULL : rt_format("step %lld kept", (long long)t->saved_step);
    common_meta(t, &m);
    rt_ema_swap(t->s->state); /* users get the averages; the checkpoint has both */
    if (best) save(t, RT_WEIGHTS, "weights/best.safetensors", &m, kept);
    save(t, RT_WEIGHTS, "weights/last.safetensors", &m, kept);
    rt_ema_swap(t->s->state);
    resume_meta(t, &m);
    if (!t->newest_bad) keep_previous(t);
    save(t, RT_EVERYTHING, newest, &m, kept);
    t->newest_bad = false;
    free_meta(&m);
    free(kept);
    if (t->history) {
        char *path = rt_rundir_file(&t->dir, "metrics.jsonl");
        rt_file_save(path, t->history, t->history_len, NULL);
        free(path);
    }
    t->saved_step = t->step;
}

/* ---- reading ---- */

static const char *need(const RtSt *f, const char *key)
{
    const char *v = rt_st_meta(f, key);
    if (!v) {
        rt_fail(RT_EXIT_DATA, "W010",
                "'%s' is no checkpoint of a training run: it has no '%s'\nfor weights alone, use "
                "--weights",
                rt_esc(f->name), key);
    }
    return v;
}

static int64_t need_int(const RtSt *f, const char *key)
{
    return (int64_t)strtoll(need(f, key), NULL, 10);
}

static double need_real(const RtSt *f, const char *key)
{
    return strtod(need(f, key), NULL);
}

static void same(const RtTrain *t, const char *what, const char *now, const char *then)
{
    if (!strcmp(now, then)) return;
    if (rt_option_bool(&t->s->opt, "run.allow_drift", false)) {
        rt_warn("C006", "%s %s differs from checkpoint %s: not an exact resume", what, rt_esc(now),
                rt_esc(then));
        return;
    }
    rt_fail(RT_EXIT_USAGE, "C006",
            "%s %s differs from checkpoint %s: resume would not be exact (--allow-drift)", what,
            rt_esc(now), rt_esc(then));
}

static void same_int(const RtTrain *t, const char *what, int64_t now, int64_t then)
{
    char a[24], b[24];
    snprintf(a, sizeof a, "%lld", (long long)now);
    snprintf(b, sizeof b, "%lld", (long long)then);
    same(t, what, a, b);
}

static void check_settings(const RtTrain *t, const RtSt *f)
{
    const char *hash = RT_STR(t->s->model, t->s->model->spec_hash);
    if (strcmp(hash, need(f, "spec_hash")) != 0) {
        rt_fail(RT_EXIT_DATA, "W010", "'%s' was made by spec %s, this is %s", rt_esc(f->name),
                rt_esc(need(f, "spec_hash")), hash);
    }
    same_int(t, "--batch", t->train.batch, need_int(f, "batch_size"));
    same_int(t, "--seed", (int64_t)t->seed, need_int(f, "seed"));
    same_int(t, "number of training items", t->items, need_int(f, "items"));
    same(t, "optimizer", optimizer_text(t->s->model), need(f, "optimizer"));
    const char *then_stored = rt_st_meta(f, "precision");
    same(t, "precision", precision_text(t->s->model), then_stored ? then_stored : "fp32");
    same(t, "monitor", rt_monitor_name[t->monitor], need(f, "monitor"));
    char now[40], then[40];
    snprintf(now, sizeof now, "%g", t->schedule.base);
    snprintf(then, sizeof then, "%g", need_real(f, "lr"));
    same(t, "--lr", now, then);
    char *schedule = rt_schedule_text(&t->schedule, &t->s->opt);
    same(t, "--schedule", schedule, need(f, "schedule"));
    free(schedule);
    for (int i = 0; i < NSETTINGS; i++) {
        char *value = setting_text(t, i);
        const char *before = rt_st_meta(f, settings[i].name);
        same(t, settings[i].name, value, before ? before : settings[i].otherwise);
        free(value);
    }
}

static void read_plateau(RtPlateau *p, const RtSt *f)
{
    long long bad, cooldown;
    if (sscanf(need(f, "plateau"), "%la %la %lld %lld", &p->lr, &p->best, &bad, &cooldown) != 4)
        rt_fail(RT_EXIT_DATA, "W010", "'%s': 'plateau' is damaged", rt_esc(f->name));
    p->bad = bad;
    p->cooldown = cooldown;
}

/* A checkpoint of ours, which has a checksum; NULL: e says why. */
static RtSt *open_sealed(const char *path, RtError *e)
{
    RtSt *f = rt_st_read(path, e);
    if (!f || rt_st_meta(f, RT_ST_SHA)) return f;
    *e = (RtError){.exit = RT_EXIT_DATA, .id = "W011"};
    snprintf(e->text, sizeof e->text, "'%s' has no checksum: the file is damaged", rt_esc(path));
    rt_st_free(f);
    return NULL;
}

/* The newest checkpoint of the run's folder that is whole; NULL: there is none. */
static RtSt *open_newest(RtTrain *t)
{
    RtError e, other;
    char *path = rt_rundir_file(&t->dir, newest), *before = rt_rundir_file(&t->dir, previous);
    bool begin = access(path, F_OK) != 0 && access(before, F_OK) != 0;
    RtSt *f = begin ? NULL : open_sealed(path, &e);
    if (!f && !begin) {
        f = open_sealed(before, &other);
        if (!f) rt_fail(e.exit, e.id, "%s", e.text);
        rt_warn("W011", "%s; using step %s", e.text, rt_esc(need(f, "step")));
        t->newest_bad = true;
    }
    free(path);
    free(before);
    return f;
}

bool rt_train_resume(RtTrain *t, const char *resume)
{
    RtSt *f = strcmp(resume, "auto") ? rt_st_open(resume) : open_newest(t);
    if (!f) return false;
    check_settings(t, f);
    rt_ckpt_load(t->s->state, RT_EVERYTHING, f, NULL);
    t->epoch = need_int(f, "epoch");
    t->batch = need_int(f, "batch");
    t->step = t->saved_step = need_int(f, "step");
    t->loss_sum = need_real(f, "loss_sum");
    t->seen = need_int(f, "seen");
    t->labelled = need_int(f, "labelled");
    t->correct = need_int(f, "correct");
    for (int i = 0; i < RT_NMONITORS; i++) {
        const char *v = rt_st_meta(f, rt_monitor_name[i]);
        t->value[i] = v ? strtod(v, NULL) : NAN;
    }
    t->best = need_real(f, "best");
    read_plateau(&t->schedule.plateau, f);
    t->best_epoch = need_int(f, "best_epoch");
    t->waited = need_int(f, "waited");
    t->history = rt_strdup(need(f, "history"));
    t->history_len = strlen(t->history);
    if (t->epoch < 0 || t->batch < 0 || t->batch > t->batches || t->step < 0) {
        rt_fail(RT_EXIT_DATA, "W010", "'%s': batch %lld of epoch %lld does not exist",
                rt_esc(f->name), (long long)t->batch, (long long)t->epoch + 1);
    }
    rt_st_free(f);
    return true;
}

void rt_train_rewind(RtTrain *t)
{
    free(t->history);
    t->history = NULL;
    const char *from = rt_option_str(&t->s->opt, "run.resume", "auto");
    if (t->saved_step >= 0 && (rt_train_resume(t, "auto") || rt_train_resume(t, from))) return;
    t->epoch = t->batch = t->step = t->seen = t->labelled = t->correct = 0;
    t->loss_sum = 0;
    rt_session_begin_again(t->s);
}

void rt_train_restore_best(RtTrain *t)
{
    Meta m = {0};
    char *path = rt_rundir_file(&t->dir, "weights/best.safetensors");
    RtSt *f = rt_st_open(path);
    rt_ckpt_load(t->s->state, RT_WEIGHTS, f, NULL);
    for (int i = 0; i < f->nmeta; i++) add(&m, f->meta[i].key, rt_strdup(f->meta[i].value));
    save(t, RT_WEIGHTS, "weights/last.safetensors", &m, NULL);
    free_meta(&m);
    rt_st_free(f);
    free(path);
}
