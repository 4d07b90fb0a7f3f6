/* Which image a device gets, and what is said when there is none; the driver here answers as each case wants. */
#include "../../cuda/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Images { /* a model table with three images and nothing else */
    RtModel model;
    RtCode image[3];
    char name[32], data[3][8];
} Images;

static const void *asked[2]; /* images that the driver was given */
static int nasked, answer[2];

static int load(CuModule *module, const void *image, unsigned n, int *option, void **value)
{
    assert_int_equal(n, 2);
    assert_int_equal(option[0], 5);
    strcpy(value[0], answer[nasked] == 218 ? "line 3: \x1b[31mno such opcode" : "");
    *module = NULL;
    assert_true(nasked < 2);
    asked[nasked] = image;
    return answer[nasked++];
}

static int words(int result, const char **text)
{
    *text = result ? "words" : NULL;
    return 0;
}

/* sm_80 and sm_86 as cubins, PTX of sm_80, built by CUDA 13.0 */
static Images make(void)
{
    static const uint32_t arch[] = {80, 86, 80};
    Images x = {.model = {.nimages = 3, .cuda_version = 13000}, .name = "m.yaml"};
    x.model.images = offsetof(Images, image);
    x.model.spec_file = offsetof(Images, name);
    for (int i = 0; i < 3; i++) {
        x.image[i] = (RtCode){.arch = arch[i], .kind = i == 2 ? RT_PTX : RT_CUBIN, .size = 8};
        x.image[i].data = (RtRef)(offsetof(Images, data) + 8 * (size_t)i);
    }
    return x;
}

/* -> the image that was loaded last, or -1: none; *e then says why. */
static int image_for(int capability, int first, int second, RtError *e)
{
    Images x = make();
    Cuda c = {.model = &x.model, .capability = capability, .driver = 13000, .name = "a device"};
    cu.cuModuleLoadDataEx = load;
    cu.cuGetErrorName = cu.cuGetErrorString = words;
    nasked = 0;
    answer[0] = first;
    answer[1] = second;
    if (!cuda_load_module(&c, e)) return -1;
    return (int)(((const char *)asked[nasked - 1] - x.data[0]) / 8);
}

static void chooses(void **state)
{
    (void)state;
    RtError e;
    assert_int_equal(image_for(80, 0, 0, &e), 0);
    assert_int_equal(image_for(86, 0, 0, &e), 1);
    assert_int_equal(image_for(89, 0, 0, &e), 1); /* the highest minor below its own */
    assert_int_equal(image_for(90, 0, 0, &e), 2); /* another major: PTX */
    assert_int_equal(image_for(120, 0, 0, &e), 2);
    assert_int_equal(image_for(86, CU_NO_BINARY, 0, &e), 2); /* a driver that takes no cubins */
    assert_int_equal(image_for(86, CU_INVALID_IMAGE, 0, &e), 2);
}

static void refuses(void **state)
{
    (void)state;
    RtError e;
    assert_int_equal(image_for(75, 0, 0, &e), -1);
    assert_string_equal(e.id, "G004");
    assert_int_equal(e.exit, RT_EXIT_DEVICE);
    assert_non_null(strstr(e.text, "code for sm_80, sm_86, not for 'a device', which is sm_75"));
    assert_non_null(strstr(e.text, "sinter build m.yaml --target=cuda:sm_75"));
    assert_int_equal(image_for(90, CU_UNSUPPORTED_PTX, 0, &e), -1);
    assert_string_equal(e.id, "G002");
    assert_int_equal(image_for(90, 218, 0, &e),
                     -1); /* PTX that does not compile: with the log, made harmless */
    assert_string_equal(e.id, "G005");
    assert_non_null(strstr(e.text, "line 3: \\x1b[31mno such opcode"));
}

static void old_drivers(void **state)
{
    (void)state;
    RtError e;
    Images x = make();
    Cuda c = {.model = &x.model, .capability = 80, .driver = 12080, .name = "a device"};
    nasked = 0;
    assert_false(cuda_load_module(&c, &e));
    assert_int_equal(nasked, 0);
    assert_string_equal(e.id, "G002");
    assert_non_null(strstr(e.text, "for CUDA 12.8, this program for CUDA 13.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chooses), cmocka_unit_test(refuses),
                                       cmocka_unit_test(old_drivers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
