/* `weights ls|diff|convert|verify`: what they print, and their exit codes. */
#include "err.h"
#include "rt_run.h"
#include "weights.h"
#include <math.h>

static char pth[256], reference[256];

static int begin(void **state)
{
    if (run_begin(state)) return 1;
    snprintf(pth, sizeof pth, "%s/tests/fixtures/pth/zip.pth", run_repository);
    snprintf(reference, sizeof reference, "%s/tests/fixtures/pth/ref.safetensors", run_repository);
    return 0;
}

/* Runs the verb on up to five words; NULL ends them. */
static int weights(const char *a, const char *b, const char *c, const char *d, const char *e)
{
    char *argv[5] = {(char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)c,
                     (char *)(uintptr_t)d, (char *)(uintptr_t)e};
    int argc = 0, status;
    while (argc < 5 && argv[argc]) argc++;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int o = open("out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600),
            x = open("err.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(o, 1);
        dup2(x, 2);
        exit(rt_weights_main(argc, argv));
    }
    waitpid(pid, &status, 0);
    cli_read("out.txt", cli_out);
    cli_read("err.txt", cli_err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void lists(void **state)
{
    (void)state;
    assert_int_equal(weights("ls", pth, NULL, NULL, NULL), 0);
    assert_non_null(strstr(cli_out, "zip.pth: pth (zip), 12 tensors, 96 values, 0.0 MiB\n"));
    assert_non_null(strstr(cli_out,
                           "\nslice                   F32   [2,2,2]                    32    "
                           "    0.5       2.75      1.625  0\n"));
    assert_non_null(strstr(cli_out, " [0,3]                       0          -          -"));
    assert_int_equal(weights("ls", pth, "--json", "-", NULL), 0);
    assert_non_null(strstr(cli_out, "\"key\": \"conv.weight\""));
    assert_null(strstr(cli_out, "non-finite"));
}

static void converts(void **state)
{
    (void)state;
    assert_int_equal(weights("convert", pth, "a.safetensors", NULL, NULL), 0);
    assert_int_equal(weights("convert", pth, "a.safetensors", NULL, NULL), 7);
    assert_int_equal(weights("convert", pth, "a.safetensors", "--force", NULL), 0);
    assert_int_equal(weights("convert", pth, "a.pth", NULL, NULL), 2);
    assert_int_equal(weights("diff", "a.safetensors", reference, NULL, NULL), 0);
    assert_string_equal(cli_out,
                        "12 tensors are equal, 0 within the tolerance, 0 differ in values, "
                        "0 in shape, 0 are in one file only\n");
    assert_int_equal(weights("verify", "a.safetensors", NULL, NULL, NULL), 0);
    assert_non_null(strstr(cli_out, "the file is sound\n"));
}

static void differences(void **state)
{
    (void)state;
    float x[2] = {3, 4}, y[2] = {3, 4.005f}, bad[2] = {3, NAN};
    RtStTensor t[] = {{.name = "v", .dtype = "F32", .rank = 1, .dim = {2}, .count = 2, .data = x},
                      {.name = "w", .dtype = "F32", .rank = 1, .dim = {2}, .count = 2, .data = x}};
    rt_st_write("a.st", t, 2, NULL, 0, NULL);
    rt_st_write("part.st", t, 1, NULL, 0, NULL);
    t[1].data = y;
    rt_st_write("b.st", t, 2, NULL, 0, NULL);
    t[1].data = bad;
    rt_st_write("nan.st", t, 2, NULL, 0, NULL);
    t[1].data = x;
    t[1].rank = 2;
    t[1].dim[1] = 1;
    rt_st_write("shape.st", t, 2, NULL, 0, NULL);
    assert_int_equal(weights("diff", "a.st", "b.st", NULL, NULL), 1);
    assert_non_null(strstr(cli_out, "w    F32             0.005   0.0009992\n"));
    assert_int_equal(weights("diff", "a.st", "b.st", "--tolerance", "0.001"), 0);
    assert_int_equal(weights("diff", "a.st", "b.st", "--tolerance", "0.0009"), 1);
    assert_int_equal(weights("diff", "a.st", "b.st", "--tolerance", "2"), 2);
    assert_int_equal(weights("diff", "a.st", "nan.st", "--tolerance", "0.5"), 1);
    assert_int_equal(weights("diff", "nan.st", "nan.st", NULL, NULL), 0);
    assert_int_equal(weights("diff", "a.st", "part.st", NULL, NULL), 1);
    assert_non_null(strstr(cli_out, "only in a.st: w\n"));
    assert_int_equal(weights("diff", "a.st", "shape.st", NULL, NULL), 1);
    assert_non_null(strstr(cli_out, "shape of w: [2] and [2,1]\n"));
    assert_int_equal(weights("diff", "a.st", "b.st", "--json", "d.json"), 1);
    assert_int_equal(weights("verify", "nan.st", NULL, NULL, NULL), 1);
    assert_non_null(strstr(cli_out, "w: 1 values are not finite\n"));
}

static void mistakes(void **state)
{
    (void)state;
    assert_int_equal(weights(NULL, NULL, NULL, NULL, NULL), 2);
    assert_int_equal(weights("--help", NULL, NULL, NULL, NULL), 0);
    assert_int_equal(weights("lss", NULL, NULL, NULL, NULL), 2);
    assert_int_equal(weights("ls", NULL, NULL, NULL, NULL), 2);
    assert_int_equal(weights("ls", "a", "b", NULL, NULL), 2);
    assert_int_equal(weights("ls", "--jsn", NULL, NULL, NULL), 2);
    assert_int_equal(weights("ls", "nothing", NULL, NULL, NULL), 4);
    assert_string_equal(cli_err, "error[W001]: cannot read 'nothing': No such file or directory\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists), cmocka_unit_test(converts),
                                       cmocka_unit_test(differences), cmocka_unit_test(mistakes)};
    return cmocka_run_group_tests(tests, begin, cli_end);
}
