/* `sinter data make KIND PATH`.
 *
 * rule: sets are written to a folder beside the one that was asked for, which is renamed at the end; nothing that
 * exists is written over, but a page, which is one file. Not here: what is drawn. */
#include "data/make.h"
#include "data/data.h"
#include "runtime/err.h"
#include "support/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Kind {
    const char *name, *place, *help;
    char *(*make)(const Make *m);
    int count, size, least; /* usual ones; size: the smallest */
} Kind;

static const Kind kinds[] = {
    {"glyphs36", "DIR",
     "A-Z and 0-9 in installed fonts, an image folder; N of each class to train with", make_glyphs,
     300, 32, 16},
    {"shapes", "DIR", "ten shapes in colour, an image folder; N of each class to train with",
     make_shapes, 300, 48, 24},
    {"scenes", "DIR", "streets with masks of eight classes; N to train with", make_scenes, 600, 96,
     48},
    {"page", "FILE.png", "a page of text, and the text beside it in FILE.txt; size: of the letters",
     make_page, 1, 40, 16},
};
enum { NKINDS = sizeof kinds / sizeof *kinds, MOST = 1000000, LARGEST = 1024 };

const char *const make_splits[MAKE_NSPLITS] = {"train", "val", "test"};

int make_share(int split, int count)
{
    return split == MAKE_TRAIN ? count : (count + 2) / 3;
}

static void new_dir(const char *path)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(path), strerror(errno));
}

void make_dir(const Make *m, const char *below)
{
    char *path = rt_format("%s/%s", m->path, below);
    for (char *slash = strchr(path + strlen(m->path) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        new_dir(path);
        *slash = '/';
    }
    new_dir(path);
    free(path);
}

static int help(int code)
{
    puts("usage: sinter data make KIND PATH [--count N --size N --seed N]");
    for (int i = 0; i < NKINDS; i++)
        printf("  %-9s %-9s %s [--count %d --size %d]\n", kinds[i].name, kinds[i].place,
               kinds[i].help, kinds[i].count, kinds[i].size);
    puts("\n  --count N   items to train with; val and test get a third of it each\n"
         "  --size N    pixels of a side\n"
         "  --seed N    another set of the same kind [0]\n"
         "  --text F    page: the text, A-Z, 0-9 and spaces [some lines that are built in]");
    return code;
}

static int64_t number(const char *flag, const char *text, int64_t lo, int64_t hi)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < lo || v > hi)
        rt_fail(RT_EXIT_USAGE, "C002", "%s: '%s' is not an integer %lld..%lld", flag, rt_esc(text),
                (long long)lo, (long long)hi);
    return v;
}

static const Kind *find_kind(const char *name)
{
    for (int i = 0; i < NKINDS; i++)
        if (!strcmp(kinds[i].name, name)) return &kinds[i];
    rt_fail(RT_EXIT_USAGE, "C003",
            "unknown kind '%s': glyphs36, shapes, scenes, page\nsinter data make --help",
            rt_esc(name));
}

static void set(Make *m, const Kind *k, const char *flag, const char *value)
{
    if (!strcmp(flag, "--count"))
        m->count = (int)number(flag, value, 1, MOST);
    else if (!strcmp(flag, "--size"))
        m->size = (int)number(flag, value, k->least, LARGEST);
    else if (!strcmp(flag, "--seed"))
        m->seed = (uint64_t)number(flag, value, 0, INT64_MAX);
    else if (!strcmp(flag, "--text"))
        m->text = value;
    else
        rt_fail(RT_EXIT_USAGE, "C001", "unknown option '%s'\nsinter data make --help",
                rt_esc(flag));
}

static void parse(Make *m, const Kind *k, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        char *eq = argv[i][0] == '-' ? strchr(argv[i], '=') : NULL;
        if (argv[i][0] != '-') {
            if (m->path) rt_fail(RT_EXIT_USAGE, "C001", "extra argument '%s'", rt_esc(argv[i]));
            m->path = argv[i];
            continue;
        }
        if (eq) *eq = 0;
        if (!eq && i + 1 == argc)
            rt_fail(RT_EXIT_USAGE, "C001", "%s needs a value", rt_esc(argv[i]));
        const char *flag = argv[i];
        set(m, k, flag, eq ? eq + 1 : argv[++i]);
    }
    if (!m->path)
        rt_fail(RT_EXIT_USAGE, "C001", "'data make %s' needs a place: sinter data make %s %s",
                k->name, k->name, k->place);
    if (m->text && k->make != make_page) rt_fail(RT_EXIT_USAGE, "C001", "--text is for pages");
}

static char *rest; /* of a set that was not finished: removed when the program ends */

static void remove_rest(void)
{
    if (rest) file_remove_tree(rest);
}

/* Makes a folder beside path, has the set drawn there, and moves it. */
static char *make_set(Make *m, const Kind *k)
{
    const char *path = m->path;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    if (access(path, F_OK) == 0)
        rt_fail(RT_EXIT_WRITE, "C004", "'%s' exists\nremove it, or name another folder",
                rt_esc(path));
    char *temp = rt_format("%.*s.making.%ld", (int)n, path, (long)getpid());
    if (mkdir(temp, 0777) != 0)
        rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(path), strerror(errno));
    rest = temp;
    atexit(remove_rest);
    m->path = temp;
    char *line = k->make(m);
    if (rename(temp, path) != 0)
        rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(path), strerror(errno));
    rest = NULL;
    free(temp);
    m->path = path;
    return line;
}

int data_make(int argc, char **argv)
{
    if (argc < 1) return help(RT_EXIT_USAGE);
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return help(RT_EXIT_OK);
    const Kind *k = find_kind(argv[0]);
    Make m = {.kind = k->name, .count = k->count, .size = k->size};
    parse(&m, k, argc - 1, argv + 1);
    char *line = k->make == make_page ? k->make(&m) : make_set(&m, k);
    printf("%s: %s\n", rt_esc(m.path), line);
    free(line);
    return RT_EXIT_OK;
}
