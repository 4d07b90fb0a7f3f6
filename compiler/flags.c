/* The command line: a table of flags, their help, what they set. Verbs: main.c. */
#include "flags.h"
#include "spec/args.h"
#include <stddef.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum FlagKind {
    FLAG_BOOL,
    FLAG_TEXT,
    FLAG_INT,
    FLAG_REAL,
    FLAG_SET,
    FLAG_PRECISION,
    FLAG_KEEP,
    FLAG_TARGET,
    FLAG_EMIT,
    FLAG_PROVIDER,
    FLAG_NO_FUSE,
    FLAG_DIAG,
    FLAG_ALGORITHM
} FlagKind;
typedef struct Flag {
    const char *name, *arg, *help;
    FlagKind kind;
    size_t at; /* in CompileOptions */
} Flag;
#define AT(member) offsetof(CompileOptions, member)
static const Flag flags[] = {
    {"-o", "OUT", "where the program goes", FLAG_TEXT, AT(out)},
    {"--target", "cpu[:NAME]", "native (default), x86-64-v2, x86-64-v3, x86-64-v4, aarch64",
     FLAG_TARGET, 0},
    {"--target", "cuda[:ARCH,..]", "a program for GPUs as well: sm_80 (default), sm_90, sm_90a, sm_120",
     FLAG_TARGET, 0},
    {"--emit", "WHAT,..",
     "exe (default); cuda, ptx, cubin: a GPU's kernels beside OUT; manifest: what is known of them",
     FLAG_EMIT, 0},
    {"--predict", NULL, "bench: no run; what GPUs are predicted to need, from counts", FLAG_BOOL,
     AT(predict)},
    {"--provider", "WHO", "of a GPU's convolutions: sinter (default), cudnn, auto (cudnn if it is here)",
     FLAG_PROVIDER, 0},
    {"--baseline", "WHO", "of the convolutions of a GPU's unfused programs, which 'bench' compares with: as --provider",
     FLAG_TEXT, AT(baseline)},
    {"--no-cache", NULL, "compiles GPU kernels again that the cache has", FLAG_BOOL, AT(no_cache)},
    {"--set", "NAME=VALUE", "overrides a parameter of the description; may be repeated", FLAG_SET,
     0},
    {"--precision", "X", "fp32, tf32, fp16 or bf16, as `precision: X` in the description",
     FLAG_PRECISION, 0},
    {"--keep", "LAYER,..", "layers whose values the program can give, as `keep:` in the description", FLAG_KEEP, 0},
    {"--batch", "N", "batch size instead of train.batch_size", FLAG_INT, AT(batch)},
    {"--summary", NULL, "check: every layer with its output, parameters, multiply-adds, memory",
     FLAG_BOOL, AT(summary)},
    {"--max-memory", "GIB", "refuse programs that need more [16]", FLAG_INT, AT(max_memory)},
    {"--data", "DIR", "init: folder of images to look at", FLAG_TEXT, AT(data)},
    {"--long", NULL, "fmt: layers as {type: NAME, argument: value}", FLAG_BOOL, AT(long_form)},
    {"--algorithm", "fast|exact", "convolutions: Winograd where that pays, or the sums themselves",
     FLAG_ALGORITHM, 0},
    {"--infer-only", NULL, "no training step, smaller program", FLAG_BOOL, AT(infer_only)},
    {"--tune", NULL, "takes what is fastest for each contraction: by measuring it here; with --target=cuda by prediction",
     FLAG_BOOL, AT(tune)},
    {"--explain-fusion", NULL, "which layers share a kernel, and why others do not", FLAG_BOOL,
     AT(explain)},
    {"--explain", NULL, "of every contraction: work, what bounds it, the time that each algorithm would take", FLAG_BOOL,
     AT(explain_choice)},
    {"--no-variants", NULL, "leave out the unfused programs that `bench` compares with", FLAG_BOOL,
     AT(no_variants)},
    {"--force", NULL, "replace OUT even if sinter did not write it", FLAG_BOOL, AT(force)},
    {"--diagnostics", "text|json", "how errors are printed", FLAG_DIAG, 0},
    {"--no-fuse", "RULE", "every operation a kernel of its own; =RULE turns one rule off",
     FLAG_NO_FUSE, 0},
    {"--no-reuse", NULL, "every value has memory of its own", FLAG_BOOL, AT(no_reuse)},
    {"--no-simplify", NULL, "the graph as it was differentiated", FLAG_BOOL, AT(no_simplify)},
    {"--dump", "STAGE,..|all", "prints what stages produced", FLAG_TEXT, AT(dump)},
    {"--dump-dir", "DIR", "dumps go to DIR/PROGRAM.STAGE.txt", FLAG_TEXT, AT(dump_dir)},
    {"--stop-after", "STAGE", "builds no program", FLAG_TEXT, AT(stop_after)},
    {"--seed", "N", "verify: of the random values", FLAG_INT, AT(seed)},
    {"--tolerance", "X", "verify: relative L2 distance that passes (1e-5)", FLAG_REAL,
     AT(tolerance)},
    {"--device", "GPU", "verify --target=cuda: cuda:virtual (default) needs none; cuda is the first one", FLAG_TEXT,
     AT(device)},
    {"--json", NULL, "verify: one JSON object instead of tables", FLAG_BOOL, AT(json)},
    {"--time", NULL, "time of every stage", FLAG_BOOL, AT(time)},
    {"--save-temps", NULL, "keeps the object files, and names in OUT for perf and gdb", FLAG_BOOL, AT(save_temps)},
};
enum { NFLAGS = sizeof flags / sizeof flags[0] };

/* ---- usage ---- */

static void print_flags(void)
{
    for (int i = 0; i < NFLAGS; i++) {
        char left[64];
        const char *arg = flags[i].arg;
        bool optional = flags[i].kind == FLAG_NO_FUSE;
        snprintf(left, sizeof left, "%s%s%s%s", flags[i].name,
                 !arg                      ? ""
                 : optional                ? "[="
                 : flags[i].name[1] == '-' ? "="
                                           : " ",
                 arg ? arg : "", optional ? "]" : "");
        printf("  %-26s %s\n", left, flags[i].help);
    }
}

void flags_help(void)
{
    printf(
        "sinter %s: a model description becomes a program that trains.\n\n"
        "  sinter build SPEC -o OUT   compiles a description into an executable\n"
        "  sinter run SPEC VERB ...   builds it into the cache and runs the program's verb; "
        "`train`,\n"
        "                             `eval`, `predict`, `bench` for short: sinter train SPEC ...\n"
        "  sinter bench SPEC --predict   what GPUs are predicted to need, fused beside unfused\n"
        "  sinter check SPEC          reads it, infers shapes, builds nothing\n"
        "  sinter init KIND           writes a description: cnn, mlp, autoencoder, resnet18-ft, "
        "squeezenet-ft, fcn\n"
        "  sinter fmt SPEC            prints it in its usual arrangement\n"
        "  sinter verify SPEC         compiles it, compares every kernel with a reference in "
        "double\n"
        "                             and gradients with finite differences (--batch, default 2);\n"
        "                             with --target=cuda on the virtual device\n"
        "  sinter weights VERB F      what .pth and .safetensors hold, how they differ, "
        "conversion\n"
        "  sinter data ls|split|check DIR|SPEC   what a data set holds, a split file, what is wrong\n"
        "  sinter data make KIND DIR  draws a data set: glyphs36, shapes, scenes; or a page of text\n"
        "  sinter report RUN...       report.html and plots from what training left in the folder; --png\n"
        "  sinter sweep SPEC --grid train.lr=0.1,0.01 --seeds 3   many runs of one build, and a table\n"
        "  sinter compare RUN... -o F runs laid over each other, one page\n"
        "  sinter ops                 layers, losses, optimizers and transforms, with their arguments; data formats\n"
        "  sinter doctor              what this machine has and what is missing\n"
        "  sinter --version\n\n",
        SINTER_VERSION);
    print_flags();
    printf("\nStages: ");
    for (int i = 0; stage_names[i]; i++) printf("%s%s", i ? ", " : "", stage_names[i]);
    printf(".\nThe built program explains itself: OUT --help.\n");
}

/* Wrong use of the command line: C001 options and their values, C002 numbers, C003 verbs. */
_Noreturn void usage(const char *id, const char *near, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    diag_error((Loc){0}, id, "%s%s%s%s", text, near ? "; did you mean '" : "", near ? near : "",
               near ? "'?" : "");
    diag_help("sinter --help");
    diag_exit_with(EXIT_USAGE);
    exit(diag_flush());
}

/* ---- flags ---- */

static const Flag *find_flag(const char *arg, size_t len)
{
    const char *names[NFLAGS + 1];
    for (int i = 0; i < NFLAGS; i++) {
        if (strlen(flags[i].name) == len && !strncmp(flags[i].name, arg, len)) return &flags[i];
        names[i] = flags[i].name;
    }
    names[NFLAGS] = NULL;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)len, arg);
    usage("C001", diag_nearest(word, names), "unknown option '%s'", word);
}

static int64_t parse_int(const char *flag, const char *text)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    if (*end || end == text || v < 1 || v > 65536)
        usage("C002", NULL, "%s: '%s' is not an integer 1..65536", flag, text);
    return v;
}

static double parse_real(const char *flag, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (*end || end == text || !(v > 0 && v < 1))
        usage("C002", NULL, "%s: '%s' is not a number between 0 and 1", flag, text);
    return v;
}

static void set(Args *a, const char *name, const char *value)
{
    if (a->o.nset == (int)(sizeof a->set / sizeof a->set[0]))
        usage("C001", NULL, "more than %zu --set", sizeof a->set / sizeof a->set[0]);
    a->set[a->o.nset++] = (Setting){name, value};
}

static void add_setting(Args *a, char *text)
{
    char *eq = strchr(text, '=');
    if (!eq || eq == text) usage("C001", NULL, "--set takes NAME=VALUE, not '%s'", text);
    *eq = 0;
    set(a, text, eq + 1);
}

static _Noreturn void unflags_word(const char *what, const char *kind, const char *word,
                                   const char *const *names)
{
    Buf all = {0};
    for (int i = 0; names[i]; i++) buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
    usage("C001", diag_nearest(word, names), "unknown %s '%s%s': %s", what, kind, word, all.s);
}

static int find_word(const char *word, const char *const *names)
{
    int i = 0;
    while (names[i] && strcmp(names[i], word) != 0) i++;
    return names[i] ? i : -1;
}

/* The place of a word that must be among the names. */
int flags_word(const char *what, const char *kind, const char *word, const char *const *names)
{
    int i = find_word(word, names);
    if (i < 0) unflags_word(what, kind, word, names);
    return i;
}

/* "a,b": what `add` does with each word's place among the names. */
static void each_word(CompileOptions *o, const char *list, const char *what, const char *kind,
                      const char *const *names, void (*add)(CompileOptions *, int))
{
    char word[32];
    for (const char *p = list; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        add(o, flags_word(what, kind, word, names));
        p += n;
    }
}

/* Keeps the list in the order of machine_cuda_names, each name once. */
static void add_arch(CompileOptions *o, int index)
{
    int at = 0;
    while (at < o->narch && find_word(o->arch[at], machine_cuda_names) < index) at++;
    if (at < o->narch && !strcmp(o->arch[at], machine_cuda_names[index])) return;
    if (o->narch == MOST_ARCHS)
        usage("C001", NULL, "--target: more than %d architectures", MOST_ARCHS);
    memmove(o->arch + at + 1, o->arch + at, sizeof *o->arch * (size_t)(o->narch - at));
    o->arch[at] = machine_cuda_names[index];
    o->narch++;
}

void flags_gpus(Args *a, const char *list)
{
    each_word(&a->o, list, "target", "cuda:", machine_cuda_names, add_arch);
}

/* "cpu", "cpu:x86-64-v3", "x86-64-v3", or GPUs. */
static void set_target(Args *a, const char *text)
{
    const char *colon = strchr(text, ':'), *name = colon ? colon + 1 : text;
    if (!strcmp(text, "cuda") || !strncmp(text, "cuda:", 5)) {
        flags_gpus(a, colon && colon[1] ? colon + 1 : machine_cuda_names[0]);
        return;
    }
    if (!strcmp(text, "cpu")) name = machine_names[0];
    a->o.machine = machine_names[flags_word("target", "cpu:", name, machine_names)];
}

static void add_emit(CompileOptions *o, int index)
{
    o->emit |= 1u << index;
}

static void apply_flag(Args *a, const Flag *f, char *value)
{
    char *at = (char *)&a->o + f->at;
    switch (f->kind) {
    case FLAG_BOOL:
        *(bool *)at = true;
        break;
    case FLAG_TEXT:
        *(const char **)at = value;
        break;
    case FLAG_INT:
        *(int64_t *)at = parse_int(f->name, value);
        break;
    case FLAG_REAL:
        *(double *)at = parse_real(f->name, value);
        break;
    case FLAG_SET:
        add_setting(a, value);
        break;
    case FLAG_PRECISION:
        set(a, "precision", value);
        break;
    case FLAG_KEEP:
        set(a, "keep", value);
        break;
    case FLAG_TARGET:
        set_target(a, value);
        break;
    case FLAG_EMIT:
        each_word(&a->o, value, "kind of output", "", emit_names, add_emit);
        break;
    case FLAG_PROVIDER:
        a->o.provider = (Provider)flags_word("provider", "", value, provider_names);
        break;
    case FLAG_NO_FUSE:
        a->o.no_fuse = true;
        a->o.no_fuse_rule = value;
        break;
    case FLAG_DIAG:
        if (strcmp(value, "text") && strcmp(value, "json"))
            usage("C001", NULL, "--diagnostics: '%s' is not text or json", value);
        diag_json(!strcmp(value, "json"));
        break;
    case FLAG_ALGORITHM:
        if (strcmp(value, "fast") && strcmp(value, "exact"))
            usage("C001", NULL, "--algorithm: '%s' is not fast or exact", value);
        a->o.algorithm = value;
        break;
    }
}

/* Reads the flag at argv[i]; -> index of its last word. */
static int read_flag(Args *a, int argc, char **argv, int i)
{
    char *eq = argv[i][1] == '-' ? strchr(argv[i], '=') : NULL;
    size_t len = eq ? (size_t)(eq - argv[i]) : strlen(argv[i]);
    const Flag *f = find_flag(argv[i], len);
    char *value = eq ? eq + 1 : NULL;
    if (f->kind == FLAG_BOOL && value) usage("C001", NULL, "%s takes no value", f->name);
    if (f->kind != FLAG_BOOL && f->kind != FLAG_NO_FUSE && !value) {
        if (i + 1 >= argc || !strncmp(argv[i + 1], "--", 2))
            usage("C001", NULL, "%s needs a value", f->name);
        value = argv[++i];
    }
    apply_flag(a, f, value);
    return i;
}

static void check_stages(const char *list, const char *flag)
{
    char word[32];
    for (const char *p = list; p && *p;) {
        size_t n = strcspn(p, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        bool known = !strcmp(word, "all") && !strcmp(flag, "--dump");
        for (int i = 0; stage_names[i]; i++) known = known || !strcmp(word, stage_names[i]);
        if (!known)
            usage("C001", diag_nearest(word, stage_names), "%s: unknown stage '%s'", flag, word);
        p += n + (p[n] == ',');
    }
}

/* Verbs of the built program that are short for `run SPEC VERB`. */
static const char *const short_verbs[] = {"train", "eval", "predict", "bench", NULL};

static void add_word(Args *a, char *word)
{
    if (a->nword == (int)(sizeof a->word / sizeof a->word[0]) - 1)
        usage("C001", NULL, "too many arguments");
    a->word[a->nword++] = word;
}

/* `bench SPEC --predict` is a verb of the compiler's own; without it, it is the program's. */
static bool is_short(const Args *a)
{
    return a->verb && !a->predicts && find_word(a->verb, short_verbs) >= 0;
}

/* The program's words begin: the first is what stands before its verb, which is how it calls itself. */
static void begin_program(Args *a, char **argv, int n)
{
    static Buf before; /* lives as long as the program's words: to the end */
    for (int k = 0; k < n; k++) {
        bool verb = argv[k] == a->verb;
        buf_printf(&before, "%s%s", k ? " " : "", verb ? "run" : argv[k]);
    }
    add_word(a, before.s);
    if (is_short(a)) add_word(a, (char *)(uintptr_t)a->verb);
}

/* `run SPEC [options of the build] VERB ...`, `train SPEC ...`: is `word` the program's? */
static bool is_program_word(const Args *a, const char *word)
{
    if (!a->verb || !a->nrest) return false;
    return is_short(a) || (!strcmp(a->verb, "run") && word[0] != '-');
}

void flags_parse(Args *a, int argc, char **argv)
{
    a->o.machine = "native";
    a->o.set = a->set;
    for (int i = 1; i < argc; i++) a->predicts = a->predicts || !strcmp(argv[i], "--predict");
    for (int i = 1; i < argc; i++) {
        if (!a->nword && is_program_word(a, argv[i])) begin_program(a, argv, i);
        if (a->nword) {
            add_word(a, argv[i]);
        } else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            a->help = true;
        } else if (!strcmp(argv[i], "--version")) {
            a->verb = argv[i];
        } else if (argv[i][0] == '-' && argv[i][1]) {
            i = read_flag(a, argc, argv, i);
        } else if (!a->verb) {
            a->verb = argv[i];
        } else if (a->nrest < 4) {
            a->rest[a->nrest++] = argv[i];
        }
    }
    if (is_short(a) && a->nrest && !a->nword) begin_program(a, argv, argc);
    if (is_short(a)) a->verb = "run";
    check_stages(a->o.dump, "--dump");
    check_stages(a->o.stop_after, "--stop-after");
    if (a->o.no_fuse_rule) flags_word("fusion rule", "", a->o.no_fuse_rule, fuse_rule_names);
}
