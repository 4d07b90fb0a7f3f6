/* Plans of cuDNN, made with no GPU from the description of one: every convolution of the known networks has one for
 * its three directions, epilogues that cuDNN has are taken and others refused with a reason, a plan survives being
 * written down. Skipped where cuDNN is not installed. That a plan computes the right numbers is not tested here:
 * nothing but a GPU can run it. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "cuda/cudnn.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cuDNN and cuBLAS keep what they allocated. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "detect_leaks=0";
}

static CudnnDevice *device(const char *arch)
{
    char json[CUDNN_DEVICE_JSON], why[CUDNN_WHY];
    CudnnDevice *d;
    if (cudnn_missing()) {
        printf("%s\n", cudnn_missing());
        skip();
    }
    assert_true(cudnn_device_json(arch, json, sizeof json));
    int status = cudnn_device_described(json, &d, why);
    if (status) fail_msg("%s: %s", arch, why);
    return d;
}

typedef struct Shape4 { /* a layer of a network */
    const char *where;
    int n, c, size, k, kernel, stride, pad, dilation, groups;
} Shape4;
static const Shape4 layers[] = {
    {"resnet conv1", 32, 3, 224, 64, 7, 2, 3, 1, 1},
    {"resnet18 layer1", 32, 64, 56, 64, 3, 1, 1, 1, 1},
    {"resnet18 layer2.0.conv1", 32, 64, 56, 128, 3, 2, 1, 1, 1},
    {"resnet18 layer2.0.downsample", 32, 64, 56, 128, 1, 2, 0, 1, 1},
    {"resnet18 layer4", 32, 512, 7, 512, 3, 1, 1, 1, 1},
    {"resnet50 conv3", 32, 64, 56, 256, 1, 1, 0, 1, 1},
    {"resnet50 layer4.conv1", 32, 2048, 7, 512, 1, 1, 0, 1, 1},
    {"squeezenet features.0", 8, 3, 224, 64, 3, 2, 0, 1, 1},
    {"squeezenet squeeze", 8, 512, 13, 64, 1, 1, 0, 1, 1},
    {"squeezenet expand3x3", 8, 64, 13, 256, 3, 1, 1, 1, 1},
    {"mobilenetv2 depthwise", 8, 96, 112, 96, 3, 2, 1, 1, 96},
    {"mobilenetv2 depthwise", 8, 144, 56, 144, 3, 1, 1, 1, 144},
    {"resnext grouped", 8, 128, 28, 128, 3, 1, 1, 1, 32},
    {"deeplab dilated", 2, 512, 28, 512, 3, 1, 2, 2, 1},
    {"deeplab aspp", 2, 2048, 28, 256, 3, 1, 12, 12, 1},
    {"batch 1", 1, 64, 56, 64, 3, 1, 1, 1, 1},
};
enum { NLAYERS = sizeof layers / sizeof layers[0] };

static CudnnConv conv_of(const Shape4 *s, uint32_t kind)
{
    int64_t out = (s->size + 2 * s->pad - s->dilation * (s->kernel - 1) - 1) / s->stride + 1;
    CudnnConv c = {.kind = kind,
                   .dim = {{s->n, s->c, s->size, s->size},
                           {s->k, s->c / s->groups, s->kernel, s->kernel},
                           {s->n, s->k, out, out}}};
    for (int d = 0; d < 2; d++) c.pad[d] = s->pad, c.step[d] = s->stride, c.dilation[d] = s->dilation;
    cudnn_conv_channels_last(&c); /* operands as well */
    return c;
}

static void every_layer_has_plans_on(const char *arch)
{
    CudnnDevice *d = device(arch);
    int missing = 0;
    for (int i = 0; i < NLAYERS; i++)
        for (uint32_t kind = 0; kind < CUDNN_NCONVOLUTIONS; kind++)
            for (uint32_t type = CUDNN_F32; type <= CUDNN_BF16; type++) {
                char why[CUDNN_WHY], name[64];
                CudnnPlan *p = NULL;
                CudnnConv c = conv_of(&layers[i], kind);
                for (int t = 0; t < CUDNN_MOST_TENSORS; t++) c.type[t] = type;
                int status = cudnn_plan_make(d, &c, -1, &p, why);
                cudnn_conv_name(&c, name, sizeof name);
                if (status) printf("%s, %s, type %u: %s\n", layers[i].where, name, type, why);
                missing += status != 0;
                assert_true(!p == (status != 0));
                if (p) assert_true(cudnn_plan_workspace(p) >= 0);
                cudnn_plan_free(p);
            }
    cudnn_device_free(d);
    assert_int_equal(missing, 0);
}

static void every_layer_has_plans_on_a100(void **state)
{
    (void)state;
    every_layer_has_plans_on("sm_80");
}

static void every_layer_has_plans_on_h100(void **state)
{
    (void)state;
    every_layer_has_plans_on("sm_90");
}

static CudnnConv with(CudnnConv c, uint32_t n, const uint32_t *kind)
{
    c.nepilogues = n;
    for (uint32_t i = 0; i < n; i++) c.epilogue[i] = (CudnnEpilogue){kind[i], 1, 6};
    return c;
}

/* What stands in front of an activation in a model, and what is left to kernels of ours. */
static const struct {
    uint32_t kind, n, epilogue[3];
    int taken;
} epilogues[] = {
    {CUDNN_CONV_FORWARD, 1, {CUDNN_EPI_BIAS}, 1},
    {CUDNN_CONV_FORWARD, 2, {CUDNN_EPI_BIAS, CUDNN_EPI_RELU}, 1},
    {CUDNN_CONV_FORWARD, 3, {CUDNN_EPI_ADD, CUDNN_EPI_BIAS, CUDNN_EPI_RELU}, 1},
    {CUDNN_CONV_FORWARD, 3, {CUDNN_EPI_BIAS, CUDNN_EPI_RELU, CUDNN_EPI_MUL}, 0},
    {CUDNN_CONV_DGRAD, 1, {CUDNN_EPI_RELU_GRAD}, 0},
    {CUDNN_CONV_WGRAD, 1, {CUDNN_EPI_SCALE}, 0},
};

static void epilogues_are_taken_or_refused(void **state)
{
    (void)state;
    CudnnDevice *d = device("sm_80");
    for (size_t i = 0; i < sizeof epilogues / sizeof epilogues[0]; i++) {
        char why[CUDNN_WHY], name[128];
        CudnnPlan *p;
        CudnnConv c = with(conv_of(&layers[1], epilogues[i].kind), epilogues[i].n, epilogues[i].epilogue);
        int status = cudnn_plan_make(d, &c, -1, &p, why);
        cudnn_conv_name(&c, name, sizeof name);
        printf("%s: %s\n", name, status ? why : "taken");
        assert_int_equal(status == 0, epilogues[i].taken);
        assert_true(!status || *why);
        cudnn_plan_free(p);
    }
    cudnn_device_free(d);
}

/* 16 bits in memory, sums in float32: all tensors are of one type, or kernels of ours compute it. */
static const struct {
    uint32_t kind, n, epilogue[3], wide; /* wide: the tensor that is float32; CUDNN_MOST_TENSORS: none */
    int taken;
} narrow[] = {
    {CUDNN_CONV_FORWARD, 0, {0}, CUDNN_MOST_TENSORS, 1},
    {CUDNN_CONV_FORWARD, 0, {0}, CUDNN_X, 0},
    {CUDNN_CONV_FORWARD, 0, {0}, CUDNN_Y, 0},
    {CUDNN_CONV_FORWARD, 2, {CUDNN_EPI_BIAS, CUDNN_EPI_RELU}, CUDNN_MOST_TENSORS, 1},
    {CUDNN_CONV_FORWARD, 2, {CUDNN_EPI_BIAS, CUDNN_EPI_RELU}, 3, 0},
    {CUDNN_CONV_DGRAD, 0, {0}, CUDNN_MOST_TENSORS, 1},
    {CUDNN_CONV_WGRAD, 0, {0}, CUDNN_MOST_TENSORS, 1},
    {CUDNN_CONV_WGRAD, 0, {0}, CUDNN_W, 0},
};

static void types_are_not_mixed(void **state)
{
    (void)state;
    CudnnDevice *d = device("sm_80");
    for (size_t i = 0; i < 2 * sizeof narrow / sizeof narrow[0]; i++) {
        char why[CUDNN_WHY];
        CudnnPlan *p;
        CudnnConv c = with(conv_of(&layers[1], narrow[i / 2].kind), narrow[i / 2].n, narrow[i / 2].epilogue);
        for (uint32_t t = 0; t < CUDNN_MOST_TENSORS; t++)
            c.type[t] = t == narrow[i / 2].wide ? CUDNN_F32 : i % 2 ? CUDNN_F16 : CUDNN_BF16;
        int status = cudnn_plan_make(d, &c, -1, &p, why);
        assert_int_equal(status == 0, narrow[i / 2].taken);
        cudnn_plan_free(p);
    }
    cudnn_device_free(d);
}

static void float32_is_kept(void **state)
{
    (void)state;
    CudnnDevice *d = device("sm_80");
    CudnnConv c = conv_of(&layers[1], CUDNN_CONV_FORWARD);
    char why[CUDNN_WHY], *exact, *tf32;
    CudnnPlan *p;
    assert_int_equal(cudnn_plan_make(d, &c, -1, &p, why), 0);
    exact = cudnn_plan_text(p);
    cudnn_plan_free(p);
    c.math = CUDNN_TF32;
    assert_int_equal(cudnn_plan_make(d, &c, -1, &p, why), 0);
    tf32 = cudnn_plan_text(p);
    cudnn_plan_free(p);
    assert_non_null(exact);
    assert_non_null(tf32);
    assert_string_not_equal(exact, tf32); /* the heuristics prefer tensor cores where they may */
    free(exact);
    free(tf32);
    cudnn_device_free(d);
}

static void a_plan_is_read_back(void **state)
{
    (void)state;
    CudnnDevice *d = device("sm_90");
    char why[CUDNN_WHY], *text, *again;
    CudnnPlan *p, *q;
    CudnnConv c = with(conv_of(&layers[2], CUDNN_CONV_FORWARD), epilogues[1].n, epilogues[1].epilogue);
    assert_int_equal(cudnn_plan_make(d, &c, -1, &p, why), 0);
    text = cudnn_plan_text(p);
    assert_non_null(text);
    assert_int_equal(cudnn_plan_read(d, text, &q, why), 0);
    again = cudnn_plan_text(q);
    assert_string_equal(text, again);
    assert_int_equal(cudnn_plan_workspace(p), cudnn_plan_workspace(q));
    assert_int_not_equal(cudnn_plan_read(d, "{\"not\": \"a plan\"}", &(CudnnPlan *){NULL}, why), 0);
    assert_true(*why);
    free(text);
    free(again);
    cudnn_plan_free(p);
    cudnn_plan_free(q);
    cudnn_device_free(d);
}

static void a_wrong_description_is_refused(void **state)
{
    (void)state;
    char why[CUDNN_WHY], json[CUDNN_DEVICE_JSON];
    CudnnDevice *d;
    cudnn_device_free(device("sm_80"));
    assert_int_not_equal(cudnn_device_described("{\"warpSize\": 32}", &d, why), 0);
    assert_null(d);
    assert_true(*why);
    assert_false(cudnn_device_json("sm_01", json, sizeof json));
    assert_false(cudnn_device_json("sm_80", json, 100));
}

/* Needs no cuDNN: operations are data. */
static void strides_and_names(void **state)
{
    (void)state;
    static const uint32_t bias_relu[] = {CUDNN_EPI_BIAS, CUDNN_EPI_RELU};
    char name[64];
    CudnnConv c = with(conv_of(&layers[1], CUDNN_CONV_FORWARD), 2, bias_relu);
    assert_memory_equal(c.stride[CUDNN_X], ((int64_t[]){64 * 56 * 56, 1, 64 * 56, 64}), 32);
    cudnn_conv_channels_first(&c);
    assert_memory_equal(c.stride[CUDNN_W], ((int64_t[]){64 * 9, 9, 3, 1}), 32);
    cudnn_conv_name(&c, name, sizeof name);
    assert_string_equal(name, "convolution+bias+ReLU");
    cudnn_conv_name(&c, name, 8);
    assert_string_equal(name, "convolu");
    assert_int_equal(cudnn_conv_result(&c), CUDNN_Y);
    assert_int_equal(cudnn_epilogue_operand(CUDNN_EPI_BIAS), CUDNN_PER_CHANNEL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strides_and_names),
        cmocka_unit_test(every_layer_has_plans_on_a100),
        cmocka_unit_test(every_layer_has_plans_on_h100),
        cmocka_unit_test(epilogues_are_taken_or_refused),
        cmocka_unit_test(types_are_not_mixed),
        cmocka_unit_test(float32_is_kept),
        cmocka_unit_test(a_plan_is_read_back),
        cmocka_unit_test(a_wrong_description_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
