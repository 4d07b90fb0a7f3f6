/* Shape rules of common form, indices for references, texts for messages. */
#include "ops/common.h"
#include <stdio.h>

ShapeText shape_text(Shape s)
{
    ShapeText t = {"["};
    size_t n = 1;
    for (int d = 0; d < s.rank; d++)
        n += (size_t)snprintf(t.s + n, sizeof t.s - n, d ? ",%lld" : "%lld", (long long)s.dim[d]);
    snprintf(t.s + n, sizeof t.s - n, "]");
    return t;
}

Loc attr_loc(const Node *n, int attr)
{
    return n->attr[attr].loc.file ? n->attr[attr].loc : n->loc;
}

/* ---- shape rules ---- */
bool shape_as_first(Node *n)
{
    n->shape = n->in[0]->shape;
    n->dtype = DT_F32;
    return true;
}

bool shape_pair(Node *n)
{
    n->dtype = DT_F32;
    if (shape_broadcast(n->in[0]->shape, n->in[1]->shape, &n->shape)) return true;
    diag_error(n->loc, "H005", "%s '%s': %s vs %s", n->op->name, n->name,
               shape_text(n->in[0]->shape).s, shape_text(n->in[1]->shape).s);
    diag_help("both inputs need the same shape: the same channels, height and width");
    return false;
}

bool shape_all_equal(Node *n)
{
    for (int i = 1; i < n->nin; i++) {
        if (shape_eq(n->in[i]->shape, n->in[0]->shape)) continue;
        diag_error(n->loc, "H005", "%s '%s': %s vs %s", n->op->name, n->name,
                   shape_text(n->in[0]->shape).s, shape_text(n->in[i]->shape).s);
        return false;
    }
    return shape_as_first(n);
}

bool shape_scalar(Node *n)
{
    n->shape = shape_make(0);
    n->dtype = DT_F32;
    return true;
}

bool shape_want_rank(const Node *n, int i, int rank_a, int rank_b)
{
    int rank = n->in[i]->shape.rank;
    if (rank == rank_a || rank == rank_b) return true;
    const char *want = rank_a == 4 && rank_b == 4 ? "[N,C,H,W]" : "[N,C] or [N,C,H,W]";
    diag_error(n->loc, "H001", "%s '%s': input has the shape %s, expected %s", n->op->name, n->name,
               shape_text(n->in[i]->shape).s, want);
    return false;
}

static bool too_large(const Node *n, const Sliding *s, const int64_t in[2], int at)
{
    int64_t span[2], room[2];
    for (int d = 0; d < 2; d++) {
        span[d] = (s->kernel[d] - 1) * s->dil[d] + 1;
        room[d] = in[d] + 2 * s->pad[d];
    }
    if (span[0] <= room[0] && span[1] <= room[1]) return false;
    diag_error(attr_loc(n, at), "H002", "%s '%s': kernel %lldx%lld exceeds padded input %lldx%lld",
               n->op->name, n->name, (long long)span[0], (long long)span[1], (long long)room[0],
               (long long)room[1]);
    diag_under("input here: %s", shape_text(n->in[0]->shape).s);
    diag_help("use a smaller kernel, more padding, or a larger input image");
    return true;
}

/* PyTorch: with ceil_mode the last window must still begin inside of the input or its left padding.
 */
bool sliding_size(const Node *n, const Sliding *s, const int64_t in[2], bool ceil_mode, int at,
                  int64_t out[2])
{
    if (too_large(n, s, in, at)) return false;
    for (int d = 0; d < 2; d++) {
        int64_t room = in[d] + 2 * s->pad[d] - ((s->kernel[d] - 1) * s->dil[d] + 1);
        out[d] = (room + (ceil_mode ? s->stride[d] - 1 : 0)) / s->stride[d] + 1;
        if (ceil_mode && (out[d] - 1) * s->stride[d] >= in[d] + s->pad[d]) out[d]--;
    }
    if (out[0] >= 1 && out[1] >= 1) return true;
    diag_error(attr_loc(n, at), "H003", "%s '%s': output %lldx%lld (input %lldx%lld)", n->op->name,
               n->name, (long long)out[0], (long long)out[1], (long long)in[0], (long long)in[1]);
    return false;
}

/* ---- references ---- */
void ref_coords(Shape s, int64_t i, int64_t c[MAX_RANK])
{
    for (int d = s.rank - 1; d >= 0; d--) {
        c[d] = i % s.dim[d];
        i /= s.dim[d];
    }
}

int64_t ref_index(Shape s, const int64_t c[MAX_RANK])
{
    int64_t i = 0;
    for (int d = 0; d < s.rank; d++) i = i * s.dim[d] + c[d];
    return i;
}

int64_t ref_at(Shape out, int64_t i, Shape in)
{
    int64_t c[MAX_RANK];
    if (in.rank == 0) return 0;
    ref_coords(out, i, c);
    if (in.rank == 1 && out.rank >= 2) return c[1];
    for (int d = 0; d < in.rank; d++)
        if (in.dim[d] == 1) c[d] = 0;
    return ref_index(in, c);
}

void ref_unary(const Node *n, const double *x, double *out, double (*f)(double))
{
    int64_t count = shape_count(n->shape);
    for (int64_t i = 0; i < count; i++) out[i] = f(x[ref_at(n->shape, i, n->in[0]->shape)]);
}

void ref_binary(const Node *n, const double *const *in, double *out, double (*f)(double, double))
{
    int64_t count = shape_count(n->shape);
    for (int64_t i = 0; i < count; i++)
        out[i] = f(in[0][ref_at(n->shape, i, n->in[0]->shape)],
                   in[1][ref_at(n->shape, i, n->in[1]->shape)]);
}

/* ---- scalar bodies ---- */
Expr *body_i2f(Body *c, Expr *x)
{
    return x->type == LT_F32 ? x : x_cast(c->b, LT_F32, x);
}
