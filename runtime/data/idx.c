/* IDX files (MNIST's format), plain or .gz, held in memory as they are: 8-bit pixels, 8-bit labels.
 *
 * In: root/{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz], root/classes.txt (one name a line,
 * optional). Rule: no size from a header is used before the file was shown to be able to hold it.
 * The test split is t10k as it is; the validation split is taken out of train (memory.c).
 */
#include "memory.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BYTES ((uint64_t)RT_MEMORY_MOST << 30)

typedef struct IdxFile {
    char path[PATH_MAX];
    bool gz;
    uint64_t dim[3];
    uint8_t *data;
} IdxFile;

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The plain file if there is one, else the .gz. */
static bool find(IdxFile *f, const char *root, const char *base, RtError *e)
{
    int n = snprintf(f->path, sizeof f->path, "%s/%s.gz", root, base);
    if (n < 0 || (size_t)n >= sizeof f->path)
        return rt_data_fail(e, RT_EXIT_DATA, "D001", "path too long: '%s'", rt_esc(root));
    f->path[n - 3] = 0;
    f->gz = false;
    if (access(f->path, F_OK) == 0) return true;
    f->path[n - 3] = '.';
    f->gz = true;
    if (access(f->path, F_OK) == 0) return true;
    f->path[n - 3] = 0;
    return rt_data_fail(e, RT_EXIT_DATA, "D001", "'%s' (or .gz): %s", rt_esc(f->path),
                        strerror(errno));
}

static bool short_file(const IdxFile *f, uint64_t want, uint64_t have, RtError *e)
{
    return rt_data_fail(e, RT_EXIT_DATA, "D004",
                        "'%s': expected %" PRIu64 " bytes, file has %" PRIu64, rt_esc(f->path),
                        want, have);
}

/* Header -> dimensions and payload size, both checked. */
static bool read_header(IdxFile *f, RtSource *s, int rank, uint64_t *payload, RtError *e)
{
    uint8_t head[16];
    size_t want = 4 + 4 * (size_t)rank;
    int64_t got = rt_source_read(s, head, want, e);
    if (got < 0) return false;
    if (got >= 4 && be32(head) != (0x0800u | (uint32_t)rank))
        return rt_data_fail(e, RT_EXIT_DATA, "D003", "'%s': not an IDX%d u8 file (magic 0x%08X)",
                            rt_esc(f->path), rank, (unsigned)be32(head));
    if ((uint64_t)got < want) return short_file(f, want, (uint64_t)got, e);
    *payload = 1;
    for (int i = 0; i < rank; i++) {
        f->dim[i] = be32(head + 4 + 4 * i);
        if (__builtin_mul_overflow(*payload, f->dim[i], payload) || *payload > MAX_BYTES)
            return rt_data_fail(e, RT_EXIT_DATA, "D006",
                                "'%s': IDX declares %" PRIu64 " items and more than 4 GiB",
                                rt_esc(f->path), f->dim[0]);
    }
    if (*payload == 0 ||
        (rank == 3 && (f->dim[1] > RT_IMAGE_MAX_SIDE || f->dim[2] > RT_IMAGE_MAX_SIDE)))
        return rt_data_fail(e, RT_EXIT_DATA, *payload ? "D015" : "D001",
                            *payload ? "'%s': images over %d pixels wide or high"
                                     : "'%s': holds no items",
                            rt_esc(f->path), RT_IMAGE_MAX_SIDE);
    /* Can the file hold it at all? Deflate shrinks at most 1032 : 1. */
    uint64_t total = want + *payload, size = rt_source_size(s);
    if (f->gz ? total / 1032 > size : total > size) return short_file(f, total, size, e);
    if (!f->gz && size > total)
        return rt_data_fail(e, RT_EXIT_DATA, "D005", "'%s': %" PRIu64 " bytes after the last item",
                            rt_esc(f->path), size - total);
    return true;
}

static bool read_payload(IdxFile *f, RtSource *s, uint64_t head, uint64_t payload, RtError *e)
{
    f->data = rt_data_alloc(payload, 1, "the data set", e);
    if (!f->data) return false;
    int64_t got = rt_source_read(s, f->data, payload, e);
    if (got < 0) return false;
    if ((uint64_t)got < payload) return short_file(f, head + payload, head + (uint64_t)got, e);
    uint8_t extra;
    got = rt_source_read(s, &extra, 1, e); /* in gzip this also verifies the checksum */
    if (got > 0)
        return f->gz ? rt_data_fail(e, RT_EXIT_DATA, "D008",
                                    "'%s': gzip data expands past the declared %" PRIu64 " bytes",
                                    rt_esc(f->path), head + payload)
                     : rt_data_fail(e, RT_EXIT_DATA, "D005", "'%s': bytes after the last item",
                                    rt_esc(f->path));
    return got == 0;
}

static bool read_idx(IdxFile *f, const char *root, const char *base, int rank, RtError *e)
{
    uint64_t payload = 0;
    f->data = NULL;
    if (!find(f, root, base, e)) return false;
    RtSource *s = rt_source_open(f->path, f->gz, e);
    if (!s) return false;
    bool ok = read_header(f, s, rank, &payload, e) &&
              read_payload(f, s, 4 + 4 * (uint64_t)rank, payload, e);
    rt_source_close(s);
    if (!ok) {
        free(f->data);
        f->data = NULL;
    }
    return ok;
}

/* One of the two sets: images and labels that belong together. */
static bool read_set(RtMemory *m, enum RtSplit s, const char *root, RtError *e)
{
    bool test = s == RT_SPLIT_TEST;
    IdxFile img, lab;
    if (!read_idx(&img, root, test ? "t10k-images-idx3-ubyte" : "train-images-idx3-ubyte", 3, e)) return false;
    m->px[s] = img.data;
    if (!read_idx(&lab, root, test ? "t10k-labels-idx1-ubyte" : "train-labels-idx1-ubyte", 1, e)) return false;
    m->label[s] = lab.data;
    m->n[s] = (int64_t)img.dim[0];
    if (img.dim[0] != lab.dim[0])
        return rt_data_fail(e, RT_EXIT_DATA, "D007",
                            "'%s': %" PRIu64 " images but %" PRIu64 " labels", rt_esc(root),
                            img.dim[0], lab.dim[0]);
    if (test && (m->h != (int)img.dim[1] || m->w != (int)img.dim[2]))
        return rt_data_fail(e, RT_EXIT_DATA, "D017",
                            "'%s': %" PRIu64 "x%" PRIu64 ", the training images are %dx%d",
                            rt_esc(img.path), img.dim[1], img.dim[2], m->h, m->w);
    m->h = (int)img.dim[1];
    m->w = (int)img.dim[2];
    return true;
}

/* ---- the whole ---- */

static bool names_of(RtNames *names, const char *root, RtError *e)
{
    static const char *const fashion[] = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                          "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                          "Bag",         "Ankle boot"};
    char real[PATH_MAX];
    if (!rt_names_read(names, root, "classes.txt", e)) return false;
    if (!names->n && realpath(root, real) && !strcmp(basename(real), "fashion-mnist"))
        for (; names->n < 10; names->n++) names->name[names->n] = fashion[names->n];
    return true;
}

static bool test_is_absent(const char *root)
{
    IdxFile f;
    RtError ignored;
    return !find(&f, root, "t10k-images-idx3-ubyte", &ignored) &&
           !find(&f, root, "t10k-labels-idx1-ubyte", &ignored);
}

static bool open_set(RtData *d, const RtDataConfig *c, RtError *e)
{
    RtMemory *m = rt_memory_new(d, e);
    if (!m) return false;
    m->c = 1;
    m->set[RT_SPLIT_TEST] = "t10k";
    bool ok = read_set(m, RT_SPLIT_TRAIN, c->root, e);
    if (ok && test_is_absent(c->root))
        rt_data_note(d, "note: no t10k files in '%s': there is no test split", rt_esc(c->root));
    else
        ok = ok && read_set(m, RT_SPLIT_TEST, c->root, e);
    RtNames *names = ok ? rt_data_alloc(1, sizeof *names, "class names", e) : NULL;
    ok = names && names_of(names, c->root, e) && rt_memory_open(d, c, names, "train-images-idx3-ubyte", e);
    free(names);
    return ok;
}

const RtFormat rt_format_idx = {open_set};
