/* The graph as text: one state, node or output a line, words apart by spaces. Printing and parsing
 * agree: graph training state conv1.weight param f32 [4,3,3,3] uniform(-0.19,0.19) view [4,27]
 * frozen group weights param conv1.weight conv1.bias %2 = Conv2d %0 %1 stride=(2,2) f32 [2,4,3,2]
 * #conv1 grad ; cnn.yaml:17 %1 = State @conv1.weight f32 [4,3,3,3] output loss %7 Attributes at
 * their default are left out; what follows `;` is for the reader. Places are not kept. */
#include "graph/graph.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_name[] = {"param", "buffer", "moment", NULL};
static const char *const init_name[] = {"const", "uniform", "normal", NULL};
static const char *const type_name[] = {"f32", "i32", "u8", NULL};

/* ---- printing ---- */
static void print_shape(Buf *b, Shape s)
{
    buf_puts(b, " [");
    for (int d = 0; d < s.rank; d++) buf_printf(b, d ? ",%lld" : "%lld", (long long)s.dim[d]);
    buf_putc(b, ']');
}

static void print_state(Buf *b, const State *s)
{
    if (s->part) {
        buf_printf(b, "group %s %s", s->name, kind_name[s->kind]);
        for (int i = 0; i < s->npart; i++) buf_printf(b, " %s", s->part[i]->name);
        buf_putc(b, '\n');
        return;
    }
    buf_printf(b, "state %s %s %s", s->name, kind_name[s->kind], dtype_name(s->dtype));
    print_shape(b, s->shape);
    buf_printf(b, " %s(%.17g,%.17g)", init_name[s->init.kind], s->init.a, s->init.b);
    if (s->view.rank) {
        buf_puts(b, " view");
        print_shape(b, s->view);
    }
    buf_puts(b, s->frozen ? " frozen\n" : "\n");
}

static void print_node(Buf *b, const Node *n)
{
    buf_printf(b, "%%%d = %s", n->id, op_name(n->op));
    for (int i = 0; i < n->nin; i++) buf_printf(b, " %%%d", n->in[i]->id);
    if (n->state) buf_printf(b, " @%s", n->state->name);
    op_print_attrs(b, n);
    buf_printf(b, " %s", dtype_name(n->dtype));
    print_shape(b, n->shape);
    if (*n->name) buf_printf(b, " #%s", n->name);
    if (n->is_grad) buf_puts(b, " grad");
    if (n->loc.file) buf_printf(b, " ; %s:%d", n->loc.file, n->loc.line);
    buf_putc(b, '\n');
}

void graph_print(Buf *b, const Graph *g)
{
    buf_puts(b, g->training ? "graph training\n" : "graph\n");
    if (g->precision) buf_printf(b, "precision %s\n", precision_names[g->precision]);
    for (int i = 0; i < g->state.n; i++) print_state(b, g->state.v[i]);
    for (int i = 0; i < g->node.n; i++) print_node(b, g->node.v[i]);
    for (int i = 0; i < g->output.n; i++)
        buf_printf(b, "output %s %%%d\n", g->output.v[i].name, g->output.v[i].node->id);
}

/* ---- parsing ---- */
enum { MAX_WORDS = 1 << 15 };
typedef struct Reader {
    Arena *a;
    Graph *g;
    const char *file;
    int line;
    char *word[MAX_WORDS + 1]; /* of the current line; ends with NULL */
    int n;
} Reader;

static bool fail(const Reader *r, const char *what, const char *word)
{
    Loc loc = {r->file, r->line, 1, 1};
    diag_error(loc, "G001", "graph text: %s '%s'", what, word ? word : "end of line");
    return false;
}

static bool split(Reader *r, char *line)
{
    char *save = NULL;
    r->n = 0;
    for (char *w = strtok_r(line, " \t\r", &save); w && *w != ';';
         w = strtok_r(NULL, " \t\r", &save)) {
        if (r->n == MAX_WORDS) return fail(r, "too many words at", w);
        r->word[r->n++] = w;
    }
    r->word[r->n] = NULL;
    return true;
}

static int find_word(const char *const *list, const char *w)
{
    for (int i = 0; w && list[i]; i++)
        if (!strcmp(list[i], w)) return i;
    return -1;
}

static bool read_shape(const Reader *r, const char *w, Shape *s)
{
    *s = (Shape){0};
    if (!w || *w != '[') return fail(r, "expected a shape, got", w);
    const char *p = w + 1;
    while (*p != ']') {
        char *end;
        if (s->rank == MAX_RANK) return fail(r, "rank too high", w);
        s->dim[s->rank++] = strtoll(p, &end, 10);
        if (end == p || (*end != ',' && *end != ']')) return fail(r, "malformed shape", w);
        p = *end == ',' ? end + 1 : end;
    }
    return !p[1] || fail(r, "malformed shape", w);
}

static bool read_init(const Reader *r, const char *w, Init *init)
{
    char name[16];
    if (!w || sscanf(w, "%15[a-z](%lf,%lf)", name, &init->a, &init->b) != 3)
        return fail(r, "expected an initialisation, got", w);
    int kind = find_word(init_name, name);
    init->kind = (InitKind)kind;
    return kind >= 0 || fail(r, "unknown initialisation", w);
}

static bool read_state(Reader *r)
{
    Shape shape;
    Init init;
    int kind = r->n > 2 ? find_word(kind_name, r->word[2]) : -1;
    int type = r->n > 3 ? find_word(type_name, r->word[3]) : -1;
    if (kind < 0 || type < 0) return fail(r, "malformed state", r->n > 1 ? r->word[1] : NULL);
    if (graph_find_state(r->g, r->word[1])) return fail(r, "second state", r->word[1]);
    if (!read_shape(r, r->word[4], &shape) || !read_init(r, r->word[5], &init)) return false;
    State *s = graph_state(r->g, r->word[1], (StateKind)kind, shape, init);
    s->dtype = (DType)type;
    for (int i = 6; i < r->n; i++) {
        if (!strcmp(r->word[i], "frozen"))
            s->frozen = true;
        else if (strcmp(r->word[i], "view") != 0)
            return fail(r, "unknown word", r->word[i]);
        else if (!read_shape(r, r->word[++i], &s->view))
            return false;
    }
    return true;
}

static bool read_group(Reader *r)
{
    int kind = r->n > 2 ? find_word(kind_name, r->word[2]) : -1;
    if (kind < 0) return fail(r, "malformed group", r->n > 1 ? r->word[1] : NULL);
    State **part = NEWN(r->a, State *, r->n);
    for (int i = 3; i < r->n; i++) {
        part[i - 3] = graph_find_state(r->g, r->word[i]);
        if (!part[i - 3]) return fail(r, "unknown state", r->word[i]);
    }
    graph_state_group(r->g, r->word[1], (StateKind)kind, part, r->n - 3);
    return true;
}

static Node *node_of(const Reader *r, const char *w)
{
    char *end;
    long id = w && *w == '%' ? strtol(w + 1, &end, 10) : -1;
    if (id < 0 || *end || id >= r->g->node.n) {
        fail(r, "unknown node", w);
        return NULL;
    }
    return r->g->node.v[id];
}

/* The parts of a node's line, before the node is made. */
typedef struct Line {
    Node proto; /* op, attr, state, name, dtype, shape, is_grad */
    Node **in;
} Line;

static bool read_part(Reader *r, Line *l, char *w)
{
    Node *p = &l->proto;
    char *eq = strchr(w, '=');
    if (*w == '%') return (l->in[p->nin++] = node_of(r, w)) != NULL;
    if (*w == '[') return read_shape(r, w, &p->shape);
    if (*w == '#') {
        p->name = arena_strdup(r->a, w + 1);
        return true;
    }
    if (*w == '@') {
        p->state = graph_find_state(r->g, w + 1);
        return p->state || fail(r, "unknown state", w + 1);
    }
    if (!strcmp(w, "grad")) return p->is_grad = true;
    int type = find_word(type_name, w);
    if (type >= 0) {
        p->dtype = (DType)type;
        return true;
    }
    if (!eq) return fail(r, "unknown word", w);
    *eq = '\0';
    return op_parse_attr(r->a, p, w, eq + 1) || fail(r, "bad attribute", w);
}

static Node *make_node(Reader *r, const Line *l)
{
    const Node *p = &l->proto;
    const char *op = op_name(p->op);
    Graph *g = r->g;
    g->cur_name = p->name;
    g->cur_grad = p->is_grad;
    if (!strcmp(op, "Input")) return graph_input(g, p->name, p->dtype, p->shape);
    if (!strcmp(op, "Scalar")) return graph_scalar(g, p->name);
    if (!strcmp(op, "State") && p->state) return graph_read(g, p->state);
    if (!strcmp(op, "Assign") && p->state && p->nin == 1)
        return graph_assign(g, p->state, l->in[0]);
    if (!strcmp(op, "State") || !strcmp(op, "Assign")) {
        fail(r, "no state in", op);
        return NULL;
    }
    return graph_add(g, p->op, l->in, p->nin, p->attr);
}

static bool read_node(Reader *r)
{
    Line l = {.in = NEWN(r->a, Node *, r->n)};
    l.proto.name = "";
    l.proto.op = r->n > 2 ? op_find(r->word[2]) : NULL;
    if (!l.proto.op || strcmp(r->word[1], "=") != 0) return fail(r, "unknown operator", r->word[2]);
    if (atoi(r->word[0] + 1) != r->g->node.n)
        return fail(r, "nodes are numbered in order", r->word[0]);
    op_default_attrs(l.proto.op, l.proto.attr);
    for (int i = 3; i < r->n; i++)
        if (!read_part(r, &l, r->word[i])) return false;
    int want = op_inputs(l.proto.op);
    if (want >= 0 && l.proto.nin != want) return fail(r, "wrong number of inputs of", r->word[2]);
    Node *n = make_node(r, &l);
    if (n && l.proto.shape.rank && !shape_eq(n->shape, l.proto.shape))
        return fail(r, "the shape rule gives another shape than that of", r->word[0]);
    return n != NULL;
}

static bool read_precision(Reader *r)
{
    for (int i = 0; r->n == 2 && precision_names[i]; i++)
        if (!strcmp(precision_names[i], r->word[1])) {
            r->g->precision = (Precision)i;
            return true;
        }
    return fail(r, "unknown precision", r->word[r->n - 1]);
}

static bool read_line(Reader *r)
{
    if (r->n == 0) return true;
    const char *w = r->word[0];
    if (*w == '%') return read_node(r);
    if (!strcmp(w, "state")) return read_state(r);
    if (!strcmp(w, "group")) return read_group(r);
    if (!strcmp(w, "precision")) return read_precision(r);
    if (!strcmp(w, "graph")) {
        r->g->training = r->n > 1 && !strcmp(r->word[1], "training");
        return true;
    }
    if (strcmp(w, "output") != 0 || r->n != 3) return fail(r, "unknown line", w);
    Node *n = node_of(r, r->word[2]);
    if (!n) return false;
    if (graph_find_output(r->g, r->word[1])) return fail(r, "second output", r->word[1]);
    graph_output(r->g, r->word[1], n);
    return true;
}

Graph *graph_parse(Arena *a, const char *file, const char *text)
{
    Reader *r = NEW(a, Reader);
    *r = (Reader){.a = a, .g = graph_new(a), .file = file};
    char *copy = arena_strdup(a, text);
    bool ok = true;
    while (ok && copy) {
        char *next = strchr(copy, '\n');
        if (next) *next++ = '\0';
        r->line++;
        ok = split(r, copy) && read_line(r);
        copy = next;
    }
    r->g->cur_name = "";
    r->g->cur_grad = false;
    return ok ? r->g : NULL;
}
