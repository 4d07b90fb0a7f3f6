/* Street scenes as Cityscapes lays them out, which the India Driving Dataset (IDD) follows:
 * root/leftImg8bit/{train,val}/CITY/X_leftImg8bit.png beside root/gtFine/{train,val}/CITY/X_gtFine_labelIds.png.
 *
 * rule: numbers of labelIds that the benchmarks do not count are no class: of Cityscapes' 34 there remain 19, of IDD's 40
 * the 26 of its level 3. data.class_map chooses others. The test sets' labels are not public; the folder is left out.
 */
#include "mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Street {
    RtMaskKind kind;
    const char *suffix; /* of a mask */
} Street;

static const Street
    cityscapes = {{"7=road,8=sidewalk,11=building,12=wall,13=fence,17=pole,19=traffic light,20=traffic sign,"
                   "21=vegetation,22=terrain,23=sky,24=person,25=rider,26=car,27=truck,28=bus,31=train,32=motorcycle,"
                   "33=bicycle",
                   false, false},
                  "_gtFine_labelIds.png"},
    idd = {{"0=road,1=drivable fallback,2=drivable fallback,3=sidewalk,4=non-drivable fallback,5=non-drivable fallback,"
            "6=person,7=person,8=rider,9=motorcycle,10=bicycle,11=autorickshaw,12=car,13=truck,14=bus,"
            "15=vehicle fallback,16=vehicle fallback,17=vehicle fallback,18=vehicle fallback,19=curb,20=wall,21=fence,"
            "22=guard rail,23=billboard,24=traffic sign,25=traffic light,26=pole,27=pole,28=obs-str-bar-fallback,"
            "29=building,30=bridge,31=bridge,32=vegetation,33=sky,34=sky",
            false, false},
           "_gtFine_labelids.png"};

static const char image_suffix[] = "_leftImg8bit.";

static bool too_long(const char *name, RtError *e)
{
    return rt_data_fail(e, RT_EXIT_DATA, "D001", "path too long: '%s'", rt_esc(name));
}

static bool add_image(RtData *d, const Street *k, const char *below, const char *name, int split, RtError *e)
{
    char image[4096], mask[4096];
    const char *end = strstr(name, image_suffix);
    int stem = (int)(end - name);
    int a = snprintf(image, sizeof image, "leftImg8bit/%s/%s", below, name),
        b = snprintf(mask, sizeof mask, "gtFine/%s/%.*s%s", below, stem, name, k->suffix);
    if (a >= (int)sizeof image || b >= (int)sizeof mask) return too_long(name, e);
    return rt_files_add(d, image, mask, 0, split, e);
}

/* Names in leftImg8bit/below; cities: those of folders. */
static bool list(RtData *d, const char *below, RtList *l, RtError *e)
{
    char shown[2048];
    if (snprintf(shown, sizeof shown, "leftImg8bit/%s", below) >= (int)sizeof shown) return too_long(below, e);
    char *path = rt_path_join(((const RtFolder *)d->source)->root, shown, e);
    bool ok = path && rt_list_dir(path, shown, l, e);
    free(path);
    return ok;
}

static bool add_city(RtData *d, const Street *k, const char *below, int split, int64_t *others, RtError *e)
{
    RtList l;
    if (!list(d, below, &l, e)) return false;
    bool ok = true;
    for (int64_t i = 0; ok && i < l.n; i++) {
        if (strstr(l.name[i], image_suffix) && rt_is_image_name(l.name[i]))
            ok = add_image(d, k, below, l.name[i], split, e);
        else
            ++*others;
    }
    rt_list_free(&l);
    return ok;
}

static bool add_split(RtData *d, const Street *k, const char *word, int split, RtError *e)
{
    RtList l;
    int64_t others = 0;
    if (!list(d, word, &l, e)) return false;
    bool ok = true;
    for (int64_t i = 0; ok && i < l.n; i++) {
        char below[1024];
        if (snprintf(below, sizeof below, "%s/%s", word, l.name[i]) >= (int)sizeof below)
            ok = too_long(l.name[i], e);
        else
            ok = add_city(d, k, below, split, &others, e);
    }
    rt_list_free(&l);
    if (others) rt_data_note(d, "note: %lld other files in leftImg8bit/%s left out", (long long)others, word);
    return ok;
}

static bool open_street(RtData *d, const RtDataConfig *c, const Street *k, RtError *e)
{
    return rt_masks_open(d, c, &k->kind, e) && add_split(d, k, "train", RT_SPLIT_TRAIN, e) &&
           add_split(d, k, "val", RT_SPLIT_VAL, e) && rt_masks_close(d, c, e);
}

static bool open_cityscapes(RtData *d, const RtDataConfig *c, RtError *e)
{
    return open_street(d, c, &cityscapes, e);
}

static bool open_idd(RtData *d, const RtDataConfig *c, RtError *e)
{
    return open_street(d, c, &idd, e);
}

const RtFormat rt_format_cityscapes = {open_cityscapes};
const RtFormat rt_format_idd = {open_idd};
