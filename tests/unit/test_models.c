/* The models shipped with the compiler: every one builds, and those that torchvision has as well
 * have its keys and shapes (tests/fixtures/keys, one "key [shape]" a line). Run from the root. */
#include "stages.h"
#include "support/file.h"
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Graph *graph(Arena *a, const char *path, bool training)
{
    Spec *s = spec_read(a, path, NULL, 0);
    Graph *g = s ? spec_graph(a, s, training, 2) : NULL;
    if (!g) diag_flush();
    if (!g) fail_msg("%s does not build", path);
    graph_verify(g, "spec");
    return g;
}

static int compare(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

/* The saved states, one a line, sorted. */
static char *keys(Arena *a, const Graph *g)
{
    char **line = NEWN(a, char *, g->state.n + 1);
    Buf b = {0};
    for (int i = 0; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        line[i] = arena_printf(a, "%s %s\n", s->name, shape_str(a, s->shape));
    }
    qsort(line, (size_t)g->state.n, sizeof *line, compare);
    for (int i = 0; i < g->state.n; i++) buf_puts(&b, line[i]);
    char *all = arena_strdup(a, b.s ? b.s : "");
    buf_free(&b);
    return all;
}

static void same_states(const Graph *x, const Graph *y)
{
    assert_int_equal(x->state.n, y->state.n);
    for (int i = 0; i < x->state.n; i++) {
        assert_string_equal(x->state.v[i]->name, y->state.v[i]->name);
        assert_int_equal(x->state.v[i]->frozen, y->state.v[i]->frozen);
        assert_true(shape_eq(x->state.v[i]->view, y->state.v[i]->view));
    }
}

static void every_model_builds(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("models/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        Arena *a = arena_new();
        Graph *t = graph(a, files.gl_pathv[i], true), *e = graph(a, files.gl_pathv[i], false);
        same_states(t, e);
        assert_non_null(graph_find_output(t, "loss"));
        assert_non_null(graph_find_output(e, "output"));
        arena_free(a);
    }
    globfree(&files);
}

static void keys_are_torchvisions(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("tests/fixtures/keys/*.txt", 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, 7);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        Arena *a = arena_new();
        const char *base = strrchr(files.gl_pathv[i], '/') + 1, *why;
        const char *model =
            arena_printf(a, "models/%.*s.yaml", (int)(strrchr(base, '.') - base), base);
        size_t len;
        char *want = file_read(a, files.gl_pathv[i], 1 << 20, &len, &why);
        assert_non_null(want);
        char *got = keys(a, graph(a, model, false));
        if (strcmp(got, want) != 0) print_error("%s: keys differ\n", model);
        assert_string_equal(got, want);
        arena_free(a);
    }
    globfree(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_model_builds),
                                       cmocka_unit_test(keys_are_torchvisions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
