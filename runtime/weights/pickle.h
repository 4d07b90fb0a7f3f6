/* A closed unpickler: the part of pickle that tensors need, and nothing that runs code.
 *
 * in:  bytes of a pickle of protocol 2 to 5
 * out: a tree of values; tensors and storages are descriptions, no byte of theirs is read here
 * rule: an opcode or a global outside the lists of pickle.c and
 *       pickle_names.c is refused by name (W012); a pickle is
 *       bounded in bytes, values and marks; nothing here follows a value's inside, so that a list
 *       that holds itself is harmless.
 * not here: where storages lie, whether a tensor fits its storage (pth.h).
 */
#ifndef RUNTIME_WEIGHTS_PICKLE_H
#define RUNTIME_WEIGHTS_PICKLE_H
#include "data/data.h"
#include "safetensors.h"

typedef enum RtPickleKind {
    RT_P_NONE,
    RT_P_BOOL,
    RT_P_INT,
    RT_P_REAL,
    RT_P_TEXT,
    RT_P_BIG, /* a whole number of more than 64 bits: its bytes */
    RT_P_TUPLE,
    RT_P_LIST,
    RT_P_DICT,
    RT_P_GLOBAL,
    RT_P_STORAGE,
    RT_P_TENSOR
} RtPickleKind;

typedef enum RtCall { /* what calling a name gives */
                      RT_CALL_ORDERED_DICT,
                      RT_CALL_TENSOR_V2,
                      RT_CALL_TENSOR,
                      RT_CALL_PARAMETER,
                      RT_CALL_NEVER
} RtCall;

typedef struct RtName {
    const char *name;
    RtCall call;
    const char *dtype; /* of a storage class; else NULL */
} RtName;

typedef struct RtValue RtValue;

typedef struct RtValueList { /* of a dict: key, value, key, value, ... */
    RtValue **v;
    size_t n, max;
} RtValueList;

typedef struct RtStorage {
    const char *dtype;   /* as safetensors says it, "F32" */
    const RtValue *key;  /* a text or a number: which storage */
    int64_t count;       /* elements of it, or -1: not said */
    int64_t first, part; /* a view of a storage: its elements [first, first + part) */
} RtStorage;

typedef struct RtTensorView {
    const RtStorage *storage; /* NULL: a tensor that was saved by number (tar) */
    int64_t offset;
    int rank;
    int64_t size[RT_ST_RANK], stride[RT_ST_RANK];
} RtTensorView;

struct RtValue {
    RtPickleKind kind;
    union {
        int64_t i;          /* BOOL, INT */
        const RtName *name; /* GLOBAL */
        double f;
        struct {
            const char *s; /* in the pickle, not terminated */
            size_t n;
        } text;
        RtValueList list;
        RtStorage *storage;
        RtTensorView *tensor;
    };
};

typedef struct RtPickle RtPickle; /* owns all values that were read through it */

/* What a persistent id stands for. NULL after rt_pickle_fail. */
typedef RtValue *(*RtPersistent)(void *ctx, RtPickle *k, const RtValue *id);

/* file: for messages. Values point into the bytes that were read. */
RtPickle *rt_pickle_new(const char *file, RtPersistent persistent, void *ctx, RtError *e);
void rt_pickle_free(RtPickle *k);
/* The value of one pickle at p; *used: how many bytes it took. NULL: e was set. */
RtValue *rt_pickle_read(RtPickle *k, const void *p, size_t n, size_t *used);
/* Sets e; returns NULL. */
void *rt_pickle_fail(RtPickle *k, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* New values, zeroed; NULL (e was set) when there are too many. */
RtValue *rt_pickle_storage(RtPickle *k);
RtValue *rt_pickle_tensor(RtPickle *k);

/* pickle_names.c: the row of module.name in the closed list; NULL: it is not there. */
const RtName *rt_pickle_name(const char *module, size_t m, const char *name, size_t n);
/* The dtype of torch.FloatStorage and the like; NULL: no storage class. */
const char *rt_pickle_dtype(const RtValue *global);
bool rt_value_is_text(const RtValue *v, const char *text);
/* A dict's value; NULL: none, or v is no dict. */
RtValue *rt_value_get(const RtValue *v, const char *key);
/* Elements 0 .. n-1 of a tuple of at least n; else NULL. */
RtValue *const *rt_value_tuple(const RtValue *v, size_t n);
/* Order of keys of storages: numbers first, then texts by their bytes. */
int rt_value_compare(const RtValue *a, const RtValue *b);
#endif
