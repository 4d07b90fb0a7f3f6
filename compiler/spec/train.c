/* The optimizer, the schedule of the learning rate, and the clipping of gradients.
 * In: the block train. Out: s->optimizer, s->clip_norm, options such as "train.schedule" =
 * "StepLR(step_size=30,gamma=0.1)", all arguments named, and "train.warmup" = "3 epochs".
 * Rule: a schedule is done by the program while it runs, clipping is part of the graph.
 * Not here: losses (losses.c). */
#include "spec/model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MILESTONES = 64 };

/* ---- schedules ---- */

#define EPOCHS(n) .kind = ATTR_INT, .min = n, .max = 1000000
#define GAMMA                                                                                      \
    {                                                                                              \
        .name = "gamma", .kind = ATTR_FLOAT, .def = 0.1, .min = 0, .max = 1e6                      \
    }
static const char *const modes[] = {"min", "max", NULL}, *const anneals[] = {"cos", "linear", NULL};
static const AttrDef step_attrs[] = {
    {.name = "step_size", EPOCHS(1), .required = true}, GAMMA, {0}};
static const AttrDef multi_attrs[] = {GAMMA, {0}}; /* milestones are read apart */
static const AttrDef exponential_attrs[] = {
    {.name = "gamma", .kind = ATTR_FLOAT, .required = true, .min = 0, .max = 1e6}, {0}};
static const AttrDef cosine_attrs[] = {
    {.name = "T_max", EPOCHS(1)}, /* left out: all epochs */
    {.name = "eta_min", .kind = ATTR_FLOAT, .min = 0, .max = 1e6},
    {0}};
static const AttrDef one_cycle_attrs[] = {
    {.name = "max_lr", .kind = ATTR_FLOAT, .required = true, .min = 0, .max = 1e6},
    {.name = "pct_start", .kind = ATTR_FLOAT, .def = 0.3, .min = 0, .max = 1},
    {.name = "anneal_strategy", .kind = ATTR_CHOICE, .words = anneals},
    {.name = "div_factor", .kind = ATTR_FLOAT, .def = 25, .min = 1, .max = 1e12},
    {.name = "final_div_factor", .kind = ATTR_FLOAT, .def = 10000, .min = 1, .max = 1e12},
    {0}};
static const AttrDef plateau_attrs[] = {
    {.name = "mode", .kind = ATTR_CHOICE, .words = modes},
    {.name = "factor", .kind = ATTR_FLOAT, .def = 0.1, .min = 0, .max = 0.9999999},
    {.name = "patience", EPOCHS(0), .def = 10},
    {.name = "threshold", .kind = ATTR_FLOAT, .def = 0.0001, .min = 0, .max = 1e6},
    {.name = "cooldown", EPOCHS(0)},
    {.name = "min_lr", .kind = ATTR_FLOAT, .min = 0, .max = 1e6},
    {0}};

static const struct {
    const char *name;
    const AttrDef *attrs;
} schedules[] = {
    {"StepLR", step_attrs},
    {"MultiStepLR", multi_attrs},
    {"ExponentialLR", exponential_attrs},
    {"CosineAnnealingLR", cosine_attrs},
    {"OneCycleLR", one_cycle_attrs},
    {"ReduceLROnPlateau", plateau_attrs},
};
enum { NSCHEDULES = sizeof schedules / sizeof schedules[0] };

static const AttrDef *find_schedule(Spec *s, const Use *u)
{
    const char *names[NSCHEDULES + 1], *all = "";
    for (int i = 0; i < NSCHEDULES; i++) {
        if (strcmp(schedules[i].name, u->name) == 0) return schedules[i].attrs;
        names[i] = schedules[i].name;
        all = arena_printf(s->arena, "%s%s%s", all, i ? ", " : "", names[i]);
    }
    names[NSCHEDULES] = NULL;
    const char *near = diag_nearest(u->name, names), *shown = yaml_show(s->arena, u->name);
    if (near)
        diag_error(u->name_loc, "S017", "unknown schedule '%s'; did you mean '%s'?", shown, near);
    else
        diag_error(u->name_loc, "S017", "unknown schedule '%s'", shown);
    if (!near) diag_help("there are %s", all);
    return NULL;
}

/* "milestones=[30,60]"; NULL after an error */
static const char *milestones_text(Spec *s, const Val *v)
{
    int64_t last = 0;
    const char *text = "milestones=[";
    bool ok = v->kind == VAL_LIST && v->list.n >= 1 && v->list.n <= MAX_MILESTONES;
    for (int i = 0; ok && i < v->list.n; i++) {
        const Val *x = &v->list.v[i];
        ok = x->kind == VAL_INT && x->i > last && x->i <= 1000000;
        last = x->i;
        text = arena_printf(s->arena, "%s%s%lld", text, i ? "," : "", (long long)x->i);
    }
    if (ok) return arena_printf(s->arena, "%s],", text);
    diag_error(v->loc, "S014", "'milestones' must be a list of growing epochs such as [30, 60]");
    return NULL;
}

/* Takes the argument milestones, the first by position, out of the use. */
static const char *take_milestones(Spec *s, Use *u)
{
    for (int i = 0; i < u->arg.n; i++) {
        const Arg *arg = &u->arg.v[i];
        if (arg->key ? strcmp(arg->key, "milestones") != 0 : i != 0) continue;
        const char *text = arg->val.kind == VAL_NOTHING ? NULL : milestones_text(s, &arg->val);
        memmove(&u->arg.v[i], &u->arg.v[i + 1], sizeof *u->arg.v * (size_t)(u->arg.n - i - 1));
        u->arg.n--;
        return text;
    }
    diag_error(u->loc, "S013", "MultiStepLR needs 'milestones'");
    return NULL;
}

/* Every argument by name, so that the program needs no defaults but T_max's. */
static const char *schedule_text(Spec *s, const Use *u, const AttrDef *defs, const AttrVal *v,
                                 const char *head)
{
    const char *text = arena_printf(s->arena, "%s(%s", u->name, head);
    const char *sep = "";
    for (int i = 0; defs[i].name; i++) {
        if (defs[i].kind == ATTR_INT && v[i].i[0] < (int64_t)defs[i].min) continue;
        const char *value = defs[i].kind == ATTR_CHOICE ? v[i].s
                            : defs[i].kind == ATTR_INT
                                ? arena_printf(s->arena, "%lld", (long long)v[i].i[0])
                                : val_number(s->arena, v[i].f);
        text = arena_printf(s->arena, "%s%s%s=%s", text, sep, defs[i].name, value);
        sep = ",";
    }
    return arena_printf(s->arena, "%s)", text);
}

static void read_schedule(Spec *s, const Yaml *y)
{
    AttrVal attr[MAX_ATTR];
    Use *u = use_read(s->arena, y, s->scope, false, NULL);
    const AttrDef *defs = u ? find_schedule(s, u) : NULL;
    const char *head = "";
    if (defs == multi_attrs) head = take_milestones(s, u);
    if (!defs || !use_bind(s->arena, u, u->name, defs, attr, NULL) || !head) return;
    options_add(s, "train.schedule", schedule_text(s, u, defs, attr, head));
}

/* `3`, `3 epochs`, `500 steps` */
static void read_warmup(Spec *s, const Yaml *y)
{
    char unit[8] = "epochs";
    long long n = 0;
    int used = 0;
    const char *t = y->kind == Y_SCALAR ? y->text : "";
    bool ok = *t >= '0' && *t <= '9' && sscanf(t, "%9lld%n", &n, &used) == 1;
    if (ok && t[used]) ok = sscanf(t + used, " %7[a-z]%n", unit, &used) == 1;
    ok = ok && n >= 1 && n <= 100000000 &&
         (strcmp(unit, "epochs") == 0 || strcmp(unit, "epoch") == 0 || strcmp(unit, "steps") == 0);
    if (!ok) {
        diag_error(y->loc, "S014", "'warmup' must be a number of epochs such as 3, or `500 steps`");
        return;
    }
    bool steps = strcmp(unit, "steps") == 0;
    options_add(s, "train.warmup",
                arena_printf(s->arena, "%lld %s", n, steps ? "steps" : "epochs"));
}

/* ---- the optimizer ---- */

static int find_attr(const OpDef *op, const char *name)
{
    for (int i = 0; op->attrs && op->attrs[i].name; i++)
        if (strcmp(op->attrs[i].name, name) == 0) return i;
    return -1;
}

/* train.lr and the like stand for the optimizer's own arguments, which a run may override. */
static void share_value(Spec *s, const Yaml *train, const char *name, const char *attr, bool second)
{
    const char *key = arena_printf(s->arena, "train.%s", name);
    const char *given = options_get(s, key);
    int k = find_attr(s->optimizer.op, attr);
    if (k < 0 && given)
        diag_error(yaml_get(train, name)->loc, "S012", "%s has no '%s'", s->optimizer.op->name,
                   name);
    if (k < 0) return;
    double *at = second ? &s->optimizer.attr[k].f2 : &s->optimizer.attr[k].f;
    if (!given) {
        options_add(s, key, val_number(s->arena, *at));
        return;
    }
    *at = strtod(given, NULL);
    s->optimizer.given |= 1u << k;
}

void train_read_optimizer(Spec *s, const Yaml *train)
{
    Chosen *c = &s->optimizer;
    const Yaml *y = yaml_get(train, "optimizer"), *schedule = yaml_get(train, "schedule"),
               *warmup = yaml_get(train, "warmup");
    const char *clip = options_get(s, "train.clip_grad_norm");
    if (schedule) read_schedule(s, schedule);
    if (warmup) read_warmup(s, warmup);
    if (clip) s->clip_norm = strtod(clip, NULL);
    const char *steps = options_get(s, "train.accumulate");
    s->accumulate = steps && strcmp(steps, "1") != 0;
    s->ema = options_get(s, "train.ema") != NULL;
    if (!y) y = yaml_scalar(s->arena, "Adam(lr=0.001)", train->loc);
    if (!options_choose(s, y, OP_OPTIMIZER, c)) return;
    share_value(s, train, "lr", "lr", false);
    share_value(s, train, "beta1", "betas", false);
    share_value(s, train, "beta2", "betas", true);
    c->text = use_text(s->arena, c->op->name, c->op->attrs, c->attr, c->given, ", ");
}

static Node *squares(Graph *g, Node *x)
{
    return g_sum(g, g_op(g, "Mul", 2, x, x), (1u << x->shape.rank) - 1);
}

/* Gradient by gradient: laid end to end they have gaps, and what is in those is not defined. Where they were summed over
 * steps they are one piece, whose gaps the schedule keeps clean. */
static Node *norm(Graph *g, Node *pack)
{
    if (!op_is(pack, "Pack")) return g_op(g, "Sqrt", 1, squares(g, pack));
    Node *sum = squares(g, pack->in[0]);
    for (int i = 1; i < pack->nin; i++) sum = g_op(g, "Add", 2, sum, squares(g, pack->in[i]));
    return g_op(g, "Sqrt", 1, sum);
}

/* g * min(1, limit / (|g| + 1e-6)), the norm of all gradients together, as
 * torch.nn.utils.clip_grad_norm_ does. Minimum is written as -max(-a, -b). scale: of the gradients; NULL: 1. */
static Node *clip(Graph *g, Node *pack, Node *scale, double limit)
{
    Node *length = norm(g, pack);
    if (scale) length = g_op(g, "Div", 2, length, scale);
    Node *safe = g_op(g, "Add", 2, length, g_const(g, 1e-6));
    Node *minus = g_op(g, "Div", 2, g_const(g, -limit), safe);
    Node *most = g_op(g, "Maximum", 2, minus, g_const(g, -1));
    return g_op(g, "Mul", 2, pack, g_op(g, "Neg", 1, most));
}

bool spec_optimizer(const Spec *s, Graph *g, Node *weights, Node *gradients)
{
    const Chosen *c = &s->optimizer;
    if (!c->op) return false;
    State *state = graph_find_state(g, "loss_scale");
    Node *pack = gradients, *scale = state ? graph_read(g, state) : NULL;
    gradients = pack = steps_begin(s, g, weights, gradients);
    int first = g->node.n;
    if (s->clip_norm > 0) gradients = clip(g, gradients, scale, s->clip_norm);
    if (scale) gradients = g_op(g, "Div", 2, gradients, scale);
    Layer l = {.g = g, .op = c->op, .path = "optimizer", .nin = 2, .loc = c->loc};
    l.in[0] = weights;
    l.in[1] = gradients;
    memcpy(l.attr, c->attr, sizeof l.attr);
    int before = diag_errors();
    layer_build(&l);
    scaling_end(s, g, pack, scale, first);
    steps_end(s, g, weights, pack);
    return diag_errors() == before;
}
