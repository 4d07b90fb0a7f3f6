/* Masks as labels: between the formats that find pairs of image and mask, and mask.c, which reads the masks. */
#ifndef RUNTIME_DATA_MASK_H
#define RUNTIME_DATA_MASK_H
#include "folder.h"

/* What a format knows of its masks. */
typedef struct RtMaskKind {
    const char *map; /* as data.class_map, "7=road,8=sidewalk"; NULL: numbers 0,1,2,... */
    bool strict;     /* a number without a class is an error; else it is no class, and counted */
    bool voc;        /* masks in colours have PASCAL VOC's */
} RtMaskKind;

/* The format's beginning: files are added with rt_files_add after it. */
bool rt_masks_open(RtData *d, const RtDataConfig *c, const RtMaskKind *kind, RtError *e);
/* Its end: reads every image and mask once, deals out the splits. */
bool rt_masks_close(RtData *d, const RtDataConfig *c, RtError *e);
#endif
