/* Masks: a class for every pixel, from PNGs of numbers, of palette indices, or of colours.
 *
 * In: data.class_map ("7=road,8=sidewalk", "#804080=road"), or what the format knows. Out: masks of classes 0..n-1 and
 * RT_LABEL_IGNORE. Rule: classes are numbered in the order in which the map names them first, and several numbers may
 * be one class; 255 is always no class. A mask must be there, as large as its image, and hold no other number (D023),
 * unless a map was given, which leaves out what it does not name; that is counted and said. A mask without a single
 * pixel of a class is a warning (D024). An item's stratum is the rarest class in its mask.
 */
#include "mask.h"
#include "../image_write.h"
#include "labels.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NONE = -1, MAX_COLOURS = 512 };

struct RtMasks {
    RtNames names;      /* of the classes in the files */
    int base;           /* how many they are */
    int value[256];     /* number in a file -> class in the files, RT_LABEL_IGNORE, NONE */
    int map[256];       /* class in the files -> class; -1: not selected */
    bool strict, guess; /* guess: how many classes there are shows in the masks */
    bool by_colour;
    int ncolours;
    struct {
        uint32_t rgb;
        int to;
    } colour[MAX_COLOURS];
    int64_t empty, unnamed[256], unnamed_colours;
    char first_empty[96];
};

/* ---- the map ---- */

static bool bad_map(const char *at, size_t n, RtError *e)
{
    return rt_data_fail(e, RT_EXIT_SPEC, "S014",
                        "data.class_map: '%s' is not NUMBER=CLASS (0..255) or #RRGGBB=CLASS", rt_esc_n(at, n));
}

/* The class of that name, a new one if there is none yet. text[0..n) lives in m->names.text. */
static int class_of(RtMasks *m, const char *name)
{
    for (int i = 0; i < m->names.n; i++)
        if (!strcmp(m->names.name[i], name)) return i;
    if (m->names.n == RT_LABEL_IGNORE) return NONE;
    m->names.name[m->names.n] = name;
    return m->names.n++;
}

static bool add_entry(RtMasks *m, char *entry, RtError *e)
{
    char *eq = strchr(entry, '='), *end;
    size_t n = strlen(entry);
    bool colour = *entry == '#';
    if (!eq || !eq[1]) return bad_map(entry, n, e);
    unsigned long key = strtoul(entry + colour, &end, colour ? 16 : 10);
    if (end != eq || strchr("+- ", entry[colour]) || (colour ? eq != entry + 7 : key > 255))
        return bad_map(entry, n, e);
    int to = !strcmp(eq + 1, "ignore") ? RT_LABEL_IGNORE : class_of(m, eq + 1);
    if (to == NONE || (colour && m->ncolours == MAX_COLOURS))
        return rt_data_fail(e, RT_EXIT_SPEC, "S014", "data.class_map: more than 255 classes or %d colours", MAX_COLOURS);
    if (!colour) {
        m->value[key] = to;
        return true;
    }
    m->by_colour = true;
    m->colour[m->ncolours].rgb = (uint32_t)key;
    m->colour[m->ncolours++].to = to;
    return true;
}

static bool read_map(RtMasks *m, const char *text, RtError *e)
{
    if (strlen(text) > RT_MAX_NAMES) return bad_map(text, 40, e);
    char *at = strcpy(m->names.text, text);
    while (at) {
        char *next = strchr(at, ',');
        if (next) *next++ = 0;
        if (!add_entry(m, at, e)) return false;
        at = next;
    }
    m->base = m->names.n;
    if (m->value[255] == NONE) m->value[255] = RT_LABEL_IGNORE;
    return m->base > 0 || rt_data_fail(e, RT_EXIT_SPEC, "S014", "data.class_map names no class");
}

/* Without a map: as many numbers as the model tells apart, or as root/classes.txt has names. */
static bool plain_numbers(RtMasks *m, const RtDataConfig *c, RtError *e)
{
    if (!rt_names_read(&m->names, c->root, "classes.txt", e)) return false;
    m->guess = !m->names.n && c->num_classes <= 0 && !c->nclasses;
    m->base = m->names.n                                ? m->names.n
              : c->num_classes > 0 && !c->nclasses      ? c->num_classes
                                                        : RT_LABEL_IGNORE;
    if (m->base > RT_LABEL_IGNORE) m->base = RT_LABEL_IGNORE;
    for (int i = 0; i < m->base; i++) m->value[i] = i;
    m->value[255] = RT_LABEL_IGNORE;
    m->strict = true;
    return true;
}

static void voc_colours(RtMasks *m)
{
    uint8_t rgb[3 * 256];
    rt_voc_colours(rgb);
    for (int i = 0; i < 256; i++) {
        if (m->value[i] == NONE) continue;
        m->colour[m->ncolours].rgb = (uint32_t)rgb[3 * i] << 16 | (uint32_t)rgb[3 * i + 1] << 8 | rgb[3 * i + 2];
        m->colour[m->ncolours++].to = m->value[i];
    }
}

/* ---- one mask ---- */

static int of_colour(const RtMasks *m, const uint8_t *p)
{
    uint32_t rgb = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    for (int i = 0; i < m->ncolours; i++)
        if (m->colour[i].rgb == rgb) return m->colour[i].to;
    return NONE;
}

static bool wrong(RtError *e, const char *name, const char *what)
{
    return rt_data_fail(e, RT_EXIT_DATA, "D023", "mask '%s' %s", rt_esc(name), what);
}

static bool not_a_class(const RtMasks *m, const char *name, int value, RtError *e)
{
    return rt_data_fail(e, RT_EXIT_DATA, "D023", "mask '%s': value %d, classes 0..%d (255 = ignore)", rt_esc(name),
                        value, m->base - 1);
}

/* The numbers of a grey or palette mask become classes of the files. seen (may be NULL): unnamed numbers, counted. */
static bool numbers(const RtMasks *m, RtRaw *r, const char *name, int64_t *unnamed, RtError *e)
{
    size_t n = (size_t)r->h * (size_t)r->w, count[256] = {0};
    uint8_t lut[256];
    if (r->over) return not_a_class(m, name, 256, e);
    for (size_t i = 0; i < n; i++) count[r->px[i * (size_t)r->c]]++;
    for (int v = 0; v < 256; v++) {
        uint8_t grey[3] = {(uint8_t)v, (uint8_t)v, (uint8_t)v};
        int to = !m->by_colour ? m->value[v] : of_colour(m, r->palette ? r->colour[v] : grey);
        if (to == NONE && count[v] && m->strict) return not_a_class(m, name, v, e);
        if (to == NONE && unnamed) unnamed[v] += (int64_t)count[v];
        lut[v] = (uint8_t)(to == NONE ? RT_LABEL_IGNORE : to);
    }
    for (size_t i = 0; i < n; i++) r->px[i] = lut[r->px[i * (size_t)r->c]];
    return true;
}

static bool colours(const RtMasks *m, RtRaw *r, const char *name, int64_t *unnamed, RtError *e)
{
    size_t n = (size_t)r->h * (size_t)r->w, c = (size_t)r->c;
    if (!m->ncolours) return wrong(e, name, "is of colours\nsay what they mean in data.class_map: {'#804080': road}");
    uint8_t last[3] = {0};
    int to = of_colour(m, last);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = r->px + i * c;
        if (memcmp(p, last, 3)) to = of_colour(m, memcpy(last, p, 3));
        if (to == NONE && m->strict)
            return rt_data_fail(e, RT_EXIT_DATA, "D023", "mask '%s': colour #%02x%02x%02x is of no class", rt_esc(name),
                                p[0], p[1], p[2]);
        if (to == NONE && unnamed) ++*unnamed;
        r->px[i] = (uint8_t)(to == NONE ? RT_LABEL_IGNORE : to);
    }
    return true;
}

/* A file's classes, as d numbers them. look: this is the first time, so numbers without a class are counted. */
static bool read_mask(RtData *d, RtMaskFile *f, int h, int w, bool look, RtImage *out, RtError *e)
{
    RtFolder *src = d->source;
    RtMasks *m = src->masks;
    RtImageInfo info;
    RtRaw raw = {0};
    uint8_t *bytes = NULL;
    size_t n;
    uint64_t hash;
    char *path = rt_path_join(src->root, f->path, e);
    if (!path) return false;
    bool there = access(path, F_OK) == 0 || errno != ENOENT;
    free(path);
    if (!there) return wrong(e, f->path, "is missing");
    if (!rt_files_read(src, f->path, &bytes, &n, &hash, e)) return false;
    bool ok = rt_image_check(bytes, n, f->path, &info, e);
    if (ok && info.jpeg) ok = wrong(e, f->path, "is a JPEG, whose numbers are not exact: masks are PNGs");
    if (ok && (info.h != h || info.w != w))
        ok = rt_data_fail(e, RT_EXIT_DATA, "D023", "mask '%s': %dx%d, its image is %dx%d", rt_esc(f->path), info.h,
                          info.w, h, w);
    if (ok && !look && (n != f->size || hash != f->hash))
        ok = rt_data_fail(e, RT_EXIT_DATA, "D025", "'%s' changed since start-up", rt_esc(f->path));
    ok = ok && rt_image_raw(bytes, n, f->path, &raw, e) &&
         (raw.c < 3 ? numbers(m, &raw, f->path, look ? m->unnamed : NULL, e)
                    : colours(m, &raw, f->path, look ? &m->unnamed_colours : NULL, e));
    free(bytes);
    for (size_t i = 0; ok && i < (size_t)h * (size_t)w; i++)
        if (raw.px[i] != RT_LABEL_IGNORE)
            raw.px[i] = (uint8_t)(m->map[raw.px[i]] < 0 ? RT_LABEL_IGNORE : m->map[raw.px[i]]);
    if (look) {
        f->size = n;
        f->hash = hash;
    }
    *out = (RtImage){raw.px, 1, h, w};
    if (!ok) free(raw.px);
    return ok;
}

static bool check_mask(RtData *d, RtMaskFile *f, int h, int w, RtError *e)
{
    RtMasks *m = ((RtFolder *)d->source)->masks;
    RtImage img;
    if (!read_mask(d, f, h, w, true, &img, e)) return false;
    bool any = false;
    for (size_t i = 0; i < (size_t)h * (size_t)w; i++) {
        if (img.px[i] == RT_LABEL_IGNORE) continue;
        f->seen[img.px[i] / 8] |= (uint8_t)(1 << img.px[i] % 8);
        any = true;
    }
    free(img.px);
    if (!any && m->empty++ == 0) snprintf(m->first_empty, sizeof m->first_empty, "%s", rt_esc(f->path));
    return true;
}

static bool read_again(RtData *d, RtMaskFile *f, int h, int w, RtImage *mask, RtError *e)
{
    return read_mask(d, f, h, w, false, mask, e);
}

/* ---- the whole set ---- */

bool rt_masks_open(RtData *d, const RtDataConfig *c, const RtMaskKind *kind, RtError *e)
{
    if (!rt_files_open(d, c, e)) return false;
    RtFolder *src = d->source;
    RtMasks *m = src->masks = rt_data_alloc(1, sizeof *m, "class names", e);
    if (!m) return false;
    src->check_mask = check_mask;
    src->read_mask = read_again;
    d->masks = true;
    d->label_size = (int64_t)d->h * d->w;
    for (int i = 0; i < 256; i++) m->value[i] = NONE;
    const char *map = c->class_map ? c->class_map : kind->map;
    m->strict = kind->strict && !c->class_map;
    if (!(map ? read_map(m, map, e) : plain_numbers(m, c, e))) return false;
    m->value[c->ignore_index & 255] = RT_LABEL_IGNORE;
    if (kind->voc && !m->by_colour) voc_colours(m);
    return rt_names_select(d, c, &m->names, m->base, m->map, e);
}

static void note_left_out(RtData *d, const RtMasks *m)
{
    char list[256] = "";
    size_t len = 0;
    for (int v = 0; v < 256; v++)
        if (m->unnamed[v] && len + 8 < sizeof list)
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%d", len ? ", " : "", v);
    if (len) rt_data_note(d, "note: pixels of the mask values %s are of no class and ignored", list);
    if (m->unnamed_colours)
        rt_data_note(d, "note: %" PRId64 " mask pixels have colours of no class and are ignored", m->unnamed_colours);
    if (m->empty)
        rt_data_note(d, "warning[D024]: mask '%s'%s has no labelled pixel: its loss is 0", m->first_empty,
                     m->empty > 1 ? " (and others)" : "");
}

static bool has(const RtFile *f, int k)
{
    return f->mask->seen[k / 8] >> k % 8 & 1;
}

/* How many masks hold each class; labels become strata: the rarest class of each. */
static bool count_classes(RtData *d, RtError *e)
{
    RtFolder *src = d->source;
    int64_t *count = rt_data_alloc((uint64_t)d->nclasses, sizeof *count, "class counts", e);
    if (!count) return false;
    int top = 0, missing = 0, first = 0;
    for (int64_t i = 0; i < src->n; i++)
        for (int k = 0; k < d->nclasses; k++)
            if (has(&src->file[i], k)) count[k]++;
    for (int64_t i = 0; i < src->n; i++) {
        int rarest = -1;
        for (int k = 0; k < d->nclasses; k++)
            if (has(&src->file[i], k) && (rarest < 0 || count[k] < count[rarest])) rarest = k;
        src->file[i].label = rarest < 0 ? 0 : rarest;
    }
    for (int k = 0; k < d->nclasses; k++) {
        if (count[k]) top = k;
        else if (missing++ == 0) first = k;
    }
    free(count);
    if (src->masks->guess)
        for (; d->nclasses > top + 1; d->nclasses--) free(d->class_name[d->nclasses - 1]);
    else if (missing)
        rt_data_note(d, "warning[D020]: %d of %d classes are in no mask, the first: '%s'", missing, d->nclasses,
                     rt_esc(d->class_name[first]));
    return true;
}

bool rt_masks_close(RtData *d, const RtDataConfig *c, RtError *e)
{
    RtFolder *src = d->source;
    if (src->n == 0)
        return rt_data_fail(e, RT_EXIT_DATA, "D001", "no images found under '%s'", rt_esc(c->root));
    if (!rt_files_check(d, c, e)) return false;
    note_left_out(d, src->masks);
    return count_classes(d, e) && rt_files_split(d, c, e);
}
