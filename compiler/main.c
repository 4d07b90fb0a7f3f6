/* The verbs of sinter. Flags: flags.c; stages: pipeline.c; `weights`: the runtime library; `data`: data/;
 * `report`, `compare`: report/. */
#include "flags.h"
#include "../runtime/weights.h"
#include "data/data.h"
#include "doctor.h"
#include "gpu/gpu.h"
#include "init.h"
#include "load.h"
#include "pipeline.h"
#include "predict.h"
#include "report/report.h"
#include "run.h"
#include "spec/args.h"
#include "spec/fmt.h"
#include "spec/transforms.h"
#include "sweep.h"
#include "support/file.h"
#include "verify.h"
#include <stdio.h>
#include <string.h>

static void take_spec(Args *a)
{
    if (a->nrest == 0) usage("C001", NULL, "'%s' needs a description: SPEC.yaml", a->verb);
    if (a->nrest > 1) usage("C001", NULL, "unexpected argument '%s'", a->rest[1]);
    a->o.spec = a->rest[0];
}

static void take_nothing(const Args *a)
{
    if (a->nrest) usage("C001", NULL, "unexpected argument '%s'", a->rest[0]);
}

/* What is measured has to run here, what is predicted needs numbers. */
static void check_tune(const Args *a)
{
    bool any = false;
    Arena *tmp = arena_new();
    const Machine *m = a->o.tune && !a->o.narch ? machine_find(tmp, a->o.machine) : NULL;
    for (int i = 0; i < a->o.narch; i++) any = any || gpu_board(a->o.arch[i]);
    if (a->o.tune && a->o.narch && !any)
        usage("C001", NULL, "--tune for GPUs needs one of a board that it knows: --target=cuda:sm_80, sm_90");
    if (m && !load_runs_here(tmp, m))
        usage("C001", NULL, "--tune measures: kernels for %s do not run on this computer", m->name);
    arena_free(tmp);
}

static int verb_build(Args *a)
{
    take_spec(a);
    check_tune(a);
    if (!a->o.out && !a->o.stop_after) usage("C001", NULL, "'build' needs -o OUT");
    if (a->o.out && !strcmp(a->o.out, a->o.spec))
        usage("C001", NULL, "OUT is the description itself: '%s'", a->o.out);
    if (a->o.emit & ~(unsigned)EMIT_EXE && !a->o.narch)
        usage("C001", NULL, "--emit=cuda, ptx, cubin and manifest need --target=cuda");
    if (a->o.baseline) flags_word("baseline", "", a->o.baseline, provider_names);
    if (a->o.baseline && !a->o.narch)
        usage("C001", NULL, "--baseline is for GPUs' convolutions: it needs --target=cuda");
    if (a->o.provider && !a->o.narch)
        usage("C001", NULL, "--provider is for GPUs' convolutions: it needs --target=cuda");
    if (a->o.provider && a->o.emit & EMIT_MANIFEST)
        usage("C001", NULL, "--emit=manifest counts kernels of ours alone: leave out --provider");
    return compile(&a->o);
}

static int verb_run(Args *a)
{
    take_spec(a);
    check_tune(a);
    if (a->o.out || a->o.emit || a->o.stop_after)
        usage("C001", NULL, "'%s' keeps no program: leave out -o, --emit and --stop-after",
              a->verb);
    if (a->o.device) usage("C001", NULL, "--device is the program's: it goes behind the verb and the description");
    if (!a->nword)
        usage("C001", NULL, "'run' needs a verb of the program: sinter run SPEC train ...");
    return run_program(&a->o, a->word, a->nword);
}

static int verb_bench(Args *a)
{
    take_spec(a);
    if (a->o.out) usage("C001", NULL, "'bench' keeps no program: leave out -o");
    if (a->o.provider) usage("C001", NULL, "'bench --predict' counts kernels of ours alone: leave out --provider");
    if (!a->o.narch) flags_gpus(a, "sm_80,sm_90");
    if (!predict_has_board(a->o.arch[0]))
        usage("C001", NULL, "'bench --predict' knows no board that runs code of %s", a->o.arch[0]);
    check_tune(a);
    return compile(&a->o);
}

static int verb_check(Args *a)
{
    take_spec(a);
    return check(&a->o);
}

static int verb_verify(Args *a)
{
    take_spec(a);
    if (a->o.out) usage("C001", NULL, "'verify' writes no program: leave out -o");
    if (a->o.stop_after) usage("C001", NULL, "'verify' takes no --stop-after");
    if (a->o.narch > 1) usage("C001", NULL, "'verify' looks at one GPU's kernels: --target=cuda:%s", a->o.arch[0]);
    if (a->o.provider && !a->o.narch)
        usage("C001", NULL, "--provider is for GPUs' convolutions: it needs --target=cuda");
    if (a->o.device && !a->o.narch) usage("C001", NULL, "--device is for a GPU's kernels: it needs --target=cuda");
    if (a->o.device) flags_word("device", "", a->o.device, verify_devices);
    return verify(&a->o);
}

static int verb_init(Args *a)
{
    int known = 0;
    if (a->nrest == 0) usage("C001", NULL, "'init' needs a kind: cnn, mlp, ...");
    if (a->nrest > 1) usage("C001", NULL, "unexpected argument '%s'", a->rest[1]);
    while (init_kinds[known] && strcmp(init_kinds[known], a->rest[0]) != 0) known++;
    if (!init_kinds[known])
        usage("C001", diag_nearest(a->rest[0], init_kinds),
              "unknown kind '%s': cnn, mlp, autoencoder, resnet18-ft, squeezenet-ft, fcn",
              a->rest[0]);
    return init_write(a->rest[0], a->o.data, a->o.out, a->o.force);
}

static int verb_fmt(Args *a)
{
    take_spec(a);
    Arena *arena = arena_new();
    const char *text = fmt_file(arena, a->o.spec, a->o.long_form);
    if (text && !a->o.out)
        fputs(text, stdout);
    else if (text && !file_write_atomic(a->o.out, text, strlen(text), 0666))
        fatal(EXIT_WRITE, "cannot write '%s':", a->o.out);
    int code = diag_flush();
    arena_free(arena);
    return code;
}

static const char *use_name(const OpDef *op)
{
    return op->use == OP_LAYER       ? "layer"
           : op->use == OP_LOSS      ? "loss"
           : op->use == OP_OPTIMIZER ? "optimizer"
                                     : NULL;
}

static int verb_ops(Args *a)
{
    take_nothing(a);
    Arena *arena = arena_new();
    for (int i = 0; op_table[i]; i++) {
        const OpDef *op = op_table[i];
        if (!use_name(op)) continue;
        printf("%-9s %s  %s\n", use_name(op), use_signature(arena, op->name, op->attrs),
               op->doc ? op->doc : "");
    }
    const char *transform;
    for (int i = 0; (transform = transforms_signature(arena, i)); i++) printf("%-9s %s\n", "transform", transform);
#define RT_FORMAT(word, masks, what) printf("format    %s  %s\n", #word, what);
#include "runtime/data/formats.def"
#undef RT_FORMAT
    arena_free(arena);
    return EXIT_OK;
}

static int verb_doctor(Args *a)
{
    take_nothing(a);
    return doctor();
}

typedef struct Verb {
    const char *name;
    int (*run)(Args *);
} Verb;
static const Verb verbs[] = {
    {"build", verb_build}, {"run", verb_run},       {"train", verb_run},   {"eval", verb_run},
    {"predict", verb_run}, {"bench", verb_bench},   {"check", verb_check}, {"fmt", verb_fmt},
    {"init", verb_init},   {"verify", verb_verify}, {"ops", verb_ops},     {"doctor", verb_doctor}};
enum { NVERBS = sizeof verbs / sizeof verbs[0] };

int main(int argc, char **argv)
{
    Args a = {0};
    if (argc > 1 && !strcmp(argv[1], "weights")) return rt_weights_main(argc - 2, argv + 2);
    if (argc > 1 && !strcmp(argv[1], "data")) return data_main(argc - 2, argv + 2);
    if (argc > 1 && !strcmp(argv[1], "report")) return report_main(argc - 2, argv + 2);
    if (argc > 1 && !strcmp(argv[1], "compare")) return compare_main(argc - 2, argv + 2);
    if (argc > 1 && !strcmp(argv[1], "sweep")) return sweep_main(argc - 2, argv + 2);
    flags_parse(&a, argc, argv);
    if (a.verb && !strcmp(a.verb, "--version")) {
        printf("sinter %s (LLVM %s)\n", SINTER_VERSION, llvm_version());
        return EXIT_OK;
    }
    if (a.help || !a.verb) {
        flags_help();
        return a.help ? EXIT_OK : EXIT_USAGE;
    }
    const char *names[NVERBS + 1] = {0};
    for (int i = 0; i < NVERBS; i++) {
        if (!strcmp(verbs[i].name, a.verb)) return verbs[i].run(&a);
        names[i] = verbs[i].name;
    }
    usage("C003", diag_nearest(a.verb, names), "unknown command '%s'", a.verb);
}
