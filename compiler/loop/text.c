/* Loop IR as text.
 * In: a Func. Out: its canonical text: variables and allocations are numbered in the order in which
 * they are printed, so that kernels which were built alike print alike. The first line holds what
 * does not matter to the code (name, comment) and the number of tasks; the rest is the body. Rule:
 * an expression that a statement uses more than once, and that is not small, is printed once before
 * the statement as `tN := ...`; the text is never larger than the DAG by more than a constant. */
#include "loop/loop.h"
#include "support/diag.h"

enum { SMALL = 6 }; /* nodes of a tree that may be printed again */

typedef struct Text {
    Buf *out;
    const LVar *task;
    int depth;
    int *var, *buf; /* printed numbers, by id; 0: not yet seen */
    int nvar, nreg, nlocal, ntemp;
    int *refs, *size, *temp; /* of the current statement, by Expr.id */
    int *seen, nseen;        /* ids whose three entries above are set */
} Text;

static void print_expr(Text *t, const Expr *x, int level);

static void indent(Text *t)
{
    for (int i = 0; i < t->depth; i++) buf_puts(t->out, "  ");
}

static void print_var(Text *t, const LVar *v)
{
    if (v == t->task) {
        buf_puts(t->out, "%task");
        return;
    }
    if (!t->var[v->id]) t->var[v->id] = ++t->nvar;
    buf_printf(t->out, "%%%s%d", v->name, t->var[v->id]);
}

static void print_buf(Text *t, const LBuf *u)
{
    if (u->scope == BUF_ARG)
        buf_printf(t->out, "a%d", u->id);
    else
        buf_printf(t->out, "%c%d", u->scope == BUF_REGISTER ? 'r' : 'l', t->buf[u->id] - 1);
}

static void print_const(Text *t, const Expr *x)
{
    switch (x->type) {
    case LT_F32:
        buf_printf(t->out, "%.9gf", x->c.f);
        break;
    case LT_F64:
        buf_printf(t->out, "%.17gd", x->c.f);
        break;
    case LT_I32:
        buf_printf(t->out, "%lldi", (long long)x->c.i);
        break;
    case LT_I64:
        buf_printf(t->out, "%lld", (long long)x->c.i);
        break;
    case LT_U8:
        buf_printf(t->out, "%lldu", (long long)x->c.i);
        break;
    case LT_BOOL:
        buf_puts(t->out, x->c.i ? "true" : "false");
        break;
    case LT_F16:
    case LT_BF16:
    case LT_TF32:
        bug_if(true, "a constant of type %s", ltype_name(x->type));
    }
}

static void print_list(Text *t, const char *name, const Expr *x, int n)
{
    buf_printf(t->out, "%s(", name);
    for (int i = 0; i < n; i++) {
        if (i) buf_puts(t->out, ", ");
        print_expr(t, x->x[i], 0);
    }
    buf_putc(t->out, ')');
}

static void print_infix(Text *t, const Expr *x, const char *op, int level, int outer)
{
    if (outer > level) buf_putc(t->out, '(');
    print_expr(t, x->x[0], level);
    buf_printf(t->out, " %s ", op);
    print_expr(t, x->x[1], level + 1);
    if (outer > level) buf_putc(t->out, ')');
}

static void print_bin(Text *t, const Expr *x, int outer)
{
    static const struct {
        const char *name;
        int level;
    } op[] = {[B_ADD] = {"+", 5}, [B_SUB] = {"-", 5},   [B_MUL] = {"*", 6},   [B_DIV] = {"/", 6},
              [B_MOD] = {"%", 6}, [B_MIN] = {"min", 0}, [B_MAX] = {"max", 0}, [B_AND] = {"&", 3},
              [B_OR] = {"|", 1},  [B_XOR] = {"^", 2},   [B_SHL] = {"<<", 4},  [B_SHR] = {">>", 4}};
    if (op[x->op].level)
        print_infix(t, x, op[x->op].name, op[x->op].level, outer);
    else
        print_list(t, op[x->op].name, x, 2);
}

static void print_expr(Text *t, const Expr *x, int level)
{
    static const char *const cmp[] = {"==", "!=", "<", "<=", ">", ">="};
    static const char *const call[] = {"exp", "log", "sqrt", "tanh", "abs", "floor", "erf"};
    if (t->temp[x->id] > 0) {
        buf_printf(t->out, "t%d", t->temp[x->id]);
        return;
    }
    switch (x->kind) {
    case E_CONST:
        print_const(t, x);
        break;
    case E_VAR:
        print_var(t, x->var);
        break;
    case E_LOAD:
        print_buf(t, x->buf);
        buf_putc(t->out, '[');
        print_expr(t, x->x[0], 0);
        buf_putc(t->out, ']');
        break;
    case E_BIN:
        print_bin(t, x, level);
        break;
    case E_FMA:
        print_list(t, "fma", x, 3);
        break;
    case E_CMP:
        buf_putc(t->out, '(');
        print_infix(t, x, cmp[x->op], 0, 0);
        buf_putc(t->out, ')');
        break;
    case E_SELECT:
        print_list(t, "select", x, 3);
        break;
    case E_CAST:
        print_list(t, ltype_name(x->type), x, 1);
        break;
    case E_CALL:
        print_list(t, call[x->op], x, 1);
        break;
    }
}

/* Counts uses and tree sizes (saturating) below x. */
static void count(Text *t, const Expr *x)
{
    if (t->refs[x->id]++) return;
    t->seen[t->nseen++] = x->id;
    int size = 1;
    for (int i = 0; i < 3; i++) {
        if (!x->x[i]) continue;
        count(t, x->x[i]);
        size += t->size[x->x[i]->id];
    }
    t->size[x->id] = size < 1000 ? size : 1000;
}

/* Prints the shared parts of x, innermost first. temp -1: visited, printed in place. */
static void print_temps(Text *t, const Expr *x)
{
    if (t->temp[x->id]) return;
    t->temp[x->id] = -1;
    for (int i = 0; i < 3; i++)
        if (x->x[i]) print_temps(t, x->x[i]);
    if (t->refs[x->id] < 2 || t->size[x->id] <= SMALL) return;
    int n = ++t->ntemp;
    indent(t);
    buf_printf(t->out, "t%d := ", n);
    print_expr(t, x, 0);
    buf_putc(t->out, '\n');
    t->temp[x->id] = n;
}

static void begin_exprs(Text *t, const Expr *x, const Expr *y)
{
    count(t, x);
    if (y) count(t, y);
    t->ntemp = 0;
    print_temps(t, x);
    if (y) print_temps(t, y);
    indent(t);
}

static void end_exprs(Text *t)
{
    for (int i = 0; i < t->nseen; i++) {
        int id = t->seen[i];
        t->refs[id] = t->size[id] = t->temp[id] = 0;
    }
    t->nseen = 0;
}

static void print_body(Text *t, const Stmt *s);

static void print_for(Text *t, const Stmt *s)
{
    static const char *const kind[] = {"for", "unroll", "vector"};
    begin_exprs(t, s->extent, NULL);
    buf_printf(t->out, "%s ", kind[s->fkind]);
    print_var(t, s->var);
    buf_puts(t->out, " < ");
    print_expr(t, s->extent, 0);
    buf_puts(t->out, " {\n");
    end_exprs(t);
    print_body(t, s->body);
    indent(t);
    buf_puts(t->out, "}\n");
}

static void print_if(Text *t, const Stmt *s)
{
    begin_exprs(t, s->x, NULL);
    buf_puts(t->out, "if ");
    print_expr(t, s->x, 0);
    buf_puts(t->out, " {\n");
    end_exprs(t);
    print_body(t, s->body);
    indent(t);
    if (s->other) {
        buf_puts(t->out, "} else {\n");
        print_body(t, s->other);
        indent(t);
    }
    buf_puts(t->out, "}\n");
}

static void print_store(Text *t, const Stmt *s)
{
    begin_exprs(t, s->index, s->x);
    print_buf(t, s->buf);
    buf_putc(t->out, '[');
    print_expr(t, s->index, 0);
    buf_puts(t->out, "] = ");
    print_expr(t, s->x, 0);
    buf_putc(t->out, '\n');
    end_exprs(t);
}

static void print_prefetch(Text *t, const Stmt *s)
{
    begin_exprs(t, s->index, NULL);
    buf_puts(t->out, "prefetch ");
    print_buf(t, s->buf);
    buf_putc(t->out, '[');
    print_expr(t, s->index, 0);
    buf_puts(t->out, "]\n");
    end_exprs(t);
}

static void print_alloc(Text *t, const LBuf *u)
{
    bool reg = u->scope == BUF_REGISTER;
    t->buf[u->id] = 1 + (reg ? t->nreg++ : t->nlocal++);
    indent(t);
    buf_puts(t->out, reg ? "register " : "local ");
    print_buf(t, u);
    buf_printf(t->out, ": %s[%lld]\n", ltype_name(u->type), (long long)u->count);
}

static void print_stmt(Text *t, const Stmt *s)
{
    switch (s->kind) {
    case S_SEQ:
        for (int i = 0; i < s->seq.n; i++) print_stmt(t, s->seq.v[i]);
        break;
    case S_FOR:
        print_for(t, s);
        break;
    case S_IF:
        print_if(t, s);
        break;
    case S_LET:
        begin_exprs(t, s->x, NULL);
        print_var(t, s->var);
        buf_puts(t->out, " = ");
        print_expr(t, s->x, 0);
        buf_putc(t->out, '\n');
        end_exprs(t);
        break;
    case S_STORE:
        print_store(t, s);
        break;
    case S_PREFETCH:
        print_prefetch(t, s);
        break;
    case S_ALLOC:
        print_alloc(t, s->buf);
        break;
    }
}

static void print_body(Text *t, const Stmt *s)
{
    t->depth++;
    print_stmt(t, s);
    t->depth--;
}

/* A comment must not end early, and must stay on its line. */
static void print_comment(Buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '*' && s[1] == '/')
            buf_puts(out, "*\\");
        else if ((unsigned char)*s < ' ' || *s == 127)
            buf_printf(out, "\\x%02x", (unsigned char)*s);
        else
            buf_putc(out, *s);
    }
}

static void print_skeleton(Buf *out, const Skeleton *s)
{
    buf_printf(out, "  skeleton %s a%d a%d grid %u,%u,%u threads %u shared %lld\n", s->name, s->a, s->b, s->grid[0],
               s->grid[1], s->grid[2], s->threads, (long long)s->shared);
    for (int i = 0; i < s->define.n; i++)
        buf_printf(out, "%s%s=%lld%s", i % 8 ? " " : "    ", s->define.v[i].name, (long long)s->define.v[i].value,
                   i % 8 == 7 || i == s->define.n - 1 ? "\n" : "");
    func_print(out, s->tail);
}

void func_print(Buf *out, const Func *f)
{
    Arena *a = arena_new();
    size_t nx = (size_t)f->nexprs + 1;
    Text t = {.out = out,
              .task = f->task,
              .var = NEWN(a, int, f->nvars),
              .buf = NEWN(a, int, f->buf.n + 1),
              .refs = NEWN(a, int, nx),
              .size = NEWN(a, int, nx),
              .temp = NEWN(a, int, nx),
              .seen = NEWN(a, int, nx)};
    buf_printf(out, "func %s /* ", f->name);
    print_comment(out, f->comment ? f->comment : "");
    buf_printf(out, " */ ntasks=%lld\n", (long long)f->ntasks);
    for (int i = 0; i < f->nargs; i++) {
        const LBuf *u = f->buf.v[i];
        buf_printf(out, "  a%d: %s[%lld]%s\n", i, ltype_name(u->type), (long long)u->count,
                   u->written ? " written" : "");
    }
    print_body(&t, f->body);
    if (f->skeleton) print_skeleton(out, f->skeleton);
    arena_free(a);
}
