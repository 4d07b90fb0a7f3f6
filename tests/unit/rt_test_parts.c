/* Parts: found by key and word; what there is not is refused by name. All parts are linked into this test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "device.h"
#include "parts.h"

static void finds(void **state)
{
    (void)state;
    RtError e;
    const RtDriver *d = rt_part("target", "cuda", &e);
    assert_non_null(d);
    assert_string_equal(d->name, "cuda");
}

static void refuses(void **state)
{
    (void)state;
    RtError e = {0};
    assert_null(rt_part("target", "cu\nda", &e));
    assert_string_equal(e.id, "C008");
    assert_int_equal(e.exit, RT_EXIT_USAGE);
    assert_string_equal(e.text, "unknown target 'cu\\x0ada'");
    assert_null(rt_part("nothing", "cuda", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
