/* The engine of simplify: applies the rules of rules.c, in their order, until none changes
 * anything. A pass visits nodes from the first to the last and notes in node->fwd what takes a
 * node's place. */
#include "simplify.h"
#include <string.h>

/* More rounds than any chain of rewrites needs; a rule that undoes another one would run for ever.
 */
enum { MAX_ROUNDS = 100000 };

static Node *resolve(Node *n)
{
    while (n->fwd) n = n->fwd;
    return n;
}

static void resolve_inputs(Node *n)
{
    for (int k = 0; k < n->nin; k++) n->in[k] = resolve(n->in[k]);
}

static bool is_prepared(const Rewrite *r, const Node *n)
{
    if (n->nin == 0) return op_is(n, "State") || op_is(n, "Const");
    for (int k = 0; k < n->nin; k++)
        if (!r->prepared[n->in[k]->id]) return false;
    return true;
}

static void analyse(Rewrite *r, Arena *tmp)
{
    Graph *g = r->g;
    r->count = g->node.n;
    r->uses = NEWN(tmp, int, r->count + 1);
    r->prepared = NEWN(tmp, bool, r->count + 1);
    for (int i = 0; i < r->count; i++) {
        Node *n = g->node.v[i];
        n->fwd = NULL;
        r->prepared[i] = is_prepared(r, n);
        for (int k = 0; k < n->nin; k++) r->uses[n->in[k]->id]++;
    }
    for (int i = 0; i < g->output.n; i++) r->uses[g->output.v[i].node->id]++;
}

void rewrite_at(Rewrite *r, const Node *n)
{
    r->g->cur_loc = n->loc;
    r->g->cur_name = n->name;
    r->g->cur_grad = n->is_grad;
}

int rewrite_uses(const Rewrite *r, const Node *n)
{
    return n->id < r->count ? r->uses[n->id] : 0;
}

bool rewrite_prepared(const Rewrite *r, const Node *n)
{
    return n->id < r->count && r->prepared[n->id];
}

static bool visit(Rewrite *r, RewriteFn fn, Node *n)
{
    resolve_inputs(n);
    rewrite_at(r, n);
    Node *to = fn(r, n);
    if (!to || to == n) return false;
    bug_if(!shape_eq(to->shape, n->shape) || to->dtype != n->dtype,
           "%%%d %s is replaced by a %s of another shape", n->id, op_name(n->op), op_name(to->op));
    n->fwd = to;
    return true;
}

bool rewrite_each(Graph *g, RewriteFn fn, void *data)
{
    Arena *tmp = arena_new();
    Rewrite r = {.g = g, .data = data};
    Loc loc = g->cur_loc;
    const char *name = g->cur_name;
    bool grad = g->cur_grad, changed = false;
    analyse(&r, tmp);
    for (int i = 0; i < r.count; i++) changed = visit(&r, fn, g->node.v[i]) || changed;
    for (int i = 0; i < g->node.n; i++) resolve_inputs(g->node.v[i]);
    for (int i = 0; i < g->output.n; i++) g->output.v[i].node = resolve(g->output.v[i].node);
    if (changed) graph_sweep(g);
    g->cur_loc = loc;
    g->cur_name = name;
    g->cur_grad = grad;
    arena_free(tmp);
    return changed;
}

static bool apply(Graph *g, const Rule *rule)
{
    bool changed = false;
    int rounds = 0;
    while (rule->whole ? rule->whole(g) : rewrite_each(g, rule->node, NULL)) {
        changed = true;
        bug_if(++rounds > MAX_ROUNDS, "rule %s does not end", rule->name);
    }
    return changed;
}

bool simplify_rule(Graph *g, const char *name)
{
    for (const Rule *r = simplify_rules; r->name; r++)
        if (!strcmp(r->name, name)) return apply(g, r);
    bug_if(true, "no rule '%s'", name);
}

void simplify(Graph *g, int level)
{
    bool changed = true;
    graph_sweep(g);
    for (int round = 0; changed; round++) {
        changed = false;
        bug_if(round > MAX_ROUNDS, "simplify does not end");
        for (const Rule *r = simplify_rules; r->name; r++) {
            if (level < r->level || (r->inference_only && g->training)) continue;
            changed = apply(g, r) || changed;
        }
    }
    if (level >= 2) recompute(g);
}
