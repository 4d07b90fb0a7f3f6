/* Texts about groups: the plain dump, and the table of --explain-fusion that a person reads. */
#include "groups.h"
#include "stages.h"
#include <string.h>

static const char *const nest_names[] = {"leaf",   "pointwise", "reduce", "contract",
                                         "window", "window_t",  "copy",   "expand"};
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

static void amount(Buf *b, double x, const char *unit)
{
    const char *const prefix[] = {"", "k", "M", "G", "T"};
    int p = 0;
    while (x >= 1000 && p < 4) {
        x /= 1000;
        p++;
    }
    buf_printf(b, "%6.4g %s%s", x, prefix[p], unit);
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

void groups_explain(Buf *b, const Groups *gs)
{
    Arena *a = arena_new();
    double flops = 0, bytes = 0;
    int nodes = 0;
    buf_printf(b, "%-4s %-10s %-44s %-9s %12s %10s\n", "#", "nest",
               "layers ( ' = in the gradient of)", "lines", "FLOP", "bytes");
    for (int i = 0; i < gs->group.n; i++) {
        const Group *g = gs->group.v[i];
        double f, by;
        group_cost(g, &f, &by);
        flops += f;
        bytes += by;
        nodes += g->node.n;
        buf_printf(b, "%-4d %-10s %-44s %-9s ", g->id, g->row ? "row" : nest_names[g->nest],
                   group_layers(a, g), lines_of(a, g));
        amount(b, f, "FLOP");
        buf_puts(b, "  ");
        amount(b, by, "B");
        buf_putc(b, '\n');
        const char *why = gs->why[g->node.v[0]->id];
        if (why) buf_printf(b, "     ^ a kernel of its own: %s\n", why);
    }
    buf_printf(b, "%d operations in %d kernels, ", nodes, gs->group.n);
    amount(b, flops, "FLOP");
    buf_puts(b, ", ");
    amount(b, bytes, "B");
    buf_puts(b, " to and from memory\n");
    arena_free(a);
}
