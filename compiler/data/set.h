/* A data set that somebody wants to look at: a folder, or what a description's data block names. */
#ifndef DATA_SET_H
#define DATA_SET_H
#include "runtime/data/internal.h"
#include "support/arena.h"

typedef struct DataSet {
    Arena *arena;
    RtDataConfig config; /* of the description, or of the guess; sizes and channels are not checked */
    bool guessed;        /* the format */
    const char *json;    /* --json F */
    const char *out;     /* -o F */
    bool force, help;
} DataSet;

/* The words behind a verb; exits 2 when they make no sense. `own` is asked first about an option (may be NULL): false:
 * not mine. */
void set_place(DataSet *s, const char *place);
void set_parse(DataSet *s, const char *verb, int argc, char **argv,
               bool (*own)(DataSet *s, const char *flag, const char *value));
RtData *set_open(DataSet *s); /* exits when it cannot */
/* data.format of a folder, by the names of what lies in it; never NULL. */
const char *set_guess(const char *root);
int set_item_size(const RtData *d, int64_t item, int *h, int *w); /* -> channels */
int64_t *set_counts(const RtData *d, enum RtSplit s); /* items of each class; of masks, those that hold it; malloc */
#endif
