/* The closed unpickler: a stack machine of some thirty opcodes that build data, and five callables
 * that are imitated here, never called. Source: the documentation of Python's pickletools. */
#include "weights/pickle.h"
#include "err.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_BYTES = 64 << 20, /* of a pickle without the tensors; ResNet-50's has 0.05 MiB */
    MAX_VALUES = 4 << 20,
    MAX_MARKS = 1000,
    BLOCK = 1 << 16
};

typedef struct Block {
    struct Block *next;
    size_t used, size;
    char data[];
} Block;

struct RtPickle {
    const char *file;
    RtPersistent persistent;
    void *ctx;
    RtError *e;
    Block *block;
    size_t values;
    /* the machine, for one pickle */
    const unsigned char *p;
    size_t n, at;
    RtValueList stack, memo;
    size_t mark[MAX_MARKS];
    size_t marks;
};

/* ---- memory ---- */

void *rt_pickle_fail(RtPickle *k, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    k->e->exit = RT_EXIT_DATA;
    k->e->id = id;
    vsnprintf(k->e->text, sizeof k->e->text, fmt, ap);
    va_end(ap);
    return NULL;
}

static void *damaged(RtPickle *k, const char *what)
{
    return rt_pickle_fail(k, "W002", "'%s': pickle is damaged at byte %zu: %s", rt_esc(k->file),
                          k->at, what);
}

static bool bad(RtPickle *k, const char *what)
{
    damaged(k, what);
    return false;
}

static void *take(RtPickle *k, size_t n)
{
    n = (n + 15) / 16 * 16;
    if (!k->block || k->block->size - k->block->used < n) {
        size_t size = n > BLOCK ? n : BLOCK;
        Block *b = rt_alloc(1, sizeof *b + size, "a pickle");
        b->size = size;
        b->next = k->block;
        k->block = b;
    }
    void *p = k->block->data + k->block->used;
    k->block->used += n;
    return p;
}

RtPickle *rt_pickle_new(const char *file, RtPersistent persistent, void *ctx, RtError *e)
{
    RtPickle *k = rt_alloc(1, sizeof *k, "a pickle");
    k->file = file;
    k->persistent = persistent;
    k->ctx = ctx;
    k->e = e;
    return k;
}

void rt_pickle_free(RtPickle *k)
{
    for (Block *b = k->block, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(k->stack.v);
    free(k->memo.v);
    free(k);
}

static RtValue *new_value(RtPickle *k, RtPickleKind kind)
{
    if (k->values++ >= MAX_VALUES) {
        return rt_pickle_fail(k, "W002", "'%s': pickle of more than %d values", rt_esc(k->file),
                              MAX_VALUES);
    }
    RtValue *v = take(k, sizeof *v);
    v->kind = kind;
    return v;
}

RtValue *rt_pickle_storage(RtPickle *k)
{
    RtValue *v = new_value(k, RT_P_STORAGE);
    if (v) v->storage = take(k, sizeof *v->storage);
    return v;
}

RtValue *rt_pickle_tensor(RtPickle *k)
{
    RtValue *v = new_value(k, RT_P_TENSOR);
    if (v) v->tensor = take(k, sizeof *v->tensor);
    return v;
}

/* Lists inside values; what they outgrow is freed with everything else. */
static void list_add(RtPickle *k, RtValueList *l, RtValue *v)
{
    if (l->n == l->max) {
        size_t max = l->max ? 2 * l->max : 4;
        RtValue **old = l->v;
        l->v = take(k, max * sizeof *l->v);
        if (old) memcpy(l->v, old, l->n * sizeof *l->v);
        l->max = max;
    }
    l->v[l->n++] = v;
}

/* Stack and memo live longer than a pickle and are reused. */
static void grow(RtValueList *l, size_t n)
{
    if (n <= l->max) return;
    size_t max = l->max ? l->max : 64;
    while (max < n) max *= 2;
    RtValue **v = rt_alloc(max, sizeof *v, "a pickle");
    if (l->max) memcpy(v, l->v, l->max * sizeof *v);
    free(l->v);
    l->v = v;
    l->max = max;
}

/* ---- bytes ---- */

static const unsigned char *bytes(RtPickle *k, size_t n)
{
    if (n > k->n - k->at) return damaged(k, "it ends early");
    const unsigned char *p = k->p + k->at;
    k->at += n;
    return p;
}

static bool number(RtPickle *k, size_t width, uint64_t *v)
{
    const unsigned char *p = bytes(k, width);
    *v = 0;
    for (size_t i = width; p && i-- > 0;) *v = *v << 8 | p[i];
    return p != NULL;
}

/* ---- stack ---- */

static bool push(RtPickle *k, RtValue *v)
{
    if (!v) return false;
    grow(&k->stack, k->stack.n + 1);
    k->stack.v[k->stack.n++] = v;
    return true;
}

static RtValue *pop(RtPickle *k)
{
    size_t floor = k->marks ? k->mark[k->marks - 1] : 0;
    if (k->stack.n <= floor) return damaged(k, "the stack is empty");
    return k->stack.v[--k->stack.n];
}

static bool set_mark(RtPickle *k)
{
    if (k->marks == MAX_MARKS) return bad(k, "nested too deeply");
    k->mark[k->marks++] = k->stack.n;
    return true;
}

/* Takes off what lies above the last mark: n values at *v, valid until the next push. */
static bool pop_mark(RtPickle *k, RtValue ***v, size_t *n)
{
    if (!k->marks) return bad(k, "no mark");
    size_t from = k->mark[--k->marks];
    *v = k->stack.v + from;
    *n = k->stack.n - from;
    k->stack.n = from;
    return true;
}

/* ---- opcodes ---- */

static bool push_int(RtPickle *k, RtPickleKind kind, int64_t i)
{
    RtValue *v = new_value(k, kind);
    if (v) v->i = i;
    return push(k, v);
}

static bool push_text(RtPickle *k, RtPickleKind kind, size_t width)
{
    uint64_t n;
    if (!number(k, width, &n)) return false;
    const unsigned char *p = bytes(k, n);
    RtValue *v = p ? new_value(k, kind) : NULL;
    if (!v) return false;
    v->text.s = (const char *)p;
    v->text.n = n;
    return push(k, v);
}

/* LONG1: little-endian two's complement of any length; more than 8 bytes stay bytes. */
static bool push_long(RtPickle *k)
{
    if (k->at < k->n && k->p[k->at] > 8) return push_text(k, RT_P_BIG, 1);
    uint64_t n, v = 0;
    if (!number(k, 1, &n) || !number(k, n, &v)) return false;
    if (n > 0 && n < 8 && v >> (8 * n - 1)) v |= UINT64_MAX << 8 * n;
    return push_int(k, RT_P_INT, (int64_t)v);
}

/* BINFLOAT: big-endian. */
static bool push_real(RtPickle *k)
{
    const unsigned char *p = bytes(k, 8);
    RtValue *v = p ? new_value(k, RT_P_REAL) : NULL;
    uint64_t w = 0;
    for (int i = 0; v && i < 8; i++) w = w << 8 | p[i];
    if (v) memcpy(&v->f, &w, sizeof w);
    return push(k, v);
}

static bool push_tuple(RtPickle *k, RtValue **item, size_t n)
{
    RtValue *v = new_value(k, RT_P_TUPLE);
    for (size_t i = 0; v && i < n; i++) list_add(k, &v->list, item[i]);
    return push(k, v);
}

static bool small_tuple(RtPickle *k, size_t n)
{
    RtValue *item[3];
    for (size_t i = n; i-- > 0;) {
        if (!(item[i] = pop(k))) return false;
    }
    return push_tuple(k, item, n);
}

static bool marked_tuple(RtPickle *k)
{
    RtValue **item;
    size_t n;
    return pop_mark(k, &item, &n) && push_tuple(k, item, n);
}

static RtValue *top(RtPickle *k, RtPickleKind kind)
{
    RtValue *v = pop(k);
    if (!v) return NULL;
    k->stack.n++;
    return v->kind == kind ? v : damaged(k, "an item for something that holds none");
}

static bool append(RtPickle *k, RtValue **item, size_t n, RtPickleKind kind)
{
    RtValue *v = top(k, kind);
    if (v && kind == RT_P_DICT && n % 2) return bad(k, "a key without a value");
    for (size_t i = 0; v && i < n; i++) list_add(k, &v->list, item[i]);
    return v != NULL;
}

static bool append_one(RtPickle *k, RtPickleKind kind, size_t n)
{
    RtValue *item[2];
    for (size_t i = n; i-- > 0;) {
        if (!(item[i] = pop(k))) return false;
    }
    return append(k, item, n, kind);
}

static bool append_marked(RtPickle *k, RtPickleKind kind)
{
    RtValue **item;
    size_t n;
    return pop_mark(k, &item, &n) && append(k, item, n, kind);
}

static bool memo_put(RtPickle *k, uint64_t i)
{
    RtValue *v = pop(k);
    if (!v) return false;
    k->stack.n++;
    /* Python numbers them one by one, each at the cost of an opcode. */
    if (i > k->at) return bad(k, "memo number out of range");
    grow(&k->memo, i + 1);
    k->memo.v[i] = v;
    if (i >= k->memo.n) k->memo.n = i + 1;
    return true;
}

static bool memo_put_at(RtPickle *k, size_t width)
{
    uint64_t i;
    return number(k, width, &i) && memo_put(k, i);
}

static bool memo_get(RtPickle *k, size_t width)
{
    uint64_t i;
    if (!number(k, width, &i)) return false;
    if (i >= k->memo.n || !k->memo.v[i]) return bad(k, "unknown memo number");
    return push(k, k->memo.v[i]);
}

/* ---- names and what they stand for ---- */

static bool push_global(RtPickle *k, const char *module, size_t m, const char *name, size_t n)
{
    const RtName *known = rt_pickle_name(module, m, name, n);
    RtValue *v = known ? new_value(k, RT_P_GLOBAL) : NULL;
    if (v) v->name = known;
    if (!known) {
        rt_pickle_fail(k, "W012",
                       "'%s': refuses to construct '%s.%s': only tensors are read\n"
                       "a file of torch.save(model.state_dict(), ...) holds nothing else",
                       rt_esc(k->file), rt_esc_n(module, m), rt_esc_n(name, n));
    }
    return push(k, v);
}

static bool line(RtPickle *k, const char **s, size_t *n)
{
    const unsigned char *p = k->p + k->at, *end = memchr(p, '\n', k->n - k->at);
    if (!end) return bad(k, "it ends early");
    *s = (const char *)p;
    *n = (size_t)(end - p);
    k->at += *n + 1;
    return true;
}

static bool global(RtPickle *k)
{
    const char *module, *name;
    size_t m, n;
    return line(k, &module, &m) && line(k, &name, &n) && push_global(k, module, m, name, n);
}

static bool stack_global(RtPickle *k)
{
    RtValue *name = pop(k), *module = name ? pop(k) : NULL;
    if (!module) return false;
    if (module->kind != RT_P_TEXT || name->kind != RT_P_TEXT)
        return bad(k, "a name that is no text");
    return push_global(k, module->text.s, module->text.n, name->text.s, name->text.n);
}

static bool whole_numbers(const RtValue *v, int64_t *out, int *n)
{
    if (v->kind != RT_P_TUPLE || v->list.n > RT_ST_RANK) return false;
    for (size_t i = 0; i < v->list.n; i++) {
        if (v->list.v[i]->kind != RT_P_INT) return false;
        out[i] = v->list.v[i]->i;
    }
    *n = (int)v->list.n;
    return true;
}

/* (storage, offset, size, stride, ...) */
static RtValue *rebuild_tensor(RtPickle *k, RtValue *const *arg)
{
    RtValue *v = rt_pickle_tensor(k);
    if (!v) return NULL;
    RtTensorView *t = v->tensor;
    int strides = 0;
    bool ok = arg[0]->kind == RT_P_STORAGE && arg[1]->kind == RT_P_INT &&
              whole_numbers(arg[2], t->size, &t->rank) &&
              whole_numbers(arg[3], t->stride, &strides) && strides == t->rank;
    if (!ok) return damaged(k, "a tensor of an unknown form");
    t->storage = arg[0]->storage;
    t->offset = arg[1]->i;
    return v;
}

/* OrderedDict(), or the form of Python 2: OrderedDict([[key, value], ...]). */
static RtValue *ordered_dict(RtPickle *k, const RtValue *args)
{
    RtValue *v = new_value(k, RT_P_DICT);
    if (!v || args->list.n == 0) return v;
    const RtValue *pairs = args->list.v[0];
    bool ok = args->list.n == 1 && pairs->kind == RT_P_LIST;
    for (size_t i = 0; ok && i < pairs->list.n; i++) {
        const RtValue *pair = pairs->list.v[i];
        ok = (pair->kind == RT_P_LIST || pair->kind == RT_P_TUPLE) && pair->list.n == 2;
        if (!ok) break;
        list_add(k, &v->list, pair->list.v[0]);
        list_add(k, &v->list, pair->list.v[1]);
    }
    return ok ? v : damaged(k, "an unknown OrderedDict");
}

static RtValue *imitate(RtPickle *k, RtCall call, const RtValue *args)
{
    RtValue *const *arg = args->list.v;
    size_t n = args->list.n;
    if (call == RT_CALL_ORDERED_DICT) return ordered_dict(k, args);
    if ((call == RT_CALL_TENSOR_V2 && n >= 6) || (call == RT_CALL_TENSOR && n == 4))
        return rebuild_tensor(k, arg);
    if (call == RT_CALL_PARAMETER && n >= 1 && arg[0]->kind == RT_P_TENSOR) return arg[0];
    return damaged(k, "a call of an unknown form");
}

static bool reduce(RtPickle *k)
{
    RtValue *args = pop(k), *f = args ? pop(k) : NULL;
    if (!f) return false;
    if (f->kind != RT_P_GLOBAL || args->kind != RT_P_TUPLE)
        return bad(k, "a call of what is no function");
    if (f->name->call == RT_CALL_NEVER) {
        rt_pickle_fail(k, "W012", "'%s': refuses to call '%s'", rt_esc(k->file), f->name->name);
        return false;
    }
    return push(k, imitate(k, f->name->call, args));
}

/* An object's attributes: a state_dict has `_metadata`, which says nothing of the weights. */
static bool build(RtPickle *k)
{
    RtValue *attributes = pop(k);
    return attributes && top(k, RT_P_DICT);
}

static bool persistent(RtPickle *k)
{
    RtValue *id = pop(k);
    return id && push(k, k->persistent(k->ctx, k, id));
}

static bool unknown(RtPickle *k, unsigned char op)
{
    rt_pickle_fail(k, "W012",
                   "'%s': refuses pickle opcode 0x%02x at byte %zu: only tensors are read",
                   rt_esc(k->file), op, k->at - 1);
    return false;
}

static bool step(RtPickle *k, unsigned char op)
{
    uint64_t v;
    switch (op) {
    case 0x80: /* PROTO */
        if (!number(k, 1, &v)) return false;
        return (v >= 2 && v <= 5) || bad(k, "unknown protocol");
    case 0x95: /* FRAME */
        return number(k, 8, &v);
    case '(':
        return set_mark(k);
    case '}':
        return push(k, new_value(k, RT_P_DICT));
    case ']':
        return push(k, new_value(k, RT_P_LIST));
    case ')':
        return push(k, new_value(k, RT_P_TUPLE));
    case 0x85: /* TUPLE1 */
    case 0x86:
    case 0x87:
        return small_tuple(k, (size_t)op - 0x84);
    case 't':
        return marked_tuple(k);
    case 'X': /* BINUNICODE */
    case 'T': /* BINSTRING, of Python 2 */
        return push_text(k, RT_P_TEXT, 4);
    case 0x8c: /* SHORT_BINUNICODE */
    case 'U':  /* SHORT_BINSTRING, of Python 2 */
        return push_text(k, RT_P_TEXT, 1);
    case 'J': /* BININT */
        return number(k, 4, &v) && push_int(k, RT_P_INT, (int32_t)(uint32_t)v);
    case 'K': /* BININT1 */
        return number(k, 1, &v) && push_int(k, RT_P_INT, (int64_t)v);
    case 'M': /* BININT2 */
        return number(k, 2, &v) && push_int(k, RT_P_INT, (int64_t)v);
    case 0x8a:
        return push_long(k);
    case 'G':
        return push_real(k);
    case 'N':
        return push(k, new_value(k, RT_P_NONE));
    case 0x88: /* NEWTRUE */
    case 0x89:
        return push_int(k, RT_P_BOOL, op == 0x88);
    case 'q': /* BINPUT */
        return memo_put_at(k, 1);
    case 'r':
        return memo_put_at(k, 4);
    case 0x94: /* MEMOIZE */
        return memo_put(k, k->memo.n);
    case 'h': /* BINGET */
        return memo_get(k, 1);
    case 'j':
        return memo_get(k, 4);
    case 'c':
        return global(k);
    case 0x93:
        return stack_global(k);
    case 'R':
        return reduce(k);
    case 'Q':
        return persistent(k);
    case 's': /* SETITEM */
        return append_one(k, RT_P_DICT, 2);
    case 'u':
        return append_marked(k, RT_P_DICT);
    case 'a': /* APPEND */
        return append_one(k, RT_P_LIST, 1);
    case 'e':
        return append_marked(k, RT_P_LIST);
    case 'b':
        return build(k);
    default:
        return unknown(k, op);
    }
}

RtValue *rt_pickle_read(RtPickle *k, const void *p, size_t n, size_t *used)
{
    k->p = p;
    k->n = n < MAX_BYTES ? n : MAX_BYTES;
    k->at = k->marks = 0;
    if (k->memo.n) memset(k->memo.v, 0, k->memo.n * sizeof *k->memo.v);
    k->stack.n = k->memo.n = 0;
    while (k->at < k->n) {
        unsigned char op = k->p[k->at++];
        if (op == '.') { /* STOP */
            *used = k->at;
            RtValue *v = pop(k);
            if (v && k->stack.n + k->marks) return damaged(k, "values are left over");
            return v;
        }
        if (!step(k, op)) return NULL;
    }
    return damaged(k, "it ends early");
}
