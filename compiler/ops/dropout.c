/* Dropout, Dropout2d: zeroes elements with probability p and scales the others by 1 / (1 - p). Nothing is
 * stored: whether an element is kept is a hash of (seed, step, the layer's number, row-major
 * index), so that the gradient is the same op on dy. In evaluation mode the layer gives its input.
 * The hash: multiply-xorshift rounds on 32 bits; the keys are per (seed, step, layer), loop
 * invariant. */
#include "ops/common.h"
#include <math.h>

enum { P, INPLACE, NUMBER };
static const uint32_t M1 = 0x7feb352du, M2 = 0x846ca68bu, GOLDEN = 0x9e3779b9u;

static bool grad(Graph *g, Node *n, Node *dy, Node **dx)
{
    dx[0] = g_op_attr(g, "Dropout", n->attr, 3, dy, n->in[1], n->in[2]);
    return dx[0];
}

static Node *layer(Layer *l)
{
    Graph *g = l->g;
    int number = 1;
    if (!g->training || l->attr[P].f == 0) return l->in[0];
    for (int i = 0; i < g->node.n; i++) number += op_is(g->node.v[i], "Dropout");
    l->attr[NUMBER].i[0] = number;
    Node *seed = g_scalar(g, "seed"), *step = g_scalar(g, "step");
    return g_op_attr(g, "Dropout", l->attr, 3, l->in[0], seed, step);
}

/* One decision per channel of an image: dropout of ones, [N,C,1,1], times x. */
static Node *layer_2d(Layer *l)
{
    Graph *g = l->g;
    Shape x = l->in[0]->shape;
    if (x.rank != 4) {
        diag_error(l->loc, "H001", "Dropout2d '%s': input has the shape %s, expected [N,C,H,W]",
                   l->path, shape_text(x).s);
        return NULL;
    }
    if (!g->training || l->attr[P].f == 0) return l->in[0];
    Layer mask = *l;
    Node *one = g_const(g, 1);
    mask.in[0] = g_broadcast(g, one, shape_make(4, x.dim[0], x.dim[1], (int64_t)1, (int64_t)1));
    return g_mul(g, l->in[0], layer(&mask));
}

/* Elements whose 24 high bits are below this are dropped. */
static int64_t threshold(const Node *n)
{
    return (int64_t)lround(n->attr[P].f * (1 << 24));
}

static double scale(const Node *n)
{
    return 1.0 / (1.0 - n->attr[P].f);
}

/* ---- body ---- */
static Expr *word(Body *c, uint32_t v)
{
    return x_i32(c->b, (int32_t)v);
}

static Expr *xor_shift(Body *c, Expr *x, int by)
{
    return x_bin(c->b, B_XOR, x, x_bin(c->b, B_SHR, x, word(c, (uint32_t)by)));
}

static Expr *mix(Body *c, Expr *x, Expr *between)
{
    x = x_mul(c->b, xor_shift(c, x, 16), word(c, M1));
    x = x_mul(c->b, xor_shift(c, x_add(c->b, x, between), 15), word(c, M2));
    return xor_shift(c, x, 16);
}

static Expr *body(Body *c, const Node *n, Expr *const *in)
{
    uint32_t number = (uint32_t)n->attr[NUMBER].i[0];
    Expr *key1 = mix(c, x_add(c->b, in[1], word(c, number * GOLDEN)), in[2]);
    Expr *key2 = mix(c, x_bin(c->b, B_XOR, key1, in[2]), word(c, GOLDEN));
    Expr *at = x_cast(c->b, LT_I32, c->linear(c));
    Expr *bits = mix(c, x_bin(c->b, B_XOR, at, key1), key2);
    Expr *high = x_bin(c->b, B_SHR, bits, word(c, 8));
    Expr *kept = x_cmp(c->b, C_GE, high, x_i32(c->b, threshold(n)));
    return x_select(c->b, kept, x_mul(c->b, in[0], x_f32(c->b, scale(n))), x_f32(c->b, 0));
}

/* ---- reference: the same formula on uint32_t ---- */
static uint32_t ref_mix(uint32_t x, uint32_t between)
{
    x ^= x >> 16;
    x *= M1;
    x += between;
    x ^= x >> 15;
    x *= M2;
    return x ^ x >> 16;
}

static void ref(const Node *n, const double *const *in, double *out)
{
    uint32_t seed = (uint32_t)(int32_t)*in[1], step = (uint32_t)(int32_t)*in[2];
    uint32_t key1 = ref_mix(seed + (uint32_t)n->attr[NUMBER].i[0] * GOLDEN, step);
    uint32_t key2 = ref_mix(key1 ^ step, GOLDEN);
    int64_t count = shape_count(n->shape);
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = ref_mix((uint32_t)i ^ key1, key2);
        out[i] = (int64_t)(bits >> 8) >= threshold(n) ? in[0][i] * scale(n) : 0;
    }
}

static const AttrDef attrs[] = {
    {.name = "p", .kind = ATTR_FLOAT, .def = 0.5, .min = 0, .max = 0.9999},
    {.name = "inplace", .kind = ATTR_BOOL},
    {.name = "number", .kind = ATTR_INT, .hidden = true},
    {0}};

static const Sample samples[] = {
    {"f[2,3,7,5] i100[] i100[]", "number=1"}, {"f[5,17] i100[] i100[]", "p=0.1 number=2"}, {0}};

const OpDef op_dropout = {.name = "Dropout",
                          .doc = "zeroes elements at random while training",
                          .nin = 3,
                          .attrs = attrs,
                          .nest = NEST_POINTWISE,
                          .use = OP_LAYER,
                          .shape = shape_as_first,
                          .layer = layer,
                          .grad = grad,
                          .body = body,
                          .ref = ref,
                          .samples = samples,
                          .tol = {1e-6, 1e-4}};

const OpDef op_dropout2d = {.name = "Dropout2d",
                            .doc = "zeroes channels at random while training",
                            .nin = 1,
                            .attrs = attrs,
                            .nest = NEST_EXPAND,
                            .use = OP_LAYER,
                            .layer = layer_2d};
