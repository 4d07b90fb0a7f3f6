/* Image files for the data set and for predict: read, check, decode, convert channels.
 *
 * not here: the checks of the two formats (image_png.c, image_jpeg.c), resizing (image_resize.c).
 */
#include "image.h"
#include "image_turbo.h"
#include "err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the decoder, on a memory budget ---- */

typedef struct Block {
    _Alignas(16) size_t size;
} Block;

static _Thread_local size_t budget; /* bytes that the present image may still take */
static _Thread_local bool starved;  /* the system refused memory */

static void *stb_take(size_t n)
{
    if (n > budget) return NULL;
    Block *b = malloc(sizeof *b + n);
    starved = starved || !b;
    if (!b) return NULL;
    b->size = n;
    budget -= n;
    return b + 1;
}

static void stb_give(void *p)
{
    if (!p) return;
    Block *b = (Block *)p - 1;
    budget += b->size;
    free(b);
}

static void *stb_grow(void *p, size_t n)
{
    if (!p) return stb_take(n);
    Block *b = (Block *)p - 1;
    if (n > b->size && n - b->size > budget) return NULL;
    size_t old = b->size;
    b = realloc(b, sizeof *b + n);
    starved = starved || !b;
    if (!b) return NULL;
    b->size = n;
    budget = budget + old - n;
    return b + 1;
}

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 16384
#define STBI_MALLOC(n)      stb_take(n)
#define STBI_REALLOC(p, n)  stb_grow(p, n)
#define STBI_FREE(p)        stb_give(p)
#define STBI_ASSERT(x)      ((void)0)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

/* ---- errors ---- */

__attribute__((format(printf, 4, 5))) static bool fail(RtError *e, const char *id, const char *name,
                                                       const char *fmt, ...)
{
    char why[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    e->exit = !strcmp(id, "E003") ? RT_EXIT_MEMORY : RT_EXIT_DATA;
    e->id = id;
    snprintf(e->text, sizeof e->text, "'%s': %s", rt_esc(name), why);
    return false;
}

static bool cannot_read(RtError *e, const char *name, const char *why)
{
    e->exit = RT_EXIT_DATA;
    e->id = "D002";
    snprintf(e->text, sizeof e->text, "cannot read '%s': %s", rt_esc(name), why);
    return false;
}

/* ---- reading ---- */

static bool read_fd(int fd, const char *name, uint8_t **bytes, size_t *n, RtError *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return cannot_read(e, name, strerror(errno));
    if (!S_ISREG(st.st_mode)) return cannot_read(e, name, "not a regular file");
    if (st.st_size == 0) return fail(e, "D010", name, "empty file");
    if (st.st_size > RT_IMAGE_MAX_FILE)
        return fail(e, "D015", name, "file over %d MiB", RT_IMAGE_MAX_FILE >> 20);
    *bytes = malloc((size_t)st.st_size);
    if (!*bytes)
        return fail(e, "E003", name, "cannot allocate %zu bytes to read it", (size_t)st.st_size);
    for (*n = 0; *n < (size_t)st.st_size;) {
        ssize_t got = read(fd, *bytes + *n, (size_t)st.st_size - *n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cannot_read(e, name, strerror(errno));
        if (got == 0) break; /* it became shorter: the check says so */
        *n += (size_t)got;
    }
    return true;
}

bool rt_image_read(const char *path, const char *name, uint8_t **bytes, size_t *n, RtError *e)
{
    *bytes = NULL;
    *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not block */
    if (fd < 0 && errno == ELOOP) return fail(e, "D022", name, "symbolic link loop");
    if (fd < 0) return cannot_read(e, name, strerror(errno));
    bool ok = read_fd(fd, name, bytes, n, e);
    close(fd);
    if (!ok) {
        free(*bytes);
        *bytes = NULL;
    }
    return ok;
}

/* ---- checking ---- */

bool rt_image_check(const uint8_t *file, size_t n, const char *name, RtImageInfo *info, RtError *e)
{
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'},
                         jpeg[3] = {0xff, 0xd8, 0xff};
    if (n == 0) return fail(e, "D010", name, "empty file");
    if (n < sizeof png && !memcmp(file, png, n))
        return fail(e, "D012", name, "ends early: no IEND");
    if (n < sizeof jpeg && !memcmp(file, jpeg, n))
        return fail(e, "D013", name, "ends early (no end-of-image marker)");
    bool ok = n >= sizeof png && !memcmp(file, png, sizeof png)
                  ? rt_image_check_png(file, n, name, info, e)
              : n >= sizeof jpeg && !memcmp(file, jpeg, sizeof jpeg)
                  ? rt_image_check_jpeg(file, n, name, info, e)
                  : fail(e, "D011", name, "only PNG and JPEG are read");
    if (!ok) return false;
    if (info->w > RT_IMAGE_MAX_SIDE || info->h > RT_IMAGE_MAX_SIDE)
        return fail(e, "D015", name, "%dx%d over %d pixels a side", info->w, info->h,
                    RT_IMAGE_MAX_SIDE);
    if (info->w * info->h > RT_IMAGE_MAX_PIXELS)
        return fail(e, "D015", name, "%dx%d over %d Mpixel cap", info->w, info->h,
                    RT_IMAGE_MAX_PIXELS >> 20);
    return true;
}

bool rt_image_channels(int from, int to, bool convert, const char *name, RtError *e)
{
    if (from == to || ((from == 1 || from == 3) && (to == 1 || to == 3))) return true;
    if (convert && (to == 1 || to == 3 || to == 4)) return true;
    return fail(e, "D016", name, "%d channels, model takes %d (use --channels=convert)", from, to);
}

/* ---- decoding ---- */

typedef struct Pixel {
    int r, g, b, a;
} Pixel;

static Pixel load_pixel(const uint8_t *p, int c)
{
    bool grey = c < 3;
    return (Pixel){p[0], grey ? p[0] : p[1], grey ? p[0] : p[2],
                   c == 2   ? p[1]
                   : c == 4 ? p[3]
                            : 255};
}

static int over_white(int v, int a)
{
    return (v * a + 255 * (255 - a) + 127) / 255;
}

/* Grey is ITU-R 601 luma in 16-bit fixed point, as Pillow's "L". */
static void store_pixel(Pixel q, uint8_t *p, int c)
{
    if (c == 4) {
        p[0] = (uint8_t)q.r, p[1] = (uint8_t)q.g, p[2] = (uint8_t)q.b, p[3] = (uint8_t)q.a;
        return;
    }
    if (q.a != 255)
        q.r = over_white(q.r, q.a), q.g = over_white(q.g, q.a), q.b = over_white(q.b, q.a);
    if (c == 3)
        p[0] = (uint8_t)q.r, p[1] = (uint8_t)q.g, p[2] = (uint8_t)q.b;
    else
        p[0] = (uint8_t)((q.r * 19595 + q.g * 38470 + q.b * 7471 + 0x8000) >> 16);
}

void rt_image_convert(const uint8_t *in, int from, uint8_t *out, int to, size_t n)
{
    if (from == to) {
        memcpy(out, in, n * (size_t)to);
        return;
    }
    for (size_t i = 0; i < n; i++)
        store_pixel(load_pixel(in + i * (size_t)from, from), out + i * (size_t)to, to);
}

static bool new_pixels(RtImage *out, const RtImageInfo *info, int c, const char *name, RtError *e)
{
    size_t bytes = (size_t)info->w * (size_t)info->h * (size_t)c;
    *out = (RtImage){malloc(bytes), c, info->h, info->w};
    return out->px || fail(e, "E003", name, "cannot allocate %zu bytes", bytes);
}

/* `in` with another number of channels, and no longer `in`. */
static bool converted(RtImage *in, const RtImageInfo *info, int to, const char *name, RtImage *out,
                      RtError *e)
{
    if (in->c == to) {
        *out = *in;
        return true;
    }
    bool ok = new_pixels(out, info, to, name, e);
    if (ok) rt_image_convert(in->px, in->c, out->px, to, (size_t)info->w * (size_t)info->h);
    free(in->px);
    return ok;
}

/* By libjpeg-turbo, if it is in this program and takes the file. */
static bool turbo(const uint8_t *file, size_t n, const RtImageInfo *info, RtImage *out)
{
    RtError ignored;
    if (!info->jpeg || !&rt_jpeg_turbo || !new_pixels(out, info, info->c, "", &ignored))
        return false;
    if (rt_jpeg_turbo.decode(file, n, info, out->px)) return true;
    free(out->px);
    return false;
}

/* By stb_image. */
static bool plain(const uint8_t *file, size_t n, const RtImageInfo *info, const char *name,
                  RtImage *out, RtError *e)
{
    int w = 0, h = 0, c = 0;
    size_t pixels = (size_t)info->w * (size_t)info->h;
    /* 16-bit interlaced RGBA is the dearest: 20 bytes a pixel, beside the compressed data. */
    budget = pixels * 24 + 2 * n + (1 << 20);
    starved = false;
    uint8_t *px = stbi_load_from_memory(file, (int)n, &w, &h, &c, 0);
    if (!px && starved) return fail(e, "E003", name, "cannot allocate memory to decode it");
    if (!px)
        return fail(e, info->jpeg ? "D013" : "D012", name, "cannot be decoded: %s",
                    stbi_failure_reason());
    bool ok = w == info->w && h == info->h && c == info->c;
    if (!ok)
        fail(e, info->jpeg ? "D013" : "D012", name, "cannot be decoded: not what the header says");
    ok = ok && new_pixels(out, info, c, name, e);
    if (ok) memcpy(out->px, px, pixels * (size_t)c);
    stb_give(px);
    return ok;
}

bool rt_image_decode(const uint8_t *file, size_t n, const RtImageInfo *info, int channels,
                     const char *name, RtImage *out, RtError *e)
{
    RtImage as_it_is;
    *out = (RtImage){0};
    if (!turbo(file, n, info, &as_it_is) && !plain(file, n, info, name, &as_it_is, e)) return false;
    return converted(&as_it_is, info, channels ? channels : info->c, name, out, e);
}

/* ---- predict ---- */

static void to_floats(const RtImage *img, float *chw)
{
    size_t area = (size_t)img->h * (size_t)img->w, c = (size_t)img->c;
    for (size_t ch = 0; ch < c; ch++)
        for (size_t i = 0; i < area; i++) chw[ch * area + i] = (float)img->px[i * c + ch] / 255.0f;
}

static bool load(const char *path, int channels, int h, int w, float *chw, RtError *e)
{
    uint8_t *bytes;
    size_t n;
    RtImageInfo info;
    RtImage img = {0}, sized = {0};
    if (!rt_image_read(path, path, &bytes, &n, e)) return false;
    bool ok = rt_image_check(bytes, n, path, &info, e) &&
              rt_image_channels(info.c, channels, true, path, e) &&
              rt_image_decode(bytes, n, &info, channels, path, &img, e);
    if (ok && !rt_image_resize(&img, h, w, &sized))
        ok = fail(e, "E003", path, "cannot allocate memory to resize it");
    if (ok) to_floats(&sized, chw);
    free(bytes);
    free(img.px);
    free(sized.px);
    return ok;
}

int rt_image_load(const char *path, int channels, int h, int w, float *chw, char *err,
                  size_t errlen)
{
    RtError e;
    if (load(path, channels, h, w, chw, &e)) return 0;
    snprintf(err, errlen, "error[%s]: %s", e.id, e.text);
    return e.exit;
}
