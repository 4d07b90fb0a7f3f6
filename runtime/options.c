/* Options of the built program: one table, from which parsing, defaults and --help come.
 *
 * In: argv, the description's values (RtOption). Out: values by key.
 * Rule: every run-time value of the description's data and train blocks has a flag here; a number
 * that is not wholly a number of its range is an error, wherever it was written. Not here: what the
 * values mean. */
#include "options.h"
#include "err.h"
#include "json.h"
#include "model.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum Kind { INT, NUM, STR, WORD /* of choices */, LIST, FLAG } Kind;

typedef struct Row {
    const char *flag, *key;
    Kind kind;
    double lo, hi;
    const char *arg, *choices; /* "train|val|test" */
    const char *otherwise;     /* default, as text; NULL: depends */
    unsigned verbs;
    const char *help;
} Row;

enum {
    T = RT_VERB_TRAIN,
    E = RT_VERB_EVAL,
    P = RT_VERB_PREDICT,
    B = RT_VERB_BENCH,
    I = RT_VERB_INFO,
    R = RT_VERB_RUN,
    S = RT_VERB_STEP,
    C = RT_VERB_TIME, /* a clock */
    O = RT_VERB_OCR,
    F = RT_VERB_FEATURES,
    N = RT_VERB_TSNE,
    ALL = T | E | P | B | R | S | C | O | F | N
};

#define RT_FORMAT(word, masks, what) "|" #word
static const char formats[] = /* "|idx|image_folder..." */
#include "data/formats.def"
    ;
#undef RT_FORMAT

static const Row table[] = {
    {"data", "data.root", STR, 0, 0, "DIR", NULL, NULL, T | E | P | F | N, "where the data set lies"},
    {"format", "data.format", WORD, 0, 0, "F", formats + 1, NULL, T | E | P | F | N,
     "how it lies there"},
    {"limit", "data.limit", INT, 0, 1e12, "N", NULL, "0", T | E | P | F | N,
     "first N items of each split; 0: all"},
    {"class-map", "data.class_map", STR, 0, 0, "MAP", NULL, NULL, T | E | P,
     "what a mask's numbers or colours mean: '7=road,#0000ff=sky'"},
    {"split-file", "data.split.file", STR, 0, 0, "F", NULL, NULL, T | E | P,
     "the split.csv of a run, or of `sinter data split`"},
    {"ignore-index", "data.ignore_index", INT, 0, 255, "N", NULL, "255", T | E | P,
     "a mask's number that is no class, as 255 is"},
    {"max-bad", "data.max_bad", INT, 0, 1e12, "N", NULL, "0", T | E,
     "damaged images that are skipped"},
    {"channels", "data.channels", WORD, 0, 0, "HOW", "strict|convert", "strict", T | E,
     "images with alpha: refuse them or lay them over white"},
    {"split", "run.split", WORD, 0, 0, "S", "train|val|test", "test", E | P | F | N, "part of the data"},
    {"workers", "data.workers", INT, 1, 256, "N", NULL, NULL, T | E | F | N,
     "threads that read and transform images [half of --threads]"},
    {"cache", "data.cache", INT, 0, 1e9, "MIB", NULL, "1024", T | E | F | N,
     "memory for decoded images, so that an epoch reads no file again"},
    {"epochs", "train.epochs", INT, 1, 1e6, "N", NULL, "10", T, "passes over the training data"},
    {"max-steps", "train.max_steps", INT, 0, 1e12, "N", NULL, "0", T,
     "stop after step N as if interrupted; 0: never"},
    {"save-every", "train.save_every", INT, 0, 1e12, "N", NULL, "0", T,
     "a checkpoint every N steps too, not only after epochs"},
    {"lr", "train.lr", NUM, 0, 1e6, "X", NULL, NULL, T | S, "learning rate"},
    {"schedule", "train.schedule", STR, 0, 0, "S", NULL, NULL, T,
     "of the learning rate, one of PyTorch's: 'StepLR(step_size=30,gamma=0.1)'; none"},
    {"warmup", "train.warmup", STR, 0, 0, "N", NULL, NULL, T,
     "epochs, or '500 steps', in which the rate rises"},
    {"l2", "train.l2.lambda", NUM, 0, 1e6, "X", NULL, NULL, T | S, "lambda of the penalty on the weights"},
    {"accumulate", "train.accumulate", INT, 1, 65536, "N", NULL, NULL, T | S,
     "steps whose gradients are summed for one update"},
    {"ema", "train.ema", NUM, 0, 0.99999999, "X", NULL, NULL, T | S,
     "decay of the average of the weights"},
    {"batch", "train.batch_size", INT, 1, 1e6, "N", NULL, NULL, T | E | S,
     "must be the batch of the build (-b N)"},
    {"seed", "train.seed", INT, 0, 9007199254740992., "N", NULL, "0", T | B | S | N,
     "weights, order, augmentation, dropout"},
    {"patience", "train.early_stopping.patience", INT, 0, 1e6, "N", NULL, NULL, T,
     "epochs without a better value before stopping"},
    {"monitor", "train.early_stopping.monitor", WORD, 0, 0, "V",
     "val/loss|val/accuracy|val/f1_macro|val/f1_weighted|val/iou|train/loss|train/accuracy", NULL, T,
     "value that decides which weights are best"},
    {"min-delta", "train.early_stopping.min_delta", NUM, 0, 1e6, "X", NULL, "0", T,
     "what counts as better must be so by more than X"},
    {"resume", "run.resume", STR, 0, 0, "auto|F", NULL, NULL, T,
     "go on where a run stopped, bit for bit"},
    {"allow-drift", "run.allow_drift", FLAG, 0, 0, NULL, NULL, NULL, T,
     "resume although settings changed"},
    {"weights", "run.weights", STR, 0, 0, "F", NULL, NULL, ALL,
     "weights to use, all of them (.safetensors, .pth)"},
    {"init", "weights.load", STR, 0, 0, "F", NULL, NULL, T | S,
     "weights to begin with, but for --reinit"},
    {"reinit", "weights.reinit", LIST, 0, 0, "LIST", NULL, NULL, T | S,
     "modules that begin afresh all the same, or none"},
    {"strict", "run.strict", WORD, 0, 0, "W", "yes|no", "yes", ALL,
     "no: weights may lack tensors or hold more"},
    {"output-dir", "run.dir", STR, 0, 0, "DIR", NULL, NULL, T | E | P | O | F | N,
     "folder of the run [runs/NAME]"},
    {"force", "run.force", FLAG, 0, 0, NULL, NULL, NULL, T, "write over a finished run"},
    {"report", "run.report", WORD, 0, 0, "W", "yes|no", "yes", T,
     "no: no report.html, where the description has `report:`"},
    {"per-class", "report.misclassified.per_class", INT, 0, 100, "N", NULL, "3", T,
     "mistakes of each class that the report shows"},
    {"topk", "run.topk", INT, 1, 1e6, "K", NULL, "5", P, "classes to print"},
    {"idx", "run.idx", INT, 0, 1e12, "N", NULL, NULL, P, "item N of the data set instead of files"},
    {"variant", "run.variant", WORD, 0, 0, "V", "fused|unfused", "fused", T | E | P | R | S | C | O | F | N,
     "kernels to use"},
    {"variants", "run.variants", LIST, 0, 0, "LIST", "fused|unfused", "fused,unfused", B,
     "kernels to compare"},
    {"phase", "run.phase", LIST, 0, 0, "LIST", "infer|train-step", NULL, B, "what to time"},
    {"phase", "run.phase", WORD, 0, 0, "P", "infer|train-step", "infer", C, "what to time"},
    {"batch", "run.batch", LIST, 1, 1e6, "LIST", NULL, NULL, B, "only these batch sizes"},
    {"duration", "run.duration", NUM, 0.01, 3600, "S", NULL, "3s", B,
     "seconds for each comparison"},
    {"compare", "run.compare", STR, 0, 0, "F", NULL, NULL, B,
     "against the result of an earlier --json; exit 1 if slower"},
    {"profile", "run.profile", FLAG, 0, 0, NULL, NULL, NULL, B, "time of every kernel too"},
    {"input", "run.input", STR, 0, 0, "F", NULL, NULL, R | S | C, "tensor `input` (.safetensors)"},
    {"target", "run.target", STR, 0, 0, "F", NULL, NULL, R | S | C, "tensor `target`"},
    {"output", "run.output", STR, 0, 0, "F", NULL, NULL, R | F, "file for the outputs"},
    {"output", "run.output", STR, 0, 0, "PREFIX", NULL, NULL, N, "PREFIX-2d.csv and so on [RUN/tsne-SPLIT]"},
    {"layer", "run.layer", LIST, 0, 0, "LIST", NULL, NULL, R,
     "other tensors of the program to write too"},
    {"layer", "run.layer", LIST, 0, 0, "LIST", NULL, NULL, F | N, "layers, of those that were kept"},
    {"items", "report.tsne.items", INT, 4, 20000, "N", NULL, NULL, F | N,
     "at most N of the split, evenly spread; features: all of them, tsne: 2000"},
    {"dims", "report.tsne.dims", LIST, 0, 0, "LIST", "2|3", NULL, N, "2, 3, or both [2]"},
    {"perplexity", "report.tsne.perplexity", NUM, 1, 1000, "X", NULL, "30", N, "neighbours that count"},
    {"steps", "run.steps", INT, 1, 1e9, "N", NULL, "1", S, "optimizer steps"},
    {"save-grads", "run.save_grads", STR, 0, 0, "F", NULL, NULL, S, "gradients of the last step"},
    {"save-weights", "run.save_weights", STR, 0, 0, "F", NULL, NULL, S,
     "weights after the last step"},
    {"log", "run.log", STR, 0, 0, "F", NULL, NULL, S, "loss of every step (.jsonl)"},
    {"save-mask", "run.save_mask", STR, 0, 0, "DIR", NULL, NULL, P, "a PNG of the pixels' classes for each image"},
    {"overlay", "run.overlay", STR, 0, 0, "DIR", NULL, NULL, P, "the classes' colours over each image"},
    {"contour", "run.contour", FLAG, 0, 0, NULL, NULL, NULL, P, "--overlay: edges between classes only"},
    {"save-output", "run.save_output", STR, 0, 0, "DIR", NULL, NULL, P,
     "autoencoders: each image beside what came back"},
    {"boxes", "run.boxes", STR, 0, 0, "F", NULL, NULL, O, "the page with a box round each character (.png)"},
    {"truth", "run.truth", STR, 0, 0, "F", NULL, NULL, O,
     "the page's text: says how many characters are right"},
    {"threads", "run.threads", INT, 1, 1024, "N", NULL, NULL, ALL & ~B,
     "threads [CPUs of this process]"},
    {"threads", "run.threads", LIST, 1, 1024, "LIST", NULL, NULL, B,
     "thread counts to time [CPUs of this process]"},
    {"device", "run.device", STR, 0, 0, "D", NULL, "auto", ALL,
     "auto, cpu, cuda, cuda:N, cuda:virtual; auto: a GPU if this build and machine have one"},
    {"json", "run.json", STR, 0, 0, "F|-", NULL, NULL, (ALL & ~C) | I,
     "results as JSON, to a file or to stdout"},
};
enum { NROWS = sizeof table / sizeof *table };
_Static_assert(sizeof table / sizeof *table <= RT_OPTIONS_MAX, "RtOptions.value is too short");

static const Row *find_key(const RtOptions *o, const char *key)
{
    const Row *any = NULL;
    for (const Row *r = table; r < table + NROWS; r++) {
        if (strcmp(r->key, key) != 0) continue;
        if (r->verbs & o->verb) return r;
        any = r;
    }
    return any;
}

const char *rt_options_flag(const char *key, unsigned verb)
{
    for (const Row *r = table; r < table + NROWS; r++)
        if (r->verbs & verb && !strcmp(r->key, key)) return r->flag;
    return NULL;
}

/* ---- values ---- */

static bool parse_num(const Row *r, const char *s, double *v)
{
    char *end;
    if (*s == 0 || strpbrk(s, " \t\nxXpPnN"))
        return false; /* hexadecimal, nan, inf: not in a run's settings */
    errno = 0;
    *v = strtod(s, &end);
    if (end != s && !strcmp(r->key, "run.duration") && !strcmp(end, "s")) end++;
    if (*end || errno || (r->kind != NUM && (*v != floor(*v) || strpbrk(s, ".eE")))) return false;
    return *v >= r->lo && *v <= r->hi;
}

static bool is_choice(const char *choices, const char *s, size_t n)
{
    for (const char *c = choices; *c;) {
        size_t len = strcspn(c, "|");
        if (len == n && !memcmp(c, s, n)) return true;
        c += len + (c[len] == '|');
    }
    return false;
}

static bool list_ok(const Row *r, const char *s)
{
    int n;
    char **word = rt_option_list(s, &n);
    bool ok = n > 0;
    for (int i = 0; i < n; i++) {
        double v;
        if (r->choices)
            ok = ok && is_choice(r->choices, word[i], strlen(word[i]));
        else if (r->hi > 0)
            ok = ok && parse_num(r, word[i], &v);
    }
    free(word);
    return ok;
}

static bool value_ok(const Row *r, const char *s)
{
    double v;
    switch (r->kind) {
    case INT:
    case NUM:
        return parse_num(r, s, &v);
    case WORD:
        return is_choice(r->choices, s, strlen(s));
    case LIST:
        return list_ok(r, s);
    default:
        return *s != 0;
    }
}

static char *expected(const Row *r)
{
    if (r->choices)
        return rt_format("%s%s", r->kind == LIST ? "a list of " : "one of ", r->choices);
    if (r->kind == INT) return rt_format("an integer %.0f..%.0f", r->lo, r->hi);
    if (r->kind == NUM) return rt_format("a number %g..%g", r->lo, r->hi);
    if (r->kind == LIST) return rt_strdup("a list a,b,...");
    return rt_strdup("a value");
}

/* ---- names ---- */

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance; words longer than the row count as far away. */
static int distance(const char *a, const char *b)
{
    int row[64], nb = (int)strlen(b);
    if (nb >= 64) return 1000;
    for (int j = 0; j <= nb; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int up = row[j];
            row[j] = min3(row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = up;
        }
    }
    return row[nb];
}

const char *rt_nearest(const char *word, const char *(*name)(int i), int n)
{
    const char *best = NULL;
    int least = (int)strlen(word) / 3 + 2;
    for (int i = 0; i < n; i++) {
        const char *s = name(i);
        int d = s ? distance(word, s) : 1000;
        if (d < least) {
            least = d;
            best = s;
        }
    }
    return best;
}

static unsigned asked_verb; /* rt_nearest's callback sees only the rows of this verb */

static const char *flag_name(int i)
{
    return table[i].verbs & asked_verb ? table[i].flag : NULL;
}

static _Noreturn void unknown(const RtOptions *o, const char *arg)
{
    char *bare = rt_strdup(arg + strspn(arg, "-"));
    bare[strcspn(bare, "=")] = 0;
    asked_verb = o->verb;
    const char *near = rt_nearest(bare, flag_name, NROWS);
    if (near) {
        rt_fail(RT_EXIT_USAGE, "C001", "unknown option '%s'; did you mean '--%s'?", rt_esc(arg),
                near);
    }
    rt_fail(RT_EXIT_USAGE, "C001", "unknown option '%s'", rt_esc(arg));
}

static int find_flag(const RtOptions *o, const char *s, size_t n)
{
    for (int i = 0; i < NROWS; i++) {
        if (table[i].verbs & o->verb && strlen(table[i].flag) == n && !memcmp(table[i].flag, s, n))
            return i;
    }
    return -1;
}

/* ---- parsing ---- */

static void set(RtOptions *o, int row, const char *value)
{
    const Row *r = &table[row];
    if (!value_ok(r, value)) {
        rt_fail(RT_EXIT_USAGE, "C002", "--%s: '%s' is not %s", r->flag, rt_esc(value), expected(r));
    }
    o->value[row] = value;
}

/* One option at argv[i]; returns how many words it took. */
static int parse_one(RtOptions *o, int argc, char **argv, int i)
{
    const char *arg = argv[i], *name = arg + 2;
    if (!strcmp(arg, "-b"))
        name = "batch";
    else if (arg[1] != '-')
        unknown(o, arg);
    const char *eq = strchr(name, '=');
    int row = find_flag(o, name, eq ? (size_t)(eq - name) : strlen(name));
    if (row < 0) unknown(o, arg);
    if (table[row].kind == FLAG) {
        if (eq) rt_fail(RT_EXIT_USAGE, "C001", "--%s takes no value", table[row].flag);
        set(o, row, "yes");
        return 1;
    }
    if (!eq && i + 1 >= argc) rt_fail(RT_EXIT_USAGE, "C001", "--%s needs a value", table[row].flag);
    set(o, row, eq ? eq + 1 : argv[i + 1]);
    return eq ? 1 : 2;
}

void rt_options_parse(RtOptions *o, const RtModel *m, unsigned verb, int argc, char **argv)
{
    memset(o, 0, sizeof *o);
    o->model = m;
    o->verb = verb;
    o->rest = rt_alloc((size_t)argc + 1, sizeof *o->rest, "arguments");
    bool only_rest = false;
    for (int i = 0; i < argc;) {
        if (!only_rest && !strcmp(argv[i], "--")) {
            only_rest = true;
            i++;
        } else if (only_rest || argv[i][0] != '-' || !argv[i][1]) {
            if (!(verb & (P | O | F | N))) {
                rt_fail(RT_EXIT_USAGE, "C001", "extra argument '%s'", rt_esc(argv[i]));
            }
            o->rest[o->nrest++] = argv[i++];
        } else
            i += parse_one(o, argc, argv, i);
    }
}

void rt_options_free(RtOptions *o)
{
    free(o->rest);
    o->rest = NULL;
}

/* ---- asking ---- */

static const char *raw(const RtOptions *o, const char *key, const Row **row)
{
    uint32_t line = 0;
    const Row *r = *row = find_key(o, key);
    if (r && o->value[r - table]) return o->value[r - table];
    const char *v = rt_model_option(o->model, key, &line);
    if (v && r && !value_ok(r, v)) {
        rt_fail(RT_EXIT_SPEC, "S014", "%s:%u: '%s' must be %s, got '%s'",
                RT_STR(o->model, o->model->spec_file), line, key, expected(r), rt_esc(v));
    }
    return v ? v : r ? r->otherwise : NULL;
}

bool rt_option_given(const RtOptions *o, const char *key)
{
    const Row *r = find_key(o, key);
    return r && o->value[r - table];
}

bool rt_option_known(const RtOptions *o, const char *key)
{
    return rt_option_given(o, key) || rt_model_option(o->model, key, NULL);
}

const char *rt_option_str(const RtOptions *o, const char *key, const char *otherwise)
{
    const Row *r;
    const char *v = raw(o, key, &r);
    return v ? v : otherwise;
}

double rt_option_num(const RtOptions *o, const char *key, double otherwise)
{
    const Row *r;
    const char *v = raw(o, key, &r);
    return v ? strtod(v, NULL) : otherwise;
}

int64_t rt_option_int(const RtOptions *o, const char *key, int64_t otherwise)
{
    const Row *r;
    const char *v = raw(o, key, &r);
    return v ? (int64_t)strtoll(v, NULL, 10) : otherwise;
}

bool rt_option_bool(const RtOptions *o, const char *key, bool otherwise)
{
    const Row *r;
    const char *v = raw(o, key, &r);
    return v ? !strcmp(v, "yes") || !strcmp(v, "true") || !strcmp(v, "1") : otherwise;
}

char **rt_option_list(const char *text, int *n)
{
    size_t len = strlen(text), most = 1;
    for (const char *s = text; *s; s++) most += *s == ',';
    char **word = rt_alloc(1, (most + 1) * sizeof *word + len + 1, "a list");
    char *s = memcpy((char *)(word + most + 1), text, len + 1);
    *n = 0;
    if (*s == '[' && s[len - 1] == ']') {
        s[len - 1] = 0;
        s++;
    }
    while (s && *s) {
        char *next = strchr(s, ',');
        if (next) *next++ = 0;
        s += strspn(s, " ");
        size_t k = strlen(s);
        while (k && s[k - 1] == ' ') s[--k] = 0;
        if (k > 1 && (*s == '"' || *s == '\'') && s[k - 1] == *s) {
            s[k - 1] = 0;
            s++;
        }
        word[(*n)++] = s;
        s = next;
    }
    return word;
}

void rt_options_print(const RtOptions *o, FILE *f)
{
    for (const Row *r = table; r < table + NROWS; r++) {
        const Row *found;
        const char *v = r->verbs & o->verb ? raw(o, r->key, &found) : NULL;
        if (!v) continue;
        fprintf(f, "%s: ", r->key);
        rt_json_quote(f, v, strlen(v)); /* a JSON string is a YAML string */
        fputc('\n', f);
    }
}

void rt_options_help(FILE *f, const RtModel *m, unsigned verb)
{
    for (const Row *r = table; r < table + NROWS; r++) {
        if (!(r->verbs & verb)) continue;
        char *left = rt_format("--%s %s", r->flag, r->arg ? r->arg : "");
        const char *v = rt_model_option(m, r->key, NULL);
        if (!v) v = r->otherwise;
        fprintf(f, "  %-22s %s%s%s", left, r->help, r->choices ? ": " : "",
                r->choices ? r->choices : "");
        if (v) fprintf(f, " [%s]", rt_esc(v));
        fputc('\n', f);
        free(left);
    }
}
