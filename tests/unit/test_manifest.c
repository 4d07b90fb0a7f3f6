/* The manifest of descriptions, for every architecture: no kernel spills, all of them start, what is counted is
 * consistent, and fused programs move less. NVRTC's results are kept in the build folder, so that only the first run
 * takes long. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "nvrtc/cubin.h"
#include "pipeline.h"
#include "support/file.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const descriptions[] = {"models/cnn.yaml", "models/mlp.yaml", "tests/fixtures/bn_small.yaml",
                                           "tests/fixtures/heads.yaml", "tests/fixtures/ops_small.yaml"};
enum { NDESCRIPTIONS = sizeof descriptions / sizeof descriptions[0], FILE_REGISTERS = 65536, MOST_REGISTERS = 255 };

static json_t *manifest_of(Arena *a, const char *spec)
{
    char *out = arena_printf(a, "%s/m", file_temp_dir(a));
    CompileOptions o = {.spec = spec, .out = out, .machine = "x86-64-v3", .emit = EMIT_MANIFEST, .quiet = true};
    for (o.narch = 0; machine_cuda_names[o.narch]; o.narch++) o.arch[o.narch] = machine_cuda_names[o.narch];
    assert_int_equal(compile(&o), 0);
    json_error_t e;
    json_t *m = json_load_file(arena_printf(a, "%s.manifest.json", out), 0, &e);
    if (!m) fail_msg("%s: %s", spec, e.text);
    assert_int_equal(json_array_size(m), o.narch);
    return m;
}

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_number(v)) fail_msg("no number '%s'", key);
    return json_number_value(v);
}

static const char *text(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));
    if (!v) fail_msg("no text '%s'", key);
    return v;
}

static double product(const json_t *o, const char *key)
{
    double n = 1;
    for (size_t i = 0; i < 3; i++) n *= json_number_value(json_array_get(json_object_get(o, key), i));
    return n;
}

static double sum_of(const json_t *list, const char *key)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(list); i++) sum += number(json_array_get(list, i), key);
    return sum;
}

static void check_launch(const char *where, const json_t *l)
{
    const json_t *occupancy = json_object_get(l, "occupancy"), *mix = json_object_get(l, "instructions");
    double registers = number(l, "registers"), threads = product(l, "block");
    if (number(l, "spills") != 0) fail_msg("%s %s: %g bytes of spills", where, text(l, "layers"), number(l, "spills"));
    assert_true(registers >= 8 && registers <= MOST_REGISTERS && registers * threads <= FILE_REGISTERS);
    assert_true(number(occupancy, "blocks") >= 1 && number(occupancy, "fraction") > 0);
    assert_true(product(l, "grid") >= 1 && threads >= 32 && threads <= 1024);
    assert_true(number(l, "bytes") > 0);
    assert_float_equal(sum_of(json_object_get(l, "parameters"), "bytes"), number(l, "bytes"), 1e-6 * number(l, "bytes"));
    assert_true(number(mix, "total") > 4 && number(mix, "total") >= number(json_object_get(l, "main_loop"), "total"));
    assert_true(*text(l, "nest") && *text(l, "layers") && *text(l, "kernel"));
}

/* Boards of the architecture have a time for every launch, and it is not below what data sheets allow. */
static void check_times(const char *arch, const json_t *l)
{
    const json_t *predicted = json_object_get(l, "predicted"), *t;
    const char *board;
    json_object_foreach((json_t *)predicted, board, t)
    {
        assert_true(number(t, "us") > number(l, "bytes") / 3.4e12 * 1e6);
        assert_true(number(t, "waves") >= 1 && *text(t, "bound"));
    }
    assert_int_equal(json_object_size(predicted), !strcmp(arch, "sm_80") ? 2 : !strcmp(arch, "sm_90") ? 1 : 0);
}

static const json_t *launches_of(const json_t *arch, const char *phase, const char *variant)
{
    const json_t *programs = json_object_get(arch, "programs");
    for (size_t i = 0; i < json_array_size(programs); i++) {
        const json_t *p = json_array_get(programs, i);
        bool same = !strcmp(text(p, "phase"), phase) && !strcmp(text(p, "variant"), variant);
        if (same && number(p, "batch") > 1) return json_object_get(p, "launches");
    }
    return NULL;
}

static void check_pair(const json_t *arch, const char *phase)
{
    const json_t *fused = launches_of(arch, phase, "fused"), *unfused = launches_of(arch, phase, "unfused");
    assert_true(!fused == !unfused);
    if (!fused) return;
    assert_true(json_array_size(fused) < json_array_size(unfused));
    assert_true(sum_of(fused, "bytes") < sum_of(unfused, "bytes"));
}

static void check_manifest(const char *spec, const json_t *arch)
{
    const json_t *programs = json_object_get(arch, "programs");
    assert_true(json_array_size(programs) >= 2);
    for (size_t i = 0; i < json_array_size(programs); i++) {
        const json_t *launches = json_object_get(json_array_get(programs, i), "launches");
        assert_true(json_array_size(launches) > 0);
        for (size_t k = 0; k < json_array_size(launches); k++) {
            check_launch(spec, json_array_get(launches, k));
            check_times(text(arch, "arch"), json_array_get(launches, k));
        }
    }
    check_pair(arch, "infer");
    check_pair(arch, "train-step");
}

static void check_description(void **state)
{
    const char *why = cuda_missing();
    if (why) {
        printf("%s\n", why);
        skip();
    }
    Arena *a = arena_new();
    json_t *m = manifest_of(a, *state);
    for (size_t i = 0; i < json_array_size(m); i++) check_manifest(*state, json_array_get(m, i));
    json_decref(m);
    arena_free(a);
}

int main(void)
{
    struct CMUnitTest tests[NDESCRIPTIONS];
    const char *build = getenv("BUILD");
    char cache[256];
    snprintf(cache, sizeof cache, "%s/tests/cache", build ? build : "build");
    setenv("XDG_CACHE_HOME", cache, 1);
    for (int i = 0; i < NDESCRIPTIONS; i++)
        tests[i] = (struct CMUnitTest){.name = descriptions[i], .test_func = check_description, .initial_state = (void *)descriptions[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
