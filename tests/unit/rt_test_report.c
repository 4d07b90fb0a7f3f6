/* Reports: what a run's folder holds becomes a page, whatever names it holds; damage is named; the verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "err.h"
#include "file.h"
#include "report/report.h"
#include "need.h"
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/sinter-report-XXXXXX";

static int begin(void **state)
{
    (void)state;
    return !mkdtemp(dir) || chdir(dir) || mkdir("run", 0755);
}

static int end(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return chdir("/") || system(command);
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static char *get(const char *name)
{
    size_t n;
    const char *why;
    char *s = rt_file_read(name, &n, &why);
    assert_non_null(s);
    return s;
}

static void put_curves(const double (*v)[4], int n)
{
    FILE *f = fopen("run/metrics.jsonl", "wb");
    for (int i = 0; i < n; i++)
        fprintf(f, "{\"epoch\": %d, \"train/loss\": %g, \"val/loss\": %g, \"train/accuracy\": %g, \"val/accuracy\": %g, \"lr\": 0.1}\n",
                i + 1, v[i][0], v[i][1], v[i][2], v[i][3]);
    fclose(f);
}

static const double good[3][4] = {{1, 1.1, .5, .5}, {.5, .6, .8, .78}, {.4, .5, .85, .84}};
static const double bad[3][4] = {{1, 1.1, .5, .5}, {.5, .6, .8, .78}, {.1, .9, .99, .75}};

#define HOSTILE "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload='alert(3)"

static void put_hostile(void)
{
    put("run/split.csv", "split,item,label,class\ntrain,a.png,0,x\ntrain,\"b,\"\".png\",1,\"<b>,\"\"q\"\"\"\nval,c,1,y\n"
        "test,mask.png,,\n");
    put("run/args.yaml", "# c\ndata.root: \"</pre><script>alert(4)</script>\"\ntrain.lr: \"0.1\"\n");
    put("run/env.json", "{\"model\": \"</title><script>alert(5)</script>\", \"cpu\": \"<script>\\u0001\"}");
    put("run/report.json",
        "{\"version\": 1, \"spec_file\": \"<i>.yaml\", \"description\": \"</pre><script>alert(6)</script>\","
        "\"classes\": [\"</script><script>alert(1)</script><img src=x onerror=alert(2)>\\\"' onload='alert(3)\", \"b\"],"
        "\"scores\": {\"test\": {\"items\": 10, \"loss\": 0.5, \"confusion\": [[3, 2], [1, 4]], \"misclassified\": [{\"item\": \"\\\"><script>\","
        "\"truth\": 0, \"top\": [[1, 0.9], [0, 0.1]], \"image\": \"\\\" onerror=\\\"alert(7)\"}]}},"
        "\"tsne\": [{\"split\": \"val\", \"layer\": \"<script>\", \"label\": [0, 1, 1], \"x\": [[0, 1, 2], [0, 1, 0]]},"
        "{\"split\": \"val\", \"layer\": \"f\", \"label\": [0, 1, 1], \"x\": [[0, 1, 2], [0, 1, 0], [1, 1, 5]]}],"
        "\"weights\": {\"name\": \"<script>\", \"shape\": \"<script>\", \"images\": [{\"when\": \"<script>\", \"png\": \"AA==\"}]}}");
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *s = text; (s = strstr(s, what)); s++) n++;
    return n;
}

static void hostile_names_are_text(void **state)
{
    (void)state;
    put_curves(good, 3);
    put_hostile();
    RtRun *r = rt_run_read("run/");
    assert_string_equal(r->name, "run");
    assert_int_equal(r->best, 2);
    assert_int_equal(r->count[RT_SPLIT_TRAIN][1], 1);
    assert_int_equal(r->items[RT_SPLIT_TEST], 1); /* its label is a mask */
    assert_int_equal(r->count[RT_SPLIT_TEST][0], 0);
    assert_string_equal(rt_class_name(r, 0), HOSTILE);
    rt_report_write(r);
    char *html = get("run/report.html"), *svg = get("run/plots/confusion.svg");
    assert_int_equal(count(html, "<script"), 1); /* ours, which the policy allows by its hash */
    assert_int_equal(count(html, "</script"), 1);
    assert_int_equal(count(html, "<img src=x"), 0);
    assert_int_equal(count(html, "\" onerror=\""), 0);
    assert_int_equal(count(html, "<title>"), count(html, "</title>"));
    assert_int_equal(count(html, "http"), 1); /* http-equiv, and nothing that could be fetched */
    assert_int_equal(count(html, "script-src 'sha256-"), 1);
    assert_int_equal(count(svg, "<script") + count(svg, "<img"), 0);
    assert_non_null(strstr(html, "&#60;/script&#62;&#60;script&#62;alert(1)"));
    assert_non_null(strstr(html, "data-p=\"-0.500 -0.250 -1.000 0;"));
    free(html);
    free(svg);
    rt_run_free(r);
}

static void verdicts(void **state)
{
    (void)state;
    RtVerdict v;
    unlink("run/report.json");
    put_curves(good, 3);
    RtRun *r = rt_run_read("run");
    assert_true(rt_verdict(r, &v));
    assert_string_equal(v.word, "It does not overfit, and still improves");
    rt_run_free(r);
    put_curves(bad, 3);
    r = rt_run_read("run");
    assert_int_equal(r->best, 1); /* by val/accuracy */
    assert_true(rt_verdict(r, &v));
    assert_string_equal(v.word, "It overfits strongly");
    assert_non_null(strstr(v.reason, "lowest in epoch 2 (0.6) and ends at 0.9, 50% higher"));
    assert_non_null(strstr(v.reason, "24 points above"));
    rt_run_free(r);
    put_curves(bad, 1);
    r = rt_run_read("run");
    assert_false(rt_verdict(r, &v));
    rt_run_free(r);
}

/* -> the exit code of reading the run in a process of its own. */
static int reads(void)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        freopen("/dev/null", "w", stderr);
        RtRun *r = rt_run_read("run");
        rt_report_write(r);
        rt_run_free(r);
        exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void damage_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
    } rows[] = {
        {"run/report.json", "{"},
        {"run/report.json", "[]"},
        {"run/report.json", "{\"scores\": {\"test\": {\"confusion\": [[1, 2], [3]]}}}"},
        {"run/report.json", "{\"scores\": {\"test\": {\"confusion\": [[1, -2], [3, 4]]}}}"},
        {"run/report.json", "{\"scores\": {\"test\": {\"confusion\": [[1, \"2\"], [3, 4]]}}}"},
        {"run/report.json", "{\"classes\": [1]}"},
        {"run/metrics.jsonl", "{\"epoch\": 1}\nnot json\n"},
        {"run/split.csv", "split,item,label,class\ntrain,a,x,b\n"},
        {"run/split.csv", "split,item,label,class\nnone,a,1,b\n"},
        {"run/split.csv", "split,item,label,class\ntrain,a,-1,b\n"},
        {"run/split.csv", "split,item,label,class\ntrain,a,99999999,b\n"},
        {"run/args.yaml", "a: b\n"},
        {"run/env.json", "{\"a\": }"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_curves(good, 3);
        assert_int_equal(reads(), 0);
        put(rows[i].file, rows[i].text);
        assert_int_equal(reads(), RT_EXIT_DATA);
        unlink(rows[i].file);
    }
    unlink("run/metrics.jsonl");
    unlink("run/env.json");
    assert_int_equal(reads(), RT_EXIT_DATA); /* nothing of a run is there */
}

/* What is no number, or none for its place, is left out: no way to crash, no markup. */
static void odd_values(void **state)
{
    (void)state;
    put_curves(good, 3);
    put("run/report.json",
        "{\"classes\": [\"a\", \"b\"], \"brightness\": {\"train\": [{\"bins\": [1], \"quartiles\": []}, null, 7], \"val\": {}},"
        "\"tsne\": [{\"split\": \"val\", \"label\": [0, 9, \"x\", -1], \"x\": [[0], [1, null]]}, 5], \"augmented\": [[1, null], 2],"
        "\"scores\": {\"val\": {\"items\": -1, \"misclassified\": [{\"truth\": 99, \"top\": [[5, 2], 3]}, 4], \"masks\": [1],"
        "\"rebuilt\": [{}], \"colours\": [[1, 2], [300, 0, 0]]}}, \"programs\": [{\"steps\": [{}, 1]}, 3], \"weights\": {\"images\": [1]}}");
    assert_int_equal(reads(), 0);
}

static void comparison(void **state)
{
    (void)state;
    assert_int_equal(system("rm -rf other; cp -r run other"), 0);
    put("run/args.yaml", "train.lr: \"0.1\"\ntrain.seed: \"0\"\n");
    put("other/args.yaml", "train.lr: \"<0.2>\"\ntrain.seed: \"0\"\n");
    RtRun *r[] = {rt_run_read("run"), rt_run_read("other")};
    rt_compare_write(r, 2, "compare.html");
    char *html = get("compare.html");
    assert_non_null(strstr(html, "<td class=\"n\">train.lr</td><td class=\"n\">0.1</td><td class=\"n\">&#60;0.2&#62;</td>"));
    assert_null(strstr(html, "train.seed"));
    free(html);
    rt_run_free(r[0]);
    rt_run_free(r[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hostile_names_are_text), cmocka_unit_test(verdicts),
                                       cmocka_unit_test(damage_is_an_error), cmocka_unit_test(odd_values),
                                       cmocka_unit_test(comparison)};
    return cmocka_run_group_tests(tests, begin, end);
}
