/* A YAML file as a tree in which every node knows its place. Made by yaml.c; the only header that
 * the rest of spec/ needs of YAML. Aliases share the node that they name, so a Loc is always where
 * the text stands. */
#ifndef SPEC_YAML_TREE_H
#define SPEC_YAML_TREE_H
#include "support/arena.h"
#include "support/diag.h"
#include "support/vec.h"

typedef enum YamlKind { Y_SCALAR, Y_LIST, Y_MAP } YamlKind;

typedef struct Yaml Yaml;
struct Yaml {
    YamlKind kind;
    Loc loc;          /* a scalar's own characters; the first character of a list or mapping */
    const char *text; /* scalar */
    bool plain;       /* scalar without quotes */
    bool required;    /* tag !required */
    bool flow;        /* list or mapping in brackets */
    bool aliased;     /* an alias names it */
    int end_line;     /* the last line that it takes */
    int inner; /* column of text[0] minus loc.col; -1: columns inside the text are not known */
    VEC(Yaml *) key;  /* mapping: scalars */
    VEC(Yaml *) item; /* list: items; mapping: values */
    int weight;       /* nodes below and including this one, aliases expanded */
    int height;       /* levels of lists and mappings from here down */
};

/* Reads and checks the file, which messages call `shown`; NULL after a diag_error. */
Yaml *yaml_read(Arena *a, const char *path, const char *shown);
Yaml *yaml_get(const Yaml *map, const char *key); /* value or NULL */
/* A plain scalar that stands in no file of YAML (a value of --set). */
Yaml *yaml_scalar(Arena *a, const char *text, Loc loc);
Yaml *yaml_map(Arena *a, Loc loc);
void yaml_put(Arena *a, Yaml *map, Yaml *key, Yaml *value); /* replaces or appends */
bool yaml_is_null(const Yaml *y);                           /* nothing, ~, null */
/* Text of at most 80 bytes for a message. */
const char *yaml_show(Arena *a, const char *text);
#endif
