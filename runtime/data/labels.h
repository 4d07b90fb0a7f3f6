/* Names of numbered classes: of the formats whose labels are numbers 0..255. */
#ifndef RUNTIME_DATA_LABELS_H
#define RUNTIME_DATA_LABELS_H
#include "internal.h"

enum { RT_MAX_LABELS = 256, RT_MAX_NAMES = 1 << 16 };

typedef struct RtNames {
    int n; /* 0: not known */
    const char *name[RT_MAX_LABELS];
    char text[RT_MAX_NAMES + 1];
} RtNames;

/* The lines of root/file; no such file: n = 0. */
bool rt_names_read(RtNames *names, const char *root, const char *file, RtError *e);
/* Sets d's classes: `base` numbers, or those of c->classes. map[number] = class, -1: not selected. */
bool rt_names_select(RtData *d, const RtDataConfig *c, const RtNames *names, int base, int *map,
                     RtError *e);
#endif
