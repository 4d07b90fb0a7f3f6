/* One prototype per stage, in order. Const inputs, a returned product; only autodiff and simplify change
 * the graph they are given. A stage never calls a stage: pipeline.c alone knows the order. */
#ifndef STAGES_H
#define STAGES_H
#include "backend.h"
#include "graph/graph.h"
#include "ops/op.h"

typedef struct Setting { const char *key, *value; } Setting; /* --set width=64; also RtOption */

/* spec/: YAML -> Spec (checked against the schema) -> Graph. NULL after diag_errors. */
typedef struct Spec Spec;
Spec *spec_read(Arena *a, const char *path, const Setting *set, int nset);
/* training: layers in training mode, loss, and outputs "output" and "loss". Otherwise evaluation mode, output
 * "output" (and "loss" when the description has one, so that eval reports it). */
Graph *spec_graph(Arena *a, const Spec *s, bool training, int64_t batch);
/* The same, and what layers it is made of, in order. */
typedef struct LayerNote {
    const char *path, *type;
    Shape out;
    int64_t params, macs; /* macs: multiply-adds of convolutions and Linear, for the whole batch */
    bool frozen;
} LayerNote;
typedef struct LayerList { VEC(LayerNote) layer; } LayerList;
Graph *spec_graph_layers(Arena *a, const Spec *s, bool training, int64_t batch, LayerList *list);
/* Takes the outputs off that are there to be looked at (report.tsne.layer): the model is the same without. */
void spec_drop_features(const Spec *s, Graph *g);
const char *spec_name(const Spec *s);
const char *spec_file(const Spec *s, int i); /* of the files that it was read from, the i-th; NULL: there are no more */
int64_t spec_batch(const Spec *s);                       /* train.batch_size */
const Setting *spec_options(const Spec *s, int *n);      /* run-time values for the program */
/* The optimizer as a layer on (weights, gradients), flat; adds its Assigns. false: the description has none. */
bool spec_optimizer(const Spec *s, Graph *g, Node *weights, Node *gradients);
void spec_print(Buf *b, const Spec *s);
void spec_texts(const Spec *s, const char **loss, const char **optimizer); /* as written; NULL: none */

/* autodiff.c: adds the gradients of the scalar output "loss" with respect to every trained parameter.
 * -> op Pack of all gradients, in the order of the parameters; *weights = op State on the group of the same
 * parameters. Output "grads" is the Pack. NULL if nothing is trained. */
Node *autodiff(Graph *g, Node **weights);
/* Gradients of sum(dy * y) with respect to n nodes of g; grad[i] NULL: y does not depend on wrt[i].
 * false after a diag_error. */
bool autodiff_of(Graph *g, Node *y, Node *dy, Node *const *wrt, int n, Node **grad);

/* simplify.c + rules.c: expand compositions, fold constants, CSE, dead code, BatchNorm into convolution
 * (inference graphs). level 0 expands only (--no-simplify); level 2 also lets gradients compute cheap values again
 * instead of keeping them, which pays when elementwise work is fused. */
void simplify(Graph *g, int level);

/* precision.c: what g->precision asks of the graph itself; after simplify. */
void lower_precision(Graph *g, const Machine *m);
bool precision_narrows(
    const Graph *g, const Machine *m); /* is something stored in fewer bits? tf32: on GPUs alone */

/* fuse.c: nodes -> groups. m: where some things pay and others do not; NULL: any CPU. */
typedef struct Groups Groups;
Groups *fuse(Arena *a, const Graph *g, bool enable, const char *disabled_rule, const Machine *m);
void groups_print(Buf *b, const Groups *g);
void groups_verify(const Groups *g);

/* schedule.c: layouts of tensors; per group algorithm, tile, order, tasks: all data. `by`: what contractions are to be
 * computed by, by group id, where they can; NULL: what the model of time prefers. */
typedef enum Algorithm { BY_MODEL, BY_SUM, BY_WINOGRAD2, BY_WINOGRAD4, BY_WINOGRAD5, BY_WINOGRAD6, NALGORITHMS } Algorithm;
typedef struct Schedule Schedule;
Schedule *schedule(Arena *a, const Groups *g, const Machine *m);
Schedule *schedule_by(Arena *a, const Groups *g, const Machine *m, const Algorithm *by);
void schedule_print(Buf *b, const Schedule *s);
void schedule_explain(Buf *b, const Schedule *s); /* --explain-fusion; in explain.c */
void schedule_explain_choice(Buf *b, const Schedule *s); /* --explain: by which algorithm, and what the others need */
void schedule_explain_library(Buf *b, const Schedule *s); /* --explain-fusion: what a library computes, and why not more */

/* plan.c: run order, lifetimes, offsets. */
typedef struct Plan Plan;
Plan *plan(Arena *a, const Schedule *s, bool reuse);
void plan_print(Buf *b, const Plan *p);
void plan_verify(const Plan *p); /* O(n^2) check that live storage never overlaps */

/* lower.c: -> kernels and launches. */
typedef struct Loops Loops;
Loops *lower(Arena *a, const Plan *p, const Machine *m);
void loops_print(Buf *b, const Loops *l);
void loops_verify(const Loops *l);
#endif
