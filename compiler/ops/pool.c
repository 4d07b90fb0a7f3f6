/* Windows of pooling: attributes, shapes, the place of a tap. */
#include "ops/pool.h"
#include <string.h>

static const AttrVal *find(const Node *n, const char *name)
{
    for (int i = 0; n->op->attrs[i].name; i++)
        if (!strcmp(n->op->attrs[i].name, name)) return &n->attr[i];
    return NULL;
}

Window pool_window(const Node *n)
{
    Window w = {0};
    const AttrVal *dil = find(n, "dilation"), *count_pad = find(n, "count_include_pad");
    const int64_t *stride = attr_pair(n, "stride");
    for (int d = 0; d < 2; d++) {
        w.kernel[d] = attr_pair(n, "kernel_size")[d];
        w.stride[d] = stride[d] ? stride[d] : w.kernel[d];
        w.pad[d] = attr_pair(n, "padding")[d];
        w.dilation[d] = dil ? dil->i[d] : 1;
    }
    w.count_pad = count_pad && count_pad->i[0];
    return w;
}

static bool pad_too_large(const Node *n, const Window *w)
{
    if (w->pad[0] * 2 <= w->kernel[0] && w->pad[1] * 2 <= w->kernel[1]) return false;
    diag_error(attr_loc(n, attr_index(n->op, "padding")), "H014",
               "%s '%s': padding %lldx%lld is more than half of the kernel %lldx%lld", n->op->name,
               n->name, (long long)w->pad[0], (long long)w->pad[1], (long long)w->kernel[0],
               (long long)w->kernel[1]);
    diag_help("a window would lie in the padding alone");
    return true;
}

bool pool_shape(Node *n)
{
    int64_t out[2];
    if (!shape_want_rank(n, 0, 4, 4)) return false;
    Shape x = n->in[0]->shape;
    Window w = pool_window(n);
    Sliding s;
    memcpy(s.kernel, w.kernel, sizeof s.kernel);
    memcpy(s.stride, w.stride, sizeof s.stride);
    memcpy(s.pad, w.pad, sizeof s.pad);
    memcpy(s.dil, w.dilation, sizeof s.dil);
    bool ceil_mode = attr_int(n, "ceil_mode");
    if (pad_too_large(n, &w)) return false;
    if (!sliding_size(n, &s, x.dim + 2, ceil_mode, attr_index(n->op, "kernel_size"), out))
        return false;
    n->shape = shape_make(4, x.dim[0], x.dim[1], out[0], out[1]);
    n->dtype = DT_F32;
    return true;
}

bool pool_grad_shape(Node *n)
{
    const int64_t *size = attr_pair(n, "size");
    Shape dy = n->in[0]->shape;
    n->shape = shape_make(4, dy.dim[0], dy.dim[1], size[0], size[1]);
    n->dtype = DT_F32;
    return true;
}

bool pool_tap(const Window *w, const int64_t in[2], const int64_t o[2], int64_t tap, int64_t at[2])
{
    const int64_t k[2] = {tap / w->kernel[1], tap % w->kernel[1]};
    for (int d = 0; d < 2; d++) at[d] = o[d] * w->stride[d] - w->pad[d] + k[d] * w->dilation[d];
    return at[0] >= 0 && at[0] < in[0] && at[1] >= 0 && at[1] < in[1];
}
