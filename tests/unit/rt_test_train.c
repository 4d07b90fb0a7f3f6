/* The verbs from end to end on a small data set and a model made by hand: training, resuming,
 * evaluating, predicting, raw tensors, benchmarks, and what goes wrong. */
#include "err.h"
#include "rt_cli.h"
#include "rt_run.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PTH "tests/fixtures/pth/parallel.pth"

static void trains(void **state)
{
    (void)state;
    run_must(0, "train --data data --threads 1 --json train.json");
    assert_non_null(strstr(cli_out, "wrote runs/fake: weights/best.safetensors"));
    assert_non_null(strstr(cli_err, "epoch 4/4  loss "));
    static const char *const files[] = {"args.yaml",
                                        "env.json",
                                        "metrics.jsonl",
                                        "split.csv",
                                        "optim.safetensors",
                                        "weights/best.safetensors",
                                        "weights/last.safetensors"};
    for (int i = 0; i < 7; i++) {
        char path[64];
        snprintf(path, sizeof path, "runs/fake/%s", files[i]);
        assert_int_equal(access(path, R_OK), 0);
    }
    run_must(0, "eval --data data --json eval.json");
    assert_non_null(strstr(cli_out, "test: 21 items, loss "));
    cli_read("eval.json", cli_out);
    assert_non_null(strstr(cli_out, "\"accuracy\": 1"));
    assert_non_null(strstr(cli_out, "\"f1_macro\""));
}

static void existing_run(void **state)
{
    (void)state;
    run_must(7, "train --data data");
    assert_non_null(strstr(cli_err, "error[C004]: 'runs/fake' exists (use --force)\n"));
    run_must(0, "train --data data --force --epochs 4");
}

static void threads_agree(void **state)
{
    (void)state;
    run_must(0, "train --data data --threads 1 --output-dir t1");
    run_must(0, "train --data data --threads 3 --output-dir t3");
    run_same_tensors("t1/optim.safetensors", "t3/optim.safetensors");
    run_must(0, "train --data data --variant unfused --output-dir tu");
    run_same_tensors("t1/optim.safetensors", "tu/optim.safetensors");
}

/* Stopping after each step of three epochs and going on gives the run that was never stopped. */
static void resume_is_exact(void **state)
{
    (void)state;
    char line[256];
    run_must(0, "train --data data --epochs 3 --output-dir whole");
    RtSt *s = rt_st_open("whole/optim.safetensors");
    int steps = atoi(rt_st_meta(s, "step"));
    rt_st_free(s);
    assert_in_range(steps, 24, 33);
    for (int k = 1; k < steps; k++) {
        snprintf(line, sizeof line,
                 "train --data data --epochs 3 --output-dir part%d --max-steps %d", k, k);
        run_must(0, line);
        assert_non_null(strstr(cli_err, "--resume auto"));
        snprintf(line, sizeof line,
                 "train --data data --epochs 3 --output-dir part%d --resume auto --threads %d", k,
                 k % 3 + 1);
        run_must(0, line);
        snprintf(line, sizeof line, "part%d/optim.safetensors", k);
        run_same_tensors("whole/optim.safetensors", line);
        snprintf(line, sizeof line, "part%d/weights/best.safetensors", k);
        run_same_tensors("whole/weights/best.safetensors", line);
    }
}

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    fseek(f, at, SEEK_END);
    int c = fgetc(f);
    fseek(f, at, SEEK_END);
    fputc(c ^ 1, f);
    fclose(f);
}

/* The newest checkpoint is damaged: the one before it takes over, and the run is still the same. */
static void previous_checkpoint(void **state)
{
    (void)state;
    char *newest = "pc/optim.safetensors", *previous = "pc/optim.previous.safetensors";
    run_must(0, "train --data data --epochs 2 --output-dir pw");
    run_must(0, "train --data data --epochs 2 --output-dir pc --save-every 3 --max-steps 8");
    RtSt *s = rt_st_open(previous);
    assert_string_equal(rt_st_meta(s, "step"), "6");
    rt_st_free(s);
    flip(newest, -5);
    run_must(4, "train --data data --epochs 2 --output-dir pc --resume pc/optim.safetensors");
    run_must(0, "train --data data --epochs 2 --output-dir pc --max-steps 7 --resume auto");
    assert_non_null(strstr(cli_err, "warning[W011]: 'pc/optim.safetensors': its checksum does not "
                                    "match: the file is damaged; using step 6\n"));
    s = rt_st_open(previous); /* the damaged one did not take its place */
    assert_string_equal(rt_st_meta(s, "step"), "6");
    rt_st_free(s);
    run_must(0, "train --data data --epochs 2 --output-dir pc --resume auto");
    run_same_tensors("pw/optim.safetensors", newest);
    unlink(newest);
    run_must(0, "train --data data --epochs 2 --output-dir pc --resume auto");
    run_same_tensors("pw/optim.safetensors", newest);
    flip(newest, -5);
    unlink(previous);
    run_must(4, "train --data data --epochs 2 --output-dir pc --resume auto");
    assert_non_null(strstr(cli_err, "error[W011]"));
}

static void resume_refused(void **state)
{
    (void)state;
    run_must(0, "train --data data --epochs 3 --output-dir r --max-steps 5");
    run_must(2, "train --data data --epochs 3 --output-dir r --resume auto --seed 3");
    assert_non_null(strstr(
        cli_err, "error[C006]: --seed 3 differs from checkpoint 0: resume would not be exact"));
    run_must(2, "train --data data --epochs 3 --output-dir r --resume auto --lr 0.5");
    assert_non_null(strstr(cli_err, "error[C006]: --lr 0.5 differs from checkpoint 0.01"));
    run_must(2, "train --data data --epochs 3 --output-dir r --resume auto --limit 40");
    assert_int_equal(
        cli_with(fake_model("SGD(lr=0.1)"), "train --data data --output-dir r --resume auto"), 2);
    assert_non_null(strstr(cli_err, "error[C006]: optimizer SGD(lr=0.1) differs"));
    run_must(4, "train --data data --output-dir r --resume r/weights/last.safetensors");
    assert_non_null(strstr(cli_err, "error[W010]"));
    run_must(2, "train --data data --output-dir r --resume auto --weights x");
    run_must(0, "train --data data --epochs 3 --output-dir r --resume auto --lr 0.5 --allow-drift");
}

static void interrupted(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    fflush(NULL);
    pid_t pid = fork();
    char *argv[] = {"fake",     "train",   "--data",       "data",
                    "--epochs", "1000000", "--output-dir", "int"};
    if (pid == 0) cli_child(m, 8, argv);
    int status;
    for (int i = 0; i < 500 && access("int/weights/last.safetensors", F_OK); i++) usleep(10000);
    run_must(
        7, "train --data data --output-dir int --force"); /* locked; also: other files than out.txt
                                                              are untouched */
    assert_non_null(strstr(cli_err, "error[C007]: 'int' is locked by pid "));
    kill(pid, SIGINT);
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 130);
    RtSt *s = rt_st_open("int/optim.safetensors");
    int steps = atoi(rt_st_meta(s, "step"));
    rt_st_free(s);
    char line[256];
    snprintf(line, sizeof line,
             "train --data data --epochs 1000000 --output-dir int2 --max-steps %d", steps);
    run_must(0, line);
    run_same_tensors("int/optim.safetensors", "int2/optim.safetensors");
}

static void early_stopping(void **state)
{
    (void)state;
    run_must(0, "train --data data --epochs 50 --lr 0 --patience 2 --output-dir es");
    assert_non_null(strstr(cli_out, "fake: 3 epochs"));
    assert_non_null(strstr(cli_out, "in epoch 1\n"));
    run_must(0, "train --data data --epochs 50 --patience 2 --monitor val/f1_macro --min-delta 2 --output-dir es-f1");
    assert_non_null(strstr(cli_out, "fake: 3 epochs")); /* a share never grows by 2 */
    assert_non_null(strstr(cli_out, "best val/f1_macro "));
    run_must(2, "train --data data --monitor val/iou --output-dir es-iou");
    assert_non_null(strstr(cli_err, "error[C003]: val/iou cannot be monitored: the model does not classify pixels"));
    run_must(2, "train --data data --ema 0.9 --output-dir es-ema");
    assert_non_null(strstr(cli_err, "error[C003]: --ema: this program was built without"));
}

static void diverges(void **state)
{
    (void)state;
    const RtModel *m = fake_model("Adam(lr=0.01)");
    RtScalar *s = (RtScalar *)(uintptr_t)((const char *)m + m->scalars);
    s[SC_C1].value = 1;
    assert_int_equal(cli_with(m, "train --data data --lr 1000000 --epochs 1 --output-dir ok"), 0);
    s[SC_BATCH].value = 0; /* the kernels divide by it */
    assert_int_equal(cli_with(m, "train --data data --output-dir nan"), 8);
    assert_non_null(strstr(cli_err, "error[N001]: step 1: loss is NaN"));
    assert_int_not_equal(access("nan/weights/last.safetensors", F_OK), 0);
}

static void weights_that_do_not_fit(void **state)
{
    (void)state;
    float w[51] = {0}, bad[3] = {0, NAN, 0};
    RtStTensor t[] = {
        {.name = "fc.weight", .dtype = "F32", .rank = 2, .dim = {3, 16}, .count = 48, .data = w},
        {.name = "fc.bias", .dtype = "F32", .rank = 1, .dim = {3}, .count = 3, .data = w},
        {.name = "more", .dtype = "F32", .rank = 1, .dim = {3}, .count = 3, .data = w}};
    rt_st_write("good.st", t, 2, NULL, 0, NULL);
    rt_st_write("extra.st", t, 3, NULL, 0, NULL);
    rt_st_write("missing.st", t, 1, NULL, 0, NULL);
    t[0].dim[0] = 16;
    t[0].dim[1] = 3;
    rt_st_write("shape.st", t, 2, NULL, 0, NULL);
    t[0].dim[0] = 3;
    t[0].dim[1] = 16;
    t[1].data = bad;
    rt_st_write("nan.st", t, 2, NULL, 0, NULL);
    run_must(0, "eval --data data --weights good.st");
    run_must(4, "eval --data data --weights extra.st");
    assert_non_null(
        strstr(cli_err, "error[W007]: 'extra.st' does not fit the model: extra 'more'\n"));
    run_must(0, "eval --data data --weights extra.st --strict no");
    run_must(4, "eval --data data --weights missing.st");
    assert_non_null(strstr(cli_err, "missing 'fc.bias'"));
    run_must(4, "eval --data data --weights shape.st");
    assert_non_null(strstr(cli_err, "error[W008]: 'fc.weight': file [16,3], model [3,16]\n"));
    run_must(4, "eval --data data --weights nan.st");
    assert_non_null(
        strstr(cli_err, "error[W009]: 'fc.bias' has 1 values that are not finite (first at 1)\n"));
}

/* What training begins with. The .pth has names as DataParallel writes them. */
static void first_weights(void **state)
{
    (void)state;
    char line[256];
    run_must(0, "train --data data --max-steps 1 --output-dir plain");
    snprintf(line, sizeof line, "train --data data --max-steps 1 --output-dir pth --init %s/" PTH,
             run_repository);
    run_must(0, line);
    assert_non_null(strstr(cli_err, "parallel.pth: 2 of 2 tensors loaded\n"));
    snprintf(line, sizeof line,
             "train --data data --max-steps 1 --output-dir fresh --reinit fc --init %s/" PTH,
             run_repository);
    run_must(0, line);
    assert_non_null(
        strstr(cli_err, "0 of 2 tensors loaded; begin afresh: 'fc.weight', 'fc.bias'\n"));
    run_same_tensors("plain/optim.safetensors", "fresh/optim.safetensors");
    run_must(4, "train --data data --output-dir bad --init shape.st");
    assert_non_null(strstr(cli_err, "to train it afresh add `fc` to weights.reinit, which --init "
                                    "obeys (1 of 2 tensors match)\n"));
    run_must(
        0, "train --data data --max-steps 1 --output-dir part --init shape.st --reinit fc.weight");
    assert_non_null(strstr(cli_err, "1 of 2 tensors loaded; begin afresh: 'fc.weight'\n"));
    run_must(4, "train --data data --output-dir bad --weights shape.st --reinit fc.weight");
    run_must(2, "train --data data --output-dir bad --init good.st --reinit fcc");
    assert_non_null(strstr(cli_err, "error[C002]: --reinit: the model has no weights under 'fcc'"));
    run_must(2, "train --data data --output-dir bad --init good.st --weights good.st");
    run_must(2, "train --data data --output-dir bad --init good.st --resume auto");
    assert_non_null(strstr(cli_err, "error[C003]: --resume and --init cannot be used together"));
    run_must(0, "train --data data --max-steps 1 --output-dir miss --init missing.st --strict no");
    assert_non_null(strstr(cli_err, "1 of 2 tensors loaded; missing: 'fc.bias'\n"));
    run_must(0, "eval --data data --weights extra.st --strict no");
    assert_non_null(strstr(cli_err, "2 of 2 tensors loaded; passed over: 'more'\n"));
}

static void predicts(void **state)
{
    (void)state;
    run_must(0, "predict --data data --idx 4 --topk 2");
    assert_non_null(strstr(cli_out, "t10k:4 (1)  1 "));
    run_must(0, "predict --data data --idx 4 --topk 2 --json -");
    assert_non_null(strstr(cli_out, "\"truth\": \"1\""));
    run_must(2, "predict --data data --idx 21");
    run_must(4, "predict --data data no.png");
}

static void raw_tensors(void **state)
{
    (void)state;
    enum { ROWS = 3 * FB, ODD = 13 };
    float x[ROWS * FD];
    int32_t y[ROWS];
    for (int i = 0; i < ROWS * FD; i++) x[i] = (float)((i * 31) % 17) / 17;
    for (int i = 0; i < ROWS; i++) y[i] = i % FK;
    RtStTensor in = {.name = "input",
                     .dtype = "F32",
                     .rank = 4,
                     .dim = {ROWS, 1, 4, 4},
                     .count = ROWS * FD,
                     .data = x};
    RtStTensor to = {
        .name = "target", .dtype = "I32", .rank = 1, .dim = {ROWS}, .count = ROWS, .data = y};
    rt_st_write("in.st", &in, 1, NULL, 0, NULL);
    rt_st_write("to.st", &to, 1, NULL, 0, NULL);
    in.dim[0] = to.dim[0] = to.count = ODD;
    in.count = ODD * FD;
    rt_st_write("odd.st", &in, 1, NULL, 0, NULL);
    rt_st_write("oddto.st", &to, 1, NULL, 0, NULL);
    run_must(0, "run --input odd.st --target oddto.st --output o.st --layer input");
    RtSt *s = rt_st_open("o.st");
    assert_int_equal(rt_st_find(s, "output")->dim[0], ODD);
    assert_int_equal(rt_st_find(s, "aux")->dim[0], ODD);
    assert_memory_equal(rt_st_find(s, "input")->data, x, ODD * FD * sizeof(float));
    assert_int_equal(rt_st_find(s, "loss")->count, 1);
    rt_st_free(s);
    run_must(0, "step --input in.st --target to.st --steps 5 --log l.jsonl --save-grads g.st "
                "--save-weights w.st");
    s = rt_st_open("g.st");
    assert_int_equal(s->n, 2);
    assert_non_null(rt_st_find(s, "fc.weight"));
    rt_st_free(s);
    cli_read("l.jsonl", cli_out);
    int lines = 0;
    for (char *p = cli_out; (p = strchr(p, '\n')); p++) lines++;
    assert_int_equal(lines, 5);
    assert_memory_equal(cli_out, "{\"step\": 1, \"loss\": ", 20);
    run_must(0, "step --input in.st --target to.st --steps 5 --threads 3 --save-weights w3.st");
    run_same_tensors("w.st", "w3.st");
    run_must(4, "step --input odd.st --target oddto.st");
    run_must(4, "step --input in.st --target oddto.st");
    run_must(4, "run --input to.st --output o.st");
    run_must(2, "run --input in.st --output o.st --layer nothing");
}

static void benches(void **state)
{
    (void)state;
    run_must(0, "bench --duration 0.02s --threads 1,2 --profile --json b.json");
    assert_non_null(strstr(cli_out, "fused is "));
    assert_non_null(strstr(cli_out, "both compute the same bits"));
    assert_non_null(strstr(cli_out, "fc+loss  fake.yaml:9"));
    cli_read("b.json", cli_out);
    assert_non_null(strstr(cli_out, "\"phase\": \"train-step\""));
    run_must(2, "bench --batch 7");
    run_must(0, "bench --batch 1 --phase infer --variants fused --duration 0.02 --json -");
    assert_memory_equal(cli_out, "{\n  \"version\": 1,", 17);
}

/* Against a base whose times are edited: a tenth of the truth, ten times it. */
static void bench_compares(void **state)
{
    (void)state;
    static const struct {
        const char *format, *says;
        int code;
    } base[] = {{"{\"version\":1,\"results\":[{\"phase\":\"infer\",\"batch\":1,\"threads\":1,"
                 "\"variants\":[{\"variant\":\"fused\",\"p50_ms\":1e-9,\"p50_low_ms\":1e-9,"
                 "\"p50_high_ms\":1e-9}]}]}",
                 ": slower\n", 1},
                {"{\"version\":1,\"results\":[{\"phase\":\"infer\",\"batch\":1,\"threads\":1,"
                 "\"variants\":[{\"variant\":\"fused\",\"p50_ms\":1e9,\"p50_low_ms\":1e9,"
                 "\"p50_high_ms\":1e9}]}]}",
                 ": faster\n", 0},
                {"{\"version\":1,\"results\":[]}", "the base has none\n", 0},
                {"{\"version\":2,\"results\":[]}", "", 4},
                {"[", "", 4}};
    const char *line = "bench --batch 1 --phase infer --variants fused --threads 1 --duration 0.02 "
                       "--compare base.json";
    for (size_t i = 0; i < sizeof base / sizeof *base; i++) {
        FILE *f = fopen("base.json", "w");
        fputs(base[i].format, f);
        fclose(f);
        run_must(base[i].code, line);
        assert_non_null(strstr(cli_out, base[i].says));
    }
    run_must(0, "bench --batch 1 --phase infer --variants fused --threads 1 --duration 0.02 --json "
                "base.json");
    assert_in_range(cli(line), 0, 1); /* whatever the machine says, it finds its own base */
    assert_non_null(strstr(cli_out, "  fused takes "));
}

static void bad_data(void **state)
{
    (void)state;
    run_must(4, "train --data data --limit 3 --output-dir bd");
    assert_non_null(strstr(cli_err, "error[D026]: batch 8 > 3 items\n"));
    run_must(4, "train --data nowhere --output-dir bd");
    assert_int_not_equal(access("bd", F_OK), 0); /* nothing half-written */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trains),
        cmocka_unit_test(existing_run),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(resume_is_exact),
        cmocka_unit_test(previous_checkpoint),
        cmocka_unit_test(resume_refused),
        cmocka_unit_test(interrupted),
        cmocka_unit_test(early_stopping),
        cmocka_unit_test(diverges),
        cmocka_unit_test(weights_that_do_not_fit),
        cmocka_unit_test(first_weights),
        cmocka_unit_test(predicts),
        cmocka_unit_test(raw_tensors),
        cmocka_unit_test(benches),
        cmocka_unit_test(bench_compares),
        cmocka_unit_test(bad_data),
    };
    return cmocka_run_group_tests(tests, run_begin, cli_end);
}
