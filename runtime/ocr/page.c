/* From connected ink to lines of characters.
 *
 * rule: sizes are measured in the height of the page's usual characters. Specks fall away; a small part above or below
 * another belongs to it (i, j, =); what overlaps in height is a line; a gap that is of the wider kind is a space. */
#include "page.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 20000 }; /* marks of a page */
static const char no_memory[] = "cannot allocate memory to read it";
/* In heights: longest speck, highest part of a character, how far it lies from the rest, shortest space where words do
 * not show, widest character, gap beyond which gaps are all alike. */
static const double speck = 0.14, small = 0.5, reach = 0.55, gap_unless = 0.45, widest = 1.6, columns = 1.5;

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static int middle(int *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_number);
    return n ? v[n / 2] : 0;
}

static int tall(const RtBox *b)
{
    return b->y1 - b->y0;
}

static int wide(const RtBox *b)
{
    return b->x1 - b->x0;
}

static int common(int a0, int a1, int b0, int b1)
{
    int lo = a0 > b0 ? a0 : b0, hi = a1 < b1 ? a1 : b1;
    return hi > lo ? hi - lo : 0;
}

static int at_most(int a, int b)
{
    return a < b ? a : b;
}

/* The height that half of the ink has: dots are many and hold little of it. 0: out of memory, or no ink. */
static int usual_height(const RtBox *box, const int *area, int n)
{
    int most = 0, height = 0;
    int64_t total = 0, sum = 0;
    for (int i = 0; i < n; i++) most = tall(&box[i]) > most ? tall(&box[i]) : most;
    int64_t *ink = calloc((size_t)most + 1, sizeof *ink);
    if (!ink) return 0;
    for (int i = 0; i < n; i++) ink[tall(&box[i])] += area[i], total += area[i];
    while (height < most && 2 * (sum + ink[height]) < total) sum += ink[height++];
    free(ink);
    return height;
}

typedef struct Parts {
    RtBox *box;
    int *area,
        *whole; /* whole[i]: the part that i belongs to, itself if it stands alone; -1: a speck */
    int *left;  /* numbers of those that are no specks */
    int n, nleft, usual;
} Parts;

static void take_in(RtBox *a, const RtBox *b)
{
    if (b->x0 < a->x0) a->x0 = b->x0;
    if (b->y0 < a->y0) a->y0 = b->y0;
    if (b->x1 > a->x1) a->x1 = b->x1;
    if (b->y1 > a->y1) a->y1 = b->y1;
}

/* How far apart in height; -1: b does not lie above or below a. */
static int above(const RtBox *a, const RtBox *b)
{
    if (2 * common(a->x0, a->x1, b->x0, b->x1) < at_most(wide(a), wide(b))) return -1;
    int gap = a->y0 > b->y1 ? a->y0 - b->y1 : b->y0 > a->y1 ? b->y0 - a->y1 : 0;
    return gap;
}

/* Gives each small part to the nearest part above or below it. */
static void join_small(Parts *p)
{
    for (int j = 0; j < p->nleft; j++) {
        int i = p->left[j], best = -1, least = (int)(reach * p->usual);
        if (p->whole[i] != i || tall(&p->box[i]) > small * p->usual) continue;
        for (int m = 0; m < p->nleft; m++) {
            int k = p->left[m],
                gap = k == i || p->whole[k] != k ? -1 : above(&p->box[k], &p->box[i]);
            if (gap < 0 || gap > least) continue;
            least = gap;
            best = k;
        }
        if (best < 0) continue;
        take_in(&p->box[best], &p->box[i]);
        p->whole[i] = best;
    }
}

static void drop_specks(Parts *p)
{
    double least = speck * p->usual;
    for (int i = 0; i < p->n; i++) {
        int longer = tall(&p->box[i]) > wide(&p->box[i]) ? tall(&p->box[i]) : wide(&p->box[i]);
        bool ink = longer > 1 && longer >= least && p->area[i] >= 0.3 * least * least;
        p->whole[i] = ink ? i : -1;
        if (ink) p->left[p->nleft++] = i;
    }
}

/* ---- lines ---- */

static int by_top(const void *a, const void *b)
{
    const RtMark *x = a, *y = b;
    int cx = x->box.y0 + x->box.y1, cy = y->box.y0 + y->box.y1;
    return cx != cy ? (cx > cy) - (cx < cy) : (x->box.x0 > y->box.x0) - (x->box.x0 < y->box.x0);
}

static int by_place(const void *a, const void *b)
{
    const RtMark *x = a, *y = b;
    return x->line != y->line ? x->line - y->line : x->box.x0 - y->box.x0;
}

/* Puts marks, sorted by height, into lines: the line whose last characters they overlap by half. */
static void find_lines(RtPage *p)
{
    RtBox line = {0};
    qsort(p->mark, (size_t)p->n, sizeof *p->mark, by_top);
    for (int i = 0; i < p->n; i++) {
        RtBox *b = &p->mark[i].box;
        bool same = p->nlines &&
                    2 * common(line.y0, line.y1, b->y0, b->y1) >= at_most(tall(&line), tall(b));
        if (!same) {
            p->nlines++;
            line = *b;
        } else if (tall(b) > tall(&line)) {
            line = *b; /* a dash began the line; the letter says how high it is */
        }
        p->mark[i].line = p->nlines - 1;
    }
    qsort(p->mark, (size_t)p->n, sizeof *p->mark, by_place);
}

static int last_of_line(const RtPage *p, int first)
{
    int i = first;
    while (i + 1 < p->n && p->mark[i + 1].line == p->mark[first].line) i++;
    return i;
}

/* ---- spaces ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Where sorted gaps part best into two kinds (Otsu's criterion); one kind only: a usual value. */
static double widest_gap_in_words(double *gap, int n)
{
    double total = 0, low = 0, best = 0, at = gap_unless, apart = 0;
    qsort(gap, (size_t)n, sizeof *gap, by_size);
    for (int i = 0; i < n; i++) total += gap[i];
    for (int i = 0; i + 1 < n; i++) {
        low += gap[i];
        double few = i + 1, rest = n - few, d = (total - low) / rest - low / few;
        if (few * rest * d * d <= best) continue;
        best = few * rest * d * d;
        at = (gap[i] + gap[i + 1]) / 2;
        apart = d;
    }
    return apart > 0.3 ? at : gap_unless;
}

static bool find_spaces(RtPage *p)
{
    size_t n = (size_t)p->n + 1;
    double *gap = malloc(n * sizeof *gap), *sorted = malloc(n * sizeof *gap);
    int ngaps = 0, end = 0;
    bool ok = gap && sorted;
    for (int i = 0; ok && i < p->n; i++) {
        const RtMark *m = &p->mark[i];
        bool first = i == 0 || m[-1].line != m->line;
        gap[i] = first ? -1 : (m->box.x0 - end) / (double)m->height;
        if (!first) sorted[ngaps++] = gap[i] < columns ? gap[i] : columns;
        if (first || m->box.x1 > end) end = m->box.x1;
    }
    double limit = ok ? widest_gap_in_words(sorted, ngaps) : 0;
    for (int i = 0; ok && i < p->n; i++) p->mark[i].space = gap[i] > limit;
    free(gap);
    free(sorted);
    return ok;
}

/* ---- letters that touch ---- */

static bool find_heights(RtPage *p)
{
    int *height = malloc((size_t)(p->n + 1) * sizeof *height);
    for (int first = 0, last; height && first < p->n; first = last + 1) {
        last = last_of_line(p, first);
        for (int i = first; i <= last; i++) height[i - first] = tall(&p->mark[i].box);
        int usual = middle(height, last - first + 1);
        for (int i = first; i <= last; i++) p->mark[i].height = usual;
    }
    free(height);
    return height != NULL;
}

/* The column of the mark's middle part that has least ink; of several, the one nearest to the middle. */
static int thinnest(const RtPage *p, const RtMark *m)
{
    int middle_x = (m->box.x0 + m->box.x1) / 2, far = wide(&m->box) / 5, best = middle_x,
        least = p->h + 1;
    for (int k = 0; k <= 2 * far; k++) {
        int x = middle_x + (k % 2 ? -(k + 1) / 2 : k / 2), ink = 0; /* 0, -1, 1, -2, 2, ... */
        for (int y = m->box.y0; y < m->box.y1; y++)
            ink += p->owner[(size_t)y * (size_t)p->w + (size_t)x] == m->id;
        if (ink < least) best = x, least = ink;
    }
    return best;
}

/* Makes the box as small as the mark's ink. */
static void fit(const RtPage *p, RtMark *m)
{
    RtBox b = {m->box.x1, m->box.y1, m->box.x0, m->box.y0};
    for (int y = m->box.y0; y < m->box.y1; y++)
        for (int x = m->box.x0; x < m->box.x1; x++)
            if (p->owner[(size_t)y * (size_t)p->w + (size_t)x] == m->id)
                take_in(&b, &(RtBox){x, y, x + 1, y + 1});
    if (b.x1 > b.x0) m->box = b;
}

/* A mark that is much wider than any character is several that touch: cut where they are thinnest. */
static bool cut_wide(RtPage *p)
{
    for (int i = 0; i < p->n; i++) {
        if (wide(&p->mark[i].box) <= widest * p->mark[i].height ||
            tall(&p->mark[i].box) < small * p->mark[i].height)
            continue;
        RtMark *grown = realloc(p->mark, (size_t)(p->n + 1) * sizeof *grown);
        if (!grown) return false;
        p->mark = grown;
        RtMark *m = &grown[i], *right = &grown[p->n];
        int x0 = thinnest(p, m);
        *right = *m;
        right->id = p->n++;
        right->box.x0 = x0;
        for (int y = m->box.y0; y < m->box.y1; y++)
            for (int x = right->box.x0; x < m->box.x1; x++) {
                int32_t *own = &p->owner[(size_t)y * (size_t)p->w + (size_t)x];
                if (*own == m->id) *own = right->id;
            }
        m->box.x1 = right->box.x0;
        fit(p, m);
        fit(p, right);
        i--; /* may still be too wide; the right part's turn comes */
    }
    qsort(p->mark, (size_t)p->n, sizeof *p->mark, by_place);
    return true;
}

/* ---- the page ---- */

/* The marks' places become their numbers. */
static bool number_marks(RtPage *p)
{
    int32_t *number = malloc((size_t)(p->n + 1) * sizeof *number);
    size_t pixels = (size_t)p->h * (size_t)p->w;
    for (int i = 0; number && i < p->n; i++) number[p->mark[i].id] = i;
    for (size_t i = 0; number && i < pixels; i++)
        if (p->owner[i] >= 0) p->owner[i] = number[p->owner[i]];
    free(number);
    return number != NULL;
}

/* A mark for each part that stands alone. */
static bool make_marks(RtPage *p, const Parts *parts)
{
    int32_t *id = malloc((size_t)(parts->n + 1) * sizeof *id);
    size_t pixels = (size_t)p->h * (size_t)p->w;
    p->mark = malloc((size_t)(parts->nleft + 1) * sizeof *p->mark);
    if (!id || !p->mark) {
        free(id);
        return false;
    }
    for (int i = 0; i < parts->n; i++) {
        id[i] = parts->whole[i] == i ? p->n : -1;
        if (id[i] >= 0) p->mark[p->n] = (RtMark){.box = parts->box[i], .id = p->n}, p->n++;
    }
    for (size_t i = 0; i < pixels; i++) {
        int k = p->owner[i] < 0 ? -1 : parts->whole[p->owner[i]];
        while (k >= 0 && parts->whole[k] != k) k = parts->whole[k]; /* a dot's dot */
        p->owner[i] = k < 0 ? -1 : id[k];
    }
    free(id);
    find_lines(p);
    return find_heights(p) && cut_wide(p) && number_marks(p) && find_spaces(p);
}

static bool fail(RtError *e, int code, const char *id, const char *name, const char *what)
{
    e->exit = code;
    e->id = id;
    snprintf(e->text, sizeof e->text, "'%s': %s", rt_esc(name), what);
    return false;
}

static bool from_parts(RtPage *p, Parts *parts, const char *name, RtError *e)
{
    parts->whole = malloc((size_t)(parts->n + 1) * sizeof *parts->whole);
    parts->left = malloc((size_t)(parts->n + 1) * sizeof *parts->left);
    if (!parts->whole || !parts->left) return fail(e, RT_EXIT_MEMORY, "E003", name, no_memory);
    parts->usual = usual_height(parts->box, parts->area, parts->n);
    drop_specks(parts);
    if (parts->nleft > MOST)
        return fail(e, RT_EXIT_DATA, "D015", name,
                    "more than 20000 pieces of ink: this is no page of text");
    join_small(parts);
    return make_marks(p, parts) || fail(e, RT_EXIT_MEMORY, "E003", name, no_memory);
}

bool rt_page_read(RtPage *p, const RtImage *grey, const char *name, RtError *e)
{
    Parts parts = {0};
    size_t pixels = (size_t)grey->h * (size_t)grey->w;
    *p = (RtPage){.px = grey->px, .h = grey->h, .w = grey->w};
    p->paper = malloc(pixels);
    p->owner = malloc(pixels * sizeof *p->owner);
    bool ok = p->paper && p->owner && rt_page_ink(p) &&
              rt_page_parts(p, &parts.box, &parts.area, &parts.n);
    ok = ok ? from_parts(p, &parts, name, e) : fail(e, RT_EXIT_MEMORY, "E003", name, no_memory);
    free(parts.box);
    free(parts.area);
    free(parts.whole);
    free(parts.left);
    if (!ok) rt_page_free(p);
    return ok;
}

void rt_page_free(RtPage *p)
{
    free(p->paper);
    free(p->owner);
    free(p->mark);
    *p = (RtPage){0};
}

/* ---- one character ---- */

static int scaled(int n, double by)
{
    int v = (int)lround(n * by);
    return v < 1 ? 1 : v;
}

bool rt_page_crop(const RtPage *p, int i, int h, int w, double fill, bool light, uint8_t *out)
{
    const RtBox *b = &p->mark[i].box;
    RtImage part = {NULL, 1, tall(b), wide(b)}, sized = {0};
    uint8_t flip = light == p->light ? 0 : 255;
    int64_t paper = 0;
    part.px = malloc((size_t)part.h * (size_t)part.w);
    if (!part.px) return false;
    for (int y = 0; y < part.h; y++)
        for (int x = 0; x < part.w; x++) {
            size_t at = (size_t)(b->y0 + y) * (size_t)p->w + (size_t)(b->x0 + x);
            bool others = p->owner[at] >= 0 && p->owner[at] != i;
            part.px[y * part.w + x] = (others ? p->paper[at] : p->px[at]) ^ flip;
            paper += p->paper[at];
        }
    double scale = fill * at_most(h, w) / (part.h > part.w ? part.h : part.w);
    bool ok = rt_image_resize(&part, scaled(part.h, scale), scaled(part.w, scale), &sized);
    memset(out, (int)(paper / (part.h * part.w)) ^ flip, (size_t)h * (size_t)w);
    int y0 = (h - sized.h) / 2, x0 = (w - sized.w) / 2;
    for (int y = 0; ok && y < sized.h; y++)
        memcpy(out + (y0 + y) * w + x0, sized.px + y * sized.w, (size_t)sized.w);
    free(part.px);
    free(sized.px);
    return ok;
}
