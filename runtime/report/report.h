/* report.html of a run, and comparisons of runs: pages of one file that need no network.
 *
 * The same code serves `sinter report|compare` and, where the description asks for a report, the program itself. */
#ifndef RUNTIME_REPORT_REPORT_H
#define RUNTIME_REPORT_REPORT_H
#include "paint.h"
#include "run.h"

typedef struct RtPlot {
    const char *name; /* of its file: plots/NAME.svg */
    bool (*has)(const RtRun *r);
    void (*draw)(RtPaint *p, const RtRun *r);
} RtPlot;
extern const RtPlot rt_plots[]; /* ends with a name NULL */
const RtPlot *rt_plot(const char *name);

/* Writes report.html and plots/NAME.svg into a run's folder; exits 4 or 7. */
void rt_report_write(const RtRun *r);
void rt_report_plots_dir(const RtRun *r); /* makes plots/ */
/* The page that lays runs over each other. */
void rt_compare_write(RtRun *const *run, int n, const char *path);

/* ---- verdict.c ---- */

typedef struct RtVerdict {
    const char *word;  /* "overfits", ... */
    char reason[320], rule[400];
} RtVerdict;
bool rt_verdict(const RtRun *r, RtVerdict *v); /* false: there is nothing to judge by */
#endif
