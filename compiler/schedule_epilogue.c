/* Convolutions as cuDNN knows them: an anchor becomes the operation, the elementwise nodes behind it its epilogues, as
 * far as they are a chain of things that cuDNN has.
 *
 * In: a group. Out: a Library with dims, epilogues and values; no strides yet. Not here: whether cuDNN has a plan. */
#include "schedule.h"
#include <string.h>

/* Which input of the anchor is which tensor; NONE: what it computes. */
enum { NONE = -1 };
static const struct {
    const char *op;
    uint32_t kind;
    int x, w, y;
} anchors[] = {{"Conv2d", CUDNN_CONV_FORWARD, 0, 1, NONE},
               {"ConvDgrad", CUDNN_CONV_DGRAD, NONE, 1, 0},
               {"ConvWgrad", CUDNN_CONV_WGRAD, 0, NONE, 1}};

/* Unary operators, with the attributes that are their numbers. Add, Mul and ReLUGrad are below. */
static const struct {
    const char *op;
    uint32_t kind;
    const char *alpha, *beta;
} unary[] = {{"ReLU", CUDNN_EPI_RELU, NULL, NULL},
             {"Hardtanh", CUDNN_EPI_CLIP, "min_val", "max_val"},
             {"LeakyReLU", CUDNN_EPI_LEAKY, "negative_slope", NULL},
             {"ELU", CUDNN_EPI_ELU, "alpha", NULL},
             {"Sigmoid", CUDNN_EPI_SIGMOID, NULL, NULL},
             {"Tanh", CUDNN_EPI_TANH, NULL, NULL}};
enum { NUNARY = sizeof unary / sizeof unary[0] };

typedef struct Chain {
    const Groups *gs;
    const Group *g;
    Library *lib;
    const Node *at; /* the last node taken */
} Chain;

static void take(Chain *c, const Node *n, CudnnEpilogue e, const Node *operand)
{
    int i = (int)c->lib->conv.nepilogues++;
    c->lib->conv.epilogue[i] = e;
    c->lib->tensor[3 + i].value = operand;
    c->at = n;
}

static bool take_unary(Chain *c, const Node *n)
{
    for (int i = 0; i < NUNARY; i++) {
        if (!op_is(n, unary[i].op)) continue;
        CudnnEpilogue e = {.kind = unary[i].kind};
        if (unary[i].alpha) e.alpha = (float)attr_float(n, unary[i].alpha);
        if (unary[i].beta) e.beta = (float)attr_float(n, unary[i].beta);
        take(c, n, e, NULL);
        return true;
    }
    return false;
}

static bool take_binary(Chain *c, const Node *n)
{
    bool add = op_is(n, "Add"), mul = op_is(n, "Mul"), mask = op_is(n, "ReLUGrad");
    const Node *z = n->in[0] == c->at ? n->in[1] : n->in[0];
    if (mask && n->in[1] != c->at) return false; /* the gradient is what passes through the mask */
    if (n->nin != 2 || n->in[0] == n->in[1] || c->gs->of[z->id] == c->g || op_is(z, "Const")) return false;
    bool channels = z->shape.rank == 1 && n->shape.rank == 4 && z->shape.dim[0] == n->shape.dim[1];
    bool same = shape_eq(z->shape, n->shape);
    if (!(same || (channels && !mask)) || !(add || mul || mask)) return false;
    uint32_t kind = mask ? CUDNN_EPI_RELU_GRAD
                    : add ? (same ? CUDNN_EPI_ADD : CUDNN_EPI_BIAS)
                          : (same ? CUDNN_EPI_MUL : CUDNN_EPI_SCALE);
    take(c, n, (CudnnEpilogue){.kind = kind}, z);
    return true;
}

/* The only node of the group that reads v, if v is not stored; else NULL. */
static const Node *only_reader(const Group *g, const Node *v)
{
    const Node *reader = NULL;
    for (int i = 0; i < g->out.n; i++)
        if (g->out.v[i] == v) return NULL;
    for (int i = 0; i < g->node.n; i++)
        for (int k = 0; k < g->node.v[i]->nin; k++) {
            if (g->node.v[i]->in[k] != v) continue;
            if (reader && reader != g->node.v[i]) return NULL;
            reader = g->node.v[i];
        }
    return reader;
}

static void set_geometry(CudnnConv *c, const Node *n)
{
    const int64_t *step = attr_pair(n, "stride"), *pad = attr_pair(n, "padding");
    const int64_t *dilation = attr_pair(n, "dilation");
    for (int d = 0; d < 2; d++) {
        c->step[d] = step[d];
        c->pad[d] = pad[d];
        c->dilation[d] = dilation[d];
    }
}

static const char *set_tensors(Library *lib, const Node *n, int anchor)
{
    const int from[3] = {anchors[anchor].x, anchors[anchor].w, anchors[anchor].y};
    for (int t = 0; t < 3; t++) {
        const Node *v = from[t] == NONE ? n : n->in[from[t]];
        if (v->shape.rank != 4) return "its tensors are not images";
        lib->tensor[t].value = v;
        memcpy(lib->conv.dim[t], v->shape.dim, sizeof lib->conv.dim[t]);
    }
    return NULL;
}

const char *schedule_conv(const Schedule *s, const Group *g, Library *lib, const Node **chain)
{
    const Node *n = g->anchor;
    int i = 0, most = (int)(sizeof anchors / sizeof anchors[0]);
    while (i < most && !op_is(n, anchors[i].op)) i++;
    if (i == most) return "";
    *lib = (Library){.conv = {.kind = anchors[i].kind, .math = CUDNN_EXACT}};
    const char *why = set_tensors(lib, n, i);
    if (why) return why;
    if (g->pool) return "it pools where it accumulates (--no-fuse=pool leaves that to a kernel of its own)";
    set_geometry(&lib->conv, n);
    Chain c = {s->groups, g, lib, n};
    while (lib->conv.nepilogues < CUDNN_MOST_EPILOGUES) {
        const Node *next = only_reader(g, c.at);
        if (!next || !(take_unary(&c, next) || take_binary(&c, next))) break;
        chain[lib->conv.nepilogues - 1] = next;
    }
    return NULL;
}
