/* Tiles that a contraction may have beside the one that schedule_tile.c chose by its rule, for `--tune` to try.
 *
 * In: a ConTile with its standard configuration. Out: configurations of the same arithmetic that the template takes: whole
 * rows of threads copy whole pieces, and a warp holds whole windows of a pooling. What registers and shared memory say to
 * that is seen when they are compiled. */
#include "schedule.h"

/* Beside those of tile_configs(); rates are not asked for. Few warps with much reuse, many with little; deeper pipelines,
 * longer and shorter steps. */
static const TileConfig more[] = {
    {TILE_SIMT, 128, 128, 64, 32, 3, 1, 0}, {TILE_SIMT, 128, 64, 64, 32, 3, 1, 0},
    {TILE_SIMT, 64, 128, 32, 64, 3, 1, 0},  {TILE_SIMT, 128, 128, 32, 64, 4, 1, 0},
    {TILE_SIMT, 128, 64, 32, 64, 4, 1, 0},  {TILE_SIMT, 64, 64, 32, 64, 4, 1, 0},
    {TILE_SIMT, 128, 64, 32, 64, 3, 2, 0},  {TILE_SIMT, 64, 64, 32, 64, 3, 2, 0},
    {TILE_SIMT, 64, 32, 32, 32, 3, 1, 0},   {TILE_SIMT, 32, 64, 32, 32, 3, 1, 0},
    {TILE_TF32, 64, 32, 32, 32, 3, 2, 0},   {TILE_TF32, 32, 64, 32, 32, 3, 2, 0},
    {TILE_F16, 64, 32, 32, 32, 4, 2, 0},    {TILE_F16, 32, 64, 32, 32, 4, 2, 0},
    {TILE_TF32, 128, 128, 64, 64, 3, 2, 0}, {TILE_TF32, 128, 128, 64, 32, 3, 1, 0},
    {TILE_TF32, 128, 64, 64, 32, 3, 1, 0},  {TILE_TF32, 64, 128, 64, 32, 3, 2, 0},
    {TILE_TF32, 128, 64, 64, 64, 3, 2, 0},  {TILE_TF32, 128, 64, 32, 64, 3, 2, 0},
    {TILE_TF32, 64, 64, 32, 32, 3, 2, 0},   {TILE_TF32, 64, 64, 64, 32, 4, 2, 0},
    {TILE_F16, 128, 128, 64, 32, 3, 2, 0},  {TILE_F16, 128, 128, 64, 64, 3, 2, 0},
    {TILE_F16, 128, 64, 64, 64, 4, 2, 0},   {TILE_F16, 64, 128, 64, 32, 4, 2, 0},
    {TILE_F16, 64, 64, 32, 32, 4, 2, 0},    {TILE_F16, 64, 64, 64, 32, 3, 2, 0},
    {TILE_F16, 128, 128, 64, 64, 4, 1, 0},  {TILE_F16, 256, 128, 64, 64, 3, 1, 0},
};
enum { NMORE = sizeof more / sizeof more[0], WARP = 32 };

static bool fits(const ConTile *t, const TileConfig *c)
{
    bool half = t->math == TILE_F16 || t->math == TILE_BF16;
    int pieces = half ? 2 : 4, threads = c->bm / c->wm * (c->bn / c->wn) * WARP, rows = threads / pieces;
    int64_t unit = 1;
    for (int i = 0; i < t->nrow; i++) unit *= t->unit[i];
    return c->math == (half ? TILE_F16 : t->math) && rows % 16 == 0 && c->bm % rows == 0 && c->bn % rows == 0 && c->wm % unit == 0;
}

/* The i-th of t's choices, of which its standard is the first; NULL: it has fewer. Where the tiles are counted, as partial
 * sums of each are kept (schedule_sums.c), there are to be as many. */
static const TileConfig *choice(const GroupSchedule *gs, const ConTile *t, int i)
{
    int n;
    const TileConfig *usual = tile_configs(&n);
    if (i == 0) return t->standard;
    for (int k = 0; k < n + NMORE; k++) {
        const TileConfig *c = k < n ? &usual[k] : &more[k - n];
        if (c == t->standard || !fits(t, c) || (gs->sums && c->bm != t->standard->bm)) continue;
        if (--i == 0) return c;
    }
    return NULL;
}

bool schedule_take_tile(GroupSchedule *gs, int i)
{
    bool any = false;
    for (int p = 0; p < gs->nphase; p++) {
        ConTile *t = &gs->con[p].tile;
        if (!t->config) continue;
        const TileConfig *c = choice(gs, t, i);
        any |= c != NULL;
        tile_take(&gs->con[p], c ? c : t->standard);
    }
    return any;
}
