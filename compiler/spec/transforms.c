/* data.transforms: lists of calls that the runtime does to each image, or to each batch.
 * In: the tree. Out: options such as "data.transforms.train" =
 * "RandomCrop(28,padding=2);RandomHorizontalFlip()".
 * Rule: names, arguments and ranges are the rows of runtime/data/transforms.def. As far as sizes are
 * known before there are images, they must end with the model's input. */
#include "spec/transforms.h"
#include "../../runtime/data/attr.h"
#include "spec/lists.h"
#include <string.h>

#define BATCH(name, function)                   TRANSFORM(name, function, RT_SIZE_SAME, 0)
#define TRANSFORM(name, function, size, random) static const AttrDef attrs_##function[] = {
#define NUMBERS(NAME, COUNTS, RULES, MIN, MAX, TEXT)                                               \
    {.name = #NAME,                                                                                \
     .kind = ATTR_NUMBERS,                                                                         \
     .required = (TEXT) == NULL,                                                                   \
     .min = MIN,                                                                                   \
     .max = MAX,                                                                                   \
     .counts = COUNTS,                                                                             \
     .rules = RULES,                                                                               \
     .text = TEXT,                                                                                 \
     .none = true},
#define WORDS(NAME, ...)                                                                           \
    {.name = #NAME, .kind = ATTR_CHOICE, .words = (const char *const[]){__VA_ARGS__, NULL}},
#define END                                                                                        \
    {                                                                                              \
        0                                                                                          \
    }                                                                                              \
    }                                                                                              \
    ;
#include "../../runtime/data/transforms.def"
#undef TRANSFORM
#undef BATCH
#undef NUMBERS
#undef WORDS
#undef END

#define NUMBERS(...)
#define WORDS(...)
#define END
#define TRANSFORM(name, function, size, random) {#name, attrs_##function, false},
#define BATCH(name, function)
static const ListDef images[] = {
#include "../../runtime/data/transforms.def"
    {0}};
#undef TRANSFORM
#undef BATCH
#define TRANSFORM(name, function, size, random)
#define BATCH(name, function) {#name, attrs_##function, false},
static const ListDef batches[] = {
#include "../../runtime/data/transforms.def"
    {0}};
#undef TRANSFORM
#undef BATCH

#define TRANSFORM(name, function, size, random) size,
#define BATCH(name, function)
static const int image_size[] = {
#include "../../runtime/data/transforms.def"
};
#undef TRANSFORM
#undef BATCH

/* RT_SIZE_... of a row of either table */
static int size_rule(const ListDef *d)
{
    bool image = d >= images && d < images + sizeof image_size / sizeof *image_size;
    return image ? image_size[d - images] : RT_SIZE_SAME;
}

/* ---- sizes, as far as they are known ---- */

typedef struct Size {
    double h, w;    /* 0: not known */
    double shorter; /* of h and w, where only that is known */
    Loc loc;        /* of the transform that set it */
} Size;

static const AttrVal *attr_of(const ListDef *d, const AttrVal *attr, const char *name)
{
    for (int i = 0; d->attrs[i].name; i++)
        if (strcmp(d->attrs[i].name, name) == 0) return &attr[i];
    return NULL;
}

static void grow(const AttrVal *padding, double *h, double *w)
{
    const double *p = padding->list;
    int n = padding->nlist;
    if (!n) return;
    *w += n == 4 ? p[0] + p[2] : 2 * p[0];
    *h += n == 4 ? p[1] + p[3] : 2 * p[n == 2];
}

static bool too_small(const ListDef *d, const AttrVal *attr, Size z, double h, double w)
{
    const AttrVal *needed = attr_of(d, attr, "pad_if_needed");
    if (size_rule(d) != RT_SIZE_CROP || strcmp(needed->s, "true") == 0) return false;
    if (!z.h)
        z.h = z.w = z.shorter, h = w = h < w ? h : w; /* fails for certain, or nothing is known */
    if (!z.h) return false;
    grow(attr_of(d, attr, "padding"), &z.h, &z.w);
    return z.h < h || z.w < w;
}

/* The size after d. False after an error. */
static bool size_after(Spec *s, const ListDef *d, const AttrVal *attr, Loc loc, Size *z)
{
    const AttrVal *size = attr_of(d, attr, "size");
    if (size_rule(d) == RT_SIZE_GROW && z->h) grow(attr_of(d, attr, "padding"), &z->h, &z->w);
    if (size_rule(d) == RT_SIZE_GROW) z->shorter = 0;
    if (!size) return true;
    double h = size->list[0], w = size->list[size->nlist - 1];
    if (too_small(d, attr, *z, h, w)) {
        diag_error(loc, "D017", "%s takes %.0fx%.0f out of an image %s", d->name, h, w,
                   z->h ? arena_printf(s->arena, "of %.0fx%.0f", z->h, z->w)
                        : arena_printf(s->arena, "whose shorter side is %.0f", z->shorter));
        diag_help("pad_if_needed=true pads it");
        return false;
    }
    bool set = size_rule(d) != RT_SIZE_SHORT || size->nlist == 2;
    if (!set && z->h) { /* as the runtime computes it */
        bool tall = z->h >= z->w;
        double longer = (double)(int64_t)(h * (tall ? z->h / z->w : z->w / z->h));
        z->h = tall ? longer : h;
        z->w = tall ? h : longer;
    } else {
        z->h = set ? h : 0;
        z->w = set ? w : 0;
    }
    z->shorter = set ? 0 : h;
    z->loc = loc;
    return true;
}

static void check_end(const Spec *s, const Size *z, const char *which)
{
    if (!z->h || s->input.rank != 3) return;
    if (z->h == (double)s->input.dim[1] && z->w == (double)s->input.dim[2]) return;
    diag_error(z->loc, "D017",
               "images are %.0fx%.0f after data.transforms.%s, the model takes %lldx%lld", z->h,
               z->w, which, (long long)s->input.dim[1], (long long)s->input.dim[2]);
}

/* ---- one transform ---- */

static void say_implied(const Use *u)
{
    static const char *const implied[] = {"ToTensor",    "ToImage",   "ToDtype",
                                          "PILToTensor", "Normalize", "ConvertImageDtype"};
    for (size_t i = 0; i < sizeof implied / sizeof *implied; i++)
        if (strcmp(u->name, implied[i]) == 0)
            diag_help("images become floats of 0..1 after the last transform, and data.normalize "
                      "says how they are normalised: leave it out");
}

/* Numbers for three channels need them. */
static bool fits_channels(const Spec *s, const ListDef *d, const AttrVal *attr)
{
    for (int i = 0; d->attrs[i].name; i++) {
        if (!(d->attrs[i].counts & RT_THREE) || attr[i].nlist != 3 || s->input.rank != 3 ||
            s->input.dim[0] == 3)
            continue;
        diag_error(attr[i].loc, "S014", "'%s' has 3 values, the input has %d channel%s",
                   d->attrs[i].name, (int)s->input.dim[0], s->input.dim[0] == 1 ? "" : "s");
        return false;
    }
    return true;
}

typedef struct Item {
    const ListDef *def; /* NULL after an error */
    AttrVal attr[MAX_ATTR];
    const char *text;
    Loc loc;
} Item;

static Item read_item(Spec *s, const Yaml *y, const ListDef *defs)
{
    Item item = {0};
    unsigned given;
    Use *u = use_read(s->arena, y, s->scope, true, NULL);
    if (!u) return item;
    item.loc = u->name_loc;
    item.def = lists_find(s, u, defs, "transform");
    if (!item.def) {
        say_implied(u);
    } else if (!use_bind(s->arena, u, item.def->name, item.def->attrs, item.attr, &given) ||
               !fits_channels(s, item.def, item.attr)) {
        item.def = NULL;
    } else {
        item.text = use_text(s->arena, item.def->name, item.def->attrs, item.attr, given, ",");
    }
    return item;
}

static void read_list(Spec *s, const Yaml *y, const ListDef *defs, const char *which)
{
    if (!lists_is(y, "transform")) return;
    const char *all = "", *floats = NULL;
    Size size = {0};
    bool ok = true;
    for (int i = 0; i < y->item.n; i++) {
        Item item = read_item(s, y->item.v[i], defs);
        ok = ok && item.def && size_after(s, item.def, item.attr, item.loc, &size);
        if (!item.def) continue;
        if (defs == batches && !s->mixes) {
            s->mixes = item.def->name;
            s->mixes_loc = item.loc;
        }
        bool on_floats = size_rule(item.def) == RT_SIZE_FLOATS;
        if (floats && !on_floats)
            diag_error(item.loc, "S014", "%s works on normalised values: no %s can follow it",
                       floats, item.def->name);
        if (on_floats) floats = item.def->name;
        all = arena_printf(s->arena, "%s%s%s", all, i ? ";" : "", item.text);
    }
    if (ok) check_end(s, &size, which);
    options_add(s, arena_printf(s->arena, "data.transforms.%s", which), all);
}

void transforms_read(Spec *s, const Yaml *data)
{
    const Yaml *t = yaml_get(data, "transforms");
    read_list(s, yaml_get(t, "train"), images, "train");
    read_list(s, yaml_get(t, "eval"), images, "eval");
    read_list(s, yaml_get(t, "batch"), batches, "batch");
}

/* ---- for `sinter ops` ---- */

const char *transforms_signature(Arena *a, int i)
{
    const int n = sizeof images / sizeof *images - 1, nbatch = sizeof batches / sizeof *batches - 1;
    const ListDef *d = i < n ? &images[i] : i < n + nbatch ? &batches[i - n] : NULL;
    return d ? use_signature(a, d->name, d->attrs) : NULL;
}
