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
#include "image_jpeg.h"
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rt_jpeg_fail(RtJpeg *j, const char *id, const char *fmt, ...)
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

static bool broken(RtJpeg *j, const char *what)
{
    return rt_jpeg_fail(j, "D013", "damaged JPEG: %s", what);
}

/* ---- segments ---- */

static int be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static bool read_dht(RtJpeg *j, const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        if (end - p < 17 || (p[0] >> 4) > 1 || (p[0] & 15) > 3) return broken(j, "Huffman table");
        RtHuffman *t = p[0] >> 4 ? &j->ac[p[0] & 15] : &j->dc[p[0] & 15];
        int32_t code = 0, total = 0;
        for (int len = 1; len <= 16; len++) {
            t->offset[len] = total - code;
            code += p[len];
            total += p[len];
            /* No code is all ones. */
            if (code >= 1 << len || total > 256) return broken(j, "Huffman table");
            t->max_code[len] = p[len] ? code - 1 : -1;
            code <<= 1;
        }
        if (end - p < 17 + total) return broken(j, "Huffman table");
        memcpy(t->symbol, p + 17, (size_t)total);
        for (int i = 0; i < total && !(p[0] >> 4); i++)
            if (t->symbol[i] > 15) return broken(j, "Huffman table");
        t->defined = true;
        p += 17 + total;
    }
    return true;
}

static bool read_dqt(RtJpeg *j, const uint8_t *p, const uint8_t *end)
{
    for (; p < end; p++) {
        int wide = *p >> 4, at = *p & 15, size = wide ? 128 : 64;
        if (wide > 1 || at > 3 || end - p < 1 + size) return broken(j, "quantisation table");
        for (int i = 0; i < 64; i++)
            if (wide ? !be16(p + 1 + 2 * i) : !p[1 + i]) return broken(j, "quantisation table");
        j->quant[at] = true;
        p += size;
    }
    return true;
}

static bool frame_geometry(RtJpeg *j)
{
    for (int i = 0; i < j->n; i++) {
        if (j->comp[i].h > j->hmax) j->hmax = j->comp[i].h;
        if (j->comp[i].v > j->vmax) j->vmax = j->comp[i].v;
    }
    j->mcu_w = (j->w + 8 * j->hmax - 1) / (8 * j->hmax);
    j->mcu_h = (j->h + 8 * j->vmax - 1) / (8 * j->vmax);
    for (int i = 0; i < j->n; i++) {
        RtComponent *c = &j->comp[i];
        int pw = (j->w * c->h + j->hmax - 1) / j->hmax, ph = (j->h * c->v + j->vmax - 1) / j->vmax;
        c->bw = (pw + 7) / 8;
        c->bh = (ph + 7) / 8;
        c->stride = j->mcu_w * c->h;
        if (!j->progressive) continue;
        c->mask = calloc((size_t)c->stride * (size_t)(j->mcu_h * c->v), sizeof *c->mask);
        if (!c->mask) return rt_jpeg_fail(j, "E003", "cannot allocate memory to check it");
    }
    return true;
}

static bool read_sof(RtJpeg *j, int marker, const uint8_t *p, const uint8_t *end)
{
    if (marker > 0xc2) return rt_jpeg_fail(j, "D014", "JPEG variant not supported (SOF%d)", marker - 0xc0);
    if (end - p < 6 || j->n) return broken(j, "frame header");
    if (p[0] != 8) return rt_jpeg_fail(j, "D014", "JPEG variant not supported (%d bits)", p[0]);
    j->h = be16(p + 1);
    j->w = be16(p + 3);
    int n = p[5];
    if (j->h == 0) return rt_jpeg_fail(j, "D014", "JPEG variant not supported (height after the scan)");
    if (j->w == 0 || (n != 1 && n != 3 && n != 4) || end - p != 6 + 3 * n)
        return broken(j, "frame header");
    if (j->w > RT_IMAGE_MAX_SIDE || j->h > RT_IMAGE_MAX_SIDE || j->w * j->h > RT_IMAGE_MAX_PIXELS)
        return rt_jpeg_fail(j, "D015", "%dx%d over %d Mpixel or %d a side", j->w, j->h,
                    RT_IMAGE_MAX_PIXELS >> 20, RT_IMAGE_MAX_SIDE);
    for (int i = 0; i < n; i++) {
        RtComponent *c = &j->comp[i];
        c->id = p[6 + 3 * i];
        c->h = p[7 + 3 * i] >> 4;
        c->v = p[7 + 3 * i] & 15;
        c->tq = p[8 + 3 * i];
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4) return broken(j, "sampling factors");
        if (c->tq > 3) return broken(j, "frame header");
        memset(c->al, -1, sizeof c->al);
    }
    j->n = n;
    j->progressive = marker == 0xc2;
    return frame_geometry(j);
}

/* A coefficient's bits come once each, from the top, and the first one's before the others'. */
static bool progression(RtJpeg *j, RtComponent *c)
{
    if (!j->progressive) return true;
    if (j->al > 13 || (j->ah && j->al != j->ah - 1) || (j->ss && c->al[0] < 0)) return false;
    for (int k = j->ss; k <= j->se; k++) {
        if (j->ah != (c->al[k] < 0 ? 0 : c->al[k])) return false;
        c->al[k] = (int8_t)j->al;
    }
    return true;
}

static bool read_sos(RtJpeg *j, const uint8_t *p, const uint8_t *end)
{
    if (!j->n) return broken(j, "scan before the frame header");
    if (++j->scans > MAX_SCANS) return rt_jpeg_fail(j, "D014", "JPEG of more than %d scans", MAX_SCANS);
    int n = end > p ? p[0] : 0;
    if (n < 1 || n > j->n || end - p != 4 + 2 * n) return broken(j, "scan header");
    j->nscan = n;
    j->ss = p[1 + 2 * n];
    j->se = p[2 + 2 * n];
    j->ah = p[3 + 2 * n] >> 4;
    j->al = p[3 + 2 * n] & 15;
    if (j->progressive &&
        (j->ss > j->se || j->se > 63 || (j->ss == 0) != (j->se == 0) || (j->ss && n > 1)))
        return broken(j, "scan header");
    for (int i = 0; i < n; i++) {
        RtComponent *c = NULL;
        for (int k = 0; k < j->n && !c; k++)
            if (j->comp[k].id == p[1 + 2 * i]) c = &j->comp[k];
        int td = p[2 + 2 * i] >> 4, ta = p[2 + 2 * i] & 15;
        if (!c || td > 3 || ta > 3) return broken(j, "scan header");
        c->dc = &j->dc[td];
        c->ac = &j->ac[ta];
        bool need_dc = j->ss == 0 && !(j->progressive && j->ah), need_ac = !j->progressive || j->ss;
        if ((need_dc && !c->dc->defined) || (need_ac && !c->ac->defined))
            return broken(j, "no Huffman table");
        if (!j->quant[c->tq]) return broken(j, "no quantisation table");
        for (int k = 0; k < i; k++)
            if (j->scan[k] == c) return broken(j, "scan header");
        if (!progression(j, c)) return broken(j, "scan header");
        if (j->ss == 0) c->seen = true;
        j->scan[i] = c;
    }
    j->p = end;
    return rt_jpeg_walk_scan(j);
}

/* Moves to the next marker, over fill, and returns it; -1: the file ends; -2: other bytes are in the way. */
static int next_marker(RtJpeg *j)
{
    for (; j->end - j->p >= 2; j->p++) {
        if (j->p[0] != 0xff || j->p[1] == 0) return -2;
        if (j->p[1] == 0xff) continue;
        j->p += 2;
        return j->p[-1];
    }
    return -1;
}

static bool segment(RtJpeg *j, int marker)
{
    int len = j->end - j->p >= 2 ? be16(j->p) : 0;
    if (len < 2 || j->end - j->p < len) return rt_jpeg_fail(j, "D013", "ends early (in a header)");
    const uint8_t *p = j->p + 2, *end = j->p + len;
    j->p = end;
    if (marker == 0xc4) return read_dht(j, p, end);
    if (marker == 0xdb) return read_dqt(j, p, end);
    if (marker == 0xcc) return rt_jpeg_fail(j, "D014", "JPEG variant not supported (arithmetic coding)");
    if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc8) return read_sof(j, marker, p, end);
    if (marker == 0xda) return read_sos(j, p, end);
    if (marker == 0xdd) {
        if (end - p != 2) return broken(j, "restart interval");
        j->restart = be16(p);
    }
    return true;
}

static bool walk(RtJpeg *j)
{
    for (;;) {
        int marker = next_marker(j);
        if (marker == -1) return rt_jpeg_fail(j, "D013", "ends early (no end-of-image marker)");
        if (marker == -2) return broken(j, "bytes that belong to no segment");
        if (marker == 0xd9) break;
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue; /* no length */
        if (!segment(j, marker)) return false;
    }
    if (!j->n) return broken(j, "no frame");
    for (int i = 0; i < j->n; i++)
        if (!j->comp[i].seen)
            return rt_jpeg_fail(j, "D013", "ends early (component %d of %d has no scan)", i + 1, j->n);
    return true;
}

bool rt_image_check_jpeg(const uint8_t *file, size_t n, const char *name, RtImageInfo *info,
                         RtError *e)
{
    RtJpeg *j = calloc(1, sizeof *j);
    RtJpeg none = {.name = name, .e = e};
    if (!j) return rt_jpeg_fail(&none, "E003", "cannot allocate memory to check it");
    *j = (RtJpeg){.p = file + 2, .end = file + n, .name = name, .e = e};
    bool ok = walk(j);
    *info = (RtImageInfo){.c = j->n >= 3 ? 3 : 1, .h = j->h, .w = j->w, .jpeg = true};
    for (int i = 0; i < MAX_COMPONENTS; i++) free(j->comp[i].mask);
    free(j);
    return ok;
}
