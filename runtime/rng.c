/* Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
 * 2011.
 *
 * Ten rounds; in each, two words are multiplied to 64 bits and the halves are mixed with the other
 * two words and the key; the key moves on by a constant a round. */
#include "rng.h"

enum { ROUNDS = 10 };
#define M0 0xD2511F53u
#define M1 0xCD9E8D57u
#define W0 0x9E3779B9u
#define W1 0xBB67AE85u

RtRandom4 rt_philox(const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], k0 = key[0],
             k1 = key[1];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t p = (uint64_t)M0 * a, q = (uint64_t)M1 * c;
        a = (uint32_t)(q >> 32) ^ b ^ k0;
        c = (uint32_t)(p >> 32) ^ d ^ k1;
        b = (uint32_t)q;
        d = (uint32_t)p;
        k0 += W0;
        k1 += W1;
    }
    return (RtRandom4){{a, b, c, d}};
}
