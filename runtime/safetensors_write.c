/* Writing safetensors: header, then the tensors in the order given; the file appears whole or not
 * at all.
 *
 * Rule: the header is padded with spaces to a multiple of 8, so that every tensor begins aligned.
 */
#include "err.h"
#include "file.h"
#include "json.h"
#include "safetensors.h"
#include "sha256.h"
#include <stdlib.h>
#include <string.h>

static const char no_sum[] = "0000000000000000000000000000000000000000000000000000000000000000";

static void write_meta(RtJson *j, const RtPair *meta, int n)
{
    if (n == 0) return;
    rt_json_object(j, "__metadata__");
    rt_json_str(j, RT_ST_SHA, no_sum); /* first, so that nobody's zeros stand before it */
    for (int i = 0; i < n; i++) {
        if (strcmp(meta[i].key, RT_ST_SHA) != 0) rt_json_str(j, meta[i].key, meta[i].value);
    }
    rt_json_end_object(j);
}

static int64_t data_size(const RtStTensor *t)
{
    return t->count * rt_st_dtype_size(t->dtype);
}

static void write_entry(RtJson *j, const RtStTensor *t, int64_t at)
{
    rt_json_object(j, t->name);
    rt_json_str(j, "dtype", t->dtype);
    rt_json_array(j, "shape");
    for (int a = 0; a < t->rank; a++) rt_json_int(j, NULL, t->dim[a]);
    rt_json_end_array(j);
    rt_json_array(j, "data_offsets");
    rt_json_int(j, NULL, at);
    rt_json_int(j, NULL, at + data_size(t));
    rt_json_end_array(j);
    rt_json_end_object(j);
}

/* Puts the checksum where the zeros are. */
static void seal(char *header, size_t size, const RtStTensor *t, int n)
{
    char *at = memmem(header, size, no_sum, RT_SHA256_HEX), hex[RT_SHA256_HEX + 1];
    RtSha256 sum;
    if (!at) return;
    rt_sha256_begin(&sum);
    rt_sha256_add(&sum, header, size);
    for (int i = 0; i < n; i++) rt_sha256_add(&sum, t[i].data, (size_t)data_size(&t[i]));
    rt_sha256_hex(&sum, hex);
    memcpy(at, hex, RT_SHA256_HEX);
}

void rt_st_write(const char *path, const RtStTensor *t, int n, const RtPair *meta, int nmeta,
                 const char *kept)
{
    RtJson j;
    rt_json_begin(&j, false);
    write_meta(&j, meta, nmeta);
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        write_entry(&j, &t[i], at);
        at += data_size(&t[i]);
    }
    const char *text = rt_json_text(&j);
    size_t len = strlen(text), padded = (len + 7) / 8 * 8;
    char *header = rt_alloc(padded, 1, "a header");
    memcpy(memset(header, ' ', padded), text, len);
    if (nmeta) seal(header, padded, t, n);
    unsigned char size[8];
    for (int i = 0; i < 8; i++) size[i] = (unsigned char)(padded >> 8 * i);
    RtFile *f = rt_file_create(path, kept);
    rt_file_write(f, size, sizeof size);
    rt_file_write(f, header, padded);
    for (int i = 0; i < n; i++) rt_file_write(f, t[i].data, (size_t)data_size(&t[i]));
    free(header);
    rt_json_free(&j);
    rt_file_commit(f);
}
