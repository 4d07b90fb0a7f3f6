/* The canonical arrangement of a description: two spaces for each level, one item a line, what was
 * in brackets stays on one line where it fits into 100 columns; quotes only where they are needed;
 * at most one empty line; comments in front of the item that follows them or behind the one they
 * stand beside, those of neighbouring lines below each other.
 * In: a file. Out: text that says the same. Rule: values are not touched, and what cannot be kept
 * (anchors) is refused. Not here: comments in the source (fmt_comments.c). */
#include "spec/fmt.h"
#include "ops/op.h"
#include "spec/expr.h"
#include "spec/fmt_comments.h"
#include "spec/yaml_file.h"
#include "support/buf.h"
#include <string.h>

enum { WIDTH = 100 };

typedef struct Line {
    const char *text, *comment; /* comment NULL: none */
} Line;

typedef struct Fmt {
    Arena *a;
    Comments *c;
    VEC(Line) line;
    bool long_form;
} Fmt;

static const char *pad(Fmt *f, int n)
{
    return arena_printf(f->a, "%*s", n, "");
}

/* ---- scalars ---- */

static bool is_plain(const char *t, bool flow)
{
    size_t n = strlen(t);
    if (n == 0 || strcmp(t, "~") == 0 || strcmp(t, "null") == 0) return false;
    bool first = strchr("_(./", *t) || (*t >= '0' && *t <= '9') || (*t >= 'a' && *t <= 'z') ||
                 (*t >= 'A' && *t <= 'Z') || (*t == '-' && n > 1 && t[1] != ' ');
    if (!first || t[n - 1] == ' ' || t[n - 1] == ':') return false;
    for (const char *c = t; *c; c++) {
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f) return false;
        if ((*c == ':' || *c == '"' || *c == '\'') && (c[1] == ' ' || flow)) return false;
        if (*c == '#' && c > t && c[-1] == ' ') return false;
        if (flow && strchr(",[]{}", *c)) return false;
    }
    return true;
}

static const char *quoted(Fmt *f, const char *t)
{
    Buf b = {0};
    buf_putc(&b, '"');
    for (; *t; t++) {
        if (*t == '"' || *t == '\\') buf_putc(&b, '\\');
        if (*t == '\n')
            buf_puts(&b, "\\n");
        else if ((unsigned char)*t < 0x20)
            buf_printf(&b, "\\x%02x", (unsigned char)*t);
        else
            buf_putc(&b, *t);
    }
    buf_putc(&b, '"');
    const char *s = arena_strdup(f->a, b.s);
    buf_free(&b);
    return s;
}

static const char *scalar(Fmt *f, const Yaml *y, bool flow)
{
    if (y->required) return flow ? "!required " : "!required";
    if (y->plain && (!flow || y->flow || is_plain(y->text, flow) || yaml_is_null(y)))
        return y->text; /* it was plain where it stood */
    return is_plain(y->text, flow) ? y->text : quoted(f, y->text);
}

/* ---- calls as mappings ---- */

static const OpDef *layer_of(const Yaml *y)
{
    size_t n = strcspn(y->text, "("), len = strlen(y->text);
    char name[64];
    if (y->kind != Y_SCALAR || y->inner < 0 || n >= sizeof name || n == len) return NULL;
    memcpy(name, y->text, n);
    name[n] = 0;
    const OpDef *op = expr_is_name(name) ? op_find(name) : NULL;
    return op && op->use == OP_LAYER && y->text[len - 1] == ')' ? op : NULL;
}

/* The characters of an argument as they stand in the call. */
static const char *source(Fmt *f, const Yaml *y, const Call *call, int i)
{
    int from = 0, to = (int)strlen(y->text) - 1;
    const CallArg *arg = &call->arg.v[i];
    Loc loc = expr_loc(arg->term);
    from = loc.col - y->loc.col - y->inner;
    if (i + 1 < call->arg.n) {
        const CallArg *next = &call->arg.v[i + 1];
        Loc end = next->key ? next->key_loc : expr_loc(next->term);
        to = end.col - y->loc.col - y->inner;
    }
    while (to > from && strchr(" ,", y->text[to - 1])) to--;
    return arena_strndup(f->a, y->text + from, (size_t)(to - from));
}

static bool is_ascii(const char *s)
{
    while (*s && (unsigned char)*s < 0x80) s++;
    return *s == 0;
}

typedef VEC(const char *) Pairs; /* "key: value" */

/* false: it is no call of a layer */
static bool long_call(Fmt *f, const Yaml *y, Pairs *out)
{
    const OpDef *op = layer_of(y);
    const Call *call = op && is_ascii(y->text) ? expr_parse_call(f->a, y, false) : NULL;
    if (!call) return false;
    vec_push(f->a, out, arena_printf(f->a, "type: %s", op->name));
    for (int i = 0, at = 0; i < call->arg.n; i++) {
        const char *key = call->arg.v[i].key, *value = source(f, y, call, i);
        if (!key && (!op->attrs || !op->attrs[at].name || op->attrs[at].hidden)) return false;
        if (!key) key = op->attrs[at++].name;
        if (!is_plain(value, true)) value = quoted(f, value);
        vec_push(f->a, out, arena_printf(f->a, "%s: %s", key, value));
    }
    return true;
}

static const char *join(Fmt *f, const Pairs *p)
{
    const char *s = "{";
    for (int i = 0; i < p->n; i++) s = arena_printf(f->a, "%s%s%s", s, i ? ", " : "", p->v[i]);
    return arena_printf(f->a, "%s}", s);
}

/* ---- collections ---- */

static const char *inline_text(Fmt *f, const Yaml *y)
{
    if (y->kind == Y_SCALAR) return scalar(f, y, true);
    bool map = y->kind == Y_MAP;
    const char *s = map ? "{" : "[";
    for (int i = 0; i < y->item.n; i++) {
        const char *key = map ? arena_printf(f->a, "%s: ", scalar(f, y->key.v[i], true)) : "";
        s = arena_printf(f->a, "%s%s%s%s", s, i ? ", " : "", key, inline_text(f, y->item.v[i]));
    }
    return arena_printf(f->a, "%s%s", s, map ? "}" : "]");
}

static void add_line(Fmt *f, const char *text, const char *comment)
{
    Line l = {text, comment};
    vec_push(f->a, &f->line, l);
}

/* One line for what stands on lines from..to of the source, and the comments around it. */
static void put(Fmt *f, const char *text, int from, int to, int indent)
{
    for (const char *c; (c = comments_before(f->c, from));) {
        bool gap = *c == 0;
        bool first = f->line.n == 0 || !*f->line.v[f->line.n - 1].text;
        if (!gap) add_line(f, arena_printf(f->a, "%s%s", pad(f, indent), c), NULL);
        if (gap && !first) add_line(f, "", NULL);
    }
    add_line(f, text, comments_beside(f->c, to));
}

static void emit(Fmt *f, const Yaml *y, int indent, const char *lead, int line, bool layers);

/* Does the value of this key hold layers? */
static bool holds_layers(const char *key, bool inside)
{
    static const char *const not [] = {"from", "if",   "repeat", "until",
                                       "use",  "args", "type",   NULL};
    for (int i = 0; not [i]; i++)
        if (strcmp(key, not [i]) == 0) return false;
    return inside || strcmp(key, "model") == 0 || strcmp(key, "blocks") == 0;
}

static void emit_items(Fmt *f, const Yaml *y, int indent, const char *lead, bool layers)
{
    for (int i = 0; i < y->item.n; i++) {
        const char *first = i == 0 && lead ? lead : pad(f, indent);
        const Yaml *item = y->item.v[i];
        if (y->kind == Y_LIST) {
            emit(f, item, indent + 2, arena_printf(f->a, "%s-", first), item->loc.line, layers);
            continue;
        }
        const Yaml *key = y->key.v[i];
        const char *text = arena_printf(f->a, "%s%s:", first, scalar(f, key, false));
        emit(f, item, indent + 2, text, key->loc.line, holds_layers(key->text, layers));
    }
}

static void put_pairs(Fmt *f, const Pairs *p, int indent, const char *lead, int line)
{
    bool item = lead[strlen(lead) - 1] == '-';
    if (!item) put(f, lead, line, line, indent - 2);
    for (int i = 0; i < p->n; i++) {
        const char *first = i == 0 && item ? arena_printf(f->a, "%s ", lead) : pad(f, indent);
        put(f, arena_printf(f->a, "%s%s", first, p->v[i]), line, line, indent - 2);
    }
}

/* lead: what stands before the value, "key:" or "-", with its indentation */
static void emit(Fmt *f, const Yaml *y, int indent, const char *lead, int line, bool layers)
{
    const char *text = y->kind == Y_SCALAR ? scalar(f, y, false) : NULL;
    Pairs call = {0};
    if (f->long_form && layers && text && long_call(f, y, &call)) text = join(f, &call);
    bool flow = y->kind != Y_SCALAR && (y->flow || y->item.n == 0);
    if (flow && !comments_inside(f->c, line, y->end_line)) text = inline_text(f, y);
    if (flow && text && strlen(lead) + 1 + strlen(text) > WIDTH && y->item.n) text = NULL;
    if (flow && text && f->long_form && layers && y->item.n) text = NULL;
    if (call.n && strlen(lead) + 1 + strlen(text) > WIDTH) {
        put_pairs(f, &call, indent, lead, line);
    } else if (text) {
        bool nothing = !*text;
        const char *all = arena_printf(f->a, "%s%s%s", lead, nothing ? "" : " ", text);
        put(f, all, line, y->end_line > line ? y->end_line : line, indent - 2);
    } else if (lead[strlen(lead) - 1] == '-') {
        emit_items(f, y, indent, arena_printf(f->a, "%s ", lead), layers);
    } else {
        put(f, lead, line, line, indent - 2);
        emit_items(f, y, indent, NULL, layers);
    }
}

/* ---- the whole ---- */

/* Comments of neighbouring lines begin in the same column. */
static void print(Fmt *f, Buf *b)
{
    for (int i = 0; i < f->line.n;) {
        int end = i, most = 0;
        for (; end < f->line.n && f->line.v[end].comment; end++) {
            int n = (int)strlen(f->line.v[end].text);
            if (n > most) most = n;
        }
        if (end == i) {
            buf_printf(b, "%s\n", f->line.v[i++].text);
            continue;
        }
        for (; i < end; i++)
            buf_printf(b, "%-*s  %s\n", most, f->line.v[i].text, f->line.v[i].comment);
    }
}

static bool has_alias(const Yaml *y)
{
    bool any = y->aliased;
    for (int i = 0; i < y->item.n && !any; i++)
        any = has_alias(y->item.v[i]) || (y->kind == Y_MAP && y->key.v[i]->aliased);
    return any;
}

const char *fmt_file(Arena *a, const char *path, bool long_form)
{
    size_t len;
    Yaml *root = yaml_read(a, path, path);
    const char *text = root ? yaml_file_read(a, path, path, &len) : NULL;
    if (!text) return NULL;
    Fmt f = {.a = a, .c = comments_find(a, text, len, root), .long_form = long_form};
    int before = diag_errors();
    emit_items(&f, root, 0, NULL, false);
    for (const char *c; (c = comments_before(f.c, 1 << 30));) add_line(&f, c, NULL);
    if (has_alias(root)) {
        diag_error((Loc){path, 0, 0, 0}, "S009", "'fmt' does not keep anchors and aliases");
        diag_help("blocks and params serve the same end");
    }
    if (diag_errors() > before) return NULL;
    Buf b = {0};
    print(&f, &b);
    const char *all = arena_strdup(a, b.s ? b.s : "");
    buf_free(&b);
    return all;
}
