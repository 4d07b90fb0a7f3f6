/* The files of a description: the one that was named and those that it imports. Private to spec/.
 */
#ifndef SPEC_UNIT_H
#define SPEC_UNIT_H
#include "spec/spec.h"

typedef struct Import {
    const char *name;
    const Unit *unit; /* NULL: it could not be read, which was said */
} Import;

struct Unit {
    const char *shown; /* as messages call it */
    const char *path;  /* resolved */
    Yaml *root;
    bool std;  /* shipped with the compiler */
    bool open; /* its imports are being read: an import of it would be a cycle */
    VEC(Import) import;
};

/* Reads what the file s->own imports, and what those import. */
void unit_read(Spec *s);
const Import *unit_find(const Unit *u, const char *name); /* NULL: no such import */
/* A file of a folder that comes with the compiler (models, templates): in the source tree or where
 * it is installed. NULL: it is not there. */
const char *unit_shipped(Arena *a, const char *folder, const char *file);
/* `spec`, unknown keys, blocks: what every file must obey. */
void unit_check(Spec *s, const Unit *u);
#endif
