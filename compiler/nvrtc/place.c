/* In: a verified Func. Out: Places. An array whose lanes only meet their own elements needs no memory that they share,
 * and a buffer that is read as it was stored, lane by lane, needs no fence. An element belongs to the lane that is its
 * index modulo CUDA_LANES, where the index is lane + a multiple of CUDA_LANES; LETs are looked through. */
#include "nvrtc/place.h"
#include "nvrtc/emit.h"

typedef struct Note {
    Arena *a;
    const LVar *lane; /* of the open VECTOR loop, or NULL */
    Expr **let;       /* by LVar.id: the value of a LET, or NULL */
    Kept *kept;
    bool *seen, *loaded, *stored, *foreign; /* by LBuf.id; foreign: some access is not to the lane's own elements */
} Note;

/* Is x a multiple of CUDA_LANES, or (lane not NULL) that and one lane? */
static bool whole_rows(const Note *c, const Expr *x, const LVar *lane)
{
    int64_t k;
    if (expr_const(x, &k)) return k % CUDA_LANES == 0;
    if (x->kind == E_VAR && x->var == lane) return true;
    if (x->kind == E_VAR) return c->let[x->var->id] && whole_rows(c, c->let[x->var->id], NULL);
    if (x->kind != E_BIN) return false;
    if (x->op == B_ADD || x->op == B_SUB) return whole_rows(c, x->x[0], lane) && whole_rows(c, x->x[1], lane);
    if (x->op == B_MUL) return whole_rows(c, x->x[0], NULL) || whole_rows(c, x->x[1], NULL);
    return x->op == B_SHL && expr_const(x->x[1], &k) && ((int64_t)1 << (k & 31)) % CUDA_LANES == 0;
}

static void note_access(Note *c, const LBuf *u, const Expr *index)
{
    int64_t coef = 0;
    bool linear = !c->lane || expr_coef(index, c->lane, &coef);
    Kept k = linear && coef == 0 ? KEPT_SCALAR : linear && coef == 1 ? KEPT_LANE : KEPT_SHARED;
    if (!c->lane || k != KEPT_LANE || !whole_rows(c, index, c->lane)) c->foreign[u->id] = true;
    if (c->seen[u->id] && c->kept[u->id] != k) k = KEPT_SHARED;
    if (u->scope == BUF_LOCAL) k = KEPT_SHARED;
    c->kept[u->id] = k;
    c->seen[u->id] = true;
}

static void note_expr(Note *c, const Expr *x)
{
    if (x->kind == E_LOAD) {
        note_access(c, x->buf, x->x[0]);
        c->loaded[x->buf->id] = true;
    }
    for (int i = 0; i < 3; i++)
        if (x->x[i]) note_expr(c, x->x[i]);
}

static void note_stmt(Note *c, const Stmt *s)
{
    if (!s) return;
    bool vector = s->kind == S_FOR && s->fkind == FOR_VECTOR;
    if (vector) c->lane = s->var;
    if (s->x) note_expr(c, s->x);
    if (s->index) note_expr(c, s->index);
    if (s->kind == S_LET) c->let[s->var->id] = s->x;
    if (s->kind == S_STORE) {
        note_access(c, s->buf, s->index);
        c->stored[s->buf->id] = true;
    }
    for (int i = 0; i < s->seq.n; i++) note_stmt(c, s->seq.v[i]);
    note_stmt(c, s->body);
    note_stmt(c, s->other);
    if (vector) c->lane = NULL;
}

Places cuda_places(Arena *a, const Func *f)
{
    int n = f->buf.n + 1;
    Note c = {.a = a, .let = NEWN(a, Expr *, f->nvars + 1), .kept = NEWN(a, Kept, n), .seen = NEWN(a, bool, n),
              .loaded = NEWN(a, bool, n), .stored = NEWN(a, bool, n), .foreign = NEWN(a, bool, n)};
    Places p = {c.kept, NEWN(a, bool, n)};
    note_stmt(&c, f->body);
    for (int i = 0; i < f->buf.n; i++) {
        bool arg = f->buf.v[i]->scope == BUF_ARG;
        p.crossing[i] = arg ? c.loaded[i] && c.stored[i] && c.foreign[i] : c.kept[i] == KEPT_SHARED;
    }
    return p;
}

bool cuda_crosses(const Places *p, const Stmt *s)
{
    if (!s) return false;
    if (s->kind == S_STORE && p->crossing[s->buf->id]) return true;
    for (int i = 0; i < s->seq.n; i++)
        if (cuda_crosses(p, s->seq.v[i])) return true;
    return cuda_crosses(p, s->body) || cuda_crosses(p, s->other);
}
