/* The command line: messages, exit codes, where a value comes from. */
#include "err.h"
#include "options.h"
#include "rt_cli.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
        int code;
    } bad[] = {
        {"train --epoch 3", "error[C001]: unknown option '--epoch'; did you mean '--epochs'?\n", 2},
        {"train --zzzzzzzz 3", "error[C001]: unknown option '--zzzzzzzz'\n", 2},
        {"train -x", "error[C001]: unknown option '-x'\n", 2},
        {"train --epochs", "error[C001]: --epochs needs a value\n", 2},
        {"train --force=1", "error[C001]: --force takes no value\n", 2},
        {"train more", "error[C001]: extra argument 'more'\n", 2},
        {"train --epochs=ten", "error[C002]: --epochs: 'ten' is not an integer 1..1000000\n", 2},
        {"train --epochs -1", "error[C002]: --epochs: '-1' is not an integer 1..1000000\n", 2},
        {"train --epochs 3x", "error[C002]: --epochs: '3x' is not an integer 1..1000000\n", 2},
        {"train --epochs 1e2", "error[C002]: --epochs: '1e2' is not an integer 1..1000000\n", 2},
        {"train --epochs 99999999999999999999",
         "error[C002]: --epochs: '99999999999999999999' is not an integer", 2},
        {"train --lr nan", "error[C002]: --lr: 'nan' is not a number 0..1e+06\n", 2},
        {"train --lr -0.5", "error[C002]: --lr: '-0.5' is not a number 0..1e+06\n", 2},
        {"train --threads 0", "error[C002]: --threads: '0' is not an integer 1..1024\n", 2},
        {"eval --split tset", "error[C002]: --split: 'tset' is not one of train|val|test\n", 2},
        {"bench --variants fused,fast",
         "error[C002]: --variants: 'fused,fast' is not a list of fused|unfused\n", 2},
        {"train -b 16",
         "error[C002]: --batch: this program was built for batch 8, not 16\n"
         "  = help: rebuild it: sinter build fake.yaml --batch 16\n",
         2},
        {"trian", "error[C003]: unknown verb 'trian'; did you mean 'train'?\n", 2},
        {"train", "error[C001]: --data is needed: the description names no data\n", 2},
        {"predict", "error[W001]: no weights in 'runs/fake/weights'\n", 4},
        {"eval --weights nothing.safetensors",
         "error[W001]: cannot read 'nothing.safetensors': No such file", 4},
        {"run --input x", "error[C001]: run needs --input and --output\n", 2},
        {"info --json no/such/dir/f",
         "error[C005]: cannot create 'no/such/dir/f': No such file or directory\n", 7},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int code = cli(bad[i].line);
        if (code != bad[i].code || strncmp(cli_err, bad[i].message, strlen(bad[i].message)) != 0) {
            print_error("'%s' gave %d: %s\n", bad[i].line, code, cli_err);
        }
        assert_int_equal(code, bad[i].code);
        assert_memory_equal(cli_err, bad[i].message, strlen(bad[i].message));
    }
}

static void control_bytes_are_escaped(void **state)
{
    (void)state;
    assert_int_equal(cli("train --\033[31mx"), 2);
    assert_string_equal(cli_err, "error[C001]: unknown option '--\\x1b[31mx'\n");
    assert_string_equal(rt_esc("a\xff\xc2\x85\xe2\x82\xac\t"), "a\\xff\\xc2\\x85\xe2\x82\xac\\x09");
    char text[200];
    memset(text, 'y', sizeof text);
    text[199] = 0;
    assert_int_equal(strlen(rt_esc(text)), 83);
}

static void help_and_info(void **state)
{
    (void)state;
    assert_int_equal(cli("--help"), 0);
    assert_non_null(strstr(cli_out, "predict"));
    assert_int_equal(cli(""), 2);
    assert_int_equal(cli("train --help"), 0);
    assert_non_null(strstr(cli_out, "--epochs N"));
    assert_non_null(strstr(cli_out, "[4]")); /* the description's, not the table's */
    assert_null(strstr(cli_out, "--topk"));
    assert_int_equal(cli("info"), 0);
    assert_non_null(strstr(cli_out, "parameters  51\n"));
    assert_int_equal(cli("info --json -"), 0);
    assert_memory_equal(cli_out, "{\n  \"model\": \"fake\",\n", 21);
    assert_int_equal(cli("--version"), 0);
    assert_string_equal(cli_out, "fake, by hand\n");
}

static void precedence(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    char *argv[] = {"--lr=0.5", "--data", "d", "--force"};
    RtOptions o;
    rt_options_parse(&o, m, RT_VERB_TRAIN, 4, argv);
    assert_int_equal(rt_option_int(&o, "train.epochs", 77), 4); /* description */
    assert_int_equal(rt_option_int(&o, "train.seed", 77), 0);   /* table */
    assert_true(rt_option_num(&o, "train.lr", 0) == 0.5);       /* command line */
    assert_true(rt_option_num(&o, "train.beta2", 0) == 0.999);  /* description only */
    assert_int_equal(rt_option_int(&o, "train.nothing", 77), 77);
    assert_string_equal(rt_option_str(&o, "data.root", ""), "d");
    assert_true(rt_option_bool(&o, "run.force", false));
    assert_true(rt_option_given(&o, "train.lr") && !rt_option_given(&o, "train.epochs"));
    rt_options_free(&o);
}

static void lists(void **state)
{
    (void)state;
    int n;
    char **w = rt_option_list("[ \"a b\", c,'d' ]", &n);
    assert_int_equal(n, 3);
    assert_string_equal(w[0], "a b");
    assert_string_equal(w[1], "c");
    assert_string_equal(w[2], "d");
    free(w);
    free(rt_option_list("", &n));
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes),      cmocka_unit_test(control_bytes_are_escaped),
        cmocka_unit_test(help_and_info), cmocka_unit_test(precedence),
        cmocka_unit_test(lists),
    };
    return cmocka_run_group_tests(tests, cli_begin, cli_end);
}
