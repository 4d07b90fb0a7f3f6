/* Which parts of the runtime a description asks for. */
#include "parts.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static bool has(const char *const *list, const char *symbol)
{
    for (; *list; list++)
        if (!strcmp(*list, symbol)) return true;
    return false;
}

static void only_what_is_asked_for(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const Setting option[] = {{"data.root", "idx"}, {"train.epochs", "10"}, {"target", "no"}};
    assert_null(*parts_wanted(a, option, 3, NULL));
    assert_null(*parts_wanted(a, option, 0, "cpu"));
    assert_true(has(parts_wanted(a, option, 3, "cuda"), "rt_driver_cuda"));
    const Setting list[] = {{"data.transforms.train", "Resize(28);ColorJitter(hue=0.1)"},
                            {"data.transforms.eval", "GaussianBlurred(3)"}};
    assert_true(has(parts_wanted(a, list, 2, NULL), "rt_tf_color_jitter"));
    assert_false(has(parts_wanted(a, list, 2, NULL), "rt_tf_gaussian_blur"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_what_is_asked_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
