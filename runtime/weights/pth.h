/* Files of torch.save: a dict of tensors, as tensors with names.
 *
 * in:  the bytes of a file, in one of the three forms that PyTorch has written: a zip archive
 * (since 1.6), a stream of pickles and storages (before), a tar archive (before 0.2) out: the
 * tensors, as if they had been a safetensors file; or W001 .. W006, W012 rule: nothing but tensors
 * is read and no code is run (pickle.h); every view is checked against its storage; memory is
 * bounded by the size of the file.
 */
#ifndef RUNTIME_WEIGHTS_PTH_H
#define RUNTIME_WEIGHTS_PTH_H
#include "safetensors.h"
#include "weights/pickle.h"

/* The bytes begin like one of the three forms. */
bool rt_pth_is(const void *p, size_t n);
/* Takes over the file, mapped (rt_file_map) or from malloc (mapped 0). NULL: e says why. */
RtSt *rt_pth_parse(void *file, size_t size, size_t mapped, const char *name, RtError *e);

/* ---- between the files of this folder ---- */

typedef struct RtPthStore { /* a storage that was found in the file */
    const RtValue *key;
    const char *dtype;
    const char *data;
    int64_t count; /* elements */
} RtPthStore;

typedef struct RtPth {
    const unsigned char *p;
    size_t n;
    const char *name;
    RtError *e;
    RtPickle *pickle;
    RtValue *root;
    uint64_t budget; /* bytes that may still be unpacked or copied */
    RtPthStore *store;
    size_t nstore, max_store; /* in order of their keys once they are all there */
    void **own;               /* memory behind `data` */
    size_t nown;
} RtPth;

/* Fill root and store; false: e was set. */
bool rt_pth_zip(RtPth *f);
bool rt_pth_legacy(RtPth *f);
bool rt_pth_tar(RtPth *f);

/* Sets e; returns false. */
bool rt_pth_fail(RtPth *f, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void rt_pth_add(RtPth *f, RtPthStore s);
void rt_pth_sort(RtPth *f);
const RtPthStore *rt_pth_find(const RtPth *f, const RtValue *key);
/* ('storage', class, key, location, count[, view]): the id that the zip and the legacy form use. */
RtValue *rt_pth_storage_id(void *ctx, RtPickle *k, const RtValue *id);
#endif
