/* What operator files share: shape rules of common form, indices of references, gradient helpers.
 */
#ifndef OPS_COMMON_H
#define OPS_COMMON_H
#include "ops/op.h"

typedef struct ShapeText {
    char s[128];
} ShapeText;
ShapeText shape_text(Shape s);         /* "[8,64,56,56]", for messages: shape_text(x).s */
Loc attr_loc(const Node *n, int attr); /* of the argument, or of the layer if it was left out */

/* ---- shape rules: true, or false after a diag_error ---- */
bool shape_as_first(Node *n);  /* shape of in[0], f32 */
bool shape_pair(Node *n);      /* in[0] and in[1] broadcast, f32 */
bool shape_all_equal(Node *n); /* every input has the shape of in[0], f32 */
bool shape_scalar(Node *n);    /* f32, rank 0 */
/* Input `i` must have one of two ranks (give the same twice for one). */
bool shape_want_rank(const Node *n, int i, int rank_a, int rank_b);

/* ---- windows over two dims of size in[]: convolution and pooling ---- */
typedef struct Sliding {
    int64_t kernel[2], stride[2], pad[2], dil[2];
} Sliding;
/* out[] = number of windows; errors H002 and H003. at: the attribute to point to. */
bool sliding_size(const Node *n, const Sliding *s, const int64_t in[2], bool ceil_mode, int at,
                  int64_t out[2]);

/* ---- references ---- */
/* Row-major index into `in` of the element at row-major index i of `out` (broadcasting). */
int64_t ref_at(Shape out, int64_t i, Shape in);
void ref_coords(Shape s, int64_t i, int64_t c[MAX_RANK]);
int64_t ref_index(Shape s, const int64_t c[MAX_RANK]);
void ref_unary(const Node *n, const double *x, double *out, double (*f)(double));
void ref_binary(const Node *n, const double *const *in, double *out, double (*f)(double, double));

/* ---- graph building ---- */
Node *g_reshape(Graph *g, Node *x, Shape s);
Node *g_broadcast(Graph *g, Node *x, Shape s);
Node *g_to_shape(Graph *g, Node *dy, Shape s); /* sums dy over what was broadcast from s */
Node *g_add(Graph *g, Node *a, Node *b);
Node *g_sub(Graph *g, Node *a, Node *b);
Node *g_mul(Graph *g, Node *a, Node *b);
Node *g_div(Graph *g, Node *a, Node *b);
Node *g_scale(Graph *g, Node *x, double k); /* x * k */
Node *g_clip(Graph *g, Node *x, double min, double max);
Node *g_sum_keep(Graph *g, Node *x, unsigned axes); /* any axes; they become 1 */
/* One node of n's attribute values under another op, whose table begins with the same attributes.
 */
Node *g_like(Graph *g, const char *op, const Node *n, Shape size, int nin, ...);

/* ---- scalar bodies ---- */
Expr *body_i2f(Body *c, Expr *x);
#endif
