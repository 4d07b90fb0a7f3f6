/* Elements of tensor files: any dtype to the two that programs compute with.
 *
 * In: a tensor's bytes, little-endian, of any alignment. Out: f32, i32 or doubles; W006, W009.
 * Rule: a value that the program cannot hold is an error, never rounded to another meaning: weights
 * must be finite in f32, whole numbers must fit 32 bits. */
#include "err.h"
#include "safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum Kind { REAL, WHOLE, OTHER } Kind;

typedef struct Reader {
    const char *dtype;
    Kind kind;
    double (*get)(const char *p);
} Reader;

static double get_f32(const char *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

static double get_f64(const char *p)
{
    double v;
    memcpy(&v, p, sizeof v);
    return v;
}

static double get_bf16(const char *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    uint32_t w = (uint32_t)h << 16;
    return get_f32((const char *)&w);
}

/* 1 bit sign, 5 bits exponent with bias 15, 10 bits fraction. */
static double get_f16(const char *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31  ? (fraction ? NAN : INFINITY)
               : exponent == 0 ? ldexp(fraction, -24)
                               : ldexp(1024 + fraction, exponent - 25);
    return h >> 15 ? -v : v;
}

#define WHOLE_READER(name, type)                                                                   \
    static double name(const char *p)                                                              \
    {                                                                                              \
        type v;                                                                                    \
        memcpy(&v, p, sizeof v);                                                                   \
        return (double)v;                                                                          \
    }
WHOLE_READER(get_i64, int64_t)
WHOLE_READER(get_i32, int32_t)
WHOLE_READER(get_i16, int16_t)
WHOLE_READER(get_i8, int8_t)
WHOLE_READER(get_u64, uint64_t)
WHOLE_READER(get_u32, uint32_t)
WHOLE_READER(get_u16, uint16_t)
WHOLE_READER(get_u8, uint8_t)

static const Reader readers[] = {
    {"F32", REAL, get_f32},   {"F64", REAL, get_f64},  {"F16", REAL, get_f16},
    {"BF16", REAL, get_bf16}, {"I64", WHOLE, get_i64}, {"I32", WHOLE, get_i32},
    {"I16", WHOLE, get_i16},  {"I8", WHOLE, get_i8},   {"U64", WHOLE, get_u64},
    {"U32", WHOLE, get_u32},  {"U16", WHOLE, get_u16}, {"U8", WHOLE, get_u8},
    {"BOOL", WHOLE, get_u8},
};

static const Reader *find(const char *dtype)
{
    static const Reader none = {"", OTHER, NULL};
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        if (!strcmp(readers[i].dtype, dtype)) return &readers[i];
    }
    return &none;
}

bool rt_st_is_number(const RtStTensor *t)
{
    return find(t->dtype)->kind != OTHER;
}

double rt_st_element(const RtStTensor *t, int64_t i)
{
    const Reader *r = find(t->dtype);
    return r->get ? r->get((const char *)t->data + i * rt_st_dtype_size(t->dtype)) : NAN;
}

const void *rt_st_f32(const RtStTensor *t)
{
    return find(t->dtype)->get == get_f32 ? t->data : NULL;
}

int64_t rt_st_nonfinite(const void *f32, int64_t n, int64_t *first)
{
    enum { RUN = 4096 };
    static const uint32_t exponent = 0x7f800000;
    int64_t bad = 0;
    for (int64_t at = 0; at < n; at += RUN) { /* almost always none: a loop without branches looks first */
        const char *p = (const char *)f32 + 4 * at;
        int64_t len = n - at < RUN ? n - at : RUN;
        uint32_t any = len < RUN, bits;
        for (int64_t i = 0; i < RUN && len == RUN; i++) {
            memcpy(&bits, p + 4 * i, 4);
            any |= (bits & exponent) == exponent;
        }
        for (int64_t i = 0; i < len && any; i++) {
            memcpy(&bits, p + 4 * i, 4);
            if ((bits & exponent) == exponent && !bad++) *first = at + i;
        }
    }
    return bad;
}

void rt_st_refuse_nonfinite(const RtStTensor *t, int64_t bad, int64_t first, RtError *e)
{
    *e = (RtError){.exit = RT_EXIT_DATA, .id = "W009"};
    snprintf(e->text, sizeof e->text, "'%s' has %lld values that are not finite (first at %lld)",
             rt_esc(t->name), (long long)bad, (long long)first);
}

static bool to_f32(const RtStTensor *t, const Reader *r, float *out, RtError *e)
{
    const char *p = t->data;
    unsigned size = rt_st_dtype_size(t->dtype);
    int64_t first = -1;
    bool same = r->get == get_f32; /* no arithmetic: denormals stay what they are */
    if (same) memcpy(out, p, (size_t)t->count * size);
    for (int64_t i = 0; i < t->count && !same; i++) out[i] = (float)r->get(p + i * size);
    int64_t bad = rt_st_nonfinite(out, t->count, &first);
    if (bad) rt_st_refuse_nonfinite(t, bad, first, e);
    return !bad;
}

static bool to_i32(const RtStTensor *t, const Reader *r, int32_t *out, RtError *e)
{
    const char *p = t->data;
    unsigned size = rt_st_dtype_size(t->dtype);
    for (int64_t i = 0; i < t->count; i++) {
        double v = r->get(p + i * size);
        if (v < INT32_MIN || v > INT32_MAX) {
            *e = (RtError){.exit = RT_EXIT_DATA, .id = "W006"};
            snprintf(e->text, sizeof e->text, "'%s': %.0f does not fit 32 bits", rt_esc(t->name),
                     v);
            return false;
        }
        out[i] = (int32_t)v;
    }
    return true;
}

void *rt_st_values(const RtSt *s, const RtStTensor *t, bool real, RtError *e)
{
    const Reader *r = find(t->dtype);
    if (r->kind != (real ? REAL : WHOLE)) {
        *e = (RtError){.exit = RT_EXIT_DATA, .id = "W006"};
        snprintf(e->text, sizeof e->text, "'%s' in '%s': dtype %s where %s is needed",
                 rt_esc(t->name), rt_esc(s->name), t->dtype,
                 real ? "F32, F64, F16 or BF16" : "a whole number");
        return NULL;
    }
    void *out = rt_alloc((size_t)t->count, 4, "tensor values");
    if (real ? to_f32(t, r, out, e) : to_i32(t, r, out, e)) return out;
    free(out);
    return NULL;
}
