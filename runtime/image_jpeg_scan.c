/* JPEG: the codes of one scan (ITU T.81). See image_jpeg.c.
 *
 * rule: each bit that a scan takes must lie in the file, and no byte of codes may be left when its blocks are done: a
 * bit that was flipped in a code mostly shifts what follows, and then the two do not meet.
 */
#include "image_jpeg.h"

/* ---- bits ---- */

/* Keeps at least 48 bits while there are any; stops in front of a marker. FF 00 stands for FF. */
static void fill(RtJpeg *j)
{
    while (j->nbits <= 48 && j->p < j->end) {
        uint8_t byte = *j->p;
        bool stuffed = byte == 0xff && j->end - j->p >= 2 && j->p[1] == 0;
        if (byte == 0xff && !stuffed) return;
        j->bits = j->bits << 8 | byte;
        j->p += 1 + stuffed;
        j->nbits += 8;
    }
}

static uint32_t take(RtJpeg *j, int n)
{
    if (n == 0) return 0;
    if (j->nbits < n) fill(j);
    if (j->nbits < n) {
        j->dry = true;
        j->nbits = 0;
        return 0;
    }
    j->nbits -= n;
    return (uint32_t)(j->bits >> j->nbits) & ((1u << n) - 1);
}

/* Next symbol, or -1: no such code, or dry. */
static int symbol(RtJpeg *j, const RtHuffman *t)
{
    if (j->nbits < 16) fill(j);
    int32_t code = 0;
    for (int len = 1; len <= 16; len++) {
        if (len > j->nbits) {
            j->dry = true;
            return -1;
        }
        code = (int32_t)(j->bits >> (j->nbits - len)) & ((1 << len) - 1);
        if (code <= t->max_code[len]) {
            j->nbits -= len;
            return t->symbol[(code + t->offset[len]) & 255];
        }
    }
    return -1;
}

/* ---- blocks: each returns false if the codes make no sense or run dry ---- */

static bool dc_first(RtJpeg *j, RtComponent *c)
{
    int s = symbol(j, c->dc);
    if (s < 0 || s > 15) return false;
    take(j, s);
    return !j->dry;
}

static bool baseline(RtJpeg *j, RtComponent *c)
{
    if (!dc_first(j, c)) return false;
    for (int k = 1; k < 64; k++) {
        int rs = symbol(j, c->ac);
        if (rs < 0) return false;
        k += rs >> 4;
        if ((rs & 15) == 0) {
            if (rs != 0xf0) break;
            continue;
        }
        if (k > 63) return false;
        take(j, rs & 15);
    }
    return !j->dry;
}

static bool ac_first(RtJpeg *j, RtComponent *c, uint64_t *mask)
{
    if (j->eobrun) {
        j->eobrun--;
        return true;
    }
    for (int k = j->ss; k <= j->se; k++) {
        int rs = symbol(j, c->ac), run = rs >> 4;
        if (rs < 0) return false;
        if ((rs & 15) == 0 && run < 15) {
            j->eobrun = (1u << run) - 1 + take(j, run);
            break;
        }
        k += run;
        if ((rs & 15) == 0) continue;
        if (k > j->se) return false;
        take(j, rs & 15);
        *mask |= (uint64_t)1 << k;
    }
    return !j->dry;
}

/* Steps over `zeros` zero coefficients from k on, spending a bit on each nonzero one; -> where it
 * stopped. */
static int refine_run(RtJpeg *j, uint64_t mask, int k, int zeros)
{
    for (; k <= j->se; k++) {
        if (mask >> k & 1)
            take(j, 1);
        else if (zeros-- == 0)
            break;
    }
    return k;
}

static bool ac_refine(RtJpeg *j, RtComponent *c, uint64_t *mask)
{
    int k = j->ss;
    while (!j->eobrun && k <= j->se) {
        int rs = symbol(j, c->ac), run = rs >> 4, size = rs & 15;
        if (rs < 0 || size > 1) return false;
        if (size == 0 && run < 15) {
            j->eobrun = (1u << run) + take(j, run);
            break;
        }
        take(j, size); /* the sign */
        k = refine_run(j, *mask, k, run);
        if (size && k > j->se) return false;
        if (size) *mask |= (uint64_t)1 << k;
        k++;
    }
    if (j->eobrun) {
        refine_run(j, *mask, k, 64);
        j->eobrun--;
    }
    return !j->dry;
}

static bool block(RtJpeg *j, RtComponent *c, int x, int y)
{
    if (!j->progressive) return baseline(j, c);
    if (j->ss == 0) {
        if (!j->ah) return dc_first(j, c);
        take(j, 1);
        return !j->dry;
    }
    uint64_t *mask = &c->mask[(size_t)y * (size_t)c->stride + (size_t)x];
    return j->ah ? ac_refine(j, c, mask) : ac_first(j, c, mask);
}

/* ---- one scan ---- */

/* Bytes of codes that nobody took: before a marker there may be the rest of one byte, and fill. */
static bool used_up(RtJpeg *j)
{
    fill(j);
    return j->nbits < 8 && !j->eobrun;
}

static bool restart_here(RtJpeg *j, int *expected)
{
    if (!used_up(j)) return false;
    j->nbits = 0;
    while (j->end - j->p >= 2 && j->p[0] == 0xff && j->p[1] == 0xff) j->p++;
    if (j->end - j->p < 2 || j->p[0] != 0xff || j->p[1] != 0xd0 + *expected) return false;
    j->p += 2;
    *expected = (*expected + 1) & 7;
    return true;
}

static bool mcu(RtJpeg *j, int mx, int my)
{
    if (j->nscan == 1) return block(j, j->scan[0], mx, my);
    for (int i = 0; i < j->nscan; i++) {
        RtComponent *c = j->scan[i];
        for (int y = 0; y < c->v; y++)
            for (int x = 0; x < c->h; x++)
                if (!block(j, c, mx * c->h + x, my * c->v + y)) return false;
    }
    return true;
}

bool rt_jpeg_walk_scan(RtJpeg *j)
{
    RtComponent *c = j->scan[0];
    bool alone = j->nscan == 1;
    int nx = alone ? c->bw : j->mcu_w, ny = alone ? c->bh : j->mcu_h, expected = 0, done = 0;
    int rows = alone ? 8 * j->vmax / c->v : 8 * j->vmax; /* pixel rows of one row of MCUs */
    j->nbits = 0;
    j->eobrun = 0;
    j->dry = false;
    for (int y = 0; y < ny; y++)
        for (int x = 0; x < nx; x++, done++) {
            bool ok = !(j->restart && done && done % j->restart == 0) || restart_here(j, &expected);
            if (ok && mcu(j, x, y)) continue;
            if (!ok && j->end - j->p > 2)
                return rt_jpeg_fail(j, "D013", "damaged JPEG: no restart marker in row %d of %d", y * rows, j->h);
            if (j->dry || !ok) return rt_jpeg_fail(j, "D013", "ends early (row %d of %d)", y * rows, j->h);
            return rt_jpeg_fail(j, "D013", "damaged JPEG: bad code in row %d of %d", y * rows, j->h);
        }
    return used_up(j) || rt_jpeg_fail(j, "D013", "damaged JPEG: codes left over after the last block");
}
