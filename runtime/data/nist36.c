/* NIST36, characters A-Z and 0-9 (a course's set): root/nist36_{train,valid,test}.mat, of {train,valid,test}_data [N,1024]
 * and _labels [N,36].
 *
 * rule: an image's 1024 numbers are column after column, of 0..1; they become 8 bits. A row of labels has a single 1.
 * A missing file of valid or test means that there is no such split (val is then taken out of train).
 */
#include "folder.h"
#include "mat.h"
#include "memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDE = 32, AREA = SIDE * SIDE, CLASSES = 36 };

static bool wrong(const char *path, const char *name, const char *why, RtError *e)
{
    return rt_data_fail(e, RT_EXIT_DATA, "D003", "'%s': %s %s", rt_esc(path), name, why);
}

/* a is [n, width], so that the file holds pixel 0 of all items first. */
static bool read_pixels(RtMemory *m, enum RtSplit s, RtMat *mat, const RtMatArray *a, const char *path, RtError *e)
{
    uint64_t n = a->dim[0];
    double *row = rt_data_alloc(n, sizeof *row, "a column", e);
    bool ok = row && rt_memory_alloc(m, s, n, e);
    for (int p = 0; ok && p < AREA; p++) {
        ok = rt_mat_read(mat, row, n, e);
        int to = p % SIDE * SIDE + p / SIDE;
        for (uint64_t i = 0; ok && i < n; i++) {
            if (!(row[i] >= 0 && row[i] <= 1))
                ok = rt_data_fail(e, RT_EXIT_DATA, "D003", "'%s': item %" PRIu64 ": pixel %g, not 0..1", rt_esc(path), i,
                                  row[i]);
            m->px[s][i * AREA + (uint64_t)to] = ok ? (uint8_t)lrint(255 * row[i]) : 0;
        }
    }
    free(row);
    return ok;
}

static bool read_labels(uint8_t *label, RtMat *mat, const RtMatArray *a, const char *path, RtError *e)
{
    uint64_t n = a->dim[0];
    double *row = rt_data_alloc(n, sizeof *row, "a column", e);
    bool ok = row != NULL;
    memset(label, 255, n);
    for (int k = 0; ok && k < CLASSES; k++) {
        ok = rt_mat_read(mat, row, n, e);
        for (uint64_t i = 0; ok && i < n; i++) {
            if (row[i] == 0) continue;
            ok = row[i] == 1 && label[i] == 255;
            label[i] = (uint8_t)k;
            if (!ok)
                rt_data_fail(e, RT_EXIT_DATA, "D009", "'%s': item %" PRIu64 ": its labels are not a single 1",
                             rt_esc(path), i);
        }
    }
    for (uint64_t i = 0; ok && i < n; i++)
        if (label[i] == 255)
            ok = rt_data_fail(e, RT_EXIT_DATA, "D009", "'%s': item %" PRIu64 " has no label", rt_esc(path), i);
    free(row);
    return ok;
}

typedef struct Set {
    char data[24], labels[24];
    uint8_t *label;
    uint64_t nlabels;
} Set;

static bool read_array(RtMemory *m, enum RtSplit s, Set *set, RtMat *mat, const RtMatArray *a, const char *path,
                       RtError *e)
{
    bool data = !strcmp(a->name, set->data), labels = !strcmp(a->name, set->labels);
    if (!data && !labels) return true;
    if (a->ndims != 2 || a->dim[1] != (data ? AREA : CLASSES) || !a->count)
        return wrong(path, a->name, data ? "is not [N,1024]" : "is not [N,36]", e);
    if (a->count > (uint64_t)RT_MEMORY_MOST << 30 || a->count / 1032 > rt_mat_size(mat))
        return wrong(path, a->name, "is larger than the file can hold", e);
    if (data ? m->px[s] != NULL : set->label != NULL) return wrong(path, a->name, "is there twice", e);
    if (data) return read_pixels(m, s, mat, a, path, e);
    set->nlabels = a->dim[0];
    set->label = rt_data_alloc(a->dim[0], 1, "the labels", e);
    return set->label && read_labels(set->label, mat, a, path, e);
}

static bool read_set(RtMemory *m, enum RtSplit s, const char *root, const char *word, RtError *e)
{
    char file[32];
    Set set = {.label = NULL};
    RtMatArray a;
    snprintf(file, sizeof file, "nist36_%s.mat", word);
    snprintf(set.data, sizeof set.data, "%s_data", word);
    snprintf(set.labels, sizeof set.labels, "%s_labels", word);
    char *path = rt_path_join(root, file, e);
    if (path && s != RT_SPLIT_TRAIN && access(path, F_OK) != 0) {
        free(path);
        return true;
    }
    RtMat *mat = path ? rt_mat_open(path, e) : NULL;
    int state = mat ? 1 : -1;
    while (state == 1 && (state = rt_mat_next(mat, &a, e)) == 1)
        if (!read_array(m, s, &set, mat, &a, path, e)) state = -1;
    bool ok = state == 0;
    if (ok && (!m->px[s] || !set.label))
        ok = wrong(path, "it holds no", m->px[s] ? set.labels : set.data, e);
    if (ok && set.nlabels != (uint64_t)m->n[s])
        ok = rt_data_fail(e, RT_EXIT_DATA, "D007", "'%s': %" PRId64 " images but %" PRIu64 " labels", rt_esc(path),
                          m->n[s], set.nlabels);
    if (ok) memcpy(m->label[s], set.label, set.nlabels);
    free(set.label);
    rt_mat_close(mat);
    free(path);
    return ok;
}

static bool open_nist36(RtData *d, const RtDataConfig *c, RtError *e)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    RtMemory *m = rt_memory_new(d, e);
    RtNames *names = m ? rt_data_alloc(1, sizeof *names, "class names", e) : NULL;
    if (!names) return false;
    for (names->n = 0; names->n < CLASSES; names->n++) {
        names->text[2 * names->n] = letters[names->n];
        names->name[names->n] = &names->text[2 * names->n];
    }
    m->c = 1;
    m->h = m->w = SIDE;
    bool ok = read_set(m, RT_SPLIT_TRAIN, c->root, "train", e) && read_set(m, RT_SPLIT_VAL, c->root, "valid", e) &&
              read_set(m, RT_SPLIT_TEST, c->root, "test", e) && rt_memory_open(d, c, names, "nist36_train.mat", e);
    free(names);
    return ok;
}

const RtFormat rt_format_nist36 = {open_nist36};
