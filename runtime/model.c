/* The blob: checks and access.
 *
 * In: rt_model, as linked. Out: pointers into it.
 * Rule: the blob was made together with the kernels and is trusted like them; the checks catch a
 * runtime and a compiler that do not belong together, not an attacker. */
#include "model.h"
#include "err.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void need(bool ok, const char *what)
{
    if (!ok) rt_fail(RT_EXIT_BUG, "B001", "the model table is damaged: %s", what);
}

static void check_list(const RtModel *m, RtRef ref, uint32_t n, size_t size, const char *what)
{
    need(n == 0 ||
             (ref >= sizeof *m && ref % 8 == 0 && ref <= m->size && n <= (m->size - ref) / size),
         what);
}

static void check_str(const RtModel *m, RtRef ref, const char *what)
{
    need(ref < m->size && (ref == 0 || memchr(RT_STR(m, ref), 0, m->size - ref)), what);
}

static void check_tensors(const RtModel *m, const RtTensor *t, uint32_t n, const uint64_t *size)
{
    for (uint32_t i = 0; i < n; i++, t++) {
        check_str(m, t->name, "tensor name");
        need(t->rank <= RT_MAX_RANK && t->layout.rank <= RT_MAX_RANK, "tensor rank");
        need(t->arena < RT_NARENAS && t->layout.count >= 0, "tensor place");
        uint64_t bytes = (uint64_t)t->layout.count * (t->dtype == RT_U8 ? 1 : 4);
        need(t->offset <= size[t->arena] && bytes <= size[t->arena] - t->offset, "tensor size");
        int64_t n1 = 1, n2 = 1;
        for (int a = 0; a < t->rank; a++) n1 *= t->dim[a];
        for (int a = 0; a < t->layout.rank; a++) n2 *= t->layout.dim[a];
        need(n1 == n2 && n1 <= t->layout.count, "tensor layout");
    }
}

static void check_steps(const RtModel *m, uint32_t device, RtRef ref, uint32_t n,
                        const uint64_t *size)
{
    check_list(m, ref, n, sizeof(RtStep), "steps");
    const RtStep *s = RT_AT(m, RtStep, ref);
    for (uint32_t i = 0; i < n; i++, s++) {
        uint32_t most = device == RT_CPU ? m->nkernels : m->ndevice_kernels;
        need(s->kind < RT_NSTEPS && (device == RT_CUDA || s->kind == RT_STEP_KERNEL), "kind of step");
        need(s->kernel < (s->kind == RT_STEP_KERNEL ? most : m->nlibraries), "kernel number");
        check_list(m, s->args, s->nargs, sizeof(RtArg), "arguments");
        const RtArg *a = RT_AT(m, RtArg, s->args);
        for (uint32_t k = 0; k < s->nargs; k++) {
            need(a[k].arena < RT_NARENAS && a[k].offset <= size[a[k].arena] && a[k].offset % 4 == 0,
                 "argument");
        }
        check_list(m, s->writes, s->nwrites, sizeof(RtTensor), "values of a step");
        check_str(m, s->layers, "layer names");
        check_str(m, s->nest, "nest name");
    }
}

static void check_program(const RtModel *m, const RtProgram *p)
{
    uint64_t size[RT_NARENAS] = {m->state_size, p->prep_size, p->slab_size, 64ull * m->nscalars};
    need(p->batch > 0 && p->device <= RT_CUDA, "batch or device");
    check_list(m, p->tensors, p->ntensors, sizeof(RtTensor), "tensors");
    check_tensors(m, rt_program_tensors(m, p), p->ntensors, size);
    check_steps(m, p->device, p->prepare, p->nprepare, size);
    check_steps(m, p->device, p->steps, p->nsteps, size);
}

static void check_images(const RtModel *m)
{
    check_list(m, m->device_kernels, m->ndevice_kernels, sizeof(RtRef), "names of kernels");
    const RtRef *name = RT_AT(m, RtRef, m->device_kernels);
    for (uint32_t i = 0; i < m->ndevice_kernels; i++) check_str(m, name[i], "name of a kernel");
    check_list(m, m->images, m->nimages, sizeof(RtCode), "images");
    const RtCode *x = RT_AT(m, RtCode, m->images);
    for (uint32_t i = 0; i < m->nimages; i++)
        need(x[i].data % 8 == 0 && x[i].data <= m->size && x[i].size <= m->size - x[i].data,
             "image");
}

static void check_libraries(const RtModel *m)
{
    check_list(m, m->libraries, m->nlibraries, sizeof(RtLibrary), "libraries");
    const RtLibrary *x = RT_AT(m, RtLibrary, m->libraries);
    for (uint32_t i = 0; i < m->nlibraries; i++, x++) {
        need(x->op % 8 == 0 && x->op <= m->size && x->op_size <= m->size - x->op, "operation");
        check_str(m, x->plan, "plan");
    }
}

void rt_model_check(const RtModel *m)
{
    need(m->magic == RT_MAGIC, "magic");
    if (m->abi != RT_ABI_VERSION) {
        rt_fail(RT_EXIT_BUG, "B001", "the model was built for runtime %u, this is runtime %u",
                m->abi, RT_ABI_VERSION);
    }
    RtRef texts[] = {m->name,   m->spec_file, m->spec_hash, m->compiler,
                     m->target, m->isa,       m->loss,      m->optimizer};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check_str(m, texts[i], "text");
    check_list(m, m->states, m->nstates, sizeof(RtTensor), "states");
    check_list(m, m->programs, m->nprograms, sizeof(RtProgram), "programs");
    check_list(m, m->scalars, m->nscalars, sizeof(RtScalar), "scalars");
    check_list(m, m->options, m->noptions, sizeof(RtOption), "options");
    uint64_t size[RT_NARENAS] = {m->state_size, 0, 0, 0};
    check_tensors(m, rt_model_states(m), m->nstates, size);
    for (uint32_t i = 0; i < m->nscalars; i++) check_str(m, rt_model_scalars(m)[i].name, "scalar");
    const RtOption *o = RT_AT(m, RtOption, m->options);
    for (uint32_t i = 0; i < m->noptions; i++) {
        check_str(m, o[i].key, "option");
        check_str(m, o[i].value, "option");
    }
    check_images(m);
    check_libraries(m);
    for (uint32_t i = 0; i < m->nprograms; i++) check_program(m, rt_model_programs(m) + i);
}

#if defined(__x86_64__)
/* One row for each feature that the compiler may name; an unknown name counts as absent. */
#define X86_FEATURES(F)                                                                            \
    F("sse3")                                                                                      \
    F("ssse3")                                                                                     \
    F("sse4.1")                                                                                    \
    F("sse4.2")                                                                                    \
    F("popcnt")                                                                                    \
    F("avx")                                                                                       \
    F("avx2") F("fma") F("bmi") F("bmi2") F("avx512f") F("avx512bw") F("avx512cd") F("avx512dq")   \
        F("avx512vl")

static bool cpu_has(const char *name)
{
#define F(s)                                                                                       \
    if (!strcmp(name, s)) return __builtin_cpu_supports(s);
    X86_FEATURES(F)
#undef F
    return !strcmp(name, "sse2") || !strcmp(name, "sse");
}
#else
static bool cpu_has(const char *name)
{
    (void)name;
    return true;
}
#endif

void rt_model_check_cpu(const RtModel *m)
{
    char word[32], missing[256] = "";
    for (const char *s = RT_STR(m, m->isa); m->isa && *s;) {
        size_t n = strcspn(s, " ,+");
        if (n && n < sizeof word) {
            memcpy(word, s, n);
            word[n] = 0;
            size_t at = strlen(missing);
            if (!cpu_has(word) && at + n + 2 < sizeof missing) {
                snprintf(missing + at, sizeof missing - at, "%s%s", at ? " " : "", word);
            }
        }
        s += n + (s[n] != 0);
    }
    if (missing[0]) {
        rt_fail(RT_EXIT_DEVICE, "E008",
                "this program needs a CPU with %s\nbuild it for this machine: sinter build %s "
                "--target=cpu:native",
                missing, RT_STR(m, m->spec_file));
    }
}

const RtTensor *rt_model_states(const RtModel *m)
{
    return RT_AT(m, RtTensor, m->states);
}

const RtProgram *rt_model_programs(const RtModel *m)
{
    return RT_AT(m, RtProgram, m->programs);
}

const RtScalar *rt_model_scalars(const RtModel *m)
{
    return RT_AT(m, RtScalar, m->scalars);
}

const RtTensor *rt_program_tensors(const RtModel *m, const RtProgram *p)
{
    return RT_AT(m, RtTensor, p->tensors);
}

static const RtTensor *find(const RtModel *m, const RtTensor *t, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!strcmp(RT_STR(m, t[i].name), name)) return t + i;
    }
    return NULL;
}

const RtTensor *rt_model_state(const RtModel *m, const char *name)
{
    return find(m, rt_model_states(m), m->nstates, name);
}

const RtTensor *rt_program_tensor(const RtModel *m, const RtProgram *p, const char *name)
{
    return find(m, rt_program_tensors(m, p), p->ntensors, name);
}

const char *rt_model_option(const RtModel *m, const char *key, uint32_t *line)
{
    const RtOption *o = RT_AT(m, RtOption, m->options);
    for (uint32_t i = 0; i < m->noptions; i++) {
        if (strcmp(RT_STR(m, o[i].key), key) != 0) continue;
        if (line) *line = o[i].line;
        return RT_STR(m, o[i].value);
    }
    return NULL;
}

const RtProgram *rt_model_program(const RtModel *m, uint32_t device, uint32_t phase,
                                  uint32_t variant, uint32_t batch)
{
    const RtProgram *best = NULL, *p = rt_model_programs(m);
    for (uint32_t i = 0; i < m->nprograms; i++, p++) {
        if (p->device != device || p->phase != phase || p->variant != variant ||
            (batch && p->batch != batch))
            continue;
        if (!best || p->batch > best->batch) best = p;
    }
    return best;
}

int64_t rt_tensor_count(const RtTensor *t)
{
    int64_t n = 1;
    for (int a = 0; a < t->rank; a++) n *= t->dim[a];
    return n;
}
