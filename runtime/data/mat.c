/* MATLAB's files of version 5: see mat.h.
 *
 * rule: sizes from the file bound nothing but what is read; an element may not reach past the one that holds it; a
 * deflated element must end with its checksum. Cells, structures, text, complex and sparse arrays are passed over.
 */
#include "mat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { HEADER = 128, MATRIX = 14, DEFLATED = 15, UINT8 = 2, CLASS_DOUBLE = 6, CLASS_LAST = 15, BUFFER = 1 << 16 };

struct RtMat {
    RtSource *src;
    char *path;
    bool swap;     /* the file is of the other byte order */
    bool deflated; /* the present element */
    bool ended;    /* inflate said so */
    uint64_t left; /* bytes of the file that belong to it */
    uint64_t data; /* bytes of numbers not read yet */
    uint8_t small[4];
    int nsmall; /* so many of them came with the tag, from small[0] on */
    int type;
    z_stream z;
    uint8_t in[BUFFER];
};

static int damaged(RtMat *m, const char *why, RtError *e)
{
    rt_data_fail(e, RT_EXIT_DATA, "D004", "'%s': %s", rt_esc(m->path), why);
    return -1;
}

/* ---- bytes ---- */

/* Bytes of the file, within the present element; a file may end early. */
static bool raw(RtMat *m, void *to, size_t n, RtError *e)
{
    if (n > m->left) return damaged(m, "an array reaches past its end", e) > 0;
    int64_t got = rt_source_read(m->src, to, n, e);
    if (got < 0) return false;
    m->left -= (uint64_t)got;
    return (size_t)got == n || damaged(m, "ends early", e) > 0;
}

static bool inflate_some(RtMat *m, uint8_t *to, size_t n, RtError *e)
{
    m->z.next_out = to;
    m->z.avail_out = (uInt)n;
    while (m->z.avail_out && !m->ended) {
        if (!m->z.avail_in && m->left) {
            size_t piece = m->left < BUFFER ? (size_t)m->left : BUFFER;
            if (!raw(m, m->in, piece, e)) return false;
            m->z.next_in = m->in;
            m->z.avail_in = (uInt)piece;
        }
        int state = inflate(&m->z, Z_NO_FLUSH);
        if (state == Z_STREAM_END)
            m->ended = true;
        else if (state != Z_OK)
            return damaged(m, state == Z_BUF_ERROR ? "its compressed data end early" : "its compressed data are damaged",
                           e) > 0;
    }
    return m->z.avail_out == 0 || damaged(m, "an array reaches past its end", e) > 0;
}

static bool take(RtMat *m, void *to, size_t n, RtError *e)
{
    if (!m->deflated) return raw(m, to, n, e);
    for (size_t done = 0; done < n;) {
        size_t piece = n - done < (1u << 30) ? n - done : (1u << 30);
        if (!inflate_some(m, (uint8_t *)to + done, piece, e)) return false;
        done += piece;
    }
    return true;
}

static bool skip(RtMat *m, uint64_t n, RtError *e)
{
    uint8_t away[4096];
    for (uint64_t piece; n; n -= piece) {
        piece = n < sizeof away ? n : sizeof away;
        if (!take(m, away, (size_t)piece, e)) return false;
    }
    return true;
}

/* What is left of the present element; of a deflated one its checksum too. */
static bool finish(RtMat *m, RtError *e)
{
    uint8_t away[4096];
    while (m->deflated && !m->ended) {
        m->z.next_out = away;
        m->z.avail_out = sizeof away;
        if (!m->z.avail_in && !m->left) return damaged(m, "its compressed data end early", e) > 0;
        if (!m->z.avail_in) {
            size_t piece = m->left < BUFFER ? (size_t)m->left : BUFFER;
            if (!raw(m, m->in, piece, e)) return false;
            m->z.next_in = m->in;
            m->z.avail_in = (uInt)piece;
        }
        int state = inflate(&m->z, Z_NO_FLUSH);
        m->ended = state == Z_STREAM_END;
        if (!m->ended && state != Z_OK) return damaged(m, "its compressed data are damaged", e) > 0;
    }
    if (m->deflated) inflateEnd(&m->z);
    m->deflated = false;
    m->data = 0;
    return skip(m, m->left, e);
}

/* ---- elements ---- */

static uint64_t number(const RtMat *m, const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++) v = v << 8 | p[m->swap ? i : n - 1 - i];
    return v;
}

/* A tag of 8 bytes, or a small element whose data (in small) share them with the tag. */
static bool tag(RtMat *m, uint32_t *type, uint32_t *n, uint8_t small[4], bool *is_small, RtError *e)
{
    uint8_t b[8];
    if (!take(m, b, 8, e)) return false;
    uint32_t first = (uint32_t)number(m, b, 4);
    *is_small = first >> 16 != 0;
    *type = *is_small ? first & 0xffff : first;
    *n = *is_small ? first >> 16 : (uint32_t)number(m, b + 4, 4);
    memcpy(small, b + 4, 4);
    return !*is_small || *n <= 4 || damaged(m, "a small element of more than 4 bytes", e) > 0;
}

/* A whole small element of at most `room` bytes. */
static bool element(RtMat *m, uint8_t *to, size_t room, uint32_t *n, RtError *e)
{
    uint32_t type;
    uint8_t small[4];
    bool is_small;
    if (!tag(m, &type, n, small, &is_small, e)) return false;
    if (*n > room) return damaged(m, "an array's header is too long", e) > 0;
    if (is_small) {
        memcpy(to, small, *n);
        return true;
    }
    return take(m, to, *n, e) && skip(m, (8 - *n % 8) % 8, e);
}

static int width(int type)
{
    static const uint8_t bytes[] = {0, 1, 1, 2, 2, 4, 4, 4, 0, 8, 0, 0, 8, 8};
    return type >= 0 && type < (int)sizeof bytes ? bytes[type] : 0;
}

/* Flags, dimensions, name, and the tag of the numbers. 0: an array that is passed over. */
static int header(RtMat *m, RtMatArray *a, RtError *e)
{
    uint8_t b[4 * RT_MAT_DIMS];
    uint32_t n, type;
    bool is_small;
    memset(a, 0, sizeof *a);
    if (!element(m, b, 8, &n, e)) return -1;
    uint32_t flags = (uint32_t)number(m, b, 4), kind = flags & 255;
    if (kind < CLASS_DOUBLE || kind > CLASS_LAST || flags & 0x800) return 0;
    if (!element(m, b, sizeof b, &n, e)) return -1;
    if (n < 8 || n % 4) return damaged(m, "an array of no dimensions", e);
    a->ndims = (int)(n / 4);
    a->count = 1;
    for (int i = 0; i < a->ndims; i++) {
        a->dim[i] = number(m, b + 4 * i, 4);
        if (a->dim[i] > INT32_MAX || __builtin_mul_overflow(a->count, a->dim[i], &a->count))
            return damaged(m, "an array that is too large", e);
    }
    if (!element(m, (uint8_t *)a->name, sizeof a->name - 1, &n, e)) return -1;
    if (!tag(m, &type, &n, b, &is_small, e)) return -1;
    m->type = a->type = (int)type;
    m->data = n;
    if (!width(m->type) || a->count != n / (unsigned)width(m->type) || n % (unsigned)width(m->type))
        return damaged(m, "an array whose numbers are not as many as its dimensions say", e);
    m->nsmall = is_small ? (int)n : 0;
    memcpy(m->small, b, 4);
    return 1;
}

int rt_mat_next(RtMat *m, RtMatArray *a, RtError *e)
{
    for (int state = 0; state == 0;) {
        if (!finish(m, e)) return -1;
        uint8_t b[8];
        int64_t got = rt_source_read(m->src, b, 8, e);
        if (got <= 0) return (int)got;
        if (got < 8) return damaged(m, "ends early", e);
        uint32_t type = (uint32_t)number(m, b, 4);
        m->left = number(m, b + 4, 4);
        if (type != DEFLATED && type != MATRIX) continue;
        m->ended = false;
        m->deflated = type == DEFLATED;
        if (m->deflated) {
            memset(&m->z, 0, sizeof m->z);
            if (inflateInit(&m->z) != Z_OK) {
                m->deflated = false;
                rt_data_no_memory(e, "the reader", 1 << 15);
                return -1;
            }
            if (!take(m, b, 8, e)) return -1;
            if (number(m, b, 4) != MATRIX) continue;
        }
        state = header(m, a, e);
        if (state) return state;
    }
    return 0;
}

/* ---- numbers ---- */

static double value(const RtMat *m, const uint8_t *p)
{
    uint64_t u = number(m, p, width(m->type));
    union {
        uint32_t u;
        float f;
    } f = {(uint32_t)u};
    union {
        uint64_t u;
        double d;
    } d = {u};
    switch (m->type) {
    case 1: return (int8_t)u;
    case 3: return (int16_t)u;
    case 5: return (int32_t)u;
    case 7: return (double)f.f;
    case 9: return d.d;
    case 12: return (double)(int64_t)u;
    default: return (double)u;
    }
}

/* Bytes of the numbers; small: those that came with the tag. */
static bool take_data(RtMat *m, void *to, size_t n, RtError *e)
{
    m->data -= n;
    if (!m->nsmall) return take(m, to, n, e);
    memcpy(to, m->small, n);
    memmove(m->small, m->small + n, sizeof m->small - n);
    m->nsmall -= (int)n;
    return true;
}

bool rt_mat_read(RtMat *m, double *to, size_t n, RtError *e)
{
    uint8_t b[4096];
    size_t w = (size_t)width(m->type), most = sizeof b / w;
    if (n > m->data / w) return damaged(m, "an array is too short", e) > 0;
    for (size_t done = 0, piece; done < n; done += piece) {
        piece = n - done < most ? n - done : most;
        if (!take_data(m, b, piece * w, e)) return false;
        for (size_t i = 0; i < piece; i++) to[done + i] = value(m, b + i * w);
    }
    return true;
}

bool rt_mat_bytes(RtMat *m, uint8_t *to, size_t n, RtError *e)
{
    if (m->type != UINT8)
        return rt_data_fail(e, RT_EXIT_DATA, "D003", "'%s': its pixels are not 8-bit numbers", rt_esc(m->path));
    if (n > m->data) return damaged(m, "an array is too short", e) > 0;
    return take_data(m, to, n, e);
}

/* ---- the file ---- */

static bool read_header(RtMat *m, RtError *e)
{
    static const char hdf5[8] = "\x89HDF\r\n\x1a\n";
    uint8_t b[HEADER];
    int64_t got = rt_source_read(m->src, b, HEADER, e);
    if (got < 0) return false;
    bool v73 = (got >= 8 && !memcmp(b, hdf5, 8)) || (got == HEADER && !memcmp(b, "MATLAB 7.3", 10));
    if (v73)
        return rt_data_fail(e, RT_EXIT_DATA, "D003",
                            "'%s': a MAT-file of version 7.3; those of version 5 are read\nsave it with '-v7'",
                            rt_esc(m->path));
    bool little = got == HEADER && !memcmp(b + 126, "IM", 2), big = got == HEADER && !memcmp(b + 126, "MI", 2);
    m->swap = big;
    return little || big ||
           rt_data_fail(e, RT_EXIT_DATA, "D003", "'%s': not a MAT-file of version 5", rt_esc(m->path));
}

RtMat *rt_mat_open(const char *path, RtError *e)
{
    RtMat *m = rt_data_alloc(1, sizeof *m, "the reader", e);
    if (!m) return NULL;
    m->path = strdup(path);
    m->src = m->path ? rt_source_open(path, false, e) : NULL;
    if (!m->path) rt_data_no_memory(e, "a file name", strlen(path));
    if (m->src && read_header(m, e)) return m;
    rt_mat_close(m);
    return NULL;
}

uint64_t rt_mat_size(const RtMat *m)
{
    return rt_source_size(m->src);
}

void rt_mat_close(RtMat *m)
{
    if (!m) return;
    if (m->deflated) inflateEnd(&m->z);
    rt_source_close(m->src);
    free(m->path);
    free(m);
}
