/* Zip archives in memory: names and bytes of their entries.
 *
 * in:  the bytes of a file
 * out: entries by name; their bytes lie in the file itself when they were stored, else in memory
 * rule: every offset and size is checked against the file before it is used; no two entries may
 *       claim more bytes than the file has; a wrong CRC-32 is an error; nothing is ever unpacked to
 *       a path.
 */
#ifndef RUNTIME_WEIGHTS_ZIP_H
#define RUNTIME_WEIGHTS_ZIP_H
#include "data/data.h"

typedef struct RtZipEntry {
    const char *name; /* not terminated */
    size_t name_len;
    uint16_t method;
    uint32_t crc;
    uint64_t packed, size, at; /* at: of the local header */
} RtZipEntry;

typedef struct RtZip {
    const unsigned char *p;
    size_t n;
    const char *file;
    RtZipEntry *entry; /* by name */
    size_t count;
} RtZip;

/* false: e says why (W001, W003, W004). */
bool rt_zip_open(RtZip *z, const void *p, size_t n, const char *file, RtError *e);
void rt_zip_close(RtZip *z);
const RtZipEntry *rt_zip_find(const RtZip *z, const char *name, size_t len);
/* The entry's bytes. *own: their memory when they had to be unpacked (of which at most *budget
 * bytes are taken, and counted off), else NULL. NULL: e says why. */
const void *rt_zip_data(const RtZip *z, const RtZipEntry *x, uint64_t *budget, void **own,
                        RtError *e);
#endif
