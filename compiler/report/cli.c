/* sinter report RUN... [--png] and sinter compare RUN... -o FILE: pages from finished runs.
 *
 * In: folders that training wrote. Out: report.html and plots/ in each; or one page over all.
 * Not here: the pages (runtime/report/). */
#include "report/pixels.h"
#include "report/report.h"
#include "runtime/err.h"
#include "runtime/report/report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 64 };

typedef struct Args {
    const char *run[MOST_RUNS], *out;
    int n;
    bool png;
} Args;

static int help(bool compare)
{
    puts(compare ? "usage: sinter compare RUN... -o FILE.html\n"
                   "  curves of runs laid over each other, their figures, the settings in which they differ"
                 : "usage: sinter report RUN... [--png]\n"
                   "  writes RUN/report.html and RUN/plots/*.svg from what training left in the folder\n"
                   "  --png    the plots as plots/*.png too");
    return RT_EXIT_OK;
}

static void parse(Args *a, int argc, char **argv, bool compare)
{
    bool only_runs = false;
    for (int i = 0; i < argc; i++) {
        const char *s = argv[i];
        if (!only_runs && !strcmp(s, "--"))
            only_runs = true;
        else if (!only_runs && !compare && !strcmp(s, "--png"))
            a->png = true;
        else if (!only_runs && compare && !strcmp(s, "-o") && i + 1 < argc)
            a->out = argv[++i];
        else if (!only_runs && s[0] == '-' && s[1])
            rt_fail(RT_EXIT_USAGE, "C001", "unknown option '%s'", rt_esc(s));
        else if (a->n == MOST_RUNS)
            rt_fail(RT_EXIT_USAGE, "C001", "more than %d runs", MOST_RUNS);
        else
            a->run[a->n++] = s;
    }
    if (!a->n) rt_fail(RT_EXIT_USAGE, "C001", "no run is given\nsinter %s --help", compare ? "compare" : "report");
}

static bool asks_help(int argc, char **argv)
{
    return argc > 0 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"));
}

static void save_pixels(const RtRun *r, const RtPlot *plot)
{
    const char *why;
    Pixels p;
    char *path = rt_format("%s/plots/%s.png", r->path, plot->name);
    pixels_init(&p);
    plot->draw(&p.paint, r);
    if (!pixels_save(&p, path, &why)) rt_fail(RT_EXIT_WRITE, "E001", "cannot write '%s': %s", rt_esc(path), why);
    free(path);
}

int report_main(int argc, char **argv)
{
    Args a = {0};
    if (asks_help(argc, argv)) return help(false);
    parse(&a, argc, argv, false);
    for (int i = 0; i < a.n; i++) {
        RtRun *r = rt_run_read(a.run[i]);
        rt_report_write(r);
        for (const RtPlot *p = rt_plots; a.png && p->name; p++)
            if (p->has(r)) save_pixels(r, p);
        printf("wrote %s/report.html\n", rt_esc(r->path));
        rt_run_free(r);
    }
    return RT_EXIT_OK;
}

int compare_main(int argc, char **argv)
{
    Args a = {.out = "compare.html"};
    RtRun *run[MOST_RUNS];
    if (asks_help(argc, argv)) return help(true);
    parse(&a, argc, argv, true);
    for (int i = 0; i < a.n; i++) run[i] = rt_run_read(a.run[i]);
    rt_compare_write(run, a.n, a.out);
    printf("wrote %s: %d runs\n", rt_esc(a.out), a.n);
    for (int i = 0; i < a.n; i++) rt_run_free(run[i]);
    return RT_EXIT_OK;
}
