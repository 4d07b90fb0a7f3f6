/* The table of `sinter data`'s verbs. Not here: what they do. */
#include "data/data.h"
#include "runtime/err.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct Verb {
    const char *name, *args, *help;
    int (*run)(int argc, char **argv);
} Verb;

static const Verb verbs[] = {
    {"ls", "DIR|SPEC", "format, splits, items of each class, sizes", data_ls},
    {"split", "DIR|SPEC", "deals items out to train, val and test; writes split.csv", data_split},
    {"check", "DIR|SPEC", "damaged files, leaks between splits, empty classes; exit code 1 if there are any",
     data_check},
    {"make", "KIND DIR", "glyphs36, shapes, scenes or a page of text, drawn here", data_make},
};
enum { NVERBS = sizeof verbs / sizeof *verbs };

static int help(int code)
{
    puts("usage: sinter data VERB ...");
    for (int i = 0; i < NVERBS; i++)
        printf("  %-6s %-12s %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
    puts("\nsinter data VERB --help lists a verb's options");
    return code;
}

int data_main(int argc, char **argv)
{
    if (argc < 1) return help(RT_EXIT_USAGE);
    if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) return help(RT_EXIT_OK);
    for (int i = 0; i < NVERBS; i++) {
        if (strcmp(argv[0], verbs[i].name) != 0) continue;
        int code = verbs[i].run(argc - 1, argv + 1);
        if (fflush(stdout) != 0)
            rt_fail(RT_EXIT_WRITE, "E001", "cannot write the results: %s", strerror(errno));
        return code;
    }
    rt_fail(RT_EXIT_USAGE, "C003", "unknown command 'data %s'\nsinter data --help",
            rt_esc(argv[0]));
}
