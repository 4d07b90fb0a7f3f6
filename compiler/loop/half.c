#include "loop/half.h"
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

float half_to_f32(LType t, uint16_t h)
{
    bug_if(!ltype_is_half(t), "%s has not 16 bits", ltype_name(t));
    return t == LT_F16 ? from_f16(h) : float_of((uint32_t)h << 16);
}

uint16_t half_from_f32(LType t, float x)
{
    bug_if(!ltype_is_half(t), "%s has not 16 bits", ltype_name(t));
    return t == LT_F16 ? to_f16(x) : to_bf16(x);
}
