/* Counter-based random numbers: a pure function of key and counter. */
#ifndef RUNTIME_RNG_H
#define RUNTIME_RNG_H
#include <stdint.h>

typedef struct RtRandom4 {
    uint32_t v[4];
} RtRandom4;

RtRandom4 rt_philox(const uint32_t counter[4], const uint32_t key[2]); /* Philox4x32-10 */
#endif
