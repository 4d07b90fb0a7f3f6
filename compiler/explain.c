/* Texts about groups: the plain dump, and the table of --explain-fusion that a person reads. */
#include "schedule.h"
#include "stages.h"
#include <string.h>

static const char *const nest_names[] = {"leaf",     "pointwise", "reduce", "contract", "window",
                                         "window_t", "resample",  "gather", "copy",     "expand"};
static const char *const stage_names[] = {"pre", "anchor", "post", "pool", "last"};

static void print_ids(Buf *b, const char *what, Node *const *v, int n)
{
    buf_printf(b, "  %s:", what);
    for (int i = 0; i < n; i++) buf_printf(b, " %%%d", v[i]->id);
    buf_putc(b, '\n');
}

void groups_print(Buf *b, const Groups *gs)
{
    Arena *a = arena_new();
    for (int i = 0; i < gs->group.n; i++) {
        const Group *g = gs->group.v[i];
        buf_printf(b, "group %d %s%s%s domain %s  # %s\n", g->id, nest_names[g->nest],
                   g->row ? " row" : "", g->prep ? " prepare" : "", shape_str(a, g->domain),
                   group_layers(a, g));
        for (int k = 0; k < g->node.n; k++) {
            const Node *n = g->node.v[k];
            buf_printf(b, "  %%%d = %s", n->id, op_name(n->op));
            for (int j = 0; j < n->nin; j++) buf_printf(b, " %%%d", n->in[j]->id);
            buf_printf(b, "  %s %s", stage_names[gs->stage[n->id]], shape_str(a, n->shape));
            if (gs->why[n->id]) buf_printf(b, "  # starts a kernel: %s", gs->why[n->id]);
            buf_putc(b, '\n');
        }
        print_ids(b, "in", g->in.v, g->in.n);
        print_ids(b, "out", g->out.v, g->out.n);
    }
    arena_free(a);
}

/* Three digits and a prefix: "35.3 M", "130  ". */
static void amount(Buf *b, int width, double x)
{
    static const char prefix[] = {' ', 'k', 'M', 'G', 'T'};
    int p = 0;
    for (; x >= 999.5 && p < 4; p++) x /= 1000;
    buf_printf(b, "%*.*f %c", width, p == 0 || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2, x, prefix[p]);
}

/* "4-6" or "4": the YAML lines that the group's layers stand on. */
static const char *lines_of(Arena *a, const Group *g)
{
    int lo = 0, hi = 0;
    for (int i = 0; i < g->node.n; i++) {
        int l = g->node.v[i]->loc.line;
        if (!l) continue;
        if (!lo || l < lo) lo = l;
        if (l > hi) hi = l;
    }
    return lo == hi ? arena_printf(a, "%d", lo) : arena_printf(a, "%d-%d", lo, hi);
}

static void print_kernels(Buf *b, const Schedule *s)
{
    const Groups *gs = s->groups;
    Arena *a = arena_new();
    buf_printf(b, "%4s  %-9s %7s %8s  %-7s %s\n", "#", "nest", "FLOP", "bytes", "lines",
               "layers (x' is the gradient of x)");
    for (int i = 0; i < gs->group.n; i++) {
        const Group *g = gs->group.v[i];
        double flops, bytes;
        group_cost(s, g, &flops, &bytes);
        buf_printf(b, "%4d  %-9s ", g->id, s->group[i].joined ? "in place" : g->row ? "row" : nest_names[g->nest]);
        amount(b, 5, flops);
        buf_putc(b, ' ');
        amount(b, 5, bytes);
        buf_printf(b, "B  %-7s %s\n", lines_of(a, g), group_layers(a, g));
    }
    arena_free(a);
}

/* ---- boundaries: a kernel reads what another one stored ---- */
typedef struct Boundary {
    const Node *from, *to;
    const char *why;
    bool printed;
} Boundary;

typedef struct Boundaries {
    Arena *a;
    const Groups *gs;
    VEC(Boundary) v;
} Boundaries;

static void add_boundary(Boundaries *bs, const Node *from, const Node *to, const char *why)
{
    const Group *p = bs->gs->of[from->id], *g = bs->gs->of[to->id];
    if (op_is(from, "Pack")) {
        for (int k = 0; k < from->nin; k++)
            add_boundary(bs, from->in[k], to, "it takes all of them at once: they must be stored");
        return;
    }
    if (!p || p == g) return;
    for (int i = 0; i < bs->v.n; i++)
        if (bs->gs->of[bs->v.v[i].from->id] == p && bs->gs->of[bs->v.v[i].to->id] == g) return;
    vec_push(bs->a, &bs->v, ((Boundary){from, to, why, false}));
}

static void find_boundaries(Boundaries *bs)
{
    for (int i = 0; i < bs->gs->group.n; i++) {
        const Group *g = bs->gs->group.v[i];
        for (int k = 0; k < g->node.n; k++) {
            const Node *n = g->node.v[k];
            const char *why = bs->gs->why[n->id];
            for (int j = 0; j < n->nin; j++)
                add_boundary(bs, n->in[j], n, why ? why : "it is fused with another of its inputs");
        }
    }
}

static const char *end_name(const Boundaries *bs, const Node *n)
{
    return arena_printf(bs->a, "#%d %s%s", bs->gs->of[n->id]->id, n->name, n->is_grad ? "'" : "");
}

/* "#4 pool1, #9 fc' -> #5 conv2": all producers that one reason keeps apart from one consumer. */
static const char *entry(Boundaries *bs, int first)
{
    enum { MOST = 4 }; /* more are counted */
    Boundary *head = &bs->v.v[first];
    const char *s = "";
    int count = 0;
    for (int i = first; i < bs->v.n; i++) {
        Boundary *x = &bs->v.v[i];
        if (bs->gs->of[x->to->id] != bs->gs->of[head->to->id] || strcmp(x->why, head->why) != 0)
            continue;
        x->printed = true;
        if (count++ < MOST)
            s = arena_printf(bs->a, "%s%s%s", s, *s ? ", " : "", end_name(bs, x->from));
    }
    if (count > MOST) s = arena_printf(bs->a, "%d kernels", count);
    return arena_printf(bs->a, "%s -> %s", s, end_name(bs, head->to));
}

/* Reason by reason, as many boundaries on a line as fit. */
static void print_boundaries(Buf *b, const Groups *gs)
{
    enum { WIDTH = 96 };
    Boundaries bs = {.a = arena_new(), .gs = gs};
    find_boundaries(&bs);
    if (bs.v.n) buf_puts(b, "not fused, because\n");
    for (int i = 0; i < bs.v.n; i++) {
        size_t column = 0;
        const char *why = bs.v.v[i].why;
        if (bs.v.v[i].printed) continue;
        buf_printf(b, "  %s", why);
        for (int k = i; k < bs.v.n; k++) {
            if (bs.v.v[k].printed || strcmp(bs.v.v[k].why, why) != 0) continue;
            const char *s = entry(&bs, k);
            bool wrap = !column || column + strlen(s) > WIDTH;
            column = wrap ? 6 : column + 3;
            buf_printf(b, "%s%s", wrap ? "\n      " : " | ", s);
            column += strlen(s);
        }
        buf_putc(b, '\n');
    }
    arena_free(bs.a);
}

static void print_total(Buf *b, const Schedule *s)
{
    const Groups *gs = s->groups;
    double flops = 0, bytes = 0;
    int nodes = 0;
    for (int i = 0; i < gs->group.n; i++) {
        double f, m;
        group_cost(s, gs->group.v[i], &f, &m);
        flops += f;
        bytes += m;
        nodes += gs->group.v[i]->node.n;
    }
    buf_printf(b, "%d operations in %d kernels, ", nodes, groups_at_work(s));
    amount(b, 0, flops);
    buf_puts(b, "FLOP, ");
    amount(b, 0, bytes);
    buf_puts(b, "B to and from memory\n");
}

void schedule_explain(Buf *b, const Schedule *s)
{
    print_total(b, s);
    print_kernels(b, s);
    print_boundaries(b, s->groups);
}
