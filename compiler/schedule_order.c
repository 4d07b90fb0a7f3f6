/* How threads share a group's tasks: by rows of the plane first, or by blocks of channels. Each takes a part of them, in
 * the order in which they are counted; so what groups by rows leave to the next one by rows lies in the cache of the core
 * that needs it. What another core wrote last takes several times as long as what lies in L3.
 *
 * In: groups with their loops and parallel ones. Out: GroupSchedule.rows_first. Rule: by rows every thread reads all weights,
 * by channels all inputs, half of which another one made: what costs less. Where every channel is for itself (pooling,
 * depthwise convolutions) as the input was made. CPUs only: a GPU's blocks share one L2. */
#include "schedule.h"

int schedule_rows(const ConSchedule *c)
{
    for (int k = 0; k < c->nloop; k++)
        if (c->loop[k].role == ROLE_ROW && c->con.out.view.rank == 4 && c->con.out.coef[2][c->loop[k].axis]) return k;
    return -1;
}

static bool is_parallel(const ConSchedule *c, int loop)
{
    return loop >= 0 && c->loop[loop].parallel;
}

/* Did threads share v by its channels? */
static bool made_by_channels(const Schedule *s, const Node *v)
{
    const Group *g = s->groups->of[v->id];
    const GroupSchedule *gs = g ? &s->group[g->id] : NULL;
    if (!g || gs->rows_first || gs->library) return false;
    if (gs->winograd) return gs->winograd->blocks == 1 && gs->winograd->parts > 1;
    if (g->nest == NEST_CONTRACT) return !gs->con[0].general && is_parallel(&gs->con[0], schedule_columns(&gs->con[0]));
    return g->nest == NEST_WINDOW;
}

/* Does each image give a plane? Threads share several images first, but parts of planes serve there, too: steps of
 * ResNet-18, MobileNetV2 and U-Net are 1.01 to 1.02 times as fast. Of a gradient by weights, what looks like rows are taps. */
static bool keeps_images(const Contract *c)
{
    for (int a = 0; a < c->naxes; a++)
        if (c->a.coef[0][a] && c->out.coef[0][a]) return true;
    return false;
}

/* Of a contraction by blocks of channels, whose rows are parallel, too. */
static bool cheaper_by_rows(const Schedule *s, const GroupSchedule *gs)
{
    const double transfer = 4; /* of a byte from another core, in bytes from L3: MobileNetV2 by 1, 2, 4 and 8, measured on Zen 4 */
    const ConSchedule *c = &gs->con[0];
    int block = schedule_columns(c);
    if (gs->nphase != 1 || c->general || !is_parallel(c, schedule_rows(c)) || !is_parallel(c, block)) return false;
    Node *const *in = gs->group->anchor->in;
    if (!keeps_images(&c->con) || made_by_channels(s, in[0])) return false;
    bool each_its_own = c->loop[block].sa != 0;
    return each_its_own || transfer * node_bytes(s, in[0]) >= node_bytes(s, in[1]);
}

void schedule_order(Schedule *s)
{
    if (s->machine->processors) return;
    for (int i = 0; i < s->groups->group.n; i++) {
        GroupSchedule *gs = &s->group[i];
        const Group *g = gs->group;
        if (gs->library || gs->winograd) continue;
        if (g->nest == NEST_CONTRACT) gs->rows_first = cheaper_by_rows(s, gs);
        if (g->nest == NEST_WINDOW) gs->rows_first = !made_by_channels(s, g->anchor->in[0]);
    }
}

static int64_t tiles_of(const ConLoop *l)
{
    return (l->extent + l->tile - 1) / l->tile;
}

/* Parts of the plane whose rows follow each other, block of channels by block: what neighbours among rows read once more
 * and weights of a block are still near. An odd number of rows is not shared evenly by parts. */
static int64_t parts_of(const ConLoop *row)
{
    int64_t n = tiles_of(row);
    return row->band ? n : n % 4 == 0 ? 4 : n % 2 == 0 ? 2 : n;
}

int schedule_task_loops(const GroupSchedule *gs, const ConSchedule *c, TaskLoop loop[CON_MAX_LOOPS + 1])
{
    int n = 0, row = gs->rows_first ? schedule_rows(c) : -1;
    int64_t parts = row < 0 ? 1 : parts_of(&c->loop[row]);
    for (int k = 0; k < c->nloop; k++) {
        int64_t tiles = tiles_of(&c->loop[k]);
        if (!c->loop[k].parallel) continue;
        if (c->loop[k].role == ROLE_BLK && row >= 0)
            loop[n++] = (TaskLoop){row, parts, tiles_of(&c->loop[row]) / parts};
        if (k != row || parts < tiles) loop[n++] = (TaskLoop){k, k == row ? tiles / parts : tiles, 1};
    }
    return n;
}
