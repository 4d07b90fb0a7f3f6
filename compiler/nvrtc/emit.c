/* Loop IR -> CUDA C, the mapping that fits every kernel: a task is a row of CUDA_LANES threads, a lane of a VECTOR
 * loop is a thread, and what stands outside of VECTOR loops is computed by all of them alike (one of them stores).
 *
 * In: a verified Func. Out: text. REGISTER arrays become registers of the thread when a lane only meets its own
 * elements, and shared memory when lanes read each other's (place.h). Index arithmetic is 32 bits wide where all
 * buffers allow it. Tensor-core kernels are not made here: they come from templates. */
#include "nvrtc/emit.h"
#include "nvrtc/place.h"
#include "support/diag.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RESIDENT = 4 }; /* blocks of a multiprocessor that must have room: 128 registers a thread */

typedef struct Cuda {
    Buf *out;
    const Func *f;
    const LVar *lane; /* of the open VECTOR loop, or NULL */
    int depth;
    Places at;
    int *uses, *temp; /* by Expr.id, of the current statement */
    int ntemp;
    const char *index_type;
    bool tail; /* a thread has CUDA_TAIL_LANES lanes, side by side, else one */
    bool *inner, first; /* in it: by LVar.id, whether it has a value for each lane; whether the first lane is meant */
    int *four, nfour;   /* and by Expr.id the number of the vector that was loaded for it, in the current statement */
    Arena *a;
} Cuda;

/* ---- text ---- */

static void line(Cuda *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void line(Cuda *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char text[512];
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (int i = 0; i < c->depth; i++) buf_puts(c->out, "    ");
    buf_printf(c->out, "%s\n", text);
}

static const char *type_name(const Cuda *c, LType t)
{
    switch (t) {
    case LT_F32:
    case LT_TF32:
        return "float";
    case LT_F64:
        return "double";
    case LT_I32:
        return "int";
    case LT_I64:
        return c->index_type;
    case LT_U8:
        return "unsigned char";
    case LT_F16:
    case LT_BF16:
        return "unsigned short";
    default:
        return "bool";
    }
}

static const char *buf_name(const Cuda *c, const LBuf *u)
{
    return arena_printf(c->a, "%c%d", u->scope == BUF_ARG ? 'a' : 'r', u->id);
}

static const char *var_name(const Cuda *c, const LVar *v)
{
    if (v == c->f->task) return "task";
    if (c->tail && c->inner[v->id]) return arena_printf(c->a, "v%d.x[%s]", v->id, c->first ? "0" : "i");
    return v == c->lane ? "lane" : arena_printf(c->a, "v%d", v->id);
}

static const char *expr(Cuda *c, const Expr *x);

/* Is x a multiple of CUDA_TAIL_LANES where the lane is? (Of what is bound to names nothing is known.) */
static bool keeps_alignment(const Cuda *c, const Expr *x)
{
    if (x->kind == E_CONST) return x->c.i % CUDA_TAIL_LANES == 0;
    if (x->kind == E_VAR) return x->var == c->lane;
    if (x->kind != E_BIN || (x->op != B_ADD && x->op != B_MUL)) return false;
    bool a = keeps_alignment(c, x->x[0]), b = keeps_alignment(c, x->x[1]);
    return x->op == B_ADD ? a && b : a || b;
}

/* Do a thread's lanes lie side by side, from an aligned place on? */
static bool is_vector(const Cuda *c, const LBuf *u, const Expr *index)
{
    int64_t coef;
    return c->tail && c->lane && u->scope == BUF_ARG && expr_coef(index, c->lane, &coef) && coef == 1 &&
           keeps_alignment(c, index);
}

/* Shared arrays have a row per task of the block; the lane's own element of a private array has no lane in it. */
static const char *element(Cuda *c, const LBuf *u, const Expr *index)
{
    const char *i = expr(c, index);
    if (u->scope == BUF_ARG || c->at.kept[u->id] == KEPT_SCALAR)
        return arena_printf(c->a, "%s[%s]", buf_name(c, u), i);
    if (c->at.kept[u->id] == KEPT_LANE) return arena_printf(c->a, "%s[%s - lane]", buf_name(c, u), i);
    return arena_printf(c->a, "%s[threadIdx.y][%s]", buf_name(c, u), i);
}

static const char *constant(Cuda *c, const Expr *x)
{
    double v = x->c.f;
    bool f32 = x->type == LT_F32;
    if (!f32 && x->type != LT_F64) return arena_printf(c->a, "%" PRId64, x->c.i);
    if (isnan(v))
        return f32 ? "__int_as_float(0x7fffffff)" : "__longlong_as_double(0x7ff8000000000000ll)";
    if (isinf(v) && f32) return v > 0 ? "__int_as_float(0x7f800000)" : "__int_as_float(0xff800000)";
    if (isinf(v))
        return v > 0 ? "__longlong_as_double(0x7ff0000000000000ll)"
                     : "__longlong_as_double(0xfff0000000000000ll)";
    return arena_printf(c->a, "%a%s", v, f32 ? "f" : ""); /* exact */
}

static const char *binary(Cuda *c, const Expr *x)
{
    static const char *const sign[] = {"+", "-", "*", "/", "%",  "<",
                                       ">", "&", "|", "^", "<<", ">>"};
    const char *p = expr(c, x->x[0]), *q = expr(c, x->x[1]), *s = sign[x->op];
    if (x->op == B_MIN || x->op == B_MAX)
        return arena_printf(c->a, "(%s %s %s ? %s : %s)", p, s, q, p, q);
    if (x->type == LT_BOOL) return arena_printf(c->a, "(%s %s %s)", p, s, q);
    if (x->type == LT_I32) /* wraps round; shifts are logical */
        return arena_printf(c->a, "(int)((unsigned)%s %s (unsigned)%s)", p, s, q);
    return arena_printf(c->a, "(%s %s %s)", p, s, q);
}

static const char *call(Cuda *c, const Expr *x)
{
    static const char *const f32[] = {"expf", "logf", "sqrtf", "tanhf", "fabsf", "floorf", "erff"};
    static const char *const f64[] = {"exp", "log", "sqrt", "tanh", "fabs", "floor", "erf"};
    return arena_printf(c->a, "%s(%s)", (x->type == LT_F64 ? f64 : f32)[x->op], expr(c, x->x[0]));
}

static const char *cast(Cuda *c, const Expr *x)
{
    LType from = x->x[0]->type;
    if (ltype_is_stored(x->type) || ltype_is_stored(from))
        return arena_printf(c->a, "%s_of_%s(%s)", ltype_name(x->type), ltype_name(from),
                            expr(c, x->x[0]));
    bool byte = x->type == LT_U8; /* through int: floats below zero are not defined for bytes */
    return arena_printf(c->a, "(%s)%s(%s)", type_name(c, x->type), byte ? "(int)" : "",
                        expr(c, x->x[0]));
}

static const char *fresh(Cuda *c, const Expr *x)
{
    static const char *const compare[] = {"==", "!=", "<", "<=", ">", ">="};
    switch (x->kind) {
    case E_CONST:
        return constant(c, x);
    case E_VAR:
        return var_name(c, x->var);
    case E_LOAD:
        if (c->tail && c->four[x->id]) return arena_printf(c->a, "q%d.x[i]", c->four[x->id]);
        return element(c, x->buf, x->x[0]);
    case E_BIN:
        return binary(c, x);
    case E_CAST:
        return cast(c, x);
    case E_CALL:
        return call(c, x);
    case E_CMP:
        return arena_printf(c->a, "(%s %s %s)", expr(c, x->x[0]), compare[x->op], expr(c, x->x[1]));
    case E_SELECT:
        return arena_printf(c->a, "(%s ? %s : %s)", expr(c, x->x[0]), expr(c, x->x[1]),
                            expr(c, x->x[2]));
    default:
        break;
    }
    const char *fma = x->type == LT_F64 ? "fma" : "fmaf";
    return arena_printf(c->a, "%s(%s, %s, %s)", fma, expr(c, x->x[0]), expr(c, x->x[1]),
                        expr(c, x->x[2]));
}

/* What the statement needs more than once gets a name in front of it. */
static const char *expr(Cuda *c, const Expr *x)
{
    if (x->kind == E_CONST || x->kind == E_VAR || c->uses[x->id] < 2) return fresh(c, x);
    if (!c->temp[x->id]) {
        const char *text = fresh(c, x);
        c->temp[x->id] = ++c->ntemp;
        for (int i = 0; i < c->depth; i++) buf_puts(c->out, "    ");
        buf_printf(c->out, "const %s t%d = %s;\n", type_name(c, x->type), c->ntemp, text);
    }
    return arena_printf(c->a, "t%d", c->temp[x->id]);
}

/* Minimum and maximum name each operand twice. */
static void count_uses(Cuda *c, const Expr *x, bool set)
{
    bool twice = set && x->kind == E_BIN && (x->op == B_MIN || x->op == B_MAX);
    if (set && ++c->uses[x->id] > 1) return;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k <= twice; k++)
            if (x->x[i] && (set || c->uses[x->x[i]->id])) count_uses(c, x->x[i], set);
    if (!set) c->uses[x->id] = c->temp[x->id] = 0;
}

static void begin_statement(Cuda *c, const Stmt *s)
{
    if (s->x) count_uses(c, s->x, true);
    if (s->index) count_uses(c, s->index, true);
}

static void end_statement(Cuda *c, const Stmt *s)
{
    if (s->x) count_uses(c, s->x, false);
    if (s->index) count_uses(c, s->index, false);
    arena_reset(c->a);
}

/* ---- statements ---- */

static const char fence[] = "__syncwarp(row);"; /* lanes of a task wait for each other */

static void stmt(Cuda *c, const Stmt *s);

/* Bodies in braces of their own: a name holds to the end of its block. */
static void block(Cuda *c, const Stmt *s)
{
    c->depth++;
    stmt(c, s);
    c->depth--;
    line(c, "}");
}

static void vector_loop(Cuda *c, const Stmt *s)
{
    bool crosses = cuda_crosses(&c->at, s->body);
    if (crosses) line(c, fence);
    bug_if(s->extent->c.i > CUDA_LANES, "a vector of %" PRId64 " lanes", s->extent->c.i);
    if (s->extent->c.i == CUDA_LANES)
        line(c, "{");
    else
        line(c, "if (lane < %" PRId64 ") {", s->extent->c.i);
    c->lane = s->var;
    block(c, s->body);
    c->lane = NULL;
    if (crosses) line(c, fence);
}

static void tail_loop(Cuda *c, const Stmt *s);

static void loop(Cuda *c, const Stmt *s)
{
    if (s->fkind == FOR_VECTOR) {
        (c->tail ? tail_loop : vector_loop)(c, s);
        return;
    }
    const char *v = arena_printf(c->a, "v%d", s->var->id);
    begin_statement(c, &(Stmt){.x = s->extent});
    const char *e = expr(c, s->extent);
    line(c, s->fkind == FOR_UNROLL ? "#pragma unroll" : "#pragma unroll 1");
    line(c, "for (%s %s = 0; %s < %s; %s++) {", c->index_type, v, v, e, v);
    end_statement(c, &(Stmt){.x = s->extent});
    block(c, s->body);
}

static void store(Cuda *c, const Stmt *s)
{
    bool crosses = !c->lane && c->at.crossing[s->buf->id];
    if (crosses) line(c, fence);
    begin_statement(c, s);
    const char *x = expr(c, s->x), *at = element(c, s->buf, s->index);
    bool mine = !c->lane && (s->buf->scope == BUF_ARG || c->at.kept[s->buf->id] == KEPT_SHARED);
    for (int i = 0; i < c->depth; i++) buf_puts(c->out, "    ");
    buf_printf(c->out, "%s%s = %s;\n", mine ? "if (lane == 0) " : "", at, x);
    if (crosses) line(c, fence);
    end_statement(c, s);
}

static void allocate(Cuda *c, const LBuf *u)
{
    const char *t = type_name(c, u->type), *n = buf_name(c, u);
    if (c->at.kept[u->id] == KEPT_SHARED)
        line(c, "__shared__ %s %s[%d][%" PRId64 "];", t, n, CUDA_TASKS, u->count);
    else
        line(c, "%s %s[%" PRId64 "];", t, n, u->count);
}

static void condition(Cuda *c, const Stmt *s)
{
    begin_statement(c, &(Stmt){.x = s->x});
    const char *x = expr(c, s->x);
    line(c, "if (%s) {", x);
    end_statement(c, &(Stmt){.x = s->x});
    block(c, s->body);
    if (!s->other) return;
    line(c, "else {");
    block(c, s->other);
}

static void stmt(Cuda *c, const Stmt *s)
{
    switch (s->kind) {
    case S_SEQ:
        for (int i = 0; i < s->seq.n; i++) stmt(c, s->seq.v[i]);
        break;
    case S_FOR:
        loop(c, s);
        break;
    case S_IF:
        condition(c, s);
        break;
    case S_STORE:
        store(c, s);
        break;
    case S_ALLOC:
        allocate(c, s->buf);
        break;
    case S_PREFETCH: /* other warps hide what memory costs */
        break;
    case S_LET: {
        begin_statement(c, s);
        const char *x = expr(c, s->x);
        for (int i = 0; i < c->depth; i++) buf_puts(c->out, "    ");
        buf_printf(c->out, "const %s v%d = %s;\n", type_name(c, s->x->type), s->var->id, x);
        end_statement(c, s);
        break;
    }
    }
}

/* ---- tails: a thread has several lanes of a VECTOR loop, and each statement is done for all of them ---- */

/* "a3[i]" where the first lane is. */
static const char *first_element(Cuda *c, const LBuf *u, const Expr *index)
{
    c->first = true;
    count_uses(c, index, true);
    const char *text = element(c, u, index);
    count_uses(c, index, false);
    c->first = false;
    return text;
}

static void load_vectors(Cuda *c, const Expr *x)
{
    if (x->kind == E_LOAD && !c->four[x->id] && is_vector(c, x->buf, x->x[0])) {
        const char *t = type_name(c, x->buf->type), *from = first_element(c, x->buf, x->x[0]);
        for (int i = 0; i < c->depth; i++) buf_puts(c->out, "    ");
        buf_printf(c->out, "const Four<%s> q%d = *(const Four<%s> *)&%s;\n", t, ++c->nfour, t, from);
        c->four[x->id] = c->nfour;
        return;
    }
    for (int i = 0; i < 3; i++)
        if (x->x[i]) load_vectors(c, x->x[i]);
}

static void forget_vectors(Cuda *c, const Expr *x)
{
    c->four[x->id] = 0;
    for (int i = 0; i < 3; i++)
        if (x->x[i]) forget_vectors(c, x->x[i]);
}

/* for all lanes: to = x */
static void each_lane(Cuda *c, const Stmt *s, const char *to)
{
    line(c, "#pragma unroll");
    line(c, "for (int i = 0; i < %d; i++) {", CUDA_TAIL_LANES);
    c->depth++;
    line(c, "const int lane = first + i;");
    begin_statement(c, s);
    if (!to) to = element(c, s->buf, s->index);
    const char *x = expr(c, s->x);
    for (int i = 0; i < c->depth; i++) buf_puts(c->out, "    ");
    buf_printf(c->out, "%s = %s;\n", to, x);
    end_statement(c, s);
    c->depth--;
    line(c, "}");
}

static void tail_let(Cuda *c, const Stmt *s)
{
    char name[32];
    line(c, "Four<%s> v%d;", type_name(c, s->x->type), s->var->id);
    c->inner[s->var->id] = true;
    snprintf(name, sizeof name, "v%d.x[i]", s->var->id);
    each_lane(c, s, name);
}

static void tail_store(Cuda *c, const Stmt *s)
{
    char name[32];
    if (!is_vector(c, s->buf, s->index)) {
        each_lane(c, s, NULL);
        return;
    }
    const char *t = type_name(c, s->buf->type);
    line(c, "Four<%s> q%d;", t, ++c->nfour);
    snprintf(name, sizeof name, "q%d.x[i]", c->nfour);
    each_lane(c, &(Stmt){.x = s->x}, name);
    const char *to = first_element(c, s->buf, s->index);
    for (int i = 0; i < c->depth; i++) buf_puts(c->out, "    ");
    buf_printf(c->out, "*(Four<%s> *)&%s = q%d;\n", t, to, c->nfour);
}

static void tail_statement(Cuda *c, const Stmt *s)
{
    bug_if(s->kind != S_STORE && s->kind != S_LET && s->kind != S_SEQ, "a vector in a tail holds more than values");
    for (int i = 0; i < s->seq.n; i++) tail_statement(c, s->seq.v[i]);
    if (s->kind == S_SEQ) return;
    load_vectors(c, s->x);
    (s->kind == S_LET ? tail_let : tail_store)(c, s);
    forget_vectors(c, s->x);
}

static void tail_loop(Cuda *c, const Stmt *s)
{
    bug_if(s->extent->c.i != CUDA_LANES, "a vector of %" PRId64 " lanes in a tail", s->extent->c.i);
    line(c, "{");
    c->depth++;
    c->lane = s->var;
    tail_statement(c, s->body);
    c->lane = NULL;
    c->depth--;
    line(c, "}");
}

/* ---- a kernel ---- */

static const char *index_type(const Func *f)
{
    for (int i = 0; i < f->buf.n; i++)
        if (f->buf.v[i]->count > INT32_MAX) return "long long";
    return "int";
}

void cuda_parameters(Buf *out, const Func *f)
{
    Cuda c = {.f = f, .index_type = index_type(f)};
    for (int i = 0; i < f->nargs; i++) {
        const LBuf *u = f->buf.v[i];
        buf_printf(out, "%s%s%s *__restrict__ a%d", i ? ", " : "", u->written ? "" : "const ",
                   type_name(&c, u->type), u->id);
    }
}

/* `enter` prints what stands before the body: declares lane, row and task. */
static void function(Buf *out, const Func *f, void (*enter)(Cuda *c))
{
    Cuda c = {.out = out, .f = f, .depth = 1, .index_type = index_type(f), .a = arena_new()};
    Arena *keep = arena_new();
    c.at = cuda_places(keep, f);
    c.uses = NEWN(keep, int, f->nexprs + 1);
    c.temp = NEWN(keep, int, f->nexprs + 1);
    c.inner = NEWN(keep, bool, f->nvars + 1);
    c.four = NEWN(keep, int, f->nexprs + 1);
    enter(&c);
    stmt(&c, f->body);
    buf_puts(out, "}\n");
    arena_free(keep);
    arena_free(c.a);
}

static void enter_kernel(Cuda *c)
{
    /* Without a number of blocks, ptxas rather spills than leave the registers that full occupancy allows. */
    buf_printf(c->out, "extern \"C\" __global__ void __launch_bounds__(%d, %d) %s(",
               CUDA_LANES * CUDA_TASKS, RESIDENT, c->f->name);
    cuda_parameters(c->out, c->f);
    buf_puts(c->out, ")\n{\n");
    line(c, "const int lane = threadIdx.x;");
    line(c,
         "const unsigned row = 0xffffu << (threadIdx.y %% 2 * %d); /* this task's threads of the "
         "warp */",
         CUDA_LANES);
    line(c, "const %s task = (%s)blockIdx.x * %d + threadIdx.y;", c->index_type, c->index_type,
         CUDA_TASKS);
    line(c, "if (task >= %" PRId64 ") return;", c->f->ntasks);
}

void cuda_emit(Buf *out, const Func *f)
{
    function(out, f, enter_kernel);
}

static void enter_tail(Cuda *c)
{
    c->tail = true;
    for (int i = 0; i < c->f->buf.n; i++)
        bug_if(c->f->buf.v[i]->scope != BUF_ARG, "an array in a tail");
    buf_puts(c->out, "DEVICE void tail(");
    cuda_parameters(c->out, c->f);
    buf_puts(c->out, ", const int task)\n{\n");
    line(c, "const int first = threadIdx.x %% %d * %d, lane = first;", CUDA_LANES / CUDA_TAIL_LANES, CUDA_TAIL_LANES);
}

void cuda_emit_tail(Buf *out, const Func *f)
{
    function(out, f, enter_tail);
}
