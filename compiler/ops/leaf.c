/* Leaves and roots: Input, State, Scalar, Const, Assign, Pack. They have no code of their own; the
 * reference interpreter provides the values of Input, State and Scalar. */
#include "ops/common.h"
#include <string.h>

static bool shape_input(Node *n)
{
    (void)n; /* graph_input gave it */
    return true;
}

static bool shape_state(Node *n)
{
    n->shape = n->state->view.rank ? n->state->view : n->state->shape;
    n->dtype = n->state->dtype;
    return true;
}

static bool shape_run_scalar(Node *n)
{
    bool integer = !strcmp(n->name, "seed") || !strcmp(n->name, "step");
    n->shape = shape_make(0);
    n->dtype = integer ? DT_I32 : DT_F32;
    return true;
}

static bool shape_assign(Node *n)
{
    n->shape = n->in[0]->shape;
    n->dtype = n->in[0]->dtype;
    bug_if(shape_count(n->shape) != shape_count(n->state->shape), "Assign to '%s': %lld elements",
           n->state->name, (long long)shape_count(n->shape));
    return true;
}

static bool shape_pack(Node *n)
{
    int64_t count = 0;
    for (int i = 0; i < n->nin; i++) count += shape_count(n->in[i]->shape);
    n->shape = shape_make(1, count);
    n->dtype = DT_F32;
    return true;
}

static void ref_const(const Node *n, const double *const *in, double *out)
{
    (void)in;
    *out = n->attr[0].f;
}

static void ref_assign(const Node *n, const double *const *in, double *out)
{
    memcpy(out, in[0], sizeof *out * (size_t)shape_count(n->shape));
}

static void ref_pack(const Node *n, const double *const *in, double *out)
{
    for (int i = 0; i < n->nin; i++) {
        int64_t count = shape_count(n->in[i]->shape);
        memcpy(out, in[i], sizeof *out * (size_t)count);
        out += count;
    }
}

const OpDef op_input = {.name = "Input",
                        .doc = "a batch of images, labels or masks",
                        .nest = NEST_LEAF,
                        .shape = shape_input};

const OpDef op_state = {.name = "State",
                        .doc = "the value of a state at the beginning of the run",
                        .nest = NEST_LEAF,
                        .shape = shape_state};

const OpDef op_scalar = {.name = "Scalar",
                         .doc = "a run-time value: lr, step, seed, bias_correction1 ...",
                         .nest = NEST_LEAF,
                         .shape = shape_run_scalar};

static const AttrDef const_attrs[] = {{.name = "value", .kind = ATTR_FLOAT, .required = true}, {0}};

const OpDef op_const = {.name = "Const",
                        .doc = "a constant scalar",
                        .attrs = const_attrs,
                        .nest = NEST_LEAF,
                        .shape = shape_scalar,
                        .ref = ref_const};

const OpDef op_assign = {.name = "Assign",
                         .doc = "the value of a state after the run",
                         .nin = 1,
                         .nest = NEST_LEAF,
                         .use = OP_ROOT,
                         .shape = shape_assign,
                         .ref = ref_assign};

static const Sample pack_samples[] = {{"f[2,3] f[4] f[3,2,1,5]", ""}, {0}};

const OpDef op_pack = {.name = "Pack",
                       .doc = "tensors laid end to end",
                       .nin = -1,
                       .nest = NEST_LEAF,
                       .shape = shape_pack,
                       .ref = ref_pack,
                       .samples = pack_samples,
                       .tol = {0, 0}};
