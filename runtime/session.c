/* The common beginning of the verbs.
 *
 * In: argv. Out: a session, ready to run programs.
 * Rule: what can be refused is refused here, before anything is written. */
#include "session.h"
#include "ckpt.h"
#include "err.h"
#include "init.h"
#include "model.h"
#include "progress.h"
#include "scalars.h"
#include "weights.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_batch(const RtSession *s)
{
    if (s->opt.verb == RT_VERB_BENCH || !rt_option_given(&s->opt, "train.batch_size")) return;
    uint32_t phase = s->opt.verb == RT_VERB_EVAL ? RT_INFER : RT_TRAIN;
    int64_t asked = rt_option_int(&s->opt, "train.batch_size", 0);
    const RtProgram *p = rt_model_programs(s->model);
    uint32_t built = 0;
    for (uint32_t i = 0; i < s->model->nprograms; i++, p++) {
        if (p->phase == phase && p->batch > built) built = p->batch;
    }
    if (asked == built) return;
    rt_fail(RT_EXIT_USAGE, "C002",
            "--batch: this program was built for batch %u, not %lld\nrebuild it: sinter build %s "
            "--batch %lld",
            built, (long long)asked, RT_STR(s->model, s->model->spec_file), (long long)asked);
}

void rt_session_open(RtSession *s, const RtVerb *v, unsigned verb)
{
    memset(s, 0, sizeof *s);
    s->model = v->model;
    s->kernels = v->kernels;
    rt_options_parse(&s->opt, v->model, verb, v->argc, v->argv);
    check_batch(s);
    s->variant =
        strcmp(rt_option_str(&s->opt, "run.variant", "fused"), "fused") ? RT_UNFUSED : RT_FUSED;
    bool many = verb == RT_VERB_BENCH; /* which makes its own, for each number of threads */
    s->pool = rt_pool_new(many ? 1 : (int)rt_option_int(&s->opt, "run.threads", rt_cpus()));
    s->device = rt_device_open(s->model, v->drivers, rt_option_str(&s->opt, "run.device", "auto"),
                               s->pool, s->kernels);
    s->state = rt_state_new(s->device, s->model);
    rt_init_state(s->state, (uint64_t)rt_option_int(&s->opt, "train.seed", 0));
    rt_scalars_start(s->state, &s->opt);
}

void rt_session_close(RtSession *s)
{
    rt_state_free(s->state);
    s->device->close(s->device);
    rt_pool_free(s->pool);
    rt_options_free(&s->opt);
}

RtExec *rt_session_exec(RtSession *s, uint32_t phase, uint32_t batch)
{
    const RtProgram *p = rt_model_program(s->model, s->device->kind, phase, s->variant, batch);
    if (!p && rt_option_given(&s->opt, "run.variant")) {
        rt_fail(RT_EXIT_USAGE, "C003", "this build has no such variant");
    }
    if (!p) p = rt_model_program(s->model, s->device->kind, phase, !s->variant, batch);
    if (!p) {
        rt_fail(RT_EXIT_USAGE, "C003", "this build has no %s program%s",
                phase == RT_TRAIN ? "training" : "inference",
                phase == RT_TRAIN ? "\nbuild it without --infer-only" : "");
    }
    return rt_exec_new(p, s->state);
}

char *rt_session_dir(const RtSession *s)
{
    const char *dir = rt_option_str(&s->opt, "run.dir", NULL);
    return dir ? rt_strdup(dir) : rt_format("runs/%s", RT_STR(s->model, s->model->name));
}

/* ---- weights ---- */

static RtSt *load(RtSession *s, const char *path, const char *fresh, bool report)
{
    RtFit fit = {strcmp(rt_option_str(&s->opt, "run.strict", "yes"), "yes") != 0, fresh};
    RtSt *f = rt_weights_open(path);
    RtFitted done = rt_ckpt_load(s->state, RT_WEIGHTS, f, &fit);
    if (report || done.missing.n + done.extra.n) {
        char *line = rt_ckpt_report(f, &done);
        rt_progress_line("%s", line);
        free(line);
    }
    return f;
}

/* The run's own weights, if it has some. */
static char *own_weights(const RtSession *s)
{
    char *dir = rt_session_dir(s), *path = NULL;
    for (int i = 0; i < 2 && !path; i++) {
        path = rt_format("%s/weights/%s.safetensors", dir, i ? "last" : "best");
        if (access(path, F_OK) == 0) continue;
        free(path);
        path = NULL;
    }
    free(dir);
    return path;
}

RtSt *rt_session_weights(RtSession *s)
{
    const char *given = rt_option_str(&s->opt, "run.weights", NULL);
    char *path = given ? rt_strdup(given) : own_weights(s);
    const char *first = rt_option_str(&s->opt, "weights.load", NULL);
    if (!path && first && !rt_option_known(&s->opt, "weights.reinit")) path = rt_strdup(first);
    if (!path) {
        rt_fail(RT_EXIT_DATA, "W001",
                "no weights in '%s/weights'\ntrain first, or give --weights F",
                rt_esc(rt_session_dir(s)));
    }
    RtSt *f = load(s, path, NULL, false);
    free(path);
    return f;
}

void rt_session_begin_weights(RtSession *s)
{
    const RtOptions *o = &s->opt;
    const char *given = rt_option_str(o, "run.weights", NULL),
               *first = rt_option_str(o, "weights.load", NULL),
               *fresh = rt_option_str(o, "weights.reinit", NULL);
    if (given && rt_option_given(o, "weights.load"))
        rt_fail(RT_EXIT_USAGE, "C003", "--weights and --init cannot be used together");
    if (fresh && !strcmp(fresh, "none")) fresh = NULL;
    if (given)
        rt_st_free(load(s, given, NULL, o->verb == RT_VERB_TRAIN));
    else if (first)
        rt_st_free(load(s, first, fresh, true));
}

void rt_session_begin_again(RtSession *s)
{
    rt_state_reset(s->state);
    rt_init_state(s->state, (uint64_t)rt_option_int(&s->opt, "train.seed", 0));
    rt_session_begin_weights(s);
}

/* ---- data ---- */

/* One number a channel; a single number stands for all of them. */
static void channel_values(const RtOptions *o, const char *key, int channels, double *out)
{
    const char *text = rt_option_str(o, key, NULL);
    if (!text) return;
    int n;
    char **word = rt_option_list(text, &n);
    if (n != 1 && n != channels) {
        rt_fail(RT_EXIT_SPEC, "S014", "%s has %d values, the input has %d channels", key, n,
                channels);
    }
    for (int i = 0; i < channels; i++) out[i] = strtod(word[n == 1 ? 0 : i], NULL);
    free(word);
}

static int output_classes(const RtModel *m, const RtOptions *o)
{
    const RtProgram *p = rt_model_programs(m);
    const RtTensor *t = m->nprograms ? rt_program_tensor(m, p, "output") : NULL;
    bool masks = !strcmp(rt_option_str(o, "train.target", "label"), "mask");
    if (!t || t->rank != (masks ? 4 : 2) || !m->loss) return 0;
    return t->dim[1] == 1 ? 2 : (int)t->dim[1];
}

void rt_session_data_config(RtSession *s, RtDataConfig *c)
{
    const RtOptions *o = &s->opt;
    const RtTensor *in = rt_program_tensor(s->model, rt_model_programs(s->model), "input");
    rt_data_config_init(c);
    if (!in || in->rank != 4 || in->dim[1] > RT_DATA_MAX_CHANNELS) {
        rt_fail(RT_EXIT_SPEC, "H001", "the model's input is no image [C,H,W] of 1..4 channels");
    }
    c->channels = (int)in->dim[1];
    c->height = (int)in->dim[2];
    c->width = (int)in->dim[3];
    c->format = rt_option_str(o, "data.format", NULL);
    c->root = rt_option_str(o, "data.root", NULL);
    c->split_file = rt_option_str(o, "data.split.file", NULL);
    c->train = rt_option_num(o, "data.split.train", 0);
    c->val = rt_option_num(o, "data.split.val", 0);
    c->test = rt_option_num(o, "data.split.test", 0);
    c->stratify = rt_option_bool(o, "data.split.stratify", true);
    c->seed = (uint64_t)rt_option_int(o, "data.split.seed", 0);
    c->limit = rt_option_int(o, "data.limit", 0);
    c->max_bad = rt_option_int(o, "data.max_bad", 0);
    c->convert_channels = !strcmp(rt_option_str(o, "data.channels", "strict"), "convert");
    c->train_transforms = rt_option_str(o, "data.transforms.train", NULL);
    c->eval_transforms = rt_option_str(o, "data.transforms.eval", NULL);
    c->cache = (uint64_t)rt_option_int(o, "data.cache", 1024) << 20;
    c->batch_transforms = rt_option_str(o, "data.transforms.batch", NULL);
    int threads = (int)rt_option_int(o, "run.threads", rt_cpus());
    c->workers = (int)rt_option_int(o, "data.workers", threads > 2 ? threads / 2 : 1);
    c->num_classes = output_classes(s->model, o);
    c->ignore_index = (int)rt_option_int(o, "data.ignore_index", RT_LABEL_IGNORE);
    c->class_map = rt_option_str(o, "data.class_map", NULL);
    const char *classes = rt_option_str(o, "data.classes", NULL);
    if (classes) c->classes = (const char *const *)rt_option_list(classes, &c->nclasses);
    channel_values(o, "data.normalize.mean", c->channels, c->mean);
    channel_values(o, "data.normalize.std", c->channels, c->std);
}

enum RtSplit rt_session_split(const RtSession *s)
{
    const char *split = rt_option_str(&s->opt, "run.split", "test");
    return !strcmp(split, "train") ? RT_SPLIT_TRAIN
           : !strcmp(split, "val") ? RT_SPLIT_VAL
                                   : RT_SPLIT_TEST;
}

RtData *rt_session_data(RtSession *s)
{
    RtDataConfig c;
    RtError e;
    rt_session_data_config(s, &c);
    if (!c.root || !c.format) {
        rt_fail(RT_EXIT_USAGE, "C001", "--%s is needed: the description names no data",
                c.root ? "format" : "data");
    }
    RtData *d = rt_data_open(&c, &e);
    if (!d) rt_fail(e.exit, e.id, "%s", e.text);
    fputs(rt_data_notes(d), stderr);
    free((void *)(uintptr_t)c.classes);
    return d;
}
