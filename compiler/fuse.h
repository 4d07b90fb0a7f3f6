/* Between fuse.c (walks over the graph), fuse_rules.c (what may join what) and fuse_merge.c (groups that join). */
#ifndef FUSE_H
#define FUSE_H
#include "groups.h"
#include "stages.h"

typedef struct Fuse {
    Arena *a;
    const Graph *g;
    Groups *out;
    bool enable;
    const char *disabled;
    const Machine *m; /* NULL: a CPU */
    bool *prep; /* by node id */
    int *mark;  /* by node id: visited in walk number */
    int walk;
} Fuse;

/* A rule looks at one node and one group of a producer: NULL: the node has joined; "": the rule does not apply;
 * else why it may not join, as --explain-fusion prints it. */
typedef struct FuseRule {
    const char *name, *doc;
    const char *(*join)(Fuse *, Node *, Group *);
} FuseRule;
extern const FuseRule fuse_rules[]; /* ends with name == NULL */

void fuse_put(Fuse *f, Group *g, Node *n, Stage stage);
bool fuse_is_root(const Node *n);                 /* Assign, Pack */
bool fuse_wanted(const Fuse *f, const Node *n);   /* stored for its own sake: an output, a state's new value */
/* Does n depend, through groups as wholes, on anything that group g computes? The caller counts f->walk up. */
bool fuse_depends(Fuse *f, const Node *n, const Group *g);
int fuse_count(const Fuse *f, const Group *g, Stage s); /* nodes of one stage */
unsigned fuse_axes(const Node *sum);
extern const char fuse_reads_many[];              /* why contractions do not join their producers */
bool fuse_is_row(const Node *n);                  /* a reduction along the channels of one row */

/* fuse_band.c: a convolution, channel by channel? Does no other node than n read what g computes? The rule. */
bool fuse_is_depthwise(const Node *n);
bool fuse_alone_reads(const Fuse *f, const Node *n, const Group *g);
/* May Winograd's algorithm compute it? In tiles then, which are no rows of the plane. */
bool fuse_may_transform(const Fuse *f, const Node *anchor);
const char *rule_band(Fuse *f, Node *n, Group *g);

/* n has just joined a group: elementwise groups that feed it, and other sums over the same tensors, come along. */
void fuse_absorb_producers(Fuse *f, Node *n);
void fuse_merge_sums(Fuse *f, Node *n);
#endif
