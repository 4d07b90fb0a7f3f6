/* Which contractions cuDNN computes: those that it has a plan for, with tensors where they lie or copies of them.
 *
 * In: groups, layouts, the machine's GPU. Out: GroupSchedule.library, or the reason why not. A group that stays ours
 * needs a halo of zeros round its input, which moves its elements: whoever else reads that input is asked again,
 * until nothing changes. Elementwise work is handed over as far as cuDNN takes it, the longest chain first. */
#include "schedule.h"
#include "stages.h"
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

typedef struct Answer { /* to a question that was asked before */
    CudnnConv conv;
    const char *plan, *why; /* why: there is none */
    int64_t scratch;
} Answer;

typedef struct Asker {
    Arena *a;
    Schedule *s;
    CudnnDevice *device;
    VEC(Answer) answer;
} Asker;

typedef struct Candidate {
    Library lib;
    const Node *chain[CUDNN_MOST_EPILOGUES];
    uint32_t length; /* of the chain */
} Candidate;

/* ---- questions ---- */

static Answer fresh_answer(Asker *q, const CudnnConv *c)
{
    Answer x = {.conv = *c};
    char why[CUDNN_WHY], *text;
    CudnnPlan *p = NULL;
    if (cudnn_plan_make(q->device, c, -1, &p, why)) {
        x.why = arena_strdup(q->a, why);
        return x;
    }
    text = cudnn_plan_text(p);
    x.plan = text ? arena_strdup(q->a, text) : NULL;
    x.scratch = cudnn_plan_workspace(p);
    free(text);
    cudnn_plan_free(p);
    return x;
}

static const Answer *answer_to(Asker *q, const CudnnConv *c)
{
    for (int i = 0; i < q->answer.n; i++)
        if (!memcmp(&q->answer.v[i].conv, c, sizeof *c)) return &q->answer.v[i];
    vec_push(q->a, &q->answer, fresh_answer(q, c));
    return &q->answer.v[q->answer.n - 1];
}

/* ---- places of tensors ---- */

LType schedule_library_type(const Library *lib, int t)
{
    static const LType types[] = {[CUDNN_F32] = LT_F32, [CUDNN_F16] = LT_F16, [CUDNN_BF16] = LT_BF16};
    return types[lib->conv.type[t]];
}

static int64_t bytes_of(const Library *lib, int t)
{
    return (lib->tensor[t].count * ltype_size(schedule_library_type(lib, t)) + ALIGN - 1) / ALIGN * ALIGN;
}

static uint32_t type_of(LType t)
{
    return t == LT_F16 ? CUDNN_F16 : t == LT_BF16 ? CUDNN_BF16 : CUDNN_F32;
}

/* What the group stores: a result that is on the way to it is kept as exactly. */
static uint32_t type_of_outputs(const Schedule *s, const Group *g)
{
    uint32_t type = type_of(s->type[g->out.v[0]->id]);
    for (int i = 1; i < g->out.n; i++)
        if (type_of(s->type[g->out.v[i]->id]) != type) return CUDNN_F32;
    return type;
}

/* Does what the value is computed from change only when weights are loaded? */
static bool is_prepared(const Groups *gs, const Node *v)
{
    if (op_is(v, "State")) return !gs->graph->training;
    return gs->of[v->id] && gs->of[v->id]->prep;
}

/* The result is stored where it belongs if that is all that the group does. */
static bool result_is_all(const Group *g, const Library *lib)
{
    return (int)lib->conv.nepilogues == g->node.n - 1 && g->out.n == 1 && g->out.v[0] == lib->result;
}

static void place_tensor(const Schedule *s, const Group *g, Library *lib, int t)
{
    LibraryTensor *x = &lib->tensor[t];
    bool vector = t >= 3 && x->value->shape.rank == 1, result = t == (int)cudnn_conv_result(&lib->conv);
    const Layout *l = &s->value[x->value->id];
    lib->conv.type[t] = result ? type_of_outputs(s, g) : type_of(s->type[x->value->id]);
    if (vector) return; /* lies as it is: one element after the other */
    x->count = shape_count(x->value->shape);
    x->copied = !l->last || (result && !result_is_all(g, lib));
    x->kept = x->copied && !result && is_prepared(s->groups, x->value);
    if (x->copied) {
        cudnn_conv_dense(&lib->conv, t);
        return;
    }
    int64_t stride[4] = {l->outer[0], 1, l->outer[2], l->outer[3]};
    memcpy(lib->conv.stride[t], stride, sizeof stride);
}

/* Copies and cuDNN's own scratch, one after the other in the workspace. */
static void place_copies(GroupSchedule *gs, Library *lib)
{
    gs->workspace = gs->kept = 0;
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++) {
        LibraryTensor *x = &lib->tensor[t];
        if (!x->value || !x->copied) continue;
        int64_t *end = x->kept ? &gs->kept : &gs->workspace;
        x->offset = *end;
        *end += bytes_of(lib, t);
    }
    lib->scratch_offset = gs->workspace;
    gs->workspace += (lib->scratch + ALIGN - 1) / ALIGN * ALIGN;
}

/* cuDNN adds a tensor first and a bias then; for us it is the same sum. */
static void exchange_sums(Library *lib)
{
    CudnnEpilogue *e = lib->conv.epilogue;
    if (lib->conv.nepilogues < 2 || e[0].kind != CUDNN_EPI_BIAS || e[1].kind != CUDNN_EPI_ADD) return;
    CudnnEpilogue first = e[0];
    LibraryTensor operand = lib->tensor[3];
    e[0] = e[1];
    e[1] = first;
    lib->tensor[3] = lib->tensor[4];
    lib->tensor[4] = operand;
}

/* The first n links of the chain as an operation of cuDNN's. */
static Library shortened(const Candidate *c, uint32_t n)
{
    Library lib = c->lib;
    for (uint32_t i = n; i < c->length; i++) {
        lib.conv.epilogue[i] = (CudnnEpilogue){0};
        lib.tensor[3 + i] = (LibraryTensor){0};
    }
    lib.conv.nepilogues = n;
    CudnnTensorIndex r = cudnn_conv_result(&lib.conv);
    if (n) lib.tensor[r].value = c->chain[n - 1];
    lib.result = lib.tensor[r].value;
    exchange_sums(&lib);
    return lib;
}

static bool mixes_types(const Library *lib)
{
    const uint32_t *type = lib->conv.type;
    return type[CUDNN_X] != type[CUDNN_W] || type[CUDNN_X] != type[CUDNN_Y];
}

/* Asks for as much of the chain as cuDNN takes. -> NULL, or why it takes nothing */
static const char *ask(Asker *q, const Group *g, const Candidate *c)
{
    const char *less = c->length < (uint32_t)g->node.n - 1 ? "it has no operation for what follows" : NULL;
    for (uint32_t n = c->length;; n--) {
        Library *lib = NEW(q->a, Library);
        *lib = shortened(c, n);
        for (int t = 0; t < CUDNN_MOST_TENSORS; t++)
            if (lib->tensor[t].value) place_tensor(q->s, g, lib, t);
        const Answer *x = answer_to(q, &lib->conv);
        if (x->why && n == 0) return mixes_types(lib) ? arena_printf(q->a, "%s (16 bits beside float32)", x->why) : x->why;
        if (x->why) {
            less = x->why;
            continue;
        }
        lib->plan = x->plan;
        lib->scratch = x->scratch;
        lib->less = less;
        place_copies(&q->s->group[g->id], lib);
        q->s->group[g->id].library = lib;
        return NULL;
    }
}

/* ---- all groups ---- */

static void refuse(Asker *q, const Group *g, const char *why)
{
    GroupSchedule *gs = &q->s->group[g->id];
    gs->library = NULL;
    gs->workspace = gs->kept = 0;
    gs->refused = why;
    schedule_halo(q->s, g);
}

static Candidate **find_candidates(Asker *q)
{
    const Groups *gs = q->s->groups;
    Candidate **c = NEWN(q->a, Candidate *, gs->group.n + 1);
    for (int i = 0; i < gs->group.n; i++) {
        const Group *g = gs->group.v[i];
        if (!g->anchor || g->nest != NEST_CONTRACT) continue;
        c[i] = NEW(q->a, Candidate);
        const char *why = schedule_conv(q->s, g, &c[i]->lib, c[i]->chain);
        c[i]->length = c[i]->lib.conv.nepilogues;
        if (!why) continue;
        refuse(q, g, *why ? why : NULL);
        c[i] = NULL;
    }
    return c;
}

static const char *open_device(Asker *q)
{
    char json[CUDNN_DEVICE_JSON], why[CUDNN_WHY];
    if (cudnn_missing()) return cudnn_missing();
    if (!cudnn_device_json(q->s->machine->cpu, json, sizeof json))
        return arena_printf(q->a, "there is no description of a GPU of %s", q->s->machine->cpu);
    return cudnn_device_described(json, &q->device, why) ? arena_strdup(q->a, why) : NULL;
}

/* One round. -> whether a group has been refused, which may have moved the tensors of others */
static bool ask_all(Asker *q, Candidate **c)
{
    const Groups *gs = q->s->groups;
    for (int i = 0; i < gs->group.n; i++) {
        if (!c[i]) continue;
        const char *why = ask(q, gs->group.v[i], c[i]);
        if (!why) continue;
        refuse(q, gs->group.v[i], why);
        c[i] = NULL;
        return true;
    }
    return false;
}

void schedule_libraries(Arena *a, Schedule *s)
{
    Asker q = {.a = a, .s = s};
    const Groups *gs = s->groups;
    if (s->machine->provider == PROVIDER_SINTER) {
        for (int i = 0; i < gs->group.n; i++) schedule_halo(s, gs->group.v[i]);
        return;
    }
    Candidate **c = find_candidates(&q);
    const char *why = open_device(&q);
    for (int i = 0; i < gs->group.n && why; i++)
        if (c[i]) refuse(&q, gs->group.v[i], why);
    while (!why && ask_all(&q, c)) continue;
    cudnn_device_free(q.device);
}
