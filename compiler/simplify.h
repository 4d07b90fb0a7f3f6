/* Between the engine (simplify.c) and the rules (rules.c). */
#ifndef SIMPLIFY_H
#define SIMPLIFY_H
#include "stages.h"

/* One pass of one rule over the graph. */
typedef struct Rewrite {
    Graph *g;
    int count;      /* nodes when the pass began; later ones are new */
    int *uses;      /* per such node: how many inputs and outputs it is */
    bool *prepared; /* per such node: computed from states and constants alone */
    void *data;     /* the rule's own */
} Rewrite;

/* The node that takes n's place, of the same shape and type and not made from n itself; NULL: n
 * stays. */
typedef Node *(*RewriteFn)(Rewrite *r, Node *n);

typedef struct Rule {
    const char *name, *doc;
    int level; /* applies from this level on */
    bool inference_only;
    RewriteFn node;          /* for each node; or */
    bool (*whole)(Graph *g); /* for the graph; -> it changed something */
} Rule;

extern const Rule simplify_rules[]; /* ends with name == NULL */

/* Visits every node in order, inputs first; replaces; sweeps if anything changed. */
bool rewrite_each(Graph *g, RewriteFn fn, void *data);
void rewrite_at(Rewrite *r, const Node *n); /* new nodes get the place and name of n */
int rewrite_uses(const Rewrite *r, const Node *n);
bool rewrite_prepared(const Rewrite *r, const Node *n);
void recompute(Graph *g); /* recompute.c */
/* One rule alone, by name, until it changes nothing: for tests. */
bool simplify_rule(Graph *g, const char *name);
#endif
