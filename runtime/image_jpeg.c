/* JPEG: is every block of every scan really there? The Huffman codes are walked, no pixel is made.
 *
 * In: the bytes of a baseline, extended or progressive 8-bit file (ITU T.81). Out: width, height,
 * channels; or D013 with the row at which the data ends, or D014 for other variants. Rule: a
 * decoder that runs out of bits draws the rest in grey and calls it success; here each bit that a
 * scan takes must lie in the file, restart markers must be where DRI says, and EOI must follow.
 *
 * A refinement scan of a progressive file spends one bit on each coefficient that is already
 * nonzero, so one 64-bit mask per block remembers those (bit k = zigzag index k).
 */
#include "err.h"
#include "image.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_COMPONENTS = 4,
    MAX_SCANS = 256
}; /* the latter bounds the time that a hostile file takes */

typedef struct Huffman {
    bool defined;
    uint8_t symbol[256];
    int32_t max_code[18]; /* largest code of each length, -1: none; [17] is a guard */
    int32_t offset[17];   /* symbol index = code + offset[length] */
} Huffman;

typedef struct Component {
    int id, h, v;
    int bw, bh;     /* blocks that hold pixels */
    int stride;     /* blocks in a row, padding included */
    uint64_t *mask; /* nonzero coefficients; progressive only */
    bool seen;
    Huffman *dc, *ac; /* of the present scan */
} Component;

typedef struct Jpeg {
    const uint8_t *p, *end;
    const char *name;
    RtError *e;
    int w, h, n; /* n components; 0: no frame header yet */
    int hmax, vmax, mcu_w, mcu_h;
    bool progressive;
    Component comp[MAX_COMPONENTS];
    Huffman dc[4], ac[4];
    int restart; /* MCUs between restart markers, 0: none */
    int scans;   /* so far */

    int nscan;
    Component *scan[MAX_COMPONENTS];
    int ss, se, ah;
    uint32_t eobrun;
    uint64_t bits; /* the low nbits bits are not used yet */
    int nbits;
    bool dry; /* bits were asked for that are not there */
} Jpeg;

__attribute__((format(printf, 3, 4))) static bool fail(Jpeg *j, const char *id, const char *fmt,
                                                       ...)
{
    char why[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    j->e->exit = !strcmp(id, "E003") ? RT_EXIT_MEMORY : RT_EXIT_DATA;
    j->e->id = id;
    snprintf(j->e->text, sizeof j->e->text, "'%s': %s", rt_esc(j->name), why);
    return false;
}

static bool broken(Jpeg *j, const char *what)
{
    return fail(j, "D013", "damaged JPEG: %s", what);
}

/* ---- bits ---- */

/* Keeps at least 48 bits while there are any; stops in front of a marker. FF 00 stands for FF. */
static void fill(Jpeg *j)
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

static uint32_t take(Jpeg *j, int n)
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
static int symbol(Jpeg *j, const Huffman *t)
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

static bool dc_first(Jpeg *j, Component *c)
{
    int s = symbol(j, c->dc);
    if (s < 0 || s > 15) return false;
    take(j, s);
    return !j->dry;
}

static bool baseline(Jpeg *j, Component *c)
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

static bool ac_first(Jpeg *j, Component *c, uint64_t *mask)
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
static int refine_run(Jpeg *j, uint64_t mask, int k, int zeros)
{
    for (; k <= j->se; k++) {
        if (mask >> k & 1)
            take(j, 1);
        else if (zeros-- == 0)
            break;
    }
    return k;
}

static bool ac_refine(Jpeg *j, Component *c, uint64_t *mask)
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

static bool block(Jpeg *j, Component *c, int x, int y)
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

static bool restart_here(Jpeg *j, int *expected)
{
    j->nbits = 0;
    j->eobrun = 0;
    while (j->end - j->p >= 2 && j->p[0] == 0xff && j->p[1] == 0xff) j->p++;
    if (j->end - j->p < 2 || j->p[0] != 0xff || j->p[1] != 0xd0 + *expected) return false;
    j->p += 2;
    *expected = (*expected + 1) & 7;
    return true;
}

static bool mcu(Jpeg *j, int mx, int my)
{
    if (j->nscan == 1) return block(j, j->scan[0], mx, my);
    for (int i = 0; i < j->nscan; i++) {
        Component *c = j->scan[i];
        for (int y = 0; y < c->v; y++)
            for (int x = 0; x < c->h; x++)
                if (!block(j, c, mx * c->h + x, my * c->v + y)) return false;
    }
    return true;
}

static bool walk_scan(Jpeg *j)
{
    Component *c = j->scan[0];
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
            if (j->dry || !ok) return fail(j, "D013", "ends early (row %d of %d)", y * rows, j->h);
            return fail(j, "D013", "damaged JPEG: bad code in row %d of %d", y * rows, j->h);
        }
    return true;
}

/* ---- segments ---- */

static int be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static bool read_dht(Jpeg *j, const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        if (end - p < 17 || (p[0] >> 4) > 1 || (p[0] & 15) > 3) return broken(j, "Huffman table");
        Huffman *t = p[0] >> 4 ? &j->ac[p[0] & 15] : &j->dc[p[0] & 15];
        int32_t code = 0, total = 0;
        for (int len = 1; len <= 16; len++) {
            t->offset[len] = total - code;
            code += p[len];
            total += p[len];
            if (code > 1 << len || total > 256) return broken(j, "Huffman table");
            t->max_code[len] = p[len] ? code - 1 : -1;
            code <<= 1;
        }
        if (end - p < 17 + total) return broken(j, "Huffman table");
        memcpy(t->symbol, p + 17, (size_t)total);
        t->defined = true;
        p += 17 + total;
    }
    return true;
}

static bool frame_geometry(Jpeg *j)
{
    for (int i = 0; i < j->n; i++) {
        if (j->comp[i].h > j->hmax) j->hmax = j->comp[i].h;
        if (j->comp[i].v > j->vmax) j->vmax = j->comp[i].v;
    }
    j->mcu_w = (j->w + 8 * j->hmax - 1) / (8 * j->hmax);
    j->mcu_h = (j->h + 8 * j->vmax - 1) / (8 * j->vmax);
    for (int i = 0; i < j->n; i++) {
        Component *c = &j->comp[i];
        int pw = (j->w * c->h + j->hmax - 1) / j->hmax, ph = (j->h * c->v + j->vmax - 1) / j->vmax;
        c->bw = (pw + 7) / 8;
        c->bh = (ph + 7) / 8;
        c->stride = j->mcu_w * c->h;
        if (!j->progressive) continue;
        c->mask = calloc((size_t)c->stride * (size_t)(j->mcu_h * c->v), sizeof *c->mask);
        if (!c->mask) return fail(j, "E003", "cannot allocate memory to check it");
    }
    return true;
}

static bool read_sof(Jpeg *j, int marker, const uint8_t *p, const uint8_t *end)
{
    if (marker > 0xc2) return fail(j, "D014", "JPEG variant not supported (SOF%d)", marker - 0xc0);
    if (end - p < 6 || j->n) return broken(j, "frame header");
    if (p[0] != 8) return fail(j, "D014", "JPEG variant not supported (%d bits)", p[0]);
    j->h = be16(p + 1);
    j->w = be16(p + 3);
    int n = p[5];
    if (j->h == 0) return fail(j, "D014", "JPEG variant not supported (height after the scan)");
    if (j->w == 0 || (n != 1 && n != 3 && n != 4) || end - p != 6 + 3 * n)
        return broken(j, "frame header");
    if (j->w > RT_IMAGE_MAX_SIDE || j->h > RT_IMAGE_MAX_SIDE || j->w * j->h > RT_IMAGE_MAX_PIXELS)
        return fail(j, "D015", "%dx%d over %d Mpixel or %d a side", j->w, j->h,
                    RT_IMAGE_MAX_PIXELS >> 20, RT_IMAGE_MAX_SIDE);
    for (int i = 0; i < n; i++) {
        Component *c = &j->comp[i];
        c->id = p[6 + 3 * i];
        c->h = p[7 + 3 * i] >> 4;
        c->v = p[7 + 3 * i] & 15;
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4) return broken(j, "sampling factors");
    }
    j->n = n;
    j->progressive = marker == 0xc2;
    return frame_geometry(j);
}

static bool read_sos(Jpeg *j, const uint8_t *p, const uint8_t *end)
{
    if (!j->n) return broken(j, "scan before the frame header");
    if (++j->scans > MAX_SCANS) return fail(j, "D014", "JPEG of more than %d scans", MAX_SCANS);
    int n = end > p ? p[0] : 0;
    if (n < 1 || n > j->n || end - p != 4 + 2 * n) return broken(j, "scan header");
    j->nscan = n;
    j->ss = p[1 + 2 * n];
    j->se = p[2 + 2 * n];
    j->ah = p[3 + 2 * n] >> 4;
    if (j->progressive &&
        (j->ss > j->se || j->se > 63 || (j->ss == 0) != (j->se == 0) || (j->ss && n > 1)))
        return broken(j, "scan header");
    for (int i = 0; i < n; i++) {
        Component *c = NULL;
        for (int k = 0; k < j->n && !c; k++)
            if (j->comp[k].id == p[1 + 2 * i]) c = &j->comp[k];
        int td = p[2 + 2 * i] >> 4, ta = p[2 + 2 * i] & 15;
        if (!c || td > 3 || ta > 3) return broken(j, "scan header");
        c->dc = &j->dc[td];
        c->ac = &j->ac[ta];
        bool need_dc = j->ss == 0 && !(j->progressive && j->ah), need_ac = !j->progressive || j->ss;
        if ((need_dc && !c->dc->defined) || (need_ac && !c->ac->defined))
            return broken(j, "no Huffman table");
        if (j->ss == 0) c->seen = true;
        j->scan[i] = c;
    }
    j->p = end;
    return walk_scan(j);
}

/* Moves to the next marker, over fill and left-over bytes, and returns it; -1: the file ends. */
static int next_marker(Jpeg *j)
{
    for (; j->end - j->p >= 2; j->p++)
        if (j->p[0] == 0xff && j->p[1] != 0 && j->p[1] != 0xff) {
            j->p += 2;
            return j->p[-1];
        }
    return -1;
}

static bool segment(Jpeg *j, int marker)
{
    int len = j->end - j->p >= 2 ? be16(j->p) : 0;
    if (len < 2 || j->end - j->p < len) return fail(j, "D013", "ends early (in a header)");
    const uint8_t *p = j->p + 2, *end = j->p + len;
    j->p = end;
    if (marker == 0xc4) return read_dht(j, p, end);
    if (marker == 0xcc) return fail(j, "D014", "JPEG variant not supported (arithmetic coding)");
    if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc8) return read_sof(j, marker, p, end);
    if (marker == 0xda) return read_sos(j, p, end);
    if (marker == 0xdd) {
        if (end - p != 2) return broken(j, "restart interval");
        j->restart = be16(p);
    }
    return true;
}

static bool walk(Jpeg *j)
{
    for (;;) {
        int marker = next_marker(j);
        if (marker < 0) return fail(j, "D013", "ends early (no end-of-image marker)");
        if (marker == 0xd9) break;
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue; /* no length */
        if (!segment(j, marker)) return false;
    }
    if (!j->n) return broken(j, "no frame");
    for (int i = 0; i < j->n; i++)
        if (!j->comp[i].seen)
            return fail(j, "D013", "ends early (component %d of %d has no scan)", i + 1, j->n);
    return true;
}

bool rt_image_check_jpeg(const uint8_t *file, size_t n, const char *name, RtImageInfo *info,
                         RtError *e)
{
    Jpeg *j = calloc(1, sizeof *j);
    Jpeg none = {.name = name, .e = e};
    if (!j) return fail(&none, "E003", "cannot allocate memory to check it");
    *j = (Jpeg){.p = file + 2, .end = file + n, .name = name, .e = e};
    bool ok = walk(j);
    *info = (RtImageInfo){.c = j->n >= 3 ? 3 : 1, .h = j->h, .w = j->w, .jpeg = true};
    for (int i = 0; i < MAX_COMPONENTS; i++) free(j->comp[i].mask);
    free(j);
    return ok;
}
