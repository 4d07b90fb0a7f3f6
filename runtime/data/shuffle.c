/* Counter-based random numbers: every number is a function of its address, none of what was drawn
 * before.
 *
 *   mix(x)    = SplitMix64's output function (Steele, Lea, Flood 2014) at state x
 *   r(s,e,i,k) = mix(mix(mix(mix(s) + e) + i) + k)         s seed, e epoch, i item, k counter
 *   below(b)  = high half of r * b; k counts up while the low half is under 2^64 mod b (Lemire
 * 2019: unbiased) shuffle   = Fisher-Yates from the top: for i = n-1 .. 1 swap index[i],
 * index[below(s, e, i, i+1)]
 */
#include "internal.h"

static uint64_t mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

uint64_t rt_random(uint64_t seed, uint64_t epoch, uint64_t item, uint64_t counter)
{
    return mix(mix(mix(mix(seed) + epoch) + item) + counter);
}

uint64_t rt_random_below(uint64_t seed, uint64_t epoch, uint64_t item, uint64_t bound)
{
    uint64_t reject = (0 - bound) % bound;
    for (uint64_t k = 0;; k++) {
        unsigned __int128 m = (unsigned __int128)rt_random(seed, epoch, item, k) * bound;
        if ((uint64_t)m >= reject) return (uint64_t)(m >> 64);
    }
}

void rt_shuffle(int64_t *index, int64_t n, uint64_t seed, uint64_t epoch)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)rt_random_below(seed, epoch, (uint64_t)i, (uint64_t)i + 1);
        int64_t t = index[i];
        index[i] = index[j];
        index[j] = t;
    }
}
