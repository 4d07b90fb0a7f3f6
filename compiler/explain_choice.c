/* --explain: of every contraction what it must do, what bounds that, and the time that the model gives each algorithm.
 *
 * Times are thousands of cycles of one core: of a roofline, the larger of arithmetic at the share of the peak that such
 * loops reach and of bytes from where they fit (schedule_winograd.c, schedule_contract.c). The chosen one has a star. */
#include "schedule.h"
#include "stages.h"
#include <stdio.h>

static const Algorithm ways[] = {BY_SUM, BY_WINOGRAD2, BY_WINOGRAD4, BY_WINOGRAD5, BY_WINOGRAD6};
enum { WAYS = sizeof ways / sizeof ways[0] };

static const char *name_of(const GroupSchedule *gs, Algorithm way, char text[32])
{
    const Winograd *w = gs->winograd;
    if (way == BY_SUM) return gs->dot ? "sums of lanes" : "direct";
    int m = winograd_rows(w, way);
    snprintf(text, 32, w && w->gradient ? "F(3x3, %dx%d)" : "F(%dx%d)", m, m);
    return text;
}

/* Where Winograd's algorithm was no candidate: the loops at their tiles' share of the peak. */
static double direct_cycles(const Schedule *s, const GroupSchedule *gs, double flops)
{
    const Machine *m = s->machine;
    double share = 0, peak = 2.0 * m->lanes * m->fma_ports;
    for (int p = 0; p < gs->nphase; p++) share += gs->con[p].efficiency / gs->nphase;
    return share > 0 ? flops / peak / share : 0;
}

static void print_group(Buf *b, const Schedule *s, const Group *g, const char *layers)
{
    const GroupSchedule *gs = &s->group[g->id];
    const Machine *m = s->machine;
    double flops, bytes, peak = 2.0 * m->lanes * m->fma_ports;
    Algorithm chosen = schedule_algorithm(gs);
    group_cost(s, g, &flops, &bytes);
    buf_printf(b, "%9.2f %8.2f %8.1f  %-10s", flops * 1e-6, bytes * 1e-6, bytes > 0 ? flops / bytes : 0,
               flops / peak > bytes / MEMORY_RATE ? "arithmetic" : "memory");
    for (int k = 0; k < WAYS; k++) {
        char name[32];
        double cycles = gs->cycles[ways[k]];
        if (cycles == 0 && ways[k] == BY_SUM) cycles = direct_cycles(s, gs, flops);
        if (cycles > 0 || ways[k] == chosen)
            buf_printf(b, "  %s %.0fk%s", name_of(gs, ways[k], name), cycles * 1e-3, ways[k] == chosen ? "*" : "");
    }
    buf_printf(b, "  %s\n", layers);
}

void schedule_explain_choice(Buf *b, const Schedule *s)
{
    Arena *a = arena_new();
    buf_printf(b, "%9s %8s %8s  %-10s  %s\n", "MFLOP", "MB", "FLOP/B", "bound by",
               "algorithms, in thousands of cycles of a core (* chosen); layers");
    for (int i = 0; i < s->groups->group.n; i++) {
        const Group *g = s->groups->group.v[i];
        if (g->nest == NEST_CONTRACT && !g->prep) print_group(b, s, g, group_layers(a, g));
    }
    arena_free(a);
}
