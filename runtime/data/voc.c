/* PASCAL VOC's segmentation: root/JPEGImages/NAME.jpg, root/SegmentationClass/NAME.png, and which of them are of
 * train, val and test in root/ImageSets/Segmentation/{train,val,test}.txt. root may be the folder above VOCdevkit.
 *
 * rule: a mask's palette index is its class, 255 (the border) none; masks in VOC's colours mean the same. The test set's
 * masks are not public: without them there is no test split.
 */
#include "mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const RtMaskKind kind = {
    "0=background,1=aeroplane,2=bicycle,3=bird,4=boat,5=bottle,6=bus,7=car,8=cat,9=chair,10=cow,11=diningtable,12=dog,"
    "13=horse,14=motorbike,15=person,16=pottedplant,17=sheep,18=sofa,19=train,20=tvmonitor",
    true, true};

static bool has_mask(const RtFolder *src, const char *mask)
{
    RtError ignored;
    char *path = rt_path_join(src->root, mask, &ignored);
    bool yes = path && access(path, F_OK) == 0;
    free(path);
    return yes;
}

/* One name of a list. *go: the split's masks are there at all. */
static bool add_name(RtData *d, const char *list, int line, const char *name, int split, bool *go, RtError *e)
{
    char image[512], mask[512];
    if (strchr(name, '/') || *name == '.' || strlen(name) > 255)
        return rt_data_fail(e, RT_EXIT_DATA, "D021", "%s:%d: path leaves the data directory", rt_esc(list), line);
    snprintf(image, sizeof image, "JPEGImages/%s.jpg", name);
    snprintf(mask, sizeof mask, "SegmentationClass/%s.png", name);
    if (split == RT_SPLIT_TEST && *go && !has_mask(d->source, mask)) {
        *go = false;
        rt_data_note(d, "note: the test set has no masks: there is no test split");
    }
    return !*go || rt_files_add(d, image, mask, 0, split, e);
}

static bool read_list(RtData *d, const char *word, int split, RtError *e)
{
    char list[64], *text = NULL;
    const RtFolder *src = d->source;
    snprintf(list, sizeof list, "ImageSets/Segmentation/%s.txt", word);
    char *path = rt_path_join(src->root, list, e);
    if (!path) return false;
    bool there = split == RT_SPLIT_TRAIN || access(path, F_OK) == 0;
    RtSource *s = there ? rt_source_open(path, false, e) : NULL;
    free(path);
    if (!there) return true;
    size_t n = s ? (size_t)rt_source_size(s) : 0;
    bool ok = s && (text = rt_data_alloc(n + 1, 1, "a list", e)) && rt_source_read(s, text, n, e) >= 0, go = true;
    rt_source_close(s);
    int line = 1;
    for (char *p = text; ok && p && *p; line++) {
        char *next = strchr(p, '\n');
        if (next) *next++ = 0;
        p[strcspn(p, " \t\r")] = 0;
        if (*p) ok = add_name(d, list, line, p, split, &go, e);
        p = next;
    }
    free(text);
    return ok;
}

static bool open_voc(RtData *d, const RtDataConfig *c, RtError *e)
{
    static const char *const below[] = {"VOCdevkit/VOC2012", "VOCdevkit/VOC2007", "VOC2012", "VOC2007"};
    if (!rt_masks_open(d, c, &kind, e)) return false;
    RtFolder *src = d->source;
    for (size_t i = 0; i < sizeof below / sizeof *below && !has_mask(src, "ImageSets"); i++) {
        char *root = rt_path_join(c->root, below[i], e);
        if (!root) return false;
        if (!rt_is_dir(root)) {
            free(root);
            continue;
        }
        free(src->root);
        src->root = root;
    }
    return read_list(d, "train", RT_SPLIT_TRAIN, e) && read_list(d, "val", RT_SPLIT_VAL, e) &&
           read_list(d, "test", RT_SPLIT_TEST, e) && rt_masks_close(d, c, e);
}

const RtFormat rt_format_voc_segmentation = {open_voc};
