/* What the files that read a run's folder share. */
#ifndef RUNTIME_REPORT_READ_H
#define RUNTIME_REPORT_READ_H
#include "run.h"

enum { RT_RUN_CLASSES = 65536 };

char *rt_run_file(const RtRun *r, const char *name); /* caller frees */
/* A file's text, from malloc; NULL: there is none. Exits 4 when it cannot be read. */
char *rt_run_text(const RtRun *r, const char *name, size_t *n);
_Noreturn void rt_run_damaged(const RtRun *r, const char *name, const char *what); /* exits 4 */
void rt_run_classes(RtRun *r, int n); /* makes room for n classes */
void rt_run_split(RtRun *r);          /* split.csv */
#endif
