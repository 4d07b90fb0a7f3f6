/* Nests build loop IR round the holes that a group's scalar bodies fill.
 *
 * A Nest is one kernel under construction: it knows where every value lies (Plan), turns
 * coordinates into addresses, and evaluates the group's elementwise nodes at a coordinate. The
 * files beside this one add loops: pointwise.c, reduce.c, row.c, contract.c, window.c, resample.c,
 * gather.c, copy.c, library.c. They read the schedule; they decide nothing. */
#ifndef NESTS_NEST_H
#define NESTS_NEST_H
#include "loops.h"

/* A place in the domain. An axis that is cut into blocks has blk and lane (idx = NULL), others idx.
 */
typedef struct Coord {
    int rank;
    Expr *idx[MAX_RANK], *blk[MAX_RANK], *lane[MAX_RANK];
} Coord;

typedef struct Nest {
    Arena *a;
    Loops *out;
    const Plan *plan;
    const Schedule *sched;
    const Group *group; /* NULL for copies into state */
    const Group *sums;  /* a reduction whose elementwise nodes are computed here, too (GroupSchedule.sums) */
    const GroupSchedule *gs;
    LB lb, *b;
    Kernel kernel;
    Coord at;     /* of the current point */
    Shape domain; /* logical shape of the domain that `at` speaks of */
    struct {
        Expr *x;
        int scope;
    } * memo;       /* by node id: the node's value at the current point */
    int point, row; /* current scopes: values of a row outlive those of a point */
    bool in_row;
} Nest;

/* ---- one kernel ---- */
void nest_begin(Nest *n, Arena *a, Loops *out, const Group *g, const char *nest);
void nest_end(Nest *n, int64_t ntasks); /* appends the launch to n->out */
LBuf *nest_buf(Nest *n, const Node *v); /* argument that holds v */
LBuf *nest_workspace(Nest *n, int64_t byte_offset, LType t, int64_t count);
LBuf *nest_place(Nest *n, const Place *at, int64_t byte_offset, LType t, int64_t count);
const Layout *nest_layout(const Nest *n, const Node *v);
Stage nest_stage(const Nest *n, const Node *v);
bool nest_inside(const Nest *n, const Node *v); /* computed in this group */

/* ---- loops ---- */
typedef struct NestLoop {
    const char *name;
    int64_t extent;
    bool parallel; /* set by nest_choose_tasks */
    Expr *var;
} NestLoop;
/* Makes leading loops parallel until there are enough tasks, but leaves at least `least` elements
 * to each (nest_least; inner: elements below all these loops). -> number of tasks */
int64_t nest_choose_tasks(const Nest *nest, NestLoop *l, int n, int64_t inner, int64_t least);
/* The least work of a task, where `least` is good for a CPU: less for machines that need more tasks. */
int64_t nest_least(const Nest *n, int64_t least);
int nest_open(Nest *n, NestLoop *l, int count); /* -> how many lb_end() close them */
void nest_close(Nest *n, int opened);
/* A vector loop of `extent` lanes, or nothing when extent is 1 (returns constant 0). Close with
 * nest_close. */
Expr *nest_lanes(Nest *n, int64_t extent, int *opened);

/* ---- values ---- */
void nest_point(Nest *n, Shape domain,
                const Coord *at);               /* a new element: forgets the last one's values */
void nest_new_row(Nest *n);                     /* forgets the values of the row, too */
void nest_set(Nest *n, const Node *v, Expr *x); /* an anchor's value at this point */
Expr *nest_value(Nest *n, const Node *v);       /* loads or computes (and binds) */
/* window_gather.c: of a node of NEST_WINDOW_T that another nest computes: its value at the current point */
Expr *nest_windows_of(Nest *n, const Node *v);
Expr *nest_address(Nest *n, const Layout *l, Shape shape, const Coord *at);
Expr *nest_load(Nest *n, const Node *v, const Coord *at);
void nest_store(Nest *n, const Node *v, Expr *x); /* at the current point */
void nest_store_outs(Nest *n, Stage from,
                     Stage to); /* all outs of these stages, at the current point */
Body nest_body(Nest *n);        /* for the operators' hooks, at the current point */
LType nest_ltype(DType t);
LType nest_type(const Nest *n, const Node *v); /* as which v's elements are stored */
/* A load and a store of f32 elements that may be stored in fewer bits. */
Expr *nest_load_at(Nest *n, LBuf *u, Expr *index);
void nest_store_at(Nest *n, LBuf *u, Expr *index, Expr *x);

/* ---- the nests: each appends the kernels of one group ---- */
void nest_pointwise(Arena *a, Loops *out, const Group *g);
void nest_reduce(Arena *a, Loops *out, const Group *g);
void nest_row(Arena *a, Loops *out, const Group *g);
void nest_contract(Arena *a, Loops *out, const Group *g);
void nest_contract_dot(Arena *a, Loops *out, const Group *g);
void nest_winograd(Arena *a, Loops *out, const Group *g);
void nest_winograd_gradient(Arena *a, Loops *out, const Group *g);
/* The group's transformed weights, into its workspace or what it keeps between runs. */
void nest_winograd_weights(Arena *a, Loops *out, const Group *g);
void nest_window(Arena *a, Loops *out, const Group *g);
void nest_window_t(Arena *a, Loops *out, const Group *g);
void nest_resample(Arena *a, Loops *out, const Group *g);
void nest_gather(Arena *a, Loops *out, const Group *g);
void nest_copy(Arena *a, Loops *out, const Group *g);
/* value -> state in the same logical shape (Plan.copy) */
void nest_copy_state(Arena *a, Loops *out, const Node *assign);
/* a contraction that a library computes, with the copies it needs; those of weights that do not change, apart */
void nest_library(Arena *a, Loops *out, const Group *g);
void nest_library_prepare(Arena *a, Loops *out, const Group *g);
/* B of a contraction with its first two axes exchanged, into the workspace */
void nest_pack(Arena *a, Loops *out, const Group *g);
/* pointwise.c: all elements of a layout: blocks, then lanes. Sets n->at and calls `element` inside
 * of all loops. */
int64_t nest_each(Nest *n, Shape domain, const Layout *l, void (*element)(Nest *n, void *arg),
                  void *arg);
#endif
