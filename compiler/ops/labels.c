/* Class numbers as losses see them: the share of each class at every place, with class weights,
 * label smoothing and what has no label. A negative class means "no label here", as ignore_index
 * does. Shares of classes may be given instead of numbers. As in PyTorch a mean divides by the sum of the targets' weights; without any label it is 0.
 */
#include "ops/loss.h"
#include <string.h>

enum { CHANNELS = 1u << 1 };

static bool size_differs(const Node *n, Shape x, Shape t)
{
    bool differs = x.dim[0] != t.dim[0];
    for (int d = 2; d < x.rank; d++) differs = differs || x.dim[d] != t.dim[d];
    if (!differs) return false;
    diag_error(n->loc, "H008", "%s '%s': output %s, target %s", n->op->name, n->name,
               shape_text(x).s, shape_text(t).s);
    diag_help("the output needs the height and width of the target");
    return true;
}

static const AttrVal *attr_of(const Node *n, const char *name)
{
    return &n->attr[attr_index(n->op, name)];
}

/* Targets may be shares of the classes instead, [N,C,..] as the output is: MixUp's. */
static bool is_shares(const Node *n)
{
    return n->in[1]->dtype == DT_F32;
}

static bool takes_shares(const Node *n)
{
    for (const AttrDef *d = n->op->attrs; d->name; d++)
        if (!strcmp(d->name, "label_smoothing")) return true;
    return false;
}

static bool weights_differ(const Node *n, int64_t classes)
{
    int count = attr_of(n, "weight")->nlist;
    if (!count || count == classes) return false;
    diag_error(attr_loc(n, attr_index(n->op, "weight")), "H007",
               "%s '%s': %d class weights, but the output has %lld classes", n->op->name, n->name,
               count, (long long)classes);
    return true;
}

bool labels_shape(Node *n)
{
    Shape x = n->in[0]->shape, t = n->in[1]->shape;
    if (!shape_want_rank(n, 0, 2, 4)) return false;
    if (is_shares(n) && takes_shares(n) && shape_eq(x, t))
        return !weights_differ(n, x.dim[1]) && shape_scalar(n);
    if (t.rank != x.rank || t.dim[1] != 1 || n->in[1]->dtype != DT_I32) {
        diag_error(n->loc, "H007",
                   "%s '%s': output %s, but the targets are %s %s, not class numbers", n->op->name,
                   n->name, shape_text(x).s, dtype_name(n->in[1]->dtype), shape_text(t).s);
        diag_help(x.rank == 4
                      ? "labels need an output [N,classes]: add AdaptiveAvgPool2d(1), Flatten, "
                        "Linear; masks need train.target: mask"
                      : "the target must be one class number per image");
        return false;
    }
    if (size_differs(n, x, t) || weights_differ(n, x.dim[1])) return false;
    return shape_scalar(n);
}

static double smoothing_of(const Node *n)
{
    for (const AttrDef *d = n->op->attrs; d->name; d++)
        if (!strcmp(d->name, "label_smoothing")) return n->attr[d - n->op->attrs].f;
    return 0;
}

static double sum_of(const AttrVal *list)
{
    double sum = 0;
    for (int i = 0; i < list->nlist; i++) sum += list->list[i];
    return sum;
}

/* share = (1 - s) * weight at the target + s / classes * weight everywhere */
static void smooth(Graph *g, Labels *l, Node *valid, Node *weights, const Node *n)
{
    double s = smoothing_of(n), classes = (double)n->in[0]->shape.dim[1];
    if (s == 0) return;
    Node *even = weights ? g_mul(g, g_broadcast(g, valid, n->in[0]->shape), weights) : valid;
    even = g_scale(g, even, s / classes);
    l->share = g_add(g, g_scale(g, l->share, 1 - s), even);
    if (!weights) return; /* the shares still add up to 1 */
    Node *rest = g_scale(g, valid, s / classes * sum_of(attr_of(n, "weight")));
    l->mass = g_add(g, g_scale(g, l->mass, 1 - s), rest);
}

/* As in PyTorch the shares are smoothed, then weighted; a mean divides by the number of places. */
static Labels shares_of(Graph *g, const Node *n)
{
    Shape x = n->in[0]->shape;
    double s = smoothing_of(n), classes = (double)x.dim[1];
    const AttrVal *weight = attr_of(n, "weight");
    Labels l = {.share = n->in[1]};
    if (s > 0) l.share = g_add(g, g_scale(g, l.share, 1 - s), g_const(g, s / classes));
    if (weight->nlist) {
        AttrVal values[MAX_ATTR] = {*weight};
        l.share = g_mul(g, l.share, g_op_attr(g, "Constants", values, 0));
    }
    l.mass = g_sum(g, l.share, CHANNELS);
    if (!attr_is(n, "reduction", "sum")) l.count = g_const(g, (double)shape_count(x) / classes);
    return l;
}

Labels labels_of(Graph *g, const Node *n)
{
    if (is_shares(n)) return shares_of(g, n);
    Node *t = n->in[1];
    const AttrVal *weight = attr_of(n, "weight"), *ignore = attr_of(n, "ignore_index");
    int64_t classes = n->in[0]->shape.dim[1];
    AttrVal class_attr[MAX_ATTR] = {{.i = {classes}}}, valid_attr[MAX_ATTR] = {{.i = {-1}}};
    if (ignore->i[0] >= 0) valid_attr[0].i[0] = ignore->i[0];
    Labels l = {.share = g_op_attr(g, "OneHot", class_attr, 1, t)};
    Node *valid = g_op_attr(g, "Valid", valid_attr, 1, t), *weights = NULL;
    l.mass = valid;
    if (ignore->i[0] >= 0 && ignore->i[0] < classes) l.share = g_mul(g, l.share, valid);
    if (weight->nlist) {
        AttrVal values[MAX_ATTR] = {*weight};
        weights = g_op_attr(g, "Constants", values, 0);
        l.share = g_mul(g, l.share, weights);
        l.mass = g_sum(g, l.share, CHANNELS);
    }
    if (!attr_is(n, "reduction", "sum")) {
        Node *total = g_sum(g, l.mass, (1u << t->shape.rank) - 1);
        double least = weights ? 1e-30 : 1; /* without labels: 0 / least */
        l.count = g_op(g, "Maximum", 2, total, g_const(g, least));
    }
    smooth(g, &l, valid, weights, n);
    return l;
}

static double shares_ref(const Node *n, const double *target, int64_t i, double *share)
{
    Shape x = n->in[0]->shape;
    int64_t classes = x.dim[1], plane = shape_count(x) / (x.dim[0] * classes);
    const AttrVal *weight = attr_of(n, "weight");
    double s = smoothing_of(n);
    target += i / plane * classes * plane + i % plane;
    for (int64_t c = 0; c < classes; c++)
        share[c] = (target[c * plane] * (1 - s) + s / (double)classes) *
                   (weight->nlist ? (float)weight->list[c] : 1);
    return 1;
}

double labels_ref(const Node *n, const double *target, int64_t i, double *share)
{
    if (is_shares(n)) return shares_ref(n, target, i, share);
    const AttrVal *weight = attr_of(n, "weight");
    int64_t classes = n->in[0]->shape.dim[1], t = (int64_t)target[i];
    double s = smoothing_of(n);
    bool labelled = t >= 0 && t != attr_of(n, "ignore_index")->i[0];
    for (int64_t c = 0; c < classes; c++) {
        double w = weight->nlist ? (float)weight->list[c] : 1;
        share[c] = labelled ? w * ((c == t ? 1 - s : 0) + s / (double)classes) : 0;
    }
    if (!labelled) return 0;
    return weight->nlist ? (float)weight->list[t] : 1;
}
