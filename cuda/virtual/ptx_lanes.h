/* The handlers of ptx_ops.def, and their table. Included by one file for each instruction set that the host may have,
 * with PTX_OPS as the table's name; gcc vectorises the loops over lanes. */
#include "ptx_machine.h"
#include "ptx_number.h"
#include "ptx_ops.h"

static const uint32_t lane_bit[LANES] = {
    1u << 0,  1u << 1,  1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,  1u << 8,  1u << 9,  1u << 10,
    1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15, 1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21,
    1u << 22, 1u << 23, 1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31};

/* A PTX type: S how a lane is stored, C what is computed with, L from one to the other, P back. */
#define S_u8       uint32_t
#define S_s8       uint32_t
#define S_u16      uint32_t
#define S_s16      uint32_t
#define S_f16      uint32_t
#define S_bf16     uint32_t
#define S_u32      uint32_t
#define S_s32      int32_t
#define S_f32      float
#define S_u64      uint64_t
#define S_s64      int64_t
#define S_f64      double
#define C_u8       uint32_t
#define C_s8       int32_t
#define C_u16      uint32_t
#define C_s16      int32_t
#define C_f16      float
#define C_bf16     float
#define C_u32      uint32_t
#define C_s32      int32_t
#define C_f32      float
#define C_u64      uint64_t
#define C_s64      int64_t
#define C_f64      double
#define L_u8(x)    ((uint8_t)(x))
#define L_s8(x)    ((int8_t)(x))
#define L_u16(x)   ((uint16_t)(x))
#define L_s16(x)   ((int16_t)(x))
#define L_f16(x)   half_float((uint16_t)(x))
#define L_bf16(x)  brain_float(x)
#define L_u32(x)   (x)
#define L_s32(x)   (x)
#define L_f32(x)   (x)
#define L_u64(x)   (x)
#define L_s64(x)   (x)
#define L_f64(x)   (x)
#define P_u8(x)    ((uint8_t)(x))
#define P_s8(x)    ((uint32_t)(int8_t)(x))
#define P_u16(x)   ((uint16_t)(x))
#define P_s16(x)   ((uint16_t)(x))
#define P_f16(x)   float_half(TO_FLOAT(x))
#define P_bf16(x)  float_brain(TO_FLOAT(x))
#define P_u32(x)   ((uint32_t)(x))
#define P_s32(x)   ((int32_t)(x))
#define P_f32(x)   (x)
#define P_u64(x)   ((uint64_t)(x))
#define P_s64(x)   ((int64_t)(x))
#define P_f64(x)   (x)
#define K_u8       'w'
#define K_s8       'w'
#define K_u16      'w'
#define K_s16      'w'
#define K_f16      'w'
#define K_bf16     'w'
#define K_u32      'w'
#define K_s32      'w'
#define K_f32      'w'
#define K_u64      'l'
#define K_s64      'l'
#define K_f64      'l'
#define TO_FLOAT(x) _Generic((x), double: odd_float((double)(x)), default: (float)(x))

#define AT(T, r)   ((S_##T *)(void *)(w->reg + (r)))
#define EACH_LANE  _Pragma("GCC ivdep") for (int l = 0; l < LANES; l++)
/* d[l] = value for the lanes of the mask */
#define LOOP(D, before, value)                                                                                         \
    S_##D *d = AT(D, in->d);                                                                                           \
    const uint32_t m = w->mask;                                                                                        \
    if (m == ~0u) {                                                                                                    \
        EACH_LANE                                                                                                      \
        {                                                                                                              \
            before d[l] = P_##D(value);                                                                                \
        }                                                                                                              \
    } else {                                                                                                           \
        EACH_LANE                                                                                                      \
        {                                                                                                              \
            before S_##D r = P_##D(value);                                                                             \
            d[l] = m & lane_bit[l] ? r : d[l];                                                                         \
        }                                                                                                              \
    }

#define OPn(id, ...)                                                                                                    \
    static void h_##id(Warp *w, const Inst *in)                                                                        \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                           \
    }
#define GET(T, x) const C_##T x = L_##T(p##x[l]);
#define BASE(T, x) const S_##T *p##x = AT(T, in->x);
#define FLUSHED(x) const float x = flush(p##x[l]);

#define OP1(id, text, D, A, flops, value) OPn(id, BASE(A, a) LOOP(D, GET(A, a), value))
#define OP2(id, text, D, A, B, flops, value) OPn(id, BASE(A, a) BASE(B, b) LOOP(D, GET(A, a) GET(B, b), value))
#define OP3(id, text, D, A, B, C, flops, value)                                                                        \
    OPn(id, BASE(A, a) BASE(B, b) BASE(C, c) LOOP(D, GET(A, a) GET(B, b) GET(C, c), value))
#define OP4(id, text, D, A, B, C, E, value)                                                                            \
    OPn(id, BASE(A, a) BASE(B, b) BASE(C, c) const S_##E *pe = AT(E, in->more[0]);                                     \
        LOOP(D, GET(A, a) GET(B, b) GET(C, c) GET(E, e), value))
#define OP2P(id, text, D, A, B, value)                                                                                 \
    OPn(id, BASE(A, a) BASE(B, b) const uint32_t pm = PRED(w, in->c);                                                  \
        LOOP(D, GET(A, a) GET(B, b) const uint32_t p = pm & lane_bit[l];, value))
#define F1(id, name, type, flops, value)                                                                               \
    OP1(id, name type, f32, f32, flops, value)                                                                         \
    OPn(id##_ftz, BASE(f32, a) LOOP(f32, FLUSHED(a), flush(value)))
#define F2(id, name, type, flops, value)                                                                               \
    OP2(id, name type, f32, f32, f32, flops, value)                                                                    \
    OPn(id##_ftz, BASE(f32, a) BASE(f32, b) LOOP(f32, FLUSHED(a) FLUSHED(b), flush(value)))
#define F3(id, name, type, flops, value)                                                                               \
    OP3(id, name type, f32, f32, f32, f32, flops, value)                                                               \
    OPn(id##_ftz,                                                                                                      \
        BASE(f32, a) BASE(f32, b) BASE(f32, c) LOOP(f32, FLUSHED(a) FLUSHED(b) FLUSHED(c), flush(value)))

/* Both halves of a word: the value of the lower, then of the upper. */
#define HALF_OF(T, x, s) const float x = L_##T(p##x[l] >> (s));
#define PAIR1(id, text, T, flops, value)                                                                               \
    OPn(id, BASE(u32, a) LOOP(u32, uint32_t both; { HALF_OF(T, a, 0) both = P_##T(value); } {                          \
            HALF_OF(T, a, 16) both |= P_##T(value) << 16;                                                              \
        }, both))
#define PAIR2(id, text, T, flops, value)                                                                               \
    OPn(id, BASE(u32, a) BASE(u32, b) LOOP(u32, uint32_t both; {                                                       \
            HALF_OF(T, a, 0) HALF_OF(T, b, 0) both = P_##T(value);                                                     \
        } { HALF_OF(T, a, 16) HALF_OF(T, b, 16) both |= P_##T(value) << 16; }, both))
#define PAIR3(id, text, T, flops, value)                                                                               \
    OPn(id, BASE(u32, a) BASE(u32, b) BASE(u32, c) LOOP(u32, uint32_t both; {                                          \
            HALF_OF(T, a, 0) HALF_OF(T, b, 0) HALF_OF(T, c, 0) both = P_##T(value);                                    \
        } { HALF_OF(T, a, 16) HALF_OF(T, b, 16) HALF_OF(T, c, 16) both |= P_##T(value) << 16; }, both))

/* ---- comparisons: mask of the lanes where it holds, combined with a predicate; maybe its opposite as well ---- */
static inline void set_predicates(Warp *w, const Inst *in, uint32_t r)
{
    const uint32_t m = w->mask, c = in->kind & SETP_COMBINED ? PRED(w, in->c) ^ (in->kind & SETP_NOT ? ~0u : 0) : 0;
    const int how = in->kind & SETP_COMBINED;
    uint32_t p = how == SETP_AND ? r & c : how == SETP_OR ? r | c : how == SETP_XOR ? r ^ c : r;
    uint32_t q = how == SETP_AND ? ~r & c : how == SETP_OR ? ~r | c : how == SETP_XOR ? ~r ^ c : ~r;
    PRED(w, in->d) = (PRED(w, in->d) & ~m) | (p & m);
    if (in->more) PRED(w, in->more[0]) = (PRED(w, in->more[0]) & ~m) | (q & m);
}
#define SETP(id, text, T, test)                                                                                        \
    OPn(id, BASE(T, a) BASE(T, b) uint32_t r = 0; for (int l = 0; l < LANES; l++) {                                    \
        GET(T, a)                                                                                                      \
        GET(T, b)                                                                                                      \
        r |= (test) ? lane_bit[l] : 0;                                                                                 \
    } set_predicates(w, in, r);)

#define PRED1(id, text, value)                                                                                         \
    OPn(id, const uint32_t m = w->mask, a = PRED(w, in->a); PRED(w, in->d) = (PRED(w, in->d) & ~m) | ((value) & m);)
#define PRED2(id, text, value)                                                                                         \
    OPn(id, const uint32_t m = w->mask, a = PRED(w, in->a), b = PRED(w, in->b);                                        \
        PRED(w, in->d) = (PRED(w, in->d) & ~m) | ((value) & m);)

/* ---- carries ---- */
#define WIDE_u32 uint64_t
#define WIDE_u64 unsigned __int128
#define BITS_u32 32
#define BITS_u64 64
#define LOWER(x) ((x) & mask_of_width)
#define UPPER(x) ((x) >> width)
#define CARRY_LOOP(T, takes, gives, get, value)                                                                        \
    enum { width = BITS_##T };                                                                                         \
    const WIDE_##T mask_of_width = ((WIDE_##T)1 << width) - 1;                                                         \
    S_##T *d = AT(T, in->d);                                                                                           \
    for (int l = 0; l < LANES; l++) {                                                                                  \
        if (!(w->mask & lane_bit[l])) continue;                                                                        \
        get const WIDE_##T k = (takes) && (w->carry & lane_bit[l]);                                                    \
        const WIDE_##T r = (value);                                                                                    \
        d[l] = (S_##T)r;                                                                                               \
        if (gives) w->carry = r >> width & 1 ? w->carry | lane_bit[l] : w->carry & ~lane_bit[l];                       \
        (void)k, (void)mask_of_width;                                                                                  \
    }
#define WIDER(T, x) const WIDE_##T x = p##x[l];
#define CARRY2(id, text, T, takes, gives, value)                                                                       \
    OPn(id, BASE(T, a) BASE(T, b) CARRY_LOOP(T, takes, gives, WIDER(T, a) WIDER(T, b), value))
#define CARRY3(id, text, T, takes, gives, value)                                                                       \
    OPn(id,                                                                                                            \
        BASE(T, a) BASE(T, b) BASE(T, c) CARRY_LOOP(T, takes, gives, WIDER(T, a) WIDER(T, b) WIDER(T, c), value))

#include "ptx_ops.def"

#undef OP1
#undef OP2
#undef OP3
#undef OP4
#undef OP2P
#undef F1
#undef F2
#undef F3
#undef PAIR1
#undef PAIR2
#undef PAIR3
#undef SETP
#undef PRED1
#undef PRED2
#undef CARRY2
#undef CARRY3
#define ROW(id, text, flops, ...) {text, h_##id, flops, {__VA_ARGS__}},
#define OP1(id, text, D, A, flops, value) ROW(id, text, flops, K_##D, K_##A)
#define OP2(id, text, D, A, B, flops, value) ROW(id, text, flops, K_##D, K_##A, K_##B)
#define OP3(id, text, D, A, B, C, flops, value) ROW(id, text, flops, K_##D, K_##A, K_##B, K_##C)
#define OP4(id, text, D, A, B, C, E, value) ROW(id, text, 0, K_##D, K_##A, K_##B, K_##C, K_##E)
#define OP2P(id, text, D, A, B, value) ROW(id, text, 0, K_##D, K_##A, K_##B, 'p')
#define F1(id, name, type, flops, value) ROW(id, name type, flops, 'w', 'w') ROW(id##_ftz, name ".ftz" type, flops, 'w', 'w')
#define F2(id, name, type, flops, value)                                                                               \
    ROW(id, name type, flops, 'w', 'w', 'w') ROW(id##_ftz, name ".ftz" type, flops, 'w', 'w', 'w')
#define F3(id, name, type, flops, value)                                                                               \
    ROW(id, name type, flops, 'w', 'w', 'w', 'w') ROW(id##_ftz, name ".ftz" type, flops, 'w', 'w', 'w', 'w')
#define PAIR1(id, text, T, flops, value) ROW(id, text, flops, 'w', 'w')
#define PAIR2(id, text, T, flops, value) ROW(id, text, flops, 'w', 'w', 'w')
#define PAIR3(id, text, T, flops, value) ROW(id, text, flops, 'w', 'w', 'w', 'w')
#define SETP(id, text, T, test) ROW(id, text, 0, 's', K_##T, K_##T)
#define PRED1(id, text, value) ROW(id, text, 0, 'p', 'p')
#define PRED2(id, text, value) ROW(id, text, 0, 'p', 'p', 'p')
#define CARRY2(id, text, T, takes, gives, value) ROW(id, text, 0, K_##T, K_##T, K_##T)
#define CARRY3(id, text, T, takes, gives, value) ROW(id, text, 0, K_##T, K_##T, K_##T, K_##T)

const OpRow PTX_OPS[] = {
#include "ptx_ops.def"
    {0}};
