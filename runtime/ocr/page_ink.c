/* Ink and paper.
 *
 * rule: paper is the mean of what is not ink around a pixel, so that shadows do not matter; where ink begins is the
 * threshold that parts the differences best (N. Otsu, "A threshold selection method from gray-level histograms",
 * 1979). The rarer side is ink. Twice: the first time, paper is the mean of everything. */
#include "page.h"
#include <stdlib.h>
#include <string.h>

enum {
    LEVELS = 511,
    ZERO = 255,
    FAINTEST = 24
}; /* differences -255..255; means that are nearer are all paper */

typedef struct Means {
    int h, w, radius;
    uint32_t *sum, *count; /* of a column's pixels in the window's rows */
} Means;

static void add_row(Means *m, const RtPage *p, int y, bool all, uint32_t sign)
{
    if (y < 0 || y >= m->h) return;
    size_t at = (size_t)y * (size_t)m->w;
    for (int x = 0; x < m->w; x++) {
        bool counts = all || p->owner[at + (size_t)x] < 0;
        m->sum[x] += sign * (counts ? p->px[at + (size_t)x] : 0);
        m->count[x] += sign * counts;
    }
}

/* One row of means; where the window has less than a twentieth of paper, paper stays what it was. */
static void mean_row(const Means *m, uint8_t *paper, bool all)
{
    uint64_t sum = 0, count = 0, least = (uint64_t)m->radius * (uint64_t)m->radius / 5 + 1;
    if (all) least = 1;
    for (int x = 0; x < m->radius && x < m->w; x++) sum += m->sum[x], count += m->count[x];
    for (int x = 0; x < m->w; x++) {
        int in = x + m->radius, out = x - m->radius - 1;
        if (in < m->w) sum += m->sum[in], count += m->count[in];
        if (out >= 0) sum -= m->sum[out], count -= m->count[out];
        if (count >= least) paper[x] = (uint8_t)((sum + count / 2) / count);
    }
}

static bool find_paper(RtPage *p, bool all)
{
    int shorter = p->h < p->w ? p->h : p->w;
    Means m = {p->h, p->w, shorter / 4 > 15 ? shorter / 4 : 15, NULL, NULL};
    m.sum = calloc((size_t)p->w, sizeof *m.sum);
    m.count = calloc((size_t)p->w, sizeof *m.count);
    bool ok = m.sum && m.count;
    for (int y = 0; ok && y < m.radius; y++) add_row(&m, p, y, all, 1);
    for (int y = 0; ok && y < p->h; y++) {
        add_row(&m, p, y + m.radius, all, 1);
        add_row(&m, p, y - m.radius - 1, all, (uint32_t)-1);
        mean_row(&m, p->paper + (size_t)y * (size_t)p->w, all);
    }
    free(m.sum);
    free(m.count);
    return ok;
}

/* Differences above *threshold are lighter; false: there are no two kinds. */
static bool part(const int64_t histogram[LEVELS], int *threshold, bool *light)
{
    double n = 0, total = 0, low_n = 0, low = 0, best = 0;
    double distance = 0;
    for (int v = 0; v < LEVELS; v++) n += (double)histogram[v], total += (double)histogram[v] * v;
    for (int v = 0; v + 1 < LEVELS; v++) {
        low_n += (double)histogram[v];
        low += (double)histogram[v] * v;
        double high_n = n - low_n;
        if (low_n == 0 || high_n == 0) continue;
        double apart = (total - low) / high_n - low / low_n,
               between = low_n * high_n * apart * apart;
        if (between <= best) continue;
        best = between;
        *threshold = v;
        *light = high_n < low_n;
        distance = apart;
    }
    *threshold -= ZERO;
    return distance >= FAINTEST;
}

static bool find_ink(RtPage *p)
{
    int64_t histogram[LEVELS] = {0};
    size_t n = (size_t)p->h * (size_t)p->w;
    int threshold = 0;
    for (size_t i = 0; i < n; i++) histogram[p->px[i] - p->paper[i] + ZERO]++;
    bool two = part(histogram, &threshold, &p->light);
    for (size_t i = 0; i < n; i++) {
        bool lighter = p->px[i] - p->paper[i] > threshold;
        p->owner[i] = two && lighter == p->light ? 0 : -1;
    }
    return two;
}

bool rt_page_ink(RtPage *p)
{
    if (!find_paper(p, true)) return false;
    if (find_ink(p)) {
        if (!find_paper(p, false)) return false;
        find_ink(p);
    }
    return true;
}
