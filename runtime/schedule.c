/* Schedules of the learning rate. The formulas are those of torch.optim.lr_scheduler in closed form;
 * warm-up multiplies the rate by (step + 1) / warmup in the first steps, which is PyTorch's
 * LinearLR(start_factor=1/warmup, total_iters=warmup-1) chained with the schedule. */
#include "schedule.h"
#include "err.h"
#include "model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* ---- reading ---- */

typedef struct Text { /* "NAME(key=value,...)" or "NAME" */
    const char *key;  /* of the option, for messages */
    const RtOptions *o;
    const char *all, *args;
    size_t name;
} Text;

static _Noreturn void refuse(const Text *t, const char *why, const char *what)
{
    bool flag = rt_option_given(t->o, t->key);
    uint32_t line = 0;
    const RtModel *m = t->o->model;
    if (flag)
        rt_fail(RT_EXIT_USAGE, "C002", "--%s: '%s': %s '%s'", t->key + 6, rt_esc(t->all), why,
                rt_esc(what));
    rt_model_option(m, t->key, &line);
    rt_fail(RT_EXIT_SPEC, "S017", "%s:%u: '%s': %s '%s'", RT_STR(m, m->spec_file), line,
            rt_esc(t->all), why, rt_esc(what));
}

static bool is_named(const Text *t, const char *name)
{
    return strlen(name) == t->name && !strncmp(t->all, name, t->name);
}

/* The next argument behind p: "key=value", value up to a comma outside brackets. */
static const char *next_arg(const char *p, const char **value, size_t *key, size_t *len)
{
    p += strspn(p, " ,");
    if (!*p || *p == ')') return NULL;
    *key = strcspn(p, "=,)");
    *value = p + *key + (p[*key] == '=');
    const char *end = *value + strcspn(*value, "[,)");
    if (*end == '[') end += strcspn(end, "]");
    end += strcspn(end, ",)");
    *len = (size_t)(end - *value);
    return p;
}

static char *arg(const Text *t, const char *key)
{
    const char *p = t->args, *value;
    size_t k, n;
    while ((p = next_arg(p, &value, &k, &n))) {
        if (k == strlen(key) && !strncmp(p, key, k)) return rt_format("%.*s", (int)n, value);
        p = value + n;
    }
    return NULL;
}

/* Every argument must be one of the names. */
static void check_args(const Text *t, const char *names)
{
    const char *p = t->args, *value, *end;
    size_t k, n;
    while ((p = next_arg(p, &value, &k, &n))) {
        char *name = rt_format(" %.*s ", (int)k, p);
        if (p[k] != '=' || !strstr(names, name)) refuse(t, "unknown argument", name);
        free(name);
        p = value + n;
    }
    end = strchr(t->args, ')');
    if ((t->all[t->name] && !end) || (end && end[1])) refuse(t, "does not end in", ")");
}

static double number(const Text *t, const char *key, double otherwise, double lo, double hi)
{
    char *value = arg(t, key), *end;
    if (!value && isnan(otherwise)) refuse(t, "needs", key);
    if (!value) return otherwise;
    double v = strtod(value, &end);
    if (end == value || *end || !(v >= lo && v <= hi)) refuse(t, "bad value of", key);
    free(value);
    return v;
}

static bool word(const Text *t, const char *key, const char *no, const char *yes)
{
    char *value = arg(t, key);
    bool is = value && !strcmp(value, yes);
    if (value && !is && strcmp(value, no) != 0) refuse(t, "bad value of", key);
    free(value);
    return is;
}

static void read_milestones(RtSchedule *s, const Text *t)
{
    char *value = arg(t, "milestones");
    if (!value) refuse(t, "needs", "milestones");
    int n;
    char **item = rt_option_list(value, &n);
    if (n > RT_MILESTONES) refuse(t, "too many", "milestones");
    for (int i = 0; i < n; i++) {
        char *end;
        s->milestone[i] = strtoll(item[i], &end, 10);
        if (*end || s->milestone[i] < (i ? s->milestone[i - 1] : 1))
            refuse(t, "bad value of", "milestones");
    }
    s->nmilestones = n;
    free(item);
    free(value);
}

static void read_one_cycle(RtSchedule *s, const Text *t, int64_t steps)
{
    check_args(t, " max_lr total_steps pct_start anneal_strategy div_factor final_div_factor ");
    s->kind = RT_ONE_CYCLE;
    s->max_lr = number(t, "max_lr", s->base, 0, 1e6);
    s->total = (int64_t)number(t, "total_steps", (double)steps, 1, 1e15);
    s->pct_start = number(t, "pct_start", 0.3, 0, 1);
    s->linear = word(t, "anneal_strategy", "cos", "linear");
    s->div = number(t, "div_factor", 25, 1e-12, 1e12);
    s->final_div = number(t, "final_div_factor", 1e4, 1e-12, 1e12);
}

static void read_plateau(RtSchedule *s, const Text *t)
{
    check_args(t, " mode factor patience threshold cooldown min_lr ");
    s->kind = RT_PLATEAU;
    s->maximize = word(t, "mode", "min", "max");
    s->gamma = number(t, "factor", 0.1, 0, 1);
    s->patience = (int64_t)number(t, "patience", 10, 0, 1e6);
    s->threshold = number(t, "threshold", 1e-4, 0, 1e6);
    s->wait = (int64_t)number(t, "cooldown", 0, 0, 1e6);
    s->eta_min = number(t, "min_lr", 0, 0, 1e6);
    s->plateau = (RtPlateau){.lr = s->base, .best = s->maximize ? -INFINITY : INFINITY};
}

static void read_schedule(RtSchedule *s, const Text *t, int64_t epochs, int64_t batches)
{
    if (is_named(t, "StepLR")) {
        check_args(t, " step_size gamma ");
        s->kind = RT_STEP;
        s->period = (int64_t)number(t, "step_size", NAN, 1, 1e6);
        s->gamma = number(t, "gamma", 0.1, 0, 1e6);
    } else if (is_named(t, "MultiStepLR")) {
        check_args(t, " milestones gamma ");
        s->kind = RT_MULTI_STEP;
        read_milestones(s, t);
        s->gamma = number(t, "gamma", 0.1, 0, 1e6);
    } else if (is_named(t, "ExponentialLR")) {
        check_args(t, " gamma ");
        s->kind = RT_EXPONENTIAL;
        s->gamma = number(t, "gamma", NAN, 0, 1e6);
    } else if (is_named(t, "CosineAnnealingLR")) {
        check_args(t, " T_max eta_min ");
        s->kind = RT_COSINE;
        s->period = (int64_t)number(t, "T_max", (double)epochs, 1, 1e6);
        s->eta_min = number(t, "eta_min", 0, 0, 1e6);
    } else if (is_named(t, "OneCycleLR")) {
        read_one_cycle(s, t, epochs * batches);
    } else if (is_named(t, "ReduceLROnPlateau")) {
        read_plateau(s, t);
    } else if (!is_named(t, "none"))
        refuse(t, "unknown schedule", t->all);
}

/* "3", "3 epochs", "500 steps", "500steps" */
static int64_t read_warmup(const Text *t, int64_t batches)
{
    char *end;
    long long n = strtoll(t->all, &end, 10);
    const char *unit = end + strspn(end, " ");
    bool steps = !strcmp(unit, "steps"), epochs = !*unit || !strcmp(unit, "epochs");
    if (end == t->all || (!steps && !epochs) || n < 0 || n > 1000000000)
        refuse(t, "is no number of epochs or", "500 steps");
    return steps ? n : n * batches;
}

void rt_schedule_init(RtSchedule *s, const RtOptions *o, double lr, int64_t epochs, int64_t batches)
{
    memset(s, 0, sizeof *s);
    s->base = lr;
    Text t = {.key = "train.schedule", .o = o};
    if ((t.all = rt_option_str(o, t.key, NULL))) {
        t.name = strcspn(t.all, "(");
        t.args = t.all + t.name + (t.all[t.name] == '(');
        read_schedule(s, &t, epochs, batches);
    }
    t.key = "train.warmup";
    if ((t.all = rt_option_str(o, t.key, NULL))) s->warmup = read_warmup(&t, batches);
}

/* ---- formulas ---- */

static double anneal(const RtSchedule *s, double from, double to, double share)
{
    if (s->linear) return (to - from) * share + from;
    return to + (from - to) / 2 * (1 + cos(pi * share));
}

/* Up from max_lr / div to max_lr in the first pct_start of the steps, then down to the lowest. */
static double one_cycle(const RtSchedule *s, int64_t step)
{
    double first = s->max_lr / s->div, lowest = first / s->final_div;
    double top = s->pct_start * (double)s->total - 1, last = (double)s->total - 1;
    double at = step < s->total ? (double)step : last;
    if (at <= top) return anneal(s, first, s->max_lr, top > 0 ? at / top : 1);
    return anneal(s, s->max_lr, lowest, last > top ? (at - top) / (last - top) : 1);
}

static double rate(const RtSchedule *s, int64_t epoch, int64_t step)
{
    int64_t passed = 0;
    switch (s->kind) {
    case RT_STEP:
        return s->base * pow(s->gamma, (double)(epoch / s->period));
    case RT_MULTI_STEP:
        for (int i = 0; i < s->nmilestones; i++) passed += s->milestone[i] <= epoch;
        return s->base * pow(s->gamma, (double)passed);
    case RT_EXPONENTIAL:
        return s->base * pow(s->gamma, (double)epoch);
    case RT_COSINE:
        return s->eta_min +
               (s->base - s->eta_min) * (1 + cos(pi * (double)epoch / (double)s->period)) / 2;
    case RT_ONE_CYCLE:
        return one_cycle(s, step);
    case RT_PLATEAU:
        return s->plateau.lr;
    default:
        return s->base;
    }
}

double rt_schedule_lr(const RtSchedule *s, int64_t epoch, int64_t step)
{
    double lr = rate(s, epoch, step);
    return step < s->warmup ? lr * (double)(step + 1) / (double)s->warmup : lr;
}

void rt_schedule_epoch(RtSchedule *s, double value)
{
    RtPlateau *p = &s->plateau;
    if (s->kind != RT_PLATEAU) return;
    bool better =
        s->maximize ? value > p->best * (1 + s->threshold) : value < p->best * (1 - s->threshold);
    if (better) p->best = value;
    p->bad = better ? 0 : p->bad + 1;
    if (p->cooldown > 0) {
        p->cooldown--;
        p->bad = 0;
    }
    if (p->bad <= s->patience) return;
    double lower = fmax(p->lr * s->gamma, s->eta_min);
    if (p->lr - lower > 1e-8) p->lr = lower; /* PyTorch's eps */
    p->cooldown = s->wait;
    p->bad = 0;
}

char *rt_schedule_text(const RtSchedule *s, const RtOptions *o)
{
    const char *text = rt_option_str(o, "train.schedule", "none");
    if (s->kind == RT_COSINE)
        return rt_format("%s T_max=%lld warmup=%lld", text, (long long)s->period,
                         (long long)s->warmup);
    if (s->kind == RT_ONE_CYCLE)
        return rt_format("%s total_steps=%lld warmup=%lld", text, (long long)s->total,
                         (long long)s->warmup);
    return rt_format("%s warmup=%lld", text, (long long)s->warmup);
}
