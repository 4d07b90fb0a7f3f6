/* The two oracles of CUDA C, the SIMT shim and the PTX interpreter: right kernels are right, and planted bugs are found,
 * each for what it is. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "simt/mutants.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 2 };

static SimtVerdict run(SimtModule *m, const WorkDef *d, uint64_t seed, double *error)
{
    Arena *a = arena_new();
    Work w;
    d->make(a, &w);
    SimtLaunch l = {.shared = w.shared, .arg = w.arg, .nargs = w.nargs, .seed = seed};
    memcpy(l.grid, w.grid, sizeof l.grid);
    memcpy(l.block, w.block, sizeof l.block);
    SimtVerdict v = simt_launch(m, 0, &l);
    *error = d->error(&w);
    arena_free(a);
    return v;
}

static void need(const char *why)
{
    if (!why) return;
    printf("%s\n", why);
    skip();
}

static void expect_right(const WorkDef *d, SimtModule *m)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        double error;
        if (run(m, d, seed, &error) != SIMT_OK) fail_msg("%s, seed %d: %s", d->file, (int)seed, simt_said());
        if (!(error <= d->tolerance)) fail_msg("%s, seed %d: differs by %g", d->file, (int)seed, error);
    }
}

static void right_kernels(bool checked)
{
    need(simt_missing(checked));
    Arena *a = arena_new();
    for (const WorkDef *d = work_defs; d->file; d++)
        expect_right(d, simt_open(work_source(a, d), &d->file, 1, checked));
    arena_free(a);
}

static void kernels_compute(void **state)
{
    (void)state;
    right_kernels(false);
}

static void kernels_pass_the_checks(void **state)
{
    (void)state;
    right_kernels(true);
}

static void bugs_are_found(void **state)
{
    (void)state;
    need(simt_missing(true));
    Arena *a = arena_new();
    for (const Mutant *m = mutants; m->name; m++) {
        const WorkDef *d = work_find(m->file);
        SimtModule *module = simt_open(mutant_source(a, m), &d->file, 1, true);
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            double error;
            SimtVerdict v = run(module, d, seed, &error);
            const char *said = v == SIMT_OK ? simt_verdict_names[v] : simt_said();
            if (seed == 1) printf("%s: %s\n", m->name, said);
            if (v != m->verdict)
                fail_msg("%s, seed %d: %s, not %s", m->name, (int)seed, said, simt_verdict_names[m->verdict]);
            if (v == SIMT_OK && !(error <= d->tolerance)) fail_msg("%s: differs by %g", m->name, error);
        }
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_compute), cmocka_unit_test(kernels_pass_the_checks),
                                       cmocka_unit_test(bugs_are_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
