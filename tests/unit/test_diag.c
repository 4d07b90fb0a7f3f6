/* Diagnostics: what a record looks like, in which order, with which exit code. */
#include "support/diag.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char printed[1 << 16];

/* diag_flush with standard error in `printed`. */
static int flush(void)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    int old = dup(2);
    dup2(fileno(f), 2);
    int code = diag_flush();
    dup2(old, 2);
    close(old);
    rewind(f);
    printed[fread(printed, 1, sizeof printed - 1, f)] = 0;
    fclose(f);
    return code;
}

static const char source[] = "model:\n  fc: Linear(7, 10)\n  \xc3\xbc: \x1b[31m ReLU()\n";

static Loc at(int line, int col, int len)
{
    return (Loc){"t.yaml", line, col, len};
}

static void one_error(void **state)
{
    (void)state;
    diag_source("t.yaml", source, strlen(source));
    diag_error(at(2, 14, 1), "H006", "Linear '%s' declares %d", "fc", 7);
    diag_under("expected 8");
    diag_help("write `_`");
    diag_note(at(1, 1, 5), "the model");
    assert_int_equal(diag_errors(), 1);
    assert_int_equal(flush(), EXIT_SPEC);
    assert_string_equal(printed, "t.yaml:2:14: error[H006]: Linear 'fc' declares 7\n"
                                 "    2 |   fc: Linear(7, 10)\n"
                                 "      |              ^ expected 8\n"
                                 "      = help: write `_`\n"
                                 "t.yaml:1:1: note: the model\n"
                                 "    1 | model:\n"
                                 "      | ^~~~~\n"
                                 "1 error; nothing was written\n");
    assert_int_equal(diag_errors(), 0);
    assert_int_equal(flush(), 0);
    assert_string_equal(printed, "");
}

static void order_and_code(void **state)
{
    (void)state;
    diag_source("t.yaml", source, strlen(source));
    diag_error(at(3, 1, 1), "S002", "third");
    diag_warning(at(2, 9, 1), NULL, "second");
    diag_error(at(2, 3, 2), "S001", "first");
    diag_exit_with(EXIT_DATA);
    diag_error((Loc){0}, "S003", "without a place");
    diag_exit_with(EXIT_WRITE);
    assert_int_equal(flush(), EXIT_WRITE);
    const char *none = strstr(printed, "error[S003]: without a place\n");
    const char *first = strstr(printed, "first"), *second = strstr(printed, "warning: second");
    const char *third = strstr(printed, "third");
    assert_ptr_equal(none, printed);
    assert_true(none < first && first < second && second < third);
    assert_non_null(strstr(printed, "3 errors; nothing was written\n"));
}

static void warnings_alone(void **state)
{
    (void)state;
    diag_warning(at(9, 1, 1), "S041", "no such line");
    assert_int_equal(flush(), 0);
    assert_string_equal(printed, "t.yaml:9:1: warning[S041]: no such line\n");
}

static void untrusted_text(void **state)
{
    (void)state;
    diag_source("t.yaml", source, strlen(source));
    diag_error(at(3, 6, 5), NULL, "bad \x1b]0;title\x07 \xff \xe2\x80\xae name\nnext");
    assert_int_equal(flush(), EXIT_SPEC);
    assert_string_equal(printed,
                        "t.yaml:3:6: error: bad \\x1b]0;title\\x07 \\xff \\u{202e} name\\x0anext\n"
                        "    3 |   \xc3\xbc: ?[31m ReLU()\n"
                        "      |      ^~~~~\n"
                        "1 error; nothing was written\n");
}

static void long_line(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    diag_source("long.yaml", text, strlen(text));
    diag_error((Loc){"long.yaml", 1, 2000, 4000}, NULL, "here");
    assert_int_equal(flush(), EXIT_SPEC);
    char *save = NULL;
    for (char *l = strtok_r(printed, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        assert_true(strlen(l) < 120);
}

static void repeated_and_many(void **state)
{
    (void)state;
    diag_source("t.yaml", source, strlen(source));
    for (int i = 0; i < 3; i++) diag_error(at(1, 1, 1), NULL, "the same");
    assert_int_equal(diag_errors(), 3);
    flush();
    assert_non_null(strstr(printed, "\n1 error; nothing was written\n"));
    for (int i = 0; i < 5000; i++) diag_error(at(1, 1, 1), NULL, "error %d", i);
    diag_help("dropped with its error");
    flush();
    assert_non_null(strstr(printed, "5000 errors (only the first 100 messages are shown)"));
    assert_null(strstr(printed, "dropped"));
}

static void json_lines(void **state)
{
    (void)state;
    diag_source("t.yaml", source, strlen(source));
    diag_json(true);
    diag_error(at(2, 14, 1), "H006", "a \"quote\" \\ \n \xff");
    diag_under("u");
    diag_help("h");
    diag_note(at(1, 1, 5), "n");
    assert_int_equal(flush(), EXIT_SPEC);
    diag_json(false);
    assert_string_equal(
        printed,
        "{\"file\":\"t.yaml\",\"line\":2,\"column\":14,\"length\":1,\"severity\":\"error\","
        "\"id\":\"H006\",\"message\":\"a \\\"quote\\\" \\\\ \\u000a \\ufffd\",\"under\":\"u\","
        "\"help\":[\"h\"],\"notes\":[{\"file\":\"t.yaml\",\"line\":1,\"column\":1,\"length\":5,"
        "\"message\":\"n\"}]}\n");
}

static void nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"Conv2d", "ReLU", "kernel_size", "stride", NULL};
    assert_string_equal(diag_nearest("Conv2D", names), "Conv2d");
    assert_string_equal(diag_nearest("relu", names), "ReLU");
    assert_string_equal(diag_nearest("strides", names), "stride");
    assert_string_equal(diag_nearest("stirde", names), "stride");
    assert_string_equal(diag_nearest("kernel", names), "kernel_size");
    assert_null(diag_nearest("Transformer", names));
    assert_null(diag_nearest("", names));
    assert_null(diag_nearest("x", names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_error),      cmocka_unit_test(order_and_code),
        cmocka_unit_test(warnings_alone), cmocka_unit_test(untrusted_text),
        cmocka_unit_test(long_line),      cmocka_unit_test(repeated_and_many),
        cmocka_unit_test(json_lines),     cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
