/* SHA-256 (FIPS 180-4). */
#ifndef RUNTIME_SHA256_H
#define RUNTIME_SHA256_H
#include <stddef.h>
#include <stdint.h>

enum { RT_SHA256_HEX = 64 };

typedef struct RtSha256 {
    uint32_t h[8];
    uint64_t bytes;
    unsigned char block[64];
} RtSha256;

void rt_sha256_begin(RtSha256 *s);
void rt_sha256_add(RtSha256 *s, const void *p, size_t n);
void rt_sha256_hex(RtSha256 *s, char out[RT_SHA256_HEX + 1]); /* ends it */
#endif
