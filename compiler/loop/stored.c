#include "loop/stored.h"
#include "support/diag.h"
#include <math.h>
#include <string.h>

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static float from_f16(uint16_t h)
{
    unsigned exponent = h >> 10 & 0x1f, fraction = h & 0x3ff;
    float x = exponent == 31 ? (fraction ? NAN : INFINITY)
              : exponent     ? ldexpf((float)(fraction | 0x400), (int)exponent - 25)
                             : ldexpf((float)fraction, -24);
    return h & 0x8000 ? -x : x;
}

/* x as a multiple of the step between neighbours, which rintf rounds; that step is at least 2^-24 (subnormals). A
 * fraction that rounds up to the next power of two carries into the exponent, and from 65504 into infinity. */
static uint16_t to_f16(float x)
{
    uint32_t u = bits_of(x);
    unsigned sign = u >> 16 & 0x8000;
    int exponent = (int)(u >> 23 & 0xff) - 127;
    if (isnan(x)) return (uint16_t)(sign | 0x7e00);
    if (exponent >= 16) return (uint16_t)(sign | 0x7c00);
    if (exponent < -14) exponent = -14;
    unsigned steps = (unsigned)rintf(ldexpf(fabsf(x), 10 - exponent)); /* 0..2048 */
    return (uint16_t)(sign | (((unsigned)(exponent + 14) << 10) + steps));
}

static uint16_t to_bf16(float x)
{
    uint32_t u = bits_of(x);
    if (isnan(x)) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* What PTX's cvt.rna.tf32.f32 does: half of a step more, and cut. A carry is right, up to infinity. */
static uint32_t to_tf32(float x)
{
    uint32_t u = bits_of(x);
    return (isnan(x) ? u | 0x400000 : u + 0x1000) & ~0x1fffu;
}

float stored_to_f32(LType t, uint32_t bits)
{
    bug_if(!ltype_is_stored(t), "%s is computed in", ltype_name(t));
    if (t == LT_F16) return from_f16((uint16_t)bits);
    return float_of(t == LT_BF16 ? bits << 16 : bits);
}

uint32_t stored_from_f32(LType t, float x)
{
    bug_if(!ltype_is_stored(t), "%s is computed in", ltype_name(t));
    return t == LT_F16 ? to_f16(x) : t == LT_BF16 ? to_bf16(x) : to_tf32(x);
}

float stored_get(LType t, const void *at)
{
    uint16_t h;
    uint32_t u;
    if (ltype_size(t) == 4) return memcpy(&u, at, sizeof u), stored_to_f32(t, u);
    return memcpy(&h, at, sizeof h), stored_to_f32(t, h);
}

void stored_put(LType t, void *at, float x)
{
    uint32_t u = stored_from_f32(t, x);
    uint16_t h = (uint16_t)u;
    memcpy(at, ltype_size(t) == 4 ? (const void *)&u : &h, (size_t)ltype_size(t));
}
