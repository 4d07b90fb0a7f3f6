/* YAML: libyaml's events -> a tree in which every node has its place.
 * In: a path. Out: Yaml, or NULL after a diag_error.
 * Rule: the file is untrusted. Size, nesting, aliases and the expanded tree are bounded here,
 * before anything walks the tree; libyaml itself is quadratic in nesting, so the cap must stop the
 * parser early. Not here: what a scalar means (expr.c), which keys are legal (schema.c), reading
 * bytes (yaml_file.c). */
#include "spec/yaml_file.h"
#include "spec/yaml_tree.h"
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MAX_DEPTH = 64, MAX_ALIASES = 1000, MAX_NODES = 100000 };

typedef struct Anchor {
    const char *name;
    Yaml *node;
    Loc loc;
    bool open; /* its node is still being read: an alias now would be a cycle */
} Anchor;

typedef struct Parser {
    Arena *arena;
    yaml_parser_t lib;
    const char *file, *text;
    size_t len;
    VEC(Anchor) anchor;
    int aliases, nodes;
    int line; /* where the last event ended */
} Parser;

static Loc mark_loc(const Parser *p, yaml_mark_t m)
{
    return (Loc){p->file, (int)m.line + 1, (int)m.column + 1, 1};
}

static Loc event_loc(const Parser *p, const yaml_event_t *e)
{
    Loc loc = mark_loc(p, e->start_mark);
    if (e->end_mark.line == e->start_mark.line && e->end_mark.column > e->start_mark.column)
        loc.len = (int)(e->end_mark.column - e->start_mark.column);
    return loc;
}

/* What libyaml says, at its mark; reader errors only have a byte offset. */
static void syntax_error(Parser *p)
{
    const yaml_parser_t *lib = &p->lib;
    if (lib->error == YAML_MEMORY_ERROR) fatal(EXIT_MEMORY, "cannot allocate memory for YAML");
    Loc loc = mark_loc(p, lib->problem_mark);
    if (lib->error == YAML_READER_ERROR)
        loc = yaml_file_place(p->file, p->text, lib->problem_offset);
    diag_error(loc, "S004", "%s", lib->problem ? lib->problem : "not valid YAML");
    size_t at = yaml_file_offset(p->text, p->len, loc);
    if (at < p->len && p->text[at] == '\t')
        diag_help("YAML is indented with spaces, never with tabs");
    if (at < p->len && p->text[at] == '[')
        diag_help("inside {...} quote what holds brackets: n: \"list[1] * 2\"");
    if (lib->context && lib->error != YAML_READER_ERROR)
        diag_note(mark_loc(p, lib->context_mark), "%s", lib->context);
}

static bool next(Parser *p, yaml_event_t *e)
{
    if (yaml_parser_parse(&p->lib, e)) return true;
    syntax_error(p);
    return false;
}

static bool check_tag(const Parser *p, const yaml_event_t *e, const yaml_char_t *tag,
                      bool *required)
{
    if (!tag) return true;
    if (required && strcmp((const char *)tag, "!required") == 0) {
        *required = true;
        return true;
    }
    diag_error(event_loc(p, e), "S014", "tags are not allowed");
    diag_help("the only tag is !required, for an argument of a block");
    return false;
}

static bool count_nodes(Parser *p, Loc loc, int more)
{
    p->nodes += more;
    if (p->nodes <= MAX_NODES) return true;
    diag_error(loc, "S008", "aliases expand to more than %d nodes", MAX_NODES);
    return false;
}

static bool check_depth(Loc loc, int depth)
{
    if (depth <= MAX_DEPTH) return true;
    diag_error(loc, "S007", "nesting deeper than %d levels", MAX_DEPTH);
    return false;
}

/* -> index of the anchor, to be closed when its node is complete; -1: none */
static int open_anchor(Parser *p, const yaml_char_t *name, Yaml *node)
{
    if (!name) return -1;
    Anchor a = {arena_strdup(p->arena, (const char *)name), node, node->loc, true};
    vec_push(p->arena, &p->anchor, a);
    return p->anchor.n - 1;
}

static Yaml *parse_alias(Parser *p, const yaml_event_t *e, int depth)
{
    const char *name = (const char *)e->data.alias.anchor;
    Loc loc = event_loc(p, e);
    const Anchor *a = NULL;
    for (int i = p->anchor.n - 1; i >= 0 && !a; i--)
        if (strcmp(p->anchor.v[i].name, name) == 0) a = &p->anchor.v[i];
    if (!a) {
        diag_error(loc, "S009", "alias '*%s' is not defined", yaml_show(p->arena, name));
        return NULL;
    }
    if (a->open) {
        diag_error(loc, "S009", "alias '*%s' refers to itself", yaml_show(p->arena, name));
        diag_note(a->loc, "the anchor is here");
        return NULL;
    }
    if (++p->aliases > MAX_ALIASES) {
        diag_error(loc, "S008", "more than %d uses of aliases", MAX_ALIASES);
        return NULL;
    }
    a->node->aliased = true;
    if (!count_nodes(p, loc, a->node->weight)) return NULL;
    return check_depth(loc, depth + a->node->height) ? a->node : NULL;
}

/* A plain value inside {...} or [...] that has an open '(': YAML has cut a call at its comma. */
static bool check_cut_call(const Parser *p, const Yaml *y, const Yaml *key)
{
    int open = 0;
    for (const char *c = y->text; *c; c++) open += (*c == '(') - (*c == ')');
    if (open <= 0) return true;
    const char *where = key ? "{...}" : "[...]";
    diag_error(y->loc, "S040", "'(' is not closed: inside %s YAML ends this value at the comma",
               where);
    const char *from = p->text + yaml_file_offset(p->text, p->len, y->loc);
    const char *end = from;
    for (open = 0; *end && *end != '\n'; end++) {
        open += (*end == '(') - (*end == ')');
        if (*end == ')' && open == 0) break;
    }
    if (*end != ')') {
        diag_help("quote the whole value");
        return false;
    }
    int n = (int)(end - from) + 1;
    if (key)
        diag_help("put `%s:` on its own line, or quote it: %s: \"%.*s\"",
                  yaml_show(p->arena, key->text), yaml_show(p->arena, key->text), n, from);
    else
        diag_help("put it on a line of its own behind `- `, or quote it: \"%.*s\"", n, from);
    return false;
}

static Yaml *parse_scalar(Parser *p, const yaml_event_t *e)
{
    Yaml *y = NEW(p->arena, Yaml);
    size_t n = e->data.scalar.length;
    *y = (Yaml){.kind = Y_SCALAR, .loc = event_loc(p, e), .weight = 1, .inner = -1};
    y->end_line = (int)e->end_mark.line + 1;
    y->text = arena_strndup(p->arena, (const char *)e->data.scalar.value, n);
    y->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (!check_tag(p, e, e->data.scalar.tag, &y->required)) return NULL;
    if (strlen(y->text) != n) { /* "\0" in quotes */
        diag_error(y->loc, "S005", "a value holds the character NUL");
        return NULL;
    }
    /* an anchor or tag before the text is part of the event; the value is its tail */
    int chars = 0, quotes = y->plain ? 0 : 1;
    for (size_t i = 0; i < n; i++) chars += ((unsigned char)y->text[i] & 0xc0) != 0x80;
    bool one_line = e->end_mark.line == e->start_mark.line;
    if (one_line && chars + 2 * quotes <= y->loc.len) {
        int skip = y->loc.len - chars - 2 * quotes;
        bool prefix = e->data.scalar.anchor || e->data.scalar.tag;
        if (skip && prefix && chars) y->loc.col += skip, y->loc.len -= skip, skip = 0;
        if (skip == 0) y->inner = quotes;
    }
    return count_nodes(p, y->loc, 1) ? y : NULL;
}

static int compare_keys(const void *a, const void *b)
{
    const Yaml *x = *(Yaml *const *)a, *y = *(Yaml *const *)b;
    int c = strcmp(x->text, y->text);
    if (c) return c;
    if (x->loc.line != y->loc.line) return x->loc.line < y->loc.line ? -1 : 1;
    return (x->loc.col > y->loc.col) - (x->loc.col < y->loc.col);
}

/* By sorting: a hostile mapping may have tens of thousands of keys. */
static bool check_duplicates(Parser *p, const Yaml *map)
{
    int n = map->key.n;
    if (n < 2) return true;
    Yaml **k = NEWN(p->arena, Yaml *, n);
    memcpy(k, map->key.v, (size_t)n * sizeof *k);
    qsort(k, (size_t)n, sizeof *k, compare_keys);
    bool ok = true;
    for (int i = 1, first = 0; i < n; i++) {
        if (strcmp(k[i]->text, k[first]->text) != 0) {
            first = i;
            continue;
        }
        ok = false;
        diag_error(k[i]->loc, "S011", "key '%s' given twice (first at line %d)",
                   yaml_show(p->arena, k[i]->text), k[first]->loc.line);
        diag_note(k[first]->loc, "the first one");
    }
    return ok;
}

static Yaml *parse_node(Parser *p, yaml_event_t *e, int depth);

/* The next node, or *end when the collection is over. */
static Yaml *parse_next(Parser *p, yaml_event_type_t stop, int depth, bool *end)
{
    yaml_event_t e;
    *end = false;
    if (!next(p, &e)) return NULL;
    Yaml *y = NULL;
    p->line = (int)e.end_mark.line + 1;
    if (e.type == stop)
        *end = true;
    else
        y = parse_node(p, &e, depth);
    yaml_event_delete(&e);
    return y;
}

static void add_below(Yaml *y, const Yaml *child)
{
    y->weight += child->weight;
    if (child->height + 1 > y->height) y->height = child->height + 1;
}

static Yaml *parse_list(Parser *p, const yaml_event_t *e, int depth)
{
    Yaml *y = NEW(p->arena, Yaml);
    *y = (Yaml){.kind = Y_LIST, .loc = mark_loc(p, e->start_mark), .weight = 1, .height = 1};
    if (!check_tag(p, e, e->data.sequence_start.tag, NULL)) return NULL;
    if (!check_depth(y->loc, depth + 1) || !count_nodes(p, y->loc, 1)) return NULL;
    bool flow = y->flow = e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    int anchor = open_anchor(p, e->data.sequence_start.anchor, y);
    for (;;) {
        bool end;
        Yaml *item = parse_next(p, YAML_SEQUENCE_END_EVENT, depth + 1, &end);
        if (end) break;
        if (!item) return NULL;
        bool cut = flow && item->kind == Y_SCALAR && item->plain;
        if (cut && !check_cut_call(p, item, NULL)) return NULL;
        vec_push(p->arena, &y->item, item);
        add_below(y, item);
    }
    if (anchor >= 0) p->anchor.v[anchor].open = false;
    y->end_line = p->line;
    return y;
}

static Yaml *parse_map(Parser *p, const yaml_event_t *e, int depth)
{
    Yaml *y = NEW(p->arena, Yaml);
    *y = (Yaml){.kind = Y_MAP, .loc = mark_loc(p, e->start_mark), .weight = 1, .height = 1};
    if (!check_tag(p, e, e->data.mapping_start.tag, NULL)) return NULL;
    if (!check_depth(y->loc, depth + 1) || !count_nodes(p, y->loc, 1)) return NULL;
    bool flow = y->flow = e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
    int anchor = open_anchor(p, e->data.mapping_start.anchor, y);
    for (;;) {
        bool end;
        Yaml *key = parse_next(p, YAML_MAPPING_END_EVENT, depth + 1, &end);
        if (end) break;
        if (!key) return NULL;
        if (key->kind != Y_SCALAR) {
            diag_error(key->loc, "S014", "a key must be a word");
            return NULL;
        }
        Yaml *value = parse_next(p, YAML_NO_EVENT, depth + 1, &end);
        if (!value) return NULL;
        bool cut = flow && value->kind == Y_SCALAR && value->plain;
        if (cut && !check_cut_call(p, value, key)) return NULL;
        vec_push(p->arena, &y->key, key);
        vec_push(p->arena, &y->item, value);
        y->weight++;
        add_below(y, value);
    }
    if (anchor >= 0) p->anchor.v[anchor].open = false;
    y->end_line = p->line;
    return check_duplicates(p, y) ? y : NULL;
}

static Yaml *parse_node(Parser *p, yaml_event_t *e, int depth)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return parse_alias(p, e, depth);
    case YAML_SEQUENCE_START_EVENT:
        return parse_list(p, e, depth);
    case YAML_MAPPING_START_EVENT:
        return parse_map(p, e, depth);
    default:
        break;
    }
    Yaml *y = parse_scalar(p, e);
    int anchor = y ? open_anchor(p, e->data.scalar.anchor, y) : -1;
    if (anchor >= 0) p->anchor.v[anchor].open = false;
    return y;
}

/* One document and nothing behind it. */
static Yaml *parse_stream(Parser *p)
{
    Yaml *root = NULL;
    int documents = 0;
    for (bool end = false; !end;) {
        yaml_event_t e;
        if (!next(p, &e)) return NULL;
        bool ok = true;
        if (e.type == YAML_STREAM_END_EVENT) {
            end = true;
        } else if (e.type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
            diag_error(event_loc(p, &e), "S010", "only one document is allowed in a description");
            ok = false;
        } else if (e.type == YAML_ALIAS_EVENT || e.type == YAML_SCALAR_EVENT ||
                   e.type == YAML_SEQUENCE_START_EVENT || e.type == YAML_MAPPING_START_EVENT) {
            root = parse_node(p, &e, 0);
            ok = root != NULL;
        }
        yaml_event_delete(&e);
        if (!ok) return NULL;
    }
    if (!root || root->kind != Y_MAP) {
        Loc loc = root ? root->loc : (Loc){p->file, 1, 1, 1};
        if (!root || yaml_is_null(root))
            diag_error(loc, "S003", "spec is empty: expected a mapping with 'model'");
        else
            diag_error(loc, "S003", "a description is a mapping with 'input' and 'model'");
        return NULL;
    }
    return root;
}

Yaml *yaml_read(Arena *a, const char *path, const char *shown)
{
    Parser p = {.arena = a, .file = arena_strdup(a, shown)};
    p.text = yaml_file_read(a, path, p.file, &p.len);
    if (!p.text) return NULL;
    if (!yaml_parser_initialize(&p.lib)) fatal(EXIT_MEMORY, "cannot allocate memory for YAML");
    yaml_parser_set_encoding(&p.lib, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p.lib, (const unsigned char *)p.text, p.len);
    Yaml *root = parse_stream(&p);
    yaml_parser_delete(&p.lib);
    return root;
}
