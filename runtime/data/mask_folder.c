/* Folders of images and of masks: root/images/NAME.jpg beside root/masks/NAME.png, dealt out by fractions, or
 * root/{train,val,test}/{images,masks} taken as they are.
 *
 * rule: the mask of images/NAME.* is masks/NAME.png. not here: what is in the masks (mask.c).
 */
#include "mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_pair(RtData *d, const char *below, const char *name, int split, RtError *e)
{
    char image[4096], mask[4096];
    size_t stem = strrchr(name, '.') ? (size_t)(strrchr(name, '.') - name) : strlen(name);
    int a = snprintf(image, sizeof image, "%simages/%s", below, name),
        b = snprintf(mask, sizeof mask, "%smasks/%.*s.png", below, (int)stem, name);
    if (a >= (int)sizeof image || b >= (int)sizeof mask)
        return rt_data_fail(e, RT_EXIT_DATA, "D001", "path too long: '%s'", rt_esc(name));
    return rt_files_add(d, image, mask, 0, split, e);
}

/* below: "", "train/", ... A folder without images is passed over. */
static bool add_folder(RtData *d, const char *below, int split, RtError *e)
{
    RtList l;
    char shown[32];
    snprintf(shown, sizeof shown, "%simages", below);
    char *path = rt_path_join(((const RtFolder *)d->source)->root, shown, e);
    if (!path) return false;
    bool there = rt_is_dir(path), ok = !there || rt_list_dir(path, shown, &l, e);
    free(path);
    if (!there || !ok) return ok;
    int64_t others = 0;
    for (int64_t i = 0; ok && i < l.n; i++) {
        if (rt_is_image_name(l.name[i]))
            ok = add_pair(d, below, l.name[i], split, e);
        else
            others++;
    }
    rt_list_free(&l);
    if (others) rt_data_note(d, "note: %lld files in %s that are not images left out", (long long)others, shown);
    return ok;
}

static bool open_folder(RtData *d, const RtDataConfig *c, RtError *e)
{
    static const RtMaskKind kind = {0};
    return rt_masks_open(d, c, &kind, e) && add_folder(d, "", RT_NSPLITS, e) &&
           add_folder(d, "train/", RT_SPLIT_TRAIN, e) && add_folder(d, "val/", RT_SPLIT_VAL, e) &&
           add_folder(d, "test/", RT_SPLIT_TEST, e) && rt_masks_close(d, c, e);
}

const RtFormat rt_format_mask_folder = {open_folder};
