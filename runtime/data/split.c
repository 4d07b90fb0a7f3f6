/* Who trains, who validates, who tests: fractions -> lists of items; limit.
 *
 * rule: a group (the whole pool, or each class when stratified) is shuffled by rt_shuffle(seed,
 * group); its first round(n*val) items validate, the next round(n*test) test, the rest trains.
 * Lists are then in item order, so that they do not depend on the order of the groups.
 */
#include "internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPLIT_EPOCH ((uint64_t)0x73706c69 << 32) /* away from the epochs of training */

bool rt_split_fractions(const RtDataConfig *c, RtFractions defaults, RtFractions *f, RtError *e)
{
    *f = (RtFractions){c->train, c->val, c->test};
    if (c->train == 0 && c->val == 0 && c->test == 0) *f = defaults;
    double sum = f->train + f->val + f->test;
    if (!(f->train >= 0 && f->val >= 0 && f->test >= 0 && sum <= 1 + 1e-6))
        return rt_data_fail(
            e, RT_EXIT_SPEC, "S016",
            "data.split: train %g, val %g, test %g: each must be in [0,1] and their sum at "
            "most 1",
            f->train, f->val, f->test);
    return true;
}

static int64_t part(double fraction, int64_t n, int64_t room)
{
    int64_t k = (int64_t)floor(fraction * (double)n + 0.5);
    return k < room ? k : room;
}

static void deal(uint8_t *to, int64_t *group, int64_t n, RtFractions f, uint64_t seed,
                 uint64_t stream)
{
    rt_shuffle(group, n, seed, SPLIT_EPOCH + stream);
    int64_t nval = part(f.val, n, n), ntest = part(f.test, n, n - nval), rest = n - nval - ntest;
    bool all = f.train + f.val + f.test > 1 - 1e-6;
    int64_t ntrain = all ? rest : part(f.train, n, rest);
    for (int64_t i = 0; i < n; i++)
        to[group[i]] = i < nval                    ? RT_SPLIT_VAL
                       : i < nval + ntest          ? RT_SPLIT_TEST
                       : i < nval + ntest + ntrain ? RT_SPLIT_TRAIN
                                                   : RT_NSPLITS;
}

static bool append(RtItems *s, const int64_t *pool, const uint8_t *to, int64_t n, int which,
                   RtError *e)
{
    int64_t more = 0;
    for (int64_t i = 0; i < n; i++) more += to[i] == which;
    if (!more) return true;
    int64_t *grown = rt_data_alloc((uint64_t)(s->n + more), sizeof *grown, "the split", e);
    if (!grown) return false;
    if (s->n) memcpy(grown, s->item, (size_t)s->n * sizeof *grown);
    free(s->item);
    s->item = grown;
    for (int64_t i = 0; i < n; i++)
        if (to[i] == which) s->item[s->n++] = pool[i];
    return true;
}

/* order = positions of the pool sorted by class; start[k] = where class k begins. */
static void sort_by_class(const RtData *d, const int64_t *pool, int64_t n, int64_t *order,
                          int64_t *start)
{
    for (int64_t i = 0; i < n; i++) start[d->label[pool[i]] + 2]++;
    for (int k = 2; k < d->nclasses + 2; k++) start[k] += start[k - 1];
    for (int64_t i = 0; i < n; i++) order[start[d->label[pool[i]] + 1]++] = i;
}

bool rt_split_items(RtData *d, const RtDataConfig *c, RtFractions f, const int64_t *pool, int64_t n,
                    RtError *e)
{
    if (n == 0) return true;
    uint8_t *to = rt_data_alloc((uint64_t)n, 1, "the split", e);
    int64_t *order = to ? rt_data_alloc((uint64_t)n, sizeof *order, "the split", e) : NULL;
    int64_t *start =
        order ? rt_data_alloc((uint64_t)d->nclasses + 2, sizeof *start, "the split", e) : NULL;
    bool ok = start != NULL;
    if (ok && c->stratify) {
        sort_by_class(d, pool, n, order, start);
        for (int k = 0; k < d->nclasses; k++)
            deal(to, order + start[k], start[k + 1] - start[k], f, c->seed, (uint64_t)k + 1);
    } else if (ok) {
        for (int64_t i = 0; i < n; i++) order[i] = i;
        deal(to, order, n, f, c->seed, 0);
    }
    for (int s = 0; ok && s < RT_NSPLITS; s++) ok = append(&d->split[s], pool, to, n, s, e);
    free(to);
    free(order);
    free(start);
    return ok;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* IDX: the first N as they lie in the file. Folders lie sorted by class: N drawn at random, in item
 * order. */
bool rt_split_limit(RtData *d, const RtDataConfig *c, RtError *e)
{
    if (c->limit < 0)
        return rt_data_fail(e, RT_EXIT_SPEC, "S015", "data.limit must be 0 or more, got %" PRId64,
                            c->limit);
    for (int s = 0; c->limit && s < RT_NSPLITS; s++) {
        RtItems *list = &d->split[s];
        if (list->n <= c->limit) continue;
        if (!d->file_order) {
            rt_shuffle(list->item, list->n, c->seed, SPLIT_EPOCH - 1 - (uint64_t)s);
            qsort(list->item, (size_t)c->limit, sizeof *list->item, ascending);
        }
        list->n = c->limit;
    }
    return true;
}
