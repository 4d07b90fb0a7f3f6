/* SVHN's cropped digits (Netzer et al. 2011): root/train_32x32.mat and test_32x32.mat, of X [32,32,3,N] and y [N,1].
 *
 * rule: label 10 is the digit 0, so that class k is the digit k. The first dimension of X is the row and changes
 * fastest. extra_32x32.mat is not read.
 */
#include "folder.h"
#include "mat.h"
#include "memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE };

static bool wrong(const char *path, const char *why, RtError *e)
{
    return rt_data_fail(e, RT_EXIT_DATA, "D003", "'%s': %s", rt_esc(path), why);
}

/* Column after column, plane after plane becomes row after row, pixel after pixel. */
static void turn(uint8_t *px)
{
    uint8_t in[PIXELS];
    memcpy(in, px, PIXELS);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++) px[(y * SIDE + x) * 3 + c] = in[(c * SIDE + x) * SIDE + y];
}

static bool read_pixels(RtMemory *m, enum RtSplit s, RtMat *mat, const RtMatArray *a, const char *path, RtError *e)
{
    if (a->ndims < 3 || a->ndims > 4 || a->dim[0] != SIDE || a->dim[1] != SIDE || a->dim[2] != 3 || !a->count)
        return wrong(path, "X is not [32,32,3,N]", e);
    uint64_t n = a->count / PIXELS;
    if (m->px[s] || a->count > (uint64_t)RT_MEMORY_MOST << 30)
        return wrong(path, m->px[s] ? "X is there twice" : "X is over 4 GiB", e);
    /* The file must be able to hold it (deflate shrinks at most 1032 : 1) before memory is taken. */
    if (a->count / 1032 > rt_mat_size(mat)) return wrong(path, "X is larger than the file can hold", e);
    m->px[s] = rt_data_alloc(n, PIXELS, "the data set", e);
    if (!m->px[s] || !rt_mat_bytes(mat, m->px[s], (size_t)a->count, e)) return false;
    m->n[s] = (int64_t)n;
    for (uint64_t i = 0; i < n; i++) turn(m->px[s] + i * PIXELS);
    return true;
}

static bool read_labels(RtMemory *m, enum RtSplit s, RtMat *mat, const RtMatArray *a, const char *path, int64_t *n,
                        RtError *e)
{
    if (m->label[s]) return wrong(path, "y is there twice", e);
    if (a->count / 1032 > rt_mat_size(mat)) return wrong(path, "y is larger than the file can hold", e);
    m->label[s] = rt_data_alloc(a->count, 1, "the labels", e);
    *n = (int64_t)a->count;
    for (uint64_t i = 0; m->label[s] && i < a->count; i++) {
        double v;
        if (!rt_mat_read(mat, &v, 1, e)) return false;
        if (!(v >= 1 && v <= 10) || v != (double)(int)v)
            return rt_data_fail(e, RT_EXIT_DATA, "D009", "'%s': item %" PRIu64 ": label %g, not 1..10 (10: digit 0)",
                                rt_esc(path), i, v);
        m->label[s][i] = (uint8_t)((int)v % 10);
    }
    return m->label[s] != NULL;
}

static bool read_set(RtMemory *m, enum RtSplit s, const char *root, const char *file, RtError *e)
{
    RtMatArray a;
    char *path = rt_path_join(root, file, e);
    RtMat *mat = path ? rt_mat_open(path, e) : NULL;
    int64_t labels = -1;
    int state = mat ? 1 : -1;
    while (state == 1 && (state = rt_mat_next(mat, &a, e)) == 1) {
        bool ok = strcmp(a.name, "X") == 0   ? read_pixels(m, s, mat, &a, path, e)
                  : strcmp(a.name, "y") == 0 ? read_labels(m, s, mat, &a, path, &labels, e)
                                             : true;
        if (!ok) state = -1;
    }
    bool ok = state == 0;
    if (ok && (!m->px[s] || labels < 0)) ok = wrong(path, m->px[s] ? "it holds no y" : "it holds no X", e);
    if (ok && labels != m->n[s])
        ok = rt_data_fail(e, RT_EXIT_DATA, "D007", "'%s': %" PRId64 " images but %" PRId64 " labels", rt_esc(path),
                          m->n[s], labels);
    rt_mat_close(mat);
    free(path);
    return ok;
}

static bool open_svhn(RtData *d, const RtDataConfig *c, RtError *e)
{
    RtMemory *m = rt_memory_new(d, e);
    RtNames *names = m ? rt_data_alloc(1, sizeof *names, "class names", e) : NULL;
    if (!names) return false;
    m->c = 3;
    m->h = m->w = SIDE;
    for (names->n = 0; names->n < 10; names->n++) {
        names->text[2 * names->n] = (char)('0' + names->n);
        names->name[names->n] = &names->text[2 * names->n];
    }
    bool ok = read_set(m, RT_SPLIT_TRAIN, c->root, "train_32x32.mat", e) &&
              read_set(m, RT_SPLIT_TEST, c->root, "test_32x32.mat", e) &&
              rt_memory_open(d, c, names, "train_32x32.mat", e);
    free(names);
    return ok;
}

const RtFormat rt_format_svhn = {open_svhn};
