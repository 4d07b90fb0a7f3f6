/* In: a description, values of a run to go through, how many seeds. Out: DIR/program, built once; a folder for each run,
 * DIR/lr=0.1,seed=0; a table; DIR/compare.html.
 *
 * Rule: what is finished is not run again: a run's result.json is written when it ended, and one that was stopped goes on
 * from its checkpoint. A run that fails by its numbers (exit code 8) is a result; any other failure ends the sweep.
 * Not here: the table (sweep_table.c), the runs themselves (runtime/train.c). */
#include "sweep.h"
#include "../runtime/err.h"
#include "../runtime/options.h"
#include "pipeline.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_WORDS = 256 };
extern char **environ;

typedef struct Words { /* of a command line */
    char *v[MOST_WORDS + 1];
    int n;
} Words;

typedef struct Args {
    Sweep s;
    CompileOptions o;
    Setting set[64];
    const char *json;
    Words rest; /* the runs' own */
} Args;

static void help(void)
{
    puts("usage: sinter sweep SPEC --grid KEY=V,V,... [--grid ...] [--seeds N] [--output-dir DIR] [--json FILE|-]\n"
         "                    [--set NAME=VALUE] [--batch N] [--precision X] [-- options of `train`]\n\n"
         "  --grid KEY=V,V,...  a run for each value: train.lr, train.seed, data.limit, ...; more than one: for each combination\n"
         "  --seeds N           each of them with the seeds 0..N-1 [1]\n"
         "  --output-dir DIR    folder of the runs [runs/sweep-NAME of the description's file]\n"
         "  --json FILE|-       the results\n\n"
         "One build serves all runs. Called again, it does what is left to do. `sinter compare` overlays the runs:\n"
         "DIR/compare.html.");
}

static void add(Words *w, const char *s)
{
    if (w->n == MOST_WORDS) rt_fail(RT_EXIT_USAGE, "C001", "too many arguments");
    w->v[w->n++] = (char *)(uintptr_t)s;
    w->v[w->n] = NULL;
}

/* ---- arguments ---- */

static void add_grid(Sweep *s, const char *text)
{
    char *copy = rt_strdup(text), *eq = strchr(copy, '=');
    if (!eq || s->nkey == SWEEP_KEYS)
        rt_fail(RT_EXIT_USAGE, "C001", "--grid takes KEY=VALUE,VALUE,..., at most %d of them", SWEEP_KEYS);
    *eq = 0;
    SweepKey *k = &s->key[s->nkey++];
    k->key = copy;
    k->flag = rt_options_flag(copy, RT_VERB_TRAIN);
    if (!k->flag)
        rt_fail(RT_EXIT_USAGE, "C001", "--grid: '%s' is no value of a run\nthose of the build: one sweep for each, with --set",
                rt_esc(copy));
    for (char *p = strtok(eq + 1, ","); p; p = strtok(NULL, ",")) {
        if (k->n == SWEEP_VALUES) rt_fail(RT_EXIT_USAGE, "C001", "--grid: more than %d values", SWEEP_VALUES);
        k->value[k->n++] = p;
    }
    if (!k->n) rt_fail(RT_EXIT_USAGE, "C001", "--grid: '%s' has no value", rt_esc(copy));
}

static int number(const char *flag, const char *text, int most)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (*end || end == text || v < 1 || v > most)
        rt_fail(RT_EXIT_USAGE, "C002", "%s: '%s' is not an integer 1..%d", flag, rt_esc(text), most);
    return (int)v;
}

static void add_setting(Args *a, const char *name, const char *value)
{
    if (a->o.nset == 64) rt_fail(RT_EXIT_USAGE, "C001", "more than 64 --set");
    a->set[a->o.nset++] = (Setting){name, value};
}

static void set_flag(Args *a, const char *flag, const char *value)
{
    if (!strcmp(flag, "--grid"))
        add_grid(&a->s, value);
    else if (!strcmp(flag, "--seeds"))
        a->s.seeds = number(flag, value, 1000);
    else if (!strcmp(flag, "--output-dir"))
        a->s.dir = value;
    else if (!strcmp(flag, "--json"))
        a->json = value;
    else if (!strcmp(flag, "--batch"))
        a->o.batch = number(flag, value, 65536);
    else if (!strcmp(flag, "--precision"))
        add_setting(a, "precision", value);
    else if (!strcmp(flag, "--set") && strchr(value, '=')) {
        char *name = rt_strdup(value), *eq = strchr(name, '=');
        *eq = 0;
        add_setting(a, name, eq + 1);
    } else
        rt_fail(RT_EXIT_USAGE, "C001", "unknown option '%s'\nsinter sweep --help; options of the runs stand behind --",
                rt_esc(flag));
}

static void parse(Args *a, int argc, char **argv)
{
    int i = 0;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        char *eq = strchr(argv[i], '='), *flag = argv[i];
        if (argv[i][0] != '-' && !a->s.spec) {
            a->s.spec = argv[i];
            continue;
        }
        if (flag[0] != '-') rt_fail(RT_EXIT_USAGE, "C001", "unexpected argument '%s'", rt_esc(flag));
        if (eq) flag = rt_format("%.*s", (int)(eq - argv[i]), argv[i]);
        if (!eq && i + 1 == argc) rt_fail(RT_EXIT_USAGE, "C001", "%s needs a value", rt_esc(flag));
        set_flag(a, flag, eq ? eq + 1 : argv[++i]);
    }
    for (i++; i < argc; i++) add(&a->rest, argv[i]);
    if (!a->s.spec) rt_fail(RT_EXIT_USAGE, "C001", "a description is needed\nsinter sweep --help");
}

/* ---- the runs ---- */

/* "lr=0.1,seed=0": what is no part of a plain file name becomes _. */
static char *run_name(const Sweep *s, const SweepRun *r)
{
    char *name = rt_strdup("");
    for (int k = 0; k < s->nkey; k++) name = rt_format("%s%s=%s,", name, s->key[k].flag, s->key[k].value[r->at[k]]);
    name = rt_format("%sseed=%d", name, r->seed);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("=,.+-", *c)) *c = '_';
    return name;
}

static void lay_out(Sweep *s)
{
    long points = 1;
    for (int k = 0; k < s->nkey; k++) points *= s->key[k].n;
    if (points * s->seeds > SWEEP_RUNS)
        rt_fail(RT_EXIT_USAGE, "C002", "%ld runs are more than %d", points * s->seeds, SWEEP_RUNS);
    for (long p = 0; p < points; p++) {
        for (int seed = 0; seed < s->seeds; seed++) {
            SweepRun *r = &s->run[s->nrun++];
            long left = p;
            for (int k = s->nkey - 1; k >= 0; k--) r->at[k] = (int)(left % s->key[k].n), left /= s->key[k].n;
            r->seed = seed;
            r->dir = rt_format("%s/%s", s->dir, run_name(s, r));
        }
    }
}

static void make_dir(const char *path)
{
    for (char *p = rt_strdup(path), *slash = p;;) {
        slash = strchr(slash + 1, '/');
        if (slash) *slash = 0;
        if (mkdir(p, 0777) != 0 && errno != EEXIST)
            rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(p), strerror(errno));
        if (!slash) return;
        *slash = '/';
    }
}

/* -> exit code; 128 + signal. The program's stdout is not ours; an interrupt is the program's to handle. */
static int spawn(const Words *w)
{
    pid_t pid;
    int status;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t set;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigdefault(&attr, &set);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
    sigaction(SIGINT, &ignore, &old);
    int error = posix_spawn(&pid, w->v[0], &files, &attr, w->v, environ);
    while (!error && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    sigaction(SIGINT, &old, NULL);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    if (error) rt_fail(RT_EXIT_DEVICE, "E009", "cannot run '%s': %s", rt_esc(w->v[0]), strerror(error));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void run(const Args *a, SweepRun *r, int i)
{
    const Sweep *s = &a->s;
    char *done = rt_format("%s/result.json", r->dir), *now = rt_format("%s/.result.json", r->dir);
    if (access(done, F_OK) == 0) return;
    Words w = {0};
    add(&w, rt_format("%s/program", s->dir));
    add(&w, "train");
    for (int k = 0; k < s->nkey; k++) {
        add(&w, rt_format("--%s", s->key[k].flag));
        add(&w, s->key[k].value[r->at[k]]);
    }
    const char *const own[] = {"--seed", rt_format("%d", r->seed), "--output-dir", r->dir, "--resume", "auto", "--json", now};
    for (size_t k = 0; k < sizeof own / sizeof *own; k++) add(&w, own[k]);
    for (int k = 0; k < a->rest.n; k++) add(&w, a->rest.v[k]);
    make_dir(r->dir);
    fprintf(stderr, "run %d of %d: %s\n", i + 1, s->nrun, rt_esc(r->dir));
    r->status = spawn(&w);
    if (r->status == 0 && rename(now, done) != 0)
        rt_fail(RT_EXIT_WRITE, "E001", "cannot write '%s': %s", rt_esc(done), strerror(errno));
    if (r->status == 0 || r->status == RT_EXIT_NONFINITE) return;
    fprintf(stderr, r->status > 128 ? "stopped; the same command goes on\n" : "the sweep ends here\n");
    exit(r->status);
}

static void compare(const Sweep *s)
{
    Words w = {0};
    add(&w, "/proc/self/exe");
    add(&w, "compare");
    for (int i = 0; i < s->nrun && i < MOST_WORDS - 8; i++)
        if (s->run[i].status == 0) add(&w, s->run[i].dir);
    if (w.n == 2) return;
    char *page = rt_format("%s/compare.html", s->dir);
    add(&w, "-o");
    add(&w, page);
    if (spawn(&w) == 0) fprintf(stderr, "wrote %s\n", rt_esc(page));
}

int sweep_main(int argc, char **argv)
{
    static Args a;
    if (argc && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) return help(), 0;
    a.o = (CompileOptions){.machine = "native", .set = a.set, .no_variants = true, .force = true, .quiet = true};
    a.s.seeds = 1;
    parse(&a, argc, argv);
    const char *base = strrchr(a.s.spec, '/');
    base = base ? base + 1 : a.s.spec;
    if (!a.s.dir) a.s.dir = rt_format("runs/sweep-%.*s", (int)strcspn(base, "."), base);
    lay_out(&a.s);
    make_dir(a.s.dir);
    a.o.spec = a.s.spec;
    a.o.out = rt_format("%s/program", a.s.dir);
    int code = compile(&a.o);
    if (code) return code;
    for (int i = 0; i < a.s.nrun; i++) run(&a, &a.s.run[i], i);
    sweep_report(&a.s, a.json);
    compare(&a.s);
    return 0;
}
