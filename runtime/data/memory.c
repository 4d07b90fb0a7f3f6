/* Data sets in memory: classes, splits, items.
 *
 * rule: items are numbered over train, val, test; a set that the files lack has none. Labels that are over the
 * classes are an error, which names the item.
 */
#include "memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void close_source(void *source)
{
    RtMemory *m = source;
    for (int s = 0; s < RT_NSPLITS; s++) {
        free(m->px[s]);
        free(m->label[s]);
    }
    free(m);
}

/* The set of an item, which becomes its number in that set. */
static int set_of(const RtMemory *m, int64_t *item)
{
    int s = 0;
    for (; s < RT_NSPLITS - 1 && *item >= m->n[s]; s++) *item -= m->n[s];
    return s;
}

static bool fetch(RtData *d, int64_t item, RtFetched *out, RtError *e)
{
    (void)e;
    const RtMemory *m = d->source;
    int s = set_of(m, &item);
    size_t size = (size_t)m->h * (size_t)m->w * (size_t)m->c;
    /* rt_pipe_run repeats grey for a model of three channels */
    *out = (RtFetched){.px = {m->px[s] + (size_t)item * size, m->c, m->h, m->w}};
    return true;
}

static const char *item_name(const RtData *d, int64_t item, char *buf, size_t n)
{
    const RtMemory *m = d->source;
    int s = set_of(m, &item);
    snprintf(buf, n, "%s:%" PRId64, m->set[s], item);
    return buf;
}

RtMemory *rt_memory_new(RtData *d, RtError *e)
{
    static const char *const set[] = {"train", "val", "test"};
    RtMemory *m = d->source = rt_data_alloc(1, sizeof *m, "the data set", e);
    if (!m) return NULL;
    memcpy(m->set, set, sizeof set);
    d->close = close_source;
    d->fetch = fetch;
    d->item_name = item_name;
    d->file_order = true;
    return m;
}

bool rt_memory_alloc(RtMemory *m, enum RtSplit s, uint64_t n, RtError *e)
{
    m->px[s] = rt_data_alloc(n, (uint64_t)m->h * (uint64_t)m->w * (uint64_t)m->c, "the data set", e);
    m->label[s] = m->px[s] ? rt_data_alloc(n, 1, "the labels", e) : NULL;
    m->n[s] = m->label[s] ? (int64_t)n : 0;
    return m->label[s] != NULL;
}

/* ---- labels ---- */

static bool check_labels(const RtMemory *m, int s, int base, RtError *e)
{
    for (int64_t i = 0; i < m->n[s]; i++)
        if (m->label[s][i] >= base)
            return rt_data_fail(e, RT_EXIT_DATA, "D009", "%s item %" PRId64 ": label %d, classes 0..%d", m->set[s], i,
                                m->label[s][i], base - 1);
    return true;
}

static bool set_labels(RtData *d, const RtDataConfig *c, const RtNames *names, RtError *e)
{
    const RtMemory *m = d->source;
    int base = names->n, map[RT_MAX_LABELS], top = 0;
    for (int s = 0; s < RT_NSPLITS; s++)
        for (int64_t i = 0; i < m->n[s]; i++)
            if (m->label[s][i] > top) top = m->label[s][i];
    if (!base) base = !c->nclasses && c->num_classes > 0 ? c->num_classes : top + 1;
    if (base > RT_MAX_LABELS) base = RT_MAX_LABELS;
    bool ok = rt_names_select(d, c, names, base, map, e);
    int64_t item = 0;
    for (int s = 0; ok && s < RT_NSPLITS; s++) {
        ok = check_labels(m, s, base, e);
        for (int64_t i = 0; ok && i < m->n[s]; i++) d->label[item++] = map[m->label[s][i]];
    }
    return ok;
}

/* ---- splits ---- */

static bool deal(RtData *d, const RtDataConfig *c, int s, RtFractions f, int64_t *pool, RtError *e)
{
    const RtMemory *m = d->source;
    int64_t first = 0, n = 0;
    for (int k = 0; k < s; k++) first += m->n[k];
    for (int64_t i = first; i < first + m->n[s]; i++)
        if (d->label[i] >= 0) pool[n++] = i;
    return rt_split_items(d, c, f, pool, n, e);
}

static bool make_splits(RtData *d, const RtDataConfig *c, RtError *e)
{
    const RtMemory *m = d->source;
    RtFractions f;
    if (!rt_split_fractions(c, (RtFractions){0.9, 0.1, 0}, &f, e)) return false;
    int64_t *pool = rt_data_alloc((uint64_t)d->nitems, sizeof *pool, "the split", e);
    if (!pool) return false;
    if (m->n[RT_SPLIT_VAL]) f.val = 0;
    bool ok = deal(d, c, RT_SPLIT_TRAIN, (RtFractions){1 - f.val, f.val, 0}, pool, e) &&
              deal(d, c, RT_SPLIT_VAL, (RtFractions){0, 1, 0}, pool, e) &&
              deal(d, c, RT_SPLIT_TEST, (RtFractions){0, 0, 1}, pool, e);
    free(pool);
    return ok;
}

/* Colours for a model of one channel. Grey for a model of three is repeated when it is asked for. */
static bool convert(RtData *d, RtError *e)
{
    RtMemory *m = d->source;
    if (m->c == d->c) return true;
    rt_data_note(d,
                 m->c == 1 ? "note: grey images, the model takes %d channels: repeated"
                           : "note: images converted to the model's %d channel",
                 d->c);
    if (m->c == 1) return true;
    for (int s = 0; s < RT_NSPLITS; s++) {
        size_t pixels = (size_t)m->n[s] * (size_t)m->h * (size_t)m->w;
        uint8_t *px = pixels ? rt_data_alloc(pixels, (uint64_t)d->c, "the data set", e) : NULL;
        if (pixels && !px) return false;
        if (pixels) rt_image_convert(m->px[s], m->c, px, d->c, pixels);
        free(m->px[s]);
        m->px[s] = px;
    }
    m->c = d->c;
    return true;
}

bool rt_memory_open(RtData *d, const RtDataConfig *c, const RtNames *names, const char *file, RtError *e)
{
    const RtMemory *m = d->source;
    if (!d->look && !rt_image_channels(m->c, d->c, false, file, e)) return false;
    if (!rt_data_fits(d, m->h, m->w, file, e)) return false;
    for (int s = 0; s < RT_NSPLITS; s++) d->nitems += m->n[s];
    d->label = rt_data_alloc((uint64_t)d->nitems, sizeof *d->label, "the labels", e);
    return d->label && (d->look || convert(d, e)) && set_labels(d, c, names, e) && make_splits(d, c, e);
}
