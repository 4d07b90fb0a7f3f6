/* The table of operators and what the graph asks of it: look-up, attributes as text, shape rules.
 * To add an operator: a file of its own and a line in ops.def. */
#include "ops/op.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OP(name) extern const OpDef op_##name;
#include "ops/ops.def"
#undef OP

const OpDef *const op_table[] = {
#define OP(name) &op_##name,
#include "ops/ops.def"
#undef OP
    NULL};

const OpDef *op_find(const char *name)
{
    for (int i = 0; op_table[i]; i++)
        if (!strcmp(op_table[i]->name, name)) return op_table[i];
    return NULL;
}

const char *op_name(const OpDef *op)
{
    return op->name;
}

int op_inputs(const OpDef *op)
{
    return op->nin;
}

bool op_is_root(const OpDef *op)
{
    return op->use == OP_ROOT;
}

bool op_is(const Node *n, const char *op)
{
    return !strcmp(n->op->name, op);
}

bool op_infer_shape(Node *n)
{
    const OpDef *op = n->op;
    bug_if(!op->shape, "%s is not an operator of the graph", op->name);
    bug_if(op->nin >= 0 && n->nin != op->nin, "%s: %d inputs, not %d", op->name, n->nin, op->nin);
    if (!op->shape(n)) return false;
    int64_t bytes = dtype_size(n->dtype);
    for (int d = 0; d < n->shape.rank; d++) {
        if (n->shape.dim[d] < 1 || __builtin_mul_overflow(bytes, n->shape.dim[d], &bytes)) {
            diag_error(n->loc, "H010", "%s '%s': the output is too large", op->name, n->name);
            return false;
        }
    }
    return true;
}

/* ---- attributes ---- */
int attr_index(const OpDef *op, const char *name)
{
    for (int i = 0; op->attrs && op->attrs[i].name; i++)
        if (!strcmp(op->attrs[i].name, name)) return i;
    bug_if(true, "%s has no attribute '%s'", op->name, name);
}

int64_t attr_int(const Node *n, const char *name)
{
    return n->attr[attr_index(n->op, name)].i[0];
}

double attr_float(const Node *n, const char *name)
{
    return n->attr[attr_index(n->op, name)].f;
}

const int64_t *attr_pair(const Node *n, const char *name)
{
    return n->attr[attr_index(n->op, name)].i;
}

bool attr_is(const Node *n, const char *name, const char *word)
{
    const char *s = n->attr[attr_index(n->op, name)].s;
    return s && !strcmp(s, word);
}

static void default_of(const AttrDef *d, AttrVal *v)
{
    *v = (AttrVal){0};
    if (d->required || d->by_other) return;
    v->f = d->def;
    v->f2 = d->kind == ATTR_FPAIR ? d->def2 : 0;
    if (d->kind == ATTR_CHOICE) v->s = d->words[(int)d->def];
    if (d->kind == ATTR_INT || d->kind == ATTR_BOOL) v->i[0] = (int64_t)d->def;
    if (d->kind == ATTR_PAIR) v->i[0] = v->i[1] = (int64_t)d->def;
    if (d->kind != ATTR_FLOAT && d->kind != ATTR_FPAIR) v->f = 0;
}

void op_default_attrs(const OpDef *op, AttrVal *attr)
{
    memset(attr, 0, sizeof(AttrVal) * MAX_ATTR);
    for (int i = 0; op->attrs && op->attrs[i].name; i++) default_of(&op->attrs[i], &attr[i]);
}

static bool attr_eq(const AttrDef *d, const AttrVal *x, const AttrVal *y)
{
    switch (d->kind) {
    case ATTR_FLOAT:
        return x->f == y->f;
    case ATTR_FPAIR:
        return x->f == y->f && x->f2 == y->f2;
    case ATTR_CHOICE:
        return x->s == y->s || (x->s && y->s && !strcmp(x->s, y->s));
    case ATTR_FLOATS:
    case ATTR_NUMBERS:
        return x->nlist == y->nlist &&
               (!x->nlist || !memcmp(x->list, y->list, sizeof *x->list * (size_t)x->nlist));
    default:
        return !memcmp(x->i, y->i, sizeof x->i);
    }
}

bool op_attrs_eq(const Node *a, const Node *b)
{
    if (a->op != b->op) return false;
    for (int i = 0; a->op->attrs && a->op->attrs[i].name; i++)
        if (!attr_eq(&a->op->attrs[i], &a->attr[i], &b->attr[i])) return false;
    return true;
}

static void print_value(Buf *b, const AttrDef *d, const AttrVal *v)
{
    switch (d->kind) {
    case ATTR_INT:
    case ATTR_BOOL:
        buf_printf(b, "%lld", (long long)v->i[0]);
        break;
    case ATTR_FLOAT:
        buf_printf(b, "%.17g", v->f);
        break;
    case ATTR_PAIR:
        buf_printf(b, "(%lld,%lld)", (long long)v->i[0], (long long)v->i[1]);
        break;
    case ATTR_FPAIR:
        buf_printf(b, "(%.17g,%.17g)", v->f, v->f2);
        break;
    case ATTR_CHOICE:
        buf_puts(b, v->s);
        break;
    case ATTR_SHAPE:
        for (int k = 0; k < v->i[0]; k++)
            buf_printf(b, k ? ",%lld" : "[%lld", (long long)v->i[k + 1]);
        buf_puts(b, v->i[0] ? "]" : "[]");
        break;
    case ATTR_QUAD:
        buf_printf(b, "(%lld,%lld,%lld,%lld)", (long long)v->i[0], (long long)v->i[1],
                   (long long)v->i[2], (long long)v->i[3]);
        break;
    case ATTR_NUMBERS: /* of no operator */
    case ATTR_FLOATS:
        for (int k = 0; k < v->nlist; k++) buf_printf(b, k ? ",%.17g" : "[%.17g", v->list[k]);
        buf_puts(b, v->nlist ? "]" : "[]");
        break;
    }
}

void op_print_attrs(Buf *b, const Node *n)
{
    AttrVal def[MAX_ATTR];
    op_default_attrs(n->op, def);
    for (int i = 0; n->op->attrs && n->op->attrs[i].name; i++) {
        const AttrDef *d = &n->op->attrs[i];
        if (attr_eq(d, &def[i], &n->attr[i])) continue;
        buf_printf(b, " %s=", d->name);
        print_value(b, d, &n->attr[i]);
    }
}

/* Up to MAX_RANK numbers "2", "(2,3)", "[2,3]". -> how many, -1: malformed. */
static int parse_numbers(const char *s, double *out)
{
    char close = *s == '(' ? ')' : *s == '[' ? ']' : 0;
    int n = 0;
    if (close) s++;
    if (close && *s == close) return s[1] ? -1 : 0;
    for (;;) {
        char *end;
        errno = 0;
        out[n++] = strtod(s, &end);
        if (end == s || errno) return -1;
        s = end;
        if (*s != ',' || n == MAX_RANK) break;
        s++;
    }
    return (close ? s[0] == close && !s[1] : !*s) ? n : -1;
}

static bool parse_word(const AttrDef *d, AttrVal *v, const char *value)
{
    for (int i = 0; d->words[i]; i++) {
        if (strcmp(d->words[i], value) != 0) continue;
        v->s = d->words[i];
        return true;
    }
    return false;
}

/* "[0.2,0.8]" */
static bool parse_floats(Arena *a, AttrVal *v, const char *s)
{
    int most = 1;
    for (const char *p = s; *p; p++) most += *p == ',';
    double *x = NEWN(a, double, most);
    *v = (AttrVal){.list = x};
    if (!strcmp(s, "[]")) return true;
    if (*s++ != '[') return false;
    for (char *end;; s = end + 1) {
        x[v->nlist++] = strtod(s, &end);
        if (end == s || (*end != ',' && *end != ']')) return false;
        if (*end == ']') return !end[1];
    }
}

static bool parse_quad(AttrVal *v, int n, const double *x)
{
    if (n != 1 && n != 4) return false;
    for (int k = 0; k < 4; k++) v->i[k] = (int64_t)x[n == 1 ? 0 : k];
    return true;
}

static bool parse_value(Arena *a, const AttrDef *d, AttrVal *v, const char *value)
{
    double x[MAX_RANK] = {0};
    if (d->kind == ATTR_CHOICE) return parse_word(d, v, value);
    if (d->kind == ATTR_FLOATS) return parse_floats(a, v, value);
    if (d->kind == ATTR_BOOL && (!strcmp(value, "true") || !strcmp(value, "false"))) {
        v->i[0] = value[0] == 't';
        return true;
    }
    int n = parse_numbers(value, x);
    if (d->kind == ATTR_QUAD) return parse_quad(v, n, x);
    if (d->kind == ATTR_SHAPE) {
        v->i[0] = n;
        for (int k = 0; k < n; k++) v->i[k + 1] = (int64_t)x[k];
        return n >= 0;
    }
    if (n == 1 && (d->kind == ATTR_PAIR || d->kind == ATTR_FPAIR)) x[1] = x[0];
    bool pair = d->kind == ATTR_PAIR || d->kind == ATTR_FPAIR;
    if (n < 1 || n > (pair ? 2 : 1)) return false;
    if (d->kind == ATTR_FLOAT || d->kind == ATTR_FPAIR) {
        v->f = x[0];
        v->f2 = d->kind == ATTR_FPAIR ? x[1] : 0;
        return true;
    }
    v->i[0] = (int64_t)x[0];
    v->i[1] = pair ? (int64_t)x[1] : 0;
    return x[0] == floor(x[0]) && x[1] == floor(x[1]);
}

bool op_parse_attr(Arena *a, Node *n, const char *key, const char *value)
{
    for (int i = 0; n->op->attrs && n->op->attrs[i].name; i++)
        if (!strcmp(n->op->attrs[i].name, key))
            return parse_value(a, &n->op->attrs[i], &n->attr[i], value);
    return false;
}

Node *op_only_tensor(const Node *n)
{
    Node *full = NULL;
    for (int i = 0; i < n->nin; i++) {
        if (n->in[i]->shape.rank < 2) continue;
        if (full || !shape_eq(n->in[i]->shape, n->shape)) return NULL;
        full = n->in[i];
    }
    return full;
}
