/* What a description amounts to, before anything is built.
 * In: Spec, the plans of its programs. Out: text on stdout.
 * Rule: multiply-adds are those of convolutions and Linear, for one image, as the papers count
 * them; memory is what the programs will really take. */
#include "summary.h"
#include <stdio.h>
#include <string.h>

enum { MOST_NAME = 44 };

/* 11,689,512 */
static const char *grouped(Arena *a, int64_t n)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    char *out = arena_alloc(a, 48), *o = out;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) *o++ = ',';
        *o++ = digits[i];
    }
    return out;
}

static const char *scaled(Arena *a, double x, double step, const char *const *unit)
{
    while (x >= step && unit[1]) x /= step, unit++;
    if (!**unit) return arena_printf(a, "%.0f", x);
    return arena_printf(a, x < 10 ? "%.2f %s" : x < 100 ? "%.1f %s" : "%.0f %s", x, *unit);
}

static const char *counted(Arena *a, int64_t n)
{
    static const char *const unit[] = {"", "k", "M", "G", "T", NULL};
    return n ? scaled(a, (double)n, 1000, unit) : "-";
}

const char *summary_bytes(Arena *a, int64_t n)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", NULL};
    return scaled(a, (double)n, 1024, unit);
}

/* "[N,64,56,56]" */
static const char *shape_text(Arena *a, Shape s)
{
    const char *comma = strchr(shape_str(a, s), ',');
    return s.rank == 0 ? "scalar" : arena_printf(a, "[N%s", comma ? comma : "]");
}

/* size: bytes of an element between kernels. */
static void print_layers(Arena *a, const LayerList *list, int64_t batch, int size)
{
    int name = 5, type = 4, shape = 6;
    for (int i = 0; i < list->layer.n; i++) {
        const LayerNote *l = &list->layer.v[i];
        int n = (int)strlen(l->path), t = (int)strlen(l->type),
            s = (int)strlen(shape_text(a, l->out));
        if (n > name) name = n > MOST_NAME ? MOST_NAME : n;
        if (t > type) type = t;
        if (s > shape) shape = s;
    }
    printf("%-*s  %-*s  %-*s  %12s  %9s  %10s\n", name, "layer", type, "type", shape, "output",
           "parameters", "MACs", "memory");
    for (int i = 0; i < list->layer.n; i++) {
        const LayerNote *l = &list->layer.v[i];
        printf("%-*s  %-*s  %-*s  %12s  %9s  %10s%s\n", name, l->path, type, l->type, shape,
               shape_text(a, l->out), l->params ? grouped(a, l->params) : "-",
               counted(a, l->macs / batch), summary_bytes(a, size * shape_count(l->out)),
               l->frozen ? "  frozen" : "");
    }
}

static int64_t count_params(const Graph *g, bool trained)
{
    int64_t n = 0;
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        if (s->kind == STATE_PARAM && !s->part && !(trained && s->frozen))
            n += shape_count(s->shape);
    }
    return n;
}

static int64_t count_macs(Arena *a, const Spec *s, int64_t batch)
{
    LayerList list = {0};
    int64_t n = 0;
    spec_graph_layers(a, s, false, batch, &list);
    for (int i = 0; i < list.layer.n; i++) n += list.layer.v[i].macs;
    return n / batch;
}

static void print_memory(Arena *a, const char *what, const Plan *p)
{
    if (!p) return;
    int64_t state = p->size[PLAN_STATE], rest = p->size[PLAN_SLAB] + p->size[PLAN_PREP];
    printf("%s: %s (%s weights%s, %s activations)\n", what, summary_bytes(a, state + rest),
           summary_bytes(a, state), strstr(what, "train") ? " and moments" : "",
           summary_bytes(a, rest));
}

void summary_print(Arena *a, const Spec *s, int64_t batch, const Plan *train, const Plan *infer)
{
    LayerList list = {0};
    Graph *g = spec_graph_layers(a, s, train != NULL, batch, &list);
    bool half = g->precision == PRECISION_FP16 || g->precision == PRECISION_BF16;
    print_layers(a, &list, batch, half ? 2 : 4);
    int64_t all = count_params(g, false), trained = count_params(g, true);
    printf("\n%s: %s parameters", spec_name(s), grouped(a, all));
    if (trained != all) printf(", of which %s are trained", grouped(a, trained));
    printf("; %s MACs for an image\n", counted(a, count_macs(a, s, batch)));
    const char *at = arena_printf(a, " at batch %lld", (long long)batch);
    print_memory(a, arena_printf(a, "training step%s", at), train);
    print_memory(a, arena_printf(a, "inference%s", at), infer);
}

void summary_line(const Spec *s, const Graph *g)
{
    Arena *a = arena_new();
    const Node *out = graph_find_output(g, "output");
    printf("%s: ok, %lld parameters, output %s\n", spec_name(s), (long long)count_params(g, false),
           shape_str(a, out->shape));
    arena_free(a);
}
