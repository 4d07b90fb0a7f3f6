/* The command line: verb, --help, --version. Options are the verb's (options.c). */
#include "err.h"
#include "model.h"
#include "options.h"
#include "parts.h"
#include "verbs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned bit;
    int (*run)(const RtVerb *v);
    const char *help;
    const char *key, *word; /* run NULL: of the part that it is (parts.def) */
} verbs[] = {
    {"train", RT_VERB_TRAIN, rt_verb_train, "trains on the data's train split", NULL, NULL},
    {"eval", RT_VERB_EVAL, rt_verb_eval, "accuracy, F1 and confusion matrix of a split", NULL,
     NULL},
    {"predict", RT_VERB_PREDICT, rt_verb_predict, "classes of images: predict IMG|DIR...", NULL,
     NULL},
    {"bench", RT_VERB_BENCH, rt_verb_bench, "times the kernels, fused against unfused", NULL, NULL},
    {"info", RT_VERB_INFO, rt_verb_info, "what this program holds", NULL, NULL},
    {"run", RT_VERB_RUN, rt_verb_run, "inference on raw tensors", NULL, NULL},
    {"step", RT_VERB_STEP, rt_verb_step, "exact training steps on raw tensors", NULL, NULL},
    {"time", RT_VERB_TIME, rt_verb_time, "runs on demand, for measurements beside others", NULL,
     NULL},
    {"ocr", RT_VERB_OCR, NULL, "the text on pictures of pages: ocr IMG...", "ocr.ink", "dark"},
    {"features", RT_VERB_FEATURES, NULL, "values of layers: features [IMG|DIR...]", "keep", "LAYER"},
    {"tsne", RT_VERB_TSNE, NULL, "a layer's values as points: tsne [IMG|DIR...]", "keep", "LAYER"},
};
enum { NVERBS = sizeof verbs / sizeof *verbs };

static const char *verb_name(int i)
{
    return verbs[i].name;
}

static void help(const RtModel *m, const char *program)
{
    printf("%s: model %s, built from %s by %s\n\nusage: %s VERB [options]\n", rt_esc(program),
           RT_STR(m, m->name), RT_STR(m, m->spec_file), RT_STR(m, m->compiler), rt_esc(program));
    for (int i = 0; i < NVERBS; i++) {
        if (verbs[i].run || rt_part(verbs[i].key, verbs[i].word, NULL))
            printf("  %-8s %s\n", verbs[i].name, verbs[i].help);
    }
    printf("\n%s VERB --help lists a verb's options\n", rt_esc(program));
}

static bool asks_help(const RtVerb *v)
{
    for (int i = 0; i < v->argc && strcmp(v->argv[i], "--") != 0; i++) {
        if (!strcmp(v->argv[i], "--help") || !strcmp(v->argv[i], "-h")) return true;
    }
    return false;
}

static int run_verb(int i, const RtVerb *v)
{
    RtError e;
    const RtVerbPart *part = verbs[i].run ? NULL : rt_part(verbs[i].key, verbs[i].word, &e);
    if (!verbs[i].run && !part) rt_fail(e.exit, e.id, "%s", e.text);
    if (!asks_help(v)) return part ? part->run(v) : verbs[i].run(v);
    printf("%s %s: %s\n\n", rt_esc(v->all_argv[0]), verbs[i].name, verbs[i].help);
    rt_options_help(stdout, v->model, verbs[i].bit);
    return RT_EXIT_OK;
}

static int find_verb(const char *name)
{
    for (int i = 0; i < NVERBS; i++) {
        if (!strcmp(name, verbs[i].name)) return i;
    }
    const char *near = rt_nearest(name, verb_name, NVERBS);
    if (near)
        rt_fail(RT_EXIT_USAGE, "C003", "unknown verb '%s'; did you mean '%s'?", rt_esc(name), near);
    rt_fail(RT_EXIT_USAGE, "C003", "unknown verb '%s'\n--help lists the verbs", rt_esc(name));
}

int rt_main(const RtModel *m, const RtKernel *kernels, const RtDriver *const *drivers, int argc,
            char **argv)
{
    int code = RT_EXIT_OK;
    rt_model_check(m);
    if (argc < 2) {
        help(m, argc ? argv[0] : "model");
        code = RT_EXIT_USAGE;
    } else if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        help(m, argv[0]);
    else if (!strcmp(argv[1], "--version"))
        printf("%s, %s\n", RT_STR(m, m->name), RT_STR(m, m->compiler));
    else {
        RtVerb v = {m, kernels, drivers, argc - 2, argv + 2, argc, argv};
        code = run_verb(find_verb(argv[1]), &v);
    }
    if (fflush(stdout) != 0)
        rt_fail(RT_EXIT_WRITE, "E001", "cannot write the results: %s", strerror(errno));
    return code;
}
