/* Groups: the product of fuse.c. A group becomes one kernel (or a few that follow each other):
 * nodes that are computed in one nest, values between them never reach memory. Data only. */
#ifndef GROUPS_H
#define GROUPS_H
#include "ops/op.h"

/* Where in the group's nest a node is computed. */
typedef enum Stage {
    STAGE_PRE,    /* elementwise over the domain (the only stage of pointwise groups) */
    STAGE_ANCHOR, /* the contraction, window or reduction itself */
    STAGE_POST,   /* elementwise over the anchor's output */
    STAGE_POOL,   /* windows over the contraction's output, channel by channel */
    STAGE_LAST,   /* elementwise over the pooled output */
} Stage;

enum { STRIP_BLOCKS = 4 }; /* blocks of channels of a strip: what is loaded for one serves all */
enum { BAND_BLOCKS = 4 };  /* most blocks of channels of a band's tile */
enum { GROUP_MOST_ANCHORS = 8 }; /* reductions, or poolings, that one kernel takes */

typedef struct Group {
    int id;
    NestKind nest;    /* POINTWISE, REDUCE, CONTRACT, WINDOW, WINDOW_T, COPY */
    bool row;         /* REDUCE over axis 1: several passes over one row at a time */
    bool prep;        /* depends on state and constants only: runs once after the weights changed */
    Node *anchor;     /* first anchor; NULL in pointwise groups */
    Node *pool;       /* first node of STAGE_POOL */
    bool strip;       /* its windows overlap: a task follows group_strip of them side by side down the plane */
    bool band;        /* a task keeps the rows that windows read, and no more of them (fuse_band.c) */
    Shape domain;     /* elementwise domain: of STAGE_PRE where there is one, else of the anchor's
                         output */
    Shape tail;       /* shape that the next elementwise node must have to join */
    VEC(Node *) node; /* topological order */
    VEC(Node *) in;   /* values loaded: of other groups and leafs (not Const) */
    VEC(Node *) out;  /* values stored */
} Group;

typedef struct Groups {
    const Graph *graph;
    VEC(Group *) group; /* in an order that respects dependences (state hazards are plan.c's) */
    Group **of;         /* by node id; NULL for leafs, and for work on scalars: done by its users */
    Stage *stage;       /* by node id */
    const char *
        *why; /* by node id: why the node did not join its producers; NULL: it did, or has none */
} Groups;

/* cost.c: "conv2+relu2+pool2": the modules of the group's nodes, each once, in order; "'" marks gradients.
 * Cut after 200 bytes. */
const char *group_layers(Arena *a, const Group *g);
int group_line(const Group *g); /* YAML line of the first layer, 0: none */

int64_t group_strip(const Node *pool); /* fuse_rules.c: windows side by side; 0: they cannot be followed so */

bool node_is_leaf(const Node *n); /* Input, State, Scalar, Const */
#endif
