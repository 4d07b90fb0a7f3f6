/* CIFAR-10 and CIFAR-100, the binary version: records of one or two label bytes and 32x32 pixels, plane after plane.
 *
 * In: root/data_batch_{1..5}.bin and test_batch.bin, or root/train.bin and test.bin, or the folder above; the names
 * that lie beside them. Out: 50,000 and 10,000 images, if the files are whole. Rule: a file is a whole number of
 * records. CIFAR-100's second label, the fine one, is the class.
 */
#include "folder.h"
#include "memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE, MOST_FILES = 5 };

typedef struct Kind {
    const char *folder; /* of the archive */
    const char *train[MOST_FILES + 1], *test, *names;
    int labels; /* bytes in front of the pixels; the last one is the class */
} Kind;

static const Kind cifar10 = {"cifar-10-batches-bin",
                             {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                              "data_batch_5.bin"},
                             "test_batch.bin",
                             "batches.meta.txt",
                             1},
                  cifar100 = {"cifar-100-binary", {"train.bin"}, "test.bin", "fine_label_names.txt", 2};

/* Plane after plane becomes pixel after pixel. */
static void store(RtMemory *m, enum RtSplit s, int64_t i, const uint8_t *record, int labels)
{
    uint8_t *to = m->px[s] + (size_t)i * PIXELS;
    const uint8_t *px = record + labels;
    m->label[s][i] = record[labels - 1];
    for (int p = 0; p < PLANE; p++)
        for (int c = 0; c < 3; c++) to[3 * p + c] = px[c * PLANE + p];
}

static bool read_records(RtMemory *m, enum RtSplit s, const char *path, int64_t *at, uint64_t n, int labels,
                         RtSource *src, RtError *e)
{
    uint8_t record[PIXELS + 2];
    int64_t want = PIXELS + labels;
    for (uint64_t i = 0; i < n; i++) {
        int64_t got = rt_source_read(src, record, (size_t)want, e);
        if (got < 0) return false;
        if (got < want) return rt_data_fail(e, RT_EXIT_DATA, "D004", "'%s' became shorter", rt_esc(path));
        store(m, s, (*at)++, record, labels);
    }
    return true;
}

/* Records of one file, appended if m has room for them; *n: how many there are. */
static bool one_file(RtMemory *m, enum RtSplit s, const char *root, const char *name, int labels, int64_t *at,
                     uint64_t *n, RtError *e)
{
    char *path = rt_path_join(root, name, e);
    RtSource *src = path ? rt_source_open(path, false, e) : NULL;
    uint64_t size = src ? rt_source_size(src) : 0, record = (uint64_t)(PIXELS + labels);
    bool ok = src != NULL;
    *n = size / record;
    if (ok && (size % record || !size))
        ok = rt_data_fail(e, RT_EXIT_DATA, size ? "D004" : "D010",
                          size ? "'%s': %" PRIu64 " bytes are no whole number of records of %" PRIu64
                               : "'%s': empty file",
                          rt_esc(path), size, record);
    if (ok && at) ok = read_records(m, s, path, at, *n, labels, src, e);
    rt_source_close(src);
    free(path);
    return ok;
}

static bool read_set(RtMemory *m, enum RtSplit s, const char *root, const char *const *files, int labels, RtError *e)
{
    uint64_t n, all = 0;
    int64_t at = 0;
    for (int i = 0; files[i]; i++, all += n)
        if (!one_file(m, s, root, files[i], labels, NULL, &n, e)) return false;
    if (!rt_memory_alloc(m, s, all, e)) return false;
    for (int i = 0; files[i]; i++)
        if (!one_file(m, s, root, files[i], labels, &at, &n, e)) return false;
    return true;
}

static bool open_kind(RtData *d, const RtDataConfig *c, const Kind *k, RtError *e)
{
    RtMemory *m = rt_memory_new(d, e);
    RtNames *names = m ? rt_data_alloc(1, sizeof *names, "class names", e) : NULL;
    char *below = names ? rt_path_join(c->root, k->folder, e) : NULL;
    if (!below) {
        free(names);
        return false;
    }
    m->c = 3;
    m->h = m->w = SIDE;
    const char *root = rt_is_dir(below) ? below : c->root, *test[] = {k->test, NULL};
    bool ok = read_set(m, RT_SPLIT_TRAIN, root, k->train, k->labels, e) &&
              read_set(m, RT_SPLIT_TEST, root, test, k->labels, e) && rt_names_read(names, root, k->names, e) &&
              rt_memory_open(d, c, names, k->train[0], e);
    free(below);
    free(names);
    return ok;
}

static bool open_cifar10(RtData *d, const RtDataConfig *c, RtError *e)
{
    return open_kind(d, c, &cifar10, e);
}

static bool open_cifar100(RtData *d, const RtDataConfig *c, RtError *e)
{
    return open_kind(d, c, &cifar100, e);
}

const RtFormat rt_format_cifar10 = {open_cifar10};
const RtFormat rt_format_cifar100 = {open_cifar100};
