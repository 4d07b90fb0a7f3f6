/* Between folder.c, which finds the files, and files.c, which checks and decodes them. */
#ifndef RUNTIME_DATA_FOLDER_H
#define RUNTIME_DATA_FOLDER_H
#include "internal.h"

#include <stdatomic.h>

typedef struct RtFile {
    char *path; /* below the root */
    int32_t label;
    uint8_t split;            /* directory it was found in; RT_NSPLITS: to be dealt out */
    int h, w;                 /* of the pixels in the cache, after the shared operators */
    uint64_t size, hash;      /* of the file, at the start */
    _Atomic(uint8_t *) cache; /* decoded pixels, once somebody needed them */
} RtFile;

typedef struct RtFolder {
    char *root;
    int64_t n, cap;
    RtFile *file;
    atomic_ullong cached; /* bytes */
} RtFolder;

char *rt_path_join(const char *a, const char *b, RtError *e);

/* Reads every file once. Bad ones are dropped, listed and counted, up to c->max_bad of them. */
bool rt_files_check(RtData *d, const RtDataConfig *c, RtError *e);
/* A warning if the same bytes lie in two splits. */
void rt_files_duplicates(RtData *d);
bool rt_files_fetch(RtData *d, int64_t item, RtPixels *out, uint8_t **owned, RtError *e);
#endif
