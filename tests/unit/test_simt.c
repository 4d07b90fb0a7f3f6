/* The two oracles of CUDA C, the SIMT shim and the PTX interpreter: right kernels are right, and planted bugs are found,
 * each for what it is. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "need.h"
#include "nvrtc/text.h"
#include "ptx_load.h"
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

/* ---- the same by the PTX interpreter ---- */

/* -> what is wrong, or NULL */
static char *run_ptx_once(const PtxModule *m, const WorkDef *d, double *error, PtxProfile *p)
{
    Arena *a = arena_new();
    Work w;
    d->make(a, &w);
    void *param[WORK_ARGS];
    PtxSpace *s = ptx_space_new();
    PtxLaunch l = {.kernel = ptx_kernel(m, d->file), .shared = w.shared, .params = param, .check_races = true, .threads = 1};
    memcpy(l.grid, w.grid, sizeof l.grid);
    memcpy(l.block, w.block, sizeof l.block);
    for (int i = 0; i < w.nargs; i++) {
        param[i] = w.arg[i].buffer ? (void *)&w.arg[i].p : w.arg[i].p;
        if (w.arg[i].buffer) ptx_space_add(s, w.arg[i].p, w.arg[i].bytes);
    }
    char *fault = ptx_run(&l, s, p);
    *error = d->error(&w);
    ptx_space_free(s);
    arena_free(a);
    return fault;
}

static char *run_as_ptx(const char *text, const WorkDef *d, double *error, PtxProfile *p)
{
    Arena *a = arena_new();
    PtxModule *m = ptx_compile(arena_printf(a, "%s%s", text_prelude, text));
    char *fault = run_ptx_once(m, d, error, p);
    ptx_unload(m);
    arena_free(a);
    return fault;
}

/* Templates wait for no bank in their main loop; their results then pass through shared memory, not quite without. */
static void check_conflicts(const WorkDef *d, const PtxProfile *p)
{
    const double most_turns = 1.02;
    if (!((double)p->shared_phases <= most_turns * (double)p->shared_requests))
        fail_msg("%s: %g accesses to shared memory take %g turns", d->file, (double)p->shared_requests, (double)p->shared_phases);
    if (p->loop_phases != p->loop_requests)
        fail_msg("%s: in the main loop %g accesses take %g turns", d->file, (double)p->loop_requests, (double)p->loop_phases);
    if (!strcmp(d->file, "contract")) assert_true(p->loop_requests > 0);
}

static void kernels_pass_as_ptx(void **state)
{
    (void)state;
    need(cuda_missing());
    Arena *a = arena_new();
    for (const WorkDef *d = work_defs; d->file; d++) {
        double error;
        PtxProfile p = {0};
        char *fault = run_as_ptx(work_source(a, d), d, &error, &p);
        if (fault) fail_msg("%s: %s", d->file, fault);
        if (!(error <= d->tolerance)) fail_msg("%s: differs by %g", d->file, error);
        check_conflicts(d, &p);
    }
    arena_free(a);
}

/* Does the text hold one of the words, `|` between them? */
static bool says(const char *text, const char *words)
{
    for (const char *p = words; *p; p += strcspn(p, "|"), p += *p == '|') {
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(p, "|"), p);
        if (strstr(text, word)) return true;
    }
    return false;
}

static void expect_in_ptx(const Mutant *m, const char *text)
{
    const WorkDef *d = work_find(m->file);
    double error;
    PtxProfile p = {0};
    char *fault = run_as_ptx(text, d, &error, &p);
    double conflicts = p.shared_requests ? (double)p.shared_phases / (double)p.shared_requests : 1;
    if (fault)
        printf("%s: %s\n", m->name, fault);
    else
        printf("%s: an access to shared memory takes %.2f turns\n", m->name, conflicts);
    if (!m->said != !fault || (fault && !says(fault, m->said)))
        fail_msg("%s: %s, not %s", m->name, fault ? fault : "nothing is wrong", m->said ? m->said : "nothing");
    if (!fault && !(error <= d->tolerance)) fail_msg("%s: differs by %g", m->name, error);
    if (p.loop_requests && !fault && p.loop_phases == p.loop_requests) fail_msg("%s: not in the main loop", m->name);
    if (!fault && !(conflicts >= m->conflicts)) fail_msg("%s: only %.2f turns", m->name, conflicts);
    free(fault);
}

static void bugs_are_found_in_ptx(void **state)
{
    (void)state;
    need(cuda_missing());
    Arena *a = arena_new();
    for (const Mutant *m = mutants; m->name; m++) expect_in_ptx(m, mutant_source(a, m));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_compute), cmocka_unit_test(kernels_pass_the_checks),
                                       cmocka_unit_test(bugs_are_found), cmocka_unit_test(kernels_pass_as_ptx),
                                       cmocka_unit_test(bugs_are_found_in_ptx)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
