/* The losses as part of the graph, and the modules that losses and `outputs:` name.
 * In: the finished model. Out: the scalar that training makes small, of all losses with their
 * weights, and in training of the penalty `l2`.
 * Rule: a loss on a module whose `if` is false is left out. Not here: reading (losses.c). */
#include "spec/model.h"
#include <string.h>

enum { MAX_NAMES = 512 };

static bool is_skipped(const Build *b, const char *path)
{
    for (int i = 0; i < b->skipped.n; i++) {
        size_t n = strlen(b->skipped.v[i]);
        if (strncmp(b->skipped.v[i], path, n) == 0 && (!path[n] || path[n] == '.')) return true;
    }
    return false;
}

Node *loss_module(const Build *b, const Yaml *y, const char *key, bool *skipped)
{
    *skipped = is_skipped(b, y->text);
    const Made *m = blocks_made(b, y->text);
    if (*skipped) return NULL;
    if (m) return m->node;
    const char *names[MAX_NAMES + 1];
    int n = 0;
    for (int i = 0; i < b->made.n && n < MAX_NAMES; i++)
        if (!b->made.v[i].layer) names[n++] = b->made.v[i].path;
    names[n] = NULL;
    const char *near = diag_nearest(y->text, names), *shown = yaml_show(b->arena, y->text);
    if (near)
        diag_error(y->loc, "S021", "'%s: %s': no such layer; did you mean '%s'?", key, shown, near);
    else
        diag_error(y->loc, "S021", "'%s: %s': no such layer", key, shown);
    return NULL;
}

/* What term t reads: NULL where it is left out, or after an error. */
static Node *reads(const Build *b, const LossTerm *t, Node *out)
{
    bool skipped;
    return t->on ? loss_module(b, t->on, "on", &skipped) : out;
}

int loss_reads(const Build *b, Node *out, Node **on)
{
    int n = 0;
    for (int i = 0; i < b->spec->loss.n; i++) {
        Node *x = reads(b, &b->spec->loss.v[i], out);
        if (x) on[n++] = x;
    }
    return n;
}

/* ---- targets ---- */

/* Classes of the data against the width of the output. */
static bool check_classes(const Spec *s, const LossTerm *t, const Node *on)
{
    if (!losses_has_labels(t->c.op) || !s->classes || on->shape.rank < 2) return true;
    if (on->shape.dim[1] == s->classes) return true;
    diag_error(on->loc, "H007", "the model has %lld outputs, but the data have %lld classes",
               (long long)on->shape.dim[1], (long long)s->classes);
    diag_note(s->classes_loc, "the classes are given here");
    return false;
}

/* Batches are mixed: in training the target is the share of each class, as PyTorch's
 * CrossEntropyLoss takes it. Evaluation mixes nothing and compares with class numbers. */
static bool check_mixing(const Build *b, const LossTerm *t, const Node *on)
{
    const Spec *s = b->spec;
    bool entropy = strcmp(t->c.op->name, "CrossEntropyLoss") == 0;
    if (!losses_has_labels(t->c.op) || (entropy && s->target == TARGET_LABEL && on->shape.rank == 2))
        return true;
    if (s->target == TARGET_MASK)
        diag_error(s->mixes_loc, "S044", "%s mixes labels of images, not masks", s->mixes);
    else
        diag_error(t->c.loc, "S044", "%s mixes classes, which %s cannot compare with", s->mixes,
                   entropy ? "an output of pixels" : t->c.op->name);
    if (!entropy) diag_help("CrossEntropyLoss() takes shares of the classes");
    return false;
}

static Node *new_target(Build *b, const LossTerm *t, const Node *on, const Node *input)
{
    const Spec *s = b->spec;
    bool labels = losses_has_labels(t->c.op);
    if (s->mixes && !check_mixing(b, t, on)) return NULL;
    if (!labels || (s->mixes && b->graph->training))
        return graph_input(b->graph, "target", DT_F32, on->shape);
    Shape one = shape_make(2, input->shape.dim[0], (int64_t)1);
    if (s->target == TARGET_LABEL) return graph_input(b->graph, "target", DT_I32, one);
    if (input->shape.rank == 4) {
        one = input->shape;
        one.dim[1] = 1;
        return graph_input(b->graph, "target", DT_I32, one);
    }
    diag_error(t->c.loc, "S044", "masks need images: input is %s",
               shape_str(b->arena, input->shape));
    return NULL;
}

/* Losses that compare with values need outputs of one shape. */
static bool same_target(Build *b, const LossTerm *t, const Node *on, const Node *target)
{
    if (losses_has_labels(t->c.op) || b->spec->target == TARGET_INPUT) return true;
    if (shape_eq(on->shape, target->shape)) return true;
    diag_error(t->c.loc, "S044", "the losses read outputs of different shapes, %s and %s",
               shape_str(b->arena, target->shape), shape_str(b->arena, on->shape));
    return false;
}

/* ---- the sum ---- */

static Node *build_term(Build *b, const LossTerm *t, Node *on, Node *target)
{
    Graph *g = b->graph;
    g->cur_loc = t->c.loc;
    Layer l = {.g = g, .op = t->c.op, .path = "loss", .nin = 2, .loc = t->c.loc};
    l.in[0] = on;
    l.in[1] = target;
    memcpy(l.attr, t->c.attr, sizeof l.attr);
    Node *n = layer_build(&l);
    return n && t->weight != 1 ? g_op(g, "Mul", 2, n, g_const(g, t->weight)) : n;
}

bool loss_build(Build *b, Node *out, Node *input, Node **loss)
{
    const Spec *s = b->spec;
    Node *target = s->target == TARGET_INPUT ? input : NULL;
    *loss = NULL;
    for (int i = 0; i < s->loss.n; i++) {
        const LossTerm *t = &s->loss.v[i];
        int before = diag_errors();
        Node *on = reads(b, t, out);
        if (diag_errors() > before) return false;
        if (!on) continue;
        if (!check_classes(s, t, on)) return false;
        b->graph->cur_loc = t->c.loc;
        if (!target) target = new_target(b, t, on, input);
        if (!target || !same_target(b, t, on, target)) return false;
        Node *n = build_term(b, t, on, target);
        if (!n) return false;
        *loss = *loss ? g_op(b->graph, "Add", 2, *loss, n) : n;
    }
    return true;
}

/* ---- the penalty ---- */

static bool is_penalised(const Node *n)
{
    const State *s = n->nin == 0 ? n->state : NULL;
    return s && s->kind == STATE_PARAM && !s->frozen && s->shape.rank >= 2;
}

Node *loss_penalty(Build *b, Node *loss)
{
    Graph *g = b->graph;
    const L2 *l2 = &b->spec->l2;
    Node *sum = NULL;
    int count = g->node.n;
    if (!l2->there) return loss;
    g->cur_loc = l2->loc;
    for (int i = 0; i < count; i++) {
        Node *w = g->node.v[i];
        if (!is_penalised(w)) continue;
        Node *squares = g_sum(g, g_op(g, "Mul", 2, w, w), (1u << w->shape.rank) - 1);
        sum = sum ? g_op(g, "Add", 2, sum, squares) : squares;
    }
    if (!sum) return loss;
    double factor = l2->half ? 0.5 : 1;
    if (l2->over == L2_BATCH) factor /= (double)b->batch;
    sum = g_op(g, "Mul", 2, sum, g_op(g, "Mul", 2, g_scalar(g, "l2.lambda"), g_const(g, factor)));
    if (l2->over == L2_DATASET) sum = g_op(g, "Div", 2, sum, g_scalar(g, "dataset_size"));
    return g_op(g, "Add", 2, loss, sum);
}
