/* The verb `sinter verify`: builds the programs of a description as a build does, loads their
 * kernels into this process, and checks them; see verify.h. */
#include "verify.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const verify_devices[] = {"cuda:virtual", "cuda", NULL};

static void check_machine(Arena *a, const Machine *m)
{
    if (load_runs_here(a, m)) return;
    diag_error((Loc){0}, "C001", "kernels for %s do not run on this computer, %s", m->name,
               machine_find(a, "native")->name);
    diag_help("leave out --target, or name a smaller one");
    diag_exit_with(EXIT_USAGE);
    exit(diag_flush());
}

/* ---- one program ---- */

static char *save_states(const VerifyRun *r)
{
    size_t n = (size_t)r->plan->size[PLAN_STATE];
    char *p = malloc(n + 1);
    if (!p) fatal(EXIT_MEMORY, "cannot allocate %zu bytes", n);
    memcpy(p, r->arena[PLAN_STATE], n);
    return p;
}

/* r: where kernels run */
static void check_program(Arena *a, const Compiled *c, int i, VerifyRun r, VerifyReport *out)
{
    int noption;
    const Setting *option = spec_options(c->spec, &noption);
    r.loops = c->program[i].loops;
    r.kernel = c->program[i].kernel;
    r.seed = out->seed;
    r.naive = 2e8; /* a second or two */
    r.threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    verify_open(a, &r, option, noption);
    char *saved = save_states(&r);
    VerifyProgram *p = &out->program[out->nprogram++];
    p->what = c->program[i].what;
    verify_kernels(a, &r, p, out->tolerance);
    if (c->program[i].training) verify_gradients(a, &r, saved, &out->gradients);
    free(saved);
    verify_close(&r);
}

static void check_programs(Arena *a, const Compiled *c, VerifyRun where, VerifyReport *out, bool json)
{
    if (!json)
        printf("%s, batch %lld, %s, seed %llu; tolerance %.0e (rel L2), %d times that for one "
               "element\n",
               out->name, (long long)out->batch, out->target, (unsigned long long)out->seed,
               out->tolerance, VERIFY_ELEMENT);
    for (int i = 0; i < c->nprogram; i++) {
        check_program(a, c, i, where, out);
        if (!json) verify_print_program(&out->program[out->nprogram - 1]);
        fflush(stdout);
    }
}

static void check_here(Arena *a, const Compiled *c, VerifyReport *out, bool json)
{
    check_machine(a, c->machine);
    Loaded lib = load_kernels(a, c->obj, c->nobj);
    check_programs(a, c, (VerifyRun){.fn = lib.kernel}, out, json);
    load_close(&lib);
}

static void check_on_device(Arena *a, const Compiled *c, bool virtual, VerifyReport *out, bool json)
{
    VerifyDevice *d = verify_device_open(a, c, virtual);
    out->target = arena_printf(a, "%s on '%s'", out->target, verify_device_name(d));
    check_programs(a, c, (VerifyRun){.device = d}, out, json);
    verify_device_close(d);
}

int verify(const CompileOptions *o)
{
    enum { BATCH = 2, SEED = 1 };
    static const double tolerance = 1e-5;
    CompileOptions own = *o;
    Arena *a = arena_new();
    Compiled c;
    if (!own.batch) own.batch = BATCH;
    int code = compile_kernels(a, &own, &c);
    if (code == EXIT_OK) {
        VerifyReport r = {.name = spec_name(c.spec), .target = c.machine->name, .batch = own.batch};
        r.seed = (uint64_t)(o->seed ? o->seed : SEED);
        r.tolerance = o->tolerance > 0 ? o->tolerance : tolerance;
        if (c.ptx.data)
            check_on_device(a, &c, !o->device || !strcmp(o->device, verify_devices[0]), &r, o->json);
        else
            check_here(a, &c, &r, o->json);
        if (o->json) {
            verify_print_json(&r);
        } else {
            verify_print_gradients(&r.gradients);
            verify_print_last(&r);
        }
        code = verify_passed(&r) ? EXIT_OK : EXIT_CHECK;
        for (int i = 0; i < c.nobj; i++) free(c.obj[i].data);
        free(c.obj);
        free(c.ptx.data);
    }
    arena_free(a);
    return code;
}
