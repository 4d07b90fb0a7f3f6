/* CRC-32 of gzip, PNG and zip, in the place of zlib's own, whose tables would be 9 kB of every program: the
 * Makefile leaves that out.
 *
 * In: bytes. Out: as zlib documents crc32 and crc32_z.
 * Rule: reflected polynomial 0xedb88320, 8 bytes a step by 8 tables, which are made when first asked for. */
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

static uint32_t table[8][256];

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        table[0][i] = c;
    }
    for (int t = 1; t < 8; t++) {
        for (int i = 0; i < 256; i++)
            table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255];
    }
}

static uint32_t eight(uint32_t c, const uint8_t *p)
{
    uint32_t lo, hi, r = 0; /* little-endian, as all of the runtime */
    memcpy(&lo, p, 4);
    memcpy(&hi, p + 4, 4);
    lo ^= c;
    for (int k = 0; k < 4; k++) {
        r ^= table[7 - k][lo >> 8 * k & 255] ^ table[3 - k][hi >> 8 * k & 255];
    }
    return r;
}

uLong crc32_z(uLong crc, const Bytef *p, z_size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint32_t c = ~(uint32_t)crc;
    if (!p) return 0;
    pthread_once(&once, make_tables);
    for (; n >= 8; n -= 8, p += 8) c = eight(c, p);
    for (; n; n--) c = c >> 8 ^ table[0][(c ^ *p++) & 255];
    return (uint32_t)~c;
}

uLong crc32(uLong crc, const Bytef *p, uInt n)
{
    return crc32_z(crc, p, n);
}
