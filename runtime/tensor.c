/* Layouts: packing and unpacking of elements of 4 bytes (f32, i32).
 *
 * Every axis adds its own term to the address (abi.h, RtLayout), so one table of offsets an axis is
 * all that is needed; runs of the last axis that lie side by side are copied whole, which covers
 * plain layouts with and without a halo. */
#include "tensor.h"
#include "err.h"
#include <stdlib.h>
#include <string.h>

void rt_view_init(RtView *v, const RtLayout *l)
{
    memset(v, 0, sizeof *v);
    /* A scalar is one row of one element. */
    v->rank = l->rank ? l->rank : 1;
    v->base = l->base;
    v->flat = true;
    for (int a = 0; a < v->rank; a++) {
        int64_t n = l->rank ? l->dim[a] : 1, block = l->rank && l->block[a] > 0 ? l->block[a] : 1;
        v->dim[a] = n;
        v->off[a] = rt_alloc((size_t)n, sizeof(int64_t), "a layout");
        for (int64_t i = 0; i < n && l->rank; i++) {
            v->off[a][i] = i / block * l->outer[a] + i % block * l->inner[a];
        }
    }
    int last = v->rank - 1;
    for (int64_t i = 0; i < v->dim[last]; i++) v->flat = v->flat && v->off[last][i] == i;
}

void rt_view_free(RtView *v)
{
    for (int a = 0; a < v->rank; a++) free(v->off[a]);
}

/* Copies the part of the tensor under one index of the axes before `axis`; returns the plain
 * pointer behind it. */
static char *copy(const RtView *v, int axis, char *at, char *plain, int64_t lo, int64_t hi,
                  bool pack)
{
    const int64_t *off = v->off[axis];
    if (axis < v->rank - 1) {
        for (int64_t i = lo; i < hi; i++) {
            plain = copy(v, axis + 1, at + 4 * off[i], plain, 0, v->dim[axis + 1], pack);
        }
        return plain;
    }
    size_t n = 4 * (size_t)(hi - lo);
    if (v->flat && pack)
        memcpy(at + 4 * lo, plain, n);
    else if (v->flat)
        memcpy(plain, at + 4 * lo, n);
    else if (pack) {
        for (int64_t i = lo; i < hi; i++) memcpy(at + 4 * off[i], plain + 4 * (i - lo), 4);
    } else {
        for (int64_t i = lo; i < hi; i++) memcpy(plain + 4 * (i - lo), at + 4 * off[i], 4);
    }
    return plain + n;
}

enum { LANES = 16 };

/* Do rows from r on lie lane by lane? Then LANES of them make whole runs of the storage. */
static bool in_lanes(const RtView *v, int64_t r, int64_t end)
{
    const int64_t *off = v->off[0];
    return v->rank > 1 && r + LANES <= end && off[r + LANES - 1] - off[r] == LANES - 1 && off[r + 1] - off[r] == 1;
}

/* As copy, of LANES rows `row` elements apart, of which each run of the storage takes one element each. */
static const char *pack_lanes(const RtView *v, int axis, char *at, const char *plain, int64_t row)
{
    const int64_t *off = v->off[axis];
    if (axis < v->rank - 1) {
        for (int64_t i = 0; i < v->dim[axis]; i++) plain = pack_lanes(v, axis + 1, at + 4 * off[i], plain, row);
        return plain;
    }
    for (int64_t i = 0; i < v->dim[axis]; i++)
        for (int r = 0; r < LANES; r++) memcpy(at + 4 * (off[i] + r), plain + 4 * (i + r * row), 4);
    return plain + 4 * v->dim[axis];
}

void rt_view_pack(const RtView *v, void *storage, const void *plain, int64_t begin, int64_t end)
{
    int64_t row = 1;
    for (int a = 1; a < v->rank; a++) row *= v->dim[a];
    while (begin < end && in_lanes(v, begin, end)) {
        pack_lanes(v, 1, (char *)storage + 4 * (v->base + v->off[0][begin]), plain, row);
        plain = (const char *)plain + 4 * LANES * row;
        begin += LANES;
    }
    copy(v, 0, (char *)storage + 4 * v->base, (char *)(uintptr_t)plain, begin, end, true);
}

void rt_view_unpack(const RtView *v, const void *storage, void *plain, int64_t begin, int64_t end)
{
    copy(v, 0, (char *)(uintptr_t)storage + 4 * v->base, plain, begin, end, false);
}

void rt_pack(const RtTensor *t, void *storage, const void *plain)
{
    RtView v;
    rt_view_init(&v, &t->layout);
    rt_view_pack(&v, storage, plain, 0, v.dim[0]);
    rt_view_free(&v);
}

void rt_unpack(const RtTensor *t, const void *storage, void *plain)
{
    RtView v;
    rt_view_init(&v, &t->layout);
    rt_view_unpack(&v, storage, plain, 0, v.dim[0]);
    rt_view_free(&v);
}
