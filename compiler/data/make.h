/* Data sets that are drawn: the order, and the kinds that can be made.
 *
 * rule: an item depends on (kind, seed, split, item) and the order's values alone, whatever was drawn before it; the
 * folder appears under its name when all of it is there */
#ifndef DATA_MAKE_H
#define DATA_MAKE_H
#include <stdint.h>

typedef struct Make {
    const char *kind;
    const char *path; /* to write to: a folder that is there, or a page's file */
    const char *text; /* page: file to take the text from; NULL: one that is built in */
    int count, size;
    uint64_t seed;
} Make;

enum { MAKE_TRAIN, MAKE_VAL, MAKE_TEST, MAKE_NSPLITS };
extern const char *const make_splits[MAKE_NSPLITS];
int make_share(int split, int count); /* of `count` items of train: as many, a third, a third */
/* A folder below the order's path, with what leads to it. */
void make_dir(const Make *m, const char *below);

/* -> what was written, to go on behind "DIR: "; from malloc. */
char *make_glyphs(const Make *m);
char *make_shapes(const Make *m);
char *make_scenes(const Make *m);
char *make_page(const Make *m);
#endif
