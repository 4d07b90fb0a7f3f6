/* Opening a data set of any format, and the batches that come out of it.
 *
 * not here: the formats (idx.c, folder.c), the split (split.c), the transforms (transform.c).
 */
#include "../parts.h"
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- errors, notes, memory ---- */

bool rt_data_fail(RtError *e, int exit_code, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    e->exit = exit_code;
    e->id = id;
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return false;
}

bool rt_data_no_memory(RtError *e, const char *what, uint64_t bytes)
{
    return rt_data_fail(e, RT_EXIT_MEMORY, "E003", "cannot allocate %" PRIu64 " bytes for %s",
                        bytes, what);
}

void *rt_data_alloc(uint64_t a, uint64_t b, const char *what, RtError *e)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(a, b, &bytes) || bytes > PTRDIFF_MAX) {
        rt_data_no_memory(e, what, UINT64_MAX);
        return NULL;
    }
    void *p = calloc(bytes ? bytes : 1, 1);
    if (!p) rt_data_no_memory(e, what, bytes);
    return p;
}

void rt_data_note(RtData *d, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    size_t len = strlen(line);
    line[len++] = '\n';
    if (d->notes_len + len + 1 > d->notes_cap) {
        size_t cap = 2 * d->notes_cap + 1024;
        char *grown = realloc(d->notes, cap);
        if (!grown) return; /* a note is not worth failing for */
        d->notes = grown;
        d->notes_cap = cap;
    }
    memcpy(d->notes + d->notes_len, line, len);
    d->notes_len += len;
    d->notes[d->notes_len] = 0;
}

/* ---- opening ---- */

void rt_data_config_init(RtDataConfig *c)
{
    memset(c, 0, sizeof *c);
    c->ignore_index = RT_LABEL_IGNORE;
    c->cache = (uint64_t)1 << 30;
    for (int i = 0; i < RT_DATA_MAX_CHANNELS; i++) c->std[i] = 1;
}

/* The arithmetic of torchvision's ToTensor and Normalize in float32, for each of the 256 pixel
 * values. */
static bool make_lut(float *lut, const RtDataConfig *c, RtError *e)
{
    for (int ch = 0; ch < c->channels; ch++) {
        float mean = (float)c->mean[ch], std = (float)c->std[ch];
        for (int v = 0; v < 256; v++) {
            float x = ((float)v / 255.0f - mean) / std;
            if (std == 0 || !__builtin_isfinite(x))
                return rt_data_fail(e, RT_EXIT_SPEC, "N002",
                                    std == 0
                                        ? "'std' is 0 for channel %d"
                                        : "'mean' or 'std' of channel %d give no finite number",
                                    ch);
            lut[256 * ch + v] = x;
        }
    }
    return true;
}

static bool set_up(RtData *d, const RtDataConfig *c, RtError *e)
{
    if (c->channels < 1 || c->channels > RT_DATA_MAX_CHANNELS || c->height < 1 || c->width < 1 ||
        c->height > RT_IMAGE_MAX_SIDE || c->width > RT_IMAGE_MAX_SIDE)
        return rt_data_fail(e, RT_EXIT_SPEC, "H001",
                            "input [%d,%d,%d]: images have 1 to %d channels and sides of 1 to %d",
                            c->channels, c->height, c->width, RT_DATA_MAX_CHANNELS,
                            RT_IMAGE_MAX_SIDE);
    d->label_size = 1;
    d->look = c->look;
    d->workers = c->workers;
    d->c = c->channels;
    d->h = c->height;
    d->w = c->width;
    d->lut = rt_data_alloc((uint64_t)d->c * 256, sizeof *d->lut, "the pixel table", e);
    return d->lut && make_lut(d->lut, c, e) &&
           rt_pipe_parse(&d->train, c->train_transforms, "data.transforms.train", e) &&
           rt_pipe_parse(&d->eval, c->eval_transforms, "data.transforms.eval", e) &&
           rt_mix_parse(&d->mix, c->batch_transforms, "data.transforms.batch", e);
}

static bool check_root(const RtDataConfig *c, RtError *e)
{
    struct stat st;
    if (!c->root || !*c->root)
        return rt_data_fail(e, RT_EXIT_DATA, "D001",
                            "no data directory given (data.root or --data)");
    if (stat(c->root, &st) != 0)
        return rt_data_fail(e, RT_EXIT_DATA,
                            errno == EACCES  ? "D002"
                            : errno == ELOOP ? "D022"
                                             : "D001",
                            "cannot open data directory '%s': %s", rt_esc(c->root),
                            strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return rt_data_fail(e, RT_EXIT_DATA, "D001", "'%s' is not a directory", rt_esc(c->root));
    return true;
}

/* Two are in every program; the others are parts. */
static const RtFormat *find_format(const char *word, RtError *e)
{
    static const struct {
        const char *word;
        const RtFormat *format;
    } always[] = {{"idx", &rt_format_idx}, {"image_folder", &rt_format_image_folder}};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (!strcmp(word, always[i].word)) return always[i].format;
#define RT_FORMAT(word, masks, what) #word,
    static const char *const words[] = {
#include "formats.def"
    };
#undef RT_FORMAT
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i])) return rt_part("data.format", word, e);
    rt_data_fail(e, RT_EXIT_SPEC, "S017", "unknown data format '%s'\nthere are"
#define RT_FORMAT(word, masks, what) " " #word
#include "formats.def"
#undef RT_FORMAT
                 , rt_esc(word));
    return NULL;
}

static bool open_format(RtData *d, const RtDataConfig *c, RtError *e)
{
    const RtFormat *f = find_format(c->format ? c->format : "", e);
    return f && check_root(c, e) && f->open(d, c, e);
}

/* Every class must be there to be learnt. */
static bool check_classes(RtData *d, const RtDataConfig *c, RtError *e)
{
    if (c->num_classes <= 0 || c->look) return true;
    if (d->nclasses == 1)
        return rt_data_fail(e, RT_EXIT_DATA, "D020", "'%s': one class only ('%s')", rt_esc(c->root),
                            rt_esc(d->class_name[0]));
    if (d->nclasses != c->num_classes)
        return rt_data_fail(e, RT_EXIT_SPEC, "H007",
                            "the model has %d outputs but the data has %d classes", c->num_classes,
                            d->nclasses);
    if (d->masks) return true; /* a class may be in no mask: mask.c warns */
    int64_t *count = rt_data_alloc((uint64_t)d->nclasses, sizeof *count, "class counts", e);
    if (!count) return false;
    for (int64_t i = 0; i < d->nitems; i++)
        if (d->label[i] >= 0) count[d->label[i]]++;
    bool ok = true;
    for (int k = 0; ok && k < d->nclasses; k++)
        if (!count[k])
            ok = rt_data_fail(e, RT_EXIT_DATA, "D020", "class '%s' has 0 images",
                              rt_esc(d->class_name[k]));
    free(count);
    return ok;
}

RtData *rt_data_open(const RtDataConfig *c, RtError *e)
{
    memset(e, 0, sizeof *e);
    RtData *d = rt_data_alloc(1, sizeof *d, "the data set", e);
    if (!d) return NULL;
    bool ok = set_up(d, c, e) && open_format(d, c, e) && check_classes(d, c, e) &&
              (!c->split_file || rt_split_read(d, c->split_file, e));
    if (ok && d->find_leaks) d->find_leaks(d);
    if (ok && !c->look && d->split[RT_SPLIT_TRAIN].n == 0 && d->split[RT_SPLIT_TEST].n == 0)
        ok = rt_data_fail(e, RT_EXIT_DATA, "D001", "no images for training in '%s'",
                          rt_esc(c->root));
    ok = ok && rt_split_limit(d, c, e);
    if (ok) return d;
    rt_data_close(d);
    return NULL;
}

void rt_data_close(RtData *d)
{
    if (!d) return;
    if (d->close) d->close(d->source);
    for (int s = 0; s < RT_NSPLITS; s++) free(d->split[s].item);
    for (int i = 0; i < d->nclasses; i++) free(d->class_name[i]);
    free(d->class_name);
    free(d->label);
    free(d->lut);
    free(d->notes);
    free(d);
}

bool rt_data_set_classes(RtData *d, int n, const char *const *names, RtError *e)
{
    d->class_name = rt_data_alloc((uint64_t)n, sizeof *d->class_name, "class names", e);
    if (!d->class_name) return false;
    for (d->nclasses = 0; d->nclasses < n; d->nclasses++) {
        char *copy = strdup(names[d->nclasses]);
        if (!copy) return rt_data_no_memory(e, "class names", strlen(names[d->nclasses]));
        d->class_name[d->nclasses] = copy;
    }
    return true;
}

static bool pipe_fits(const RtData *d, const RtPipe *p, const char *which, int h, int w,
                      const char *name, RtError *e)
{
    const RtTransform *bad = NULL;
    char op[64];
    int nh = h, nw = w;
    if (!rt_pipe_size(p, 0, &nh, &nw, &bad)) {
        rt_transform_name(bad, op, sizeof op);
        return rt_data_fail(e, RT_EXIT_DATA, "D017", "'%s': %dx%d is too small for %s",
                            rt_esc(name), nh, nw, op);
    }
    if (nh == d->h && nw == d->w) return true;
    if (p->n == 0)
        return rt_data_fail(
            e, RT_EXIT_DATA, "D017",
            "'%s': %dx%d, model takes %dx%d\nadd Resize((%d, %d)) to data.transforms.%s",
            rt_esc(name), h, w, d->h, d->w, d->h, d->w, which);
    return rt_data_fail(e, RT_EXIT_DATA, "D017",
                        "'%s': %dx%d, after data.transforms.%s %dx%d, model takes %dx%d\n"
                        "end the transforms with CenterCrop((%d, %d)) or use Resize((%d, %d))",
                        rt_esc(name), h, w, which, nh, nw, d->h, d->w, d->h, d->w, d->h, d->w);
}

bool rt_data_fits(const RtData *d, int h, int w, const char *name, RtError *e)
{
    return d->look || (pipe_fits(d, &d->train, "train", h, w, name, e) &&
                       pipe_fits(d, &d->eval, "eval", h, w, name, e));
}

/* ---- reading ---- */

int64_t rt_data_count(const RtData *d, enum RtSplit s)
{
    return d->split[s].n;
}

int rt_data_nclasses(const RtData *d)
{
    return d->nclasses;
}

const char *rt_data_class_name(const RtData *d, int i)
{
    return d->class_name[i];
}

int32_t rt_data_label(const RtData *d, enum RtSplit s, int64_t i)
{
    return d->masks ? -1 : d->label[d->split[s].item[i]];
}

const char *rt_data_item_name(const RtData *d, enum RtSplit s, int64_t i)
{
    static _Thread_local char buf[32];
    return d->item_name(d, d->split[s].item[i], buf, sizeof buf);
}

const char *rt_data_notes(const RtData *d)
{
    return d->notes ? d->notes : "";
}

int64_t rt_data_nbad(const RtData *d)
{
    return d->nbad;
}

int64_t rt_data_label_size(const RtData *d)
{
    return d->label_size;
}

static bool one_item(RtData *d, const RtPipe *pipe, int64_t item, RtDraw draw, float *out,
                     int32_t *labels, RtError *e)
{
    RtFetched f;
    if (!d->fetch(d, item, &f, e)) return false;
    bool masks = f.mask.px != NULL;
    bool ok = rt_pipe_run(pipe, d->prefix, f.px, masks ? &f.mask : NULL, draw, d->c, d->lut, out,
                          masks ? labels : NULL);
    free(f.owned);
    if (!masks) *labels = d->label[item];
    return ok || rt_data_no_memory(e, "an image", (uint64_t)d->h * (uint64_t)d->w);
}

bool rt_data_batch(RtData *d, enum RtSplit s, const int64_t *index, int n, bool train,
                   uint64_t seed, uint64_t epoch, float *out, int32_t *labels, RtError *e)
{
    const RtPipe *pipe = train ? &d->train : &d->eval;
    size_t size = (size_t)d->c * (size_t)d->h * (size_t)d->w;
    for (int i = 0; i < n; i++) {
        int64_t item = d->split[s].item[index[i]];
        RtDraw draw = {seed, epoch, (uint64_t)item};
        if (!one_item(d, pipe, item, draw, out + (size_t)i * size, labels + i * d->label_size, e))
            return false;
    }
    return true;
}

/* ---- one image, for predict ---- */

static bool image_through(RtData *d, RtImage *img, const char *path, float *chw, RtError *e)
{
    const RtTransform *bad = NULL;
    char op[64];
    int h = img->h, w = img->w;
    if (!rt_pipe_size(&d->eval, 0, &h, &w, &bad)) {
        rt_transform_name(bad, op, sizeof op);
        return rt_data_fail(e, RT_EXIT_DATA, "D017", "'%s': %dx%d is too small for %s",
                            rt_esc(path), h, w, op);
    }
    if (h != d->h || w != d->w) /* the description gives no way: the last word is the model's */
        rt_pipe_resize(&d->eval, d->h, d->w);
    RtPixels px = {img->px, img->c, img->h, img->w};
    return rt_pipe_run(&d->eval, 0, px, NULL, (RtDraw){0, 0, 0}, d->c, d->lut, chw, NULL) ||
           rt_data_no_memory(e, "an image", (uint64_t)img->h * (uint64_t)img->w);
}

bool rt_data_image(const RtDataConfig *c, const char *path, float *chw, RtError *e)
{
    RtData d = {0};
    RtImage img = {0};
    RtImageInfo info;
    uint8_t *bytes = NULL;
    size_t n;
    memset(e, 0, sizeof *e);
    bool ok = set_up(&d, c, e) && rt_image_read(path, path, &bytes, &n, e) &&
              rt_image_check(bytes, n, path, &info, e) &&
              rt_image_channels(info.c, d.c, true, path, e) &&
              rt_image_decode(bytes, n, &info, d.c, path, &img, e) &&
              image_through(&d, &img, path, chw, e);
    free(bytes);
    free(img.px);
    free(d.lut);
    return ok;
}
