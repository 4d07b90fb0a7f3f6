/* Between the formats that find files and files.c, which checks and decodes them. */
#ifndef RUNTIME_DATA_FOLDER_H
#define RUNTIME_DATA_FOLDER_H
#include "internal.h"

#include <stdatomic.h>

typedef struct RtMaskFile {
    char *path;          /* below the root */
    uint64_t size, hash; /* of the file, at the start */
    uint8_t seen[32];    /* a bit for each class that it has pixels of */
} RtMaskFile;

typedef struct RtFile {
    char *path;       /* below the root */
    RtMaskFile *mask; /* NULL: the label is a class */
    int32_t label;
    uint8_t channels;         /* of the file */
    uint8_t split;            /* directory it was found in; RT_NSPLITS: to be dealt out */
    RtImageInfo info;         /* what the check found */
    int h, w;                 /* of the pixels in the cache, after the shared operators */
    uint64_t size, hash;      /* of the file, at the start */
    _Atomic(uint8_t *) cache; /* decoded pixels, once somebody needed them */
} RtFile;

typedef struct RtMasks RtMasks;
typedef struct RtFolder {
    char *root;
    /* Of masks, else NULL: looks at one for the first time; reads it again (h, w: of its image). */
    RtMasks *masks;
    bool (*check_mask)(RtData *d, RtMaskFile *f, int h, int w, RtError *e);
    bool (*read_mask)(RtData *d, RtMaskFile *f, int h, int w, RtImage *mask, RtError *e);
    int64_t n, cap;
    RtFile *file;
    atomic_ullong cached;      /* bytes */
    unsigned long long cache; /* most of them */
} RtFolder;

/* ---- list.c ---- */
typedef struct RtList {
    int64_t n, cap;
    char **name;
} RtList;

void rt_list_free(RtList *l);
bool rt_list_add(RtList *l, const char *name, RtError *e);
/* Names in a directory, sorted; `shown` is for messages. */
bool rt_list_dir(const char *path, const char *shown, RtList *l, RtError *e);
bool rt_is_dir(const char *path);
bool rt_is_image_name(const char *name);
bool rt_cannot_read(const char *name, int error, RtError *e); /* D002, D022; always false */

/* ---- files.c ---- */
char *rt_path_join(const char *a, const char *b, RtError *e);

/* An empty list below c->root; sets what d needs of a format but the splits. */
bool rt_files_open(RtData *d, const RtDataConfig *c, RtError *e);
/* mask may be NULL. split: RT_NSPLITS: to be dealt out. */
bool rt_files_add(RtData *d, const char *path, const char *mask, int32_t label, int split, RtError *e);
/* Deals the files out: those of no split by the fractions; a val that nobody gave is taken out of train. */
bool rt_files_split(RtData *d, const RtDataConfig *c, RtError *e);
bool rt_files_read(const RtFolder *src, const char *path, uint8_t **bytes, size_t *n, uint64_t *hash, RtError *e);

/* Reads every file once. Bad ones are dropped, listed and counted, up to c->max_bad of them. */
bool rt_files_check(RtData *d, const RtDataConfig *c, RtError *e);
bool rt_files_fetch(RtData *d, int64_t item, RtFetched *out, RtError *e);
#endif
