/* The manifest of every model, for every architecture: no kernel spills, all of them start and stay within their registers
 * and issue slots, what is counted is consistent, and fused programs move less. What NVRTC made of a kernel is kept in the
 * build folder. Rows that are marked have hundreds of kernels, of which the fused ones run with MODELS=all, or MODELS=WORD
 * of their name. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "need.h"
#include "nvrtc/cubin.h"
#include "pipeline.h"
#include "support/file.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const archs[] = {"sm_80", "sm_90a", "sm_120"};
enum { NARCHS = sizeof archs / sizeof archs[0] };
typedef struct Row {
    const char *spec, *precision;
    bool deep;
} Row;
static const Row rows[] = {
    {"tests/fixtures/bn_small.yaml", "fp32", false},
    {"tests/fixtures/heads.yaml", "fp32", false},
    {"tests/fixtures/ops_small.yaml", "fp32", false},
    {"models/softmax_regression.yaml", "fp32", false},
    {"models/logistic_regression.yaml", "fp32", false},
    {"models/mlp.yaml", "fp32", false},
    {"models/cnn.yaml", "fp32", false},
    {"models/cnn.yaml", "tf32", false},
    {"models/bn_cnn.yaml", "fp32", false},
    {"models/bn_cnn.yaml", "fp16", false},
    {"models/bn_cnn.yaml", "bf16", false},
    {"models/cnn3.yaml", "fp32", false},
    {"models/resnet9.yaml", "fp32", true},
    {"models/autoencoder.yaml", "fp32", false},
    {"models/conv_autoencoder.yaml", "fp32", false},
    {"models/squeezenet1_1.yaml", "fp32", true},
    {"models/unet.yaml", "fp32", true},
    {"models/resnet18.yaml", "fp32", true},
    {"models/resnet18.yaml", "fp16", true},
    {"models/resnet18.yaml", "bf16", true},
    {"models/resnet18.yaml", "tf32", true},
    {"models/resnet34.yaml", "fp32", true},
    {"models/mobilenetv2.yaml", "fp32", true},
    {"models/resnet50.yaml", "fp32", true},
    {"models/resnet50.yaml", "fp16", true},
    {"models/fcn_resnet50.yaml", "fp32", true},
    {"models/deeplabv3_resnet50.yaml", "fp32", true},
};
enum { NROWS = sizeof rows / sizeof rows[0], FILE_REGISTERS = 65536, MOST_REGISTERS = 255 };
enum { LOOP_THREADS = 128, LOOP_BLOCKS = 4 }; /* of kernels from loops: as many blocks at a time have room */

static json_t *manifest_of(Arena *a, const Row *r, int narch, unsigned emit)
{
    char *out = arena_printf(a, "%s/m", file_temp_dir(a));
    Setting precision = {"precision", r->precision};
    CompileOptions o = {.spec = r->spec, .out = out, .machine = "x86-64-v3", .emit = emit, .quiet = true};
    o.set = &precision, o.nset = 1;
    o.no_variants = r->deep;
    for (o.narch = 0; o.narch < narch; o.narch++) o.arch[o.narch] = archs[o.narch];
    assert_int_equal(compile(&o), 0);
    json_error_t e;
    json_t *m = json_load_file(arena_printf(a, "%s.manifest.json", out), 0, &e);
    if (!m) fail_msg("%s: %s", r->spec, e.text);
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

/* Blocks of loops leave room for as many as their launch bounds promise; those of templates fill what they want. */
static void check_registers(const json_t *l, double threads)
{
    double registers = number(l, "registers"), blocks = json_object_get(l, "template") ? 1 : LOOP_BLOCKS;
    assert_true(blocks == 1 || threads == LOOP_THREADS);
    assert_true(registers >= 8 && registers <= MOST_REGISTERS && registers * threads * blocks <= FILE_REGISTERS);
}

/* Issue slots for each product of a template's main loop, as tests/unit/test_tensor.c has them on small shapes. */
static void check_slots(const char *where, const json_t *l)
{
    const json_t *template = json_object_get(l, "template"), *loop = json_object_get(l, "main_loop"), *products;
    if (!template || number(loop, "total") == 0) return; /* a single turn is no loop */
    bool simt = !(products = json_object_get(loop, "HMMA"));
    double most = simt ? 1.25 : number(template, "A_COLUMNS") != 0 ? 5 : 4;
    if (simt) products = json_object_get(loop, "FFMA");
    double slots = number(loop, "total") / json_number_value(products);
    if (!(slots <= most))
        fail_msg("%s %s, %s: %g issue slots for a product", where, text(l, "kernel"), text(l, "layers"), slots);
}

static void check_launch(const char *where, const json_t *l)
{
    const json_t *occupancy = json_object_get(l, "occupancy"), *mix = json_object_get(l, "instructions");
    double threads = product(l, "block");
    if (number(l, "spills") != 0)
        fail_msg("%s %s, %s: %g bytes of spills", where, text(l, "kernel"), text(l, "layers"), number(l, "spills"));
    check_registers(l, threads);
    check_slots(where, l);
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
    assert_int_equal(json_object_size(predicted), !strcmp(arch, "sm_80") ? 2 : !strncmp(arch, "sm_90", 5) ? 1 : 0);
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
    assert_true(fused || !unfused);
    if (!unfused) return; /* it does not train, or was built without */
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

/* MODELS=all, or a word of a row's name */
static bool wanted(const Row *r, const char *models)
{
    return models && (!strcmp(models, "all") || strstr(r->spec, models));
}

static void check_row(void **state)
{
    const Row *r = *state;
    const char *why = cuda_missing(), *models = getenv("MODELS");
    if (!why && r->deep && !wanted(r, models)) why = "NVRTC takes minutes: MODELS=all";
    need(why);
    Arena *a = arena_new();
    json_t *m = manifest_of(a, r, NARCHS, EMIT_MANIFEST);
    for (size_t i = 0; i < json_array_size(m); i++) {
        const json_t *arch = json_array_get(m, i);
        check_manifest(arena_printf(a, "%s %s %s", r->spec, r->precision, text(arch, "arch")), arch);
    }
    json_decref(m);
    arena_free(a);
}

/* Kernels are counted one by one: in the module that runs they are the same. */
static void modules_hold_what_is_counted(void **state)
{
    (void)state;
    need(cuda_missing());
    Arena *a = arena_new();
    json_t *apart = manifest_of(a, &rows[0], 1, EMIT_MANIFEST), *together = manifest_of(a, &rows[0], 1, EMIT_MANIFEST | EMIT_CUBIN);
    assert_true(json_equal(apart, together));
    json_decref(apart);
    json_decref(together);
    arena_free(a);
}

int main(void)
{
    struct CMUnitTest tests[NROWS + 1] = {[NROWS] = cmocka_unit_test(modules_hold_what_is_counted)};
    static char name[NROWS][64];
    setenv("SINTER_MODELS", "models", 0); /* of std: imports; they are beside the compiler, not beside this program */
    for (int i = 0; i < NROWS; i++) {
        snprintf(name[i], sizeof name[i], "%s %s", rows[i].spec, rows[i].precision);
        tests[i] = (struct CMUnitTest){.name = name[i], .test_func = check_row, .initial_state = (void *)&rows[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
