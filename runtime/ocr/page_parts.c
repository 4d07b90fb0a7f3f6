/* Connected ink: union and find over the pixels, eight neighbours. */
#include "page.h"
#include <stdlib.h>
#include <string.h>

/* parent[] of a pixel's number; a root is its own. The smaller number is the root, so that parts are numbered from
 * the top. */
static int32_t find(int32_t *parent, int32_t i)
{
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

static void join(int32_t *parent, int32_t a, int32_t b)
{
    a = find(parent, a);
    b = find(parent, b);
    if (a < b)
        parent[b] = a;
    else
        parent[a] = b;
}

static void join_pixels(RtPage *p)
{
    for (int y = 0; y < p->h; y++)
        for (int x = 0; x < p->w; x++) {
            int32_t i = y * p->w + x, *own = p->owner;
            if (own[i] < 0) continue;
            own[i] = i;
            if (x > 0 && own[i - 1] >= 0) join(own, i, i - 1);
            for (int k = -1; k <= 1 && y > 0; k++)
                if (x + k >= 0 && x + k < p->w && own[i - p->w + k] >= 0)
                    join(own, i, i - p->w + k);
        }
}

static void grow(RtBox *b, int x, int y)
{
    if (x < b->x0) b->x0 = x;
    if (y < b->y0) b->y0 = y;
    if (x >= b->x1) b->x1 = x + 1;
    if (y >= b->y1) b->y1 = y + 1;
}

bool rt_page_parts(RtPage *p, RtBox **box, int **area, int *n)
{
    int32_t pixels = p->h * p->w, *own = p->owner;
    *n = 0;
    join_pixels(p);
    for (int32_t i = 0; i < pixels; i++) {
        if (own[i] >= 0) own[i] = find(own, i);
        *n += own[i] == i;
    }
    *box = malloc((size_t)(*n + 1) * sizeof **box);
    *area = calloc((size_t)*n + 1, sizeof **area);
    if (!*box || !*area) return false;
    int next = 0;
    for (int32_t i = 0; i < pixels; i++) {
        if (own[i] < 0) continue;
        int x = i % p->w, y = i / p->w;
        if (own[i] ==
            i) { /* the root comes first of its part: what follows finds the number in its place */
            (*box)[next] = (RtBox){x, y, x + 1, y + 1};
            own[i] = next++;
        } else {
            own[i] = own[own[i]];
            grow(&(*box)[own[i]], x, y);
        }
        (*area)[own[i]]++;
    }
    return true;
}
