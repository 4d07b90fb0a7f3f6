/* Parts of pages. */
#ifndef RUNTIME_REPORT_PAGE_H
#define RUNTIME_REPORT_PAGE_H
#include "run.h"
#include <stdio.h>

/* scripts: the page holds points that turn; both calls say the same. */
void rt_page_begin(FILE *f, const char *title, const char *kind, bool scripts);
void rt_page_end(FILE *f, bool scripts);
void rt_page_section(FILE *f, const char *id, const char *title); /* open; ends with </section> */
void rt_page_plot(FILE *f, const RtRun *r, const char *name);     /* nothing if the run has no such plot */
void rt_page_text(FILE *f, const char *before, const char *s, const char *after); /* s is untrusted */
void rt_base64(FILE *f, const uint8_t *p, size_t n);

/* A text that becomes a file. */
FILE *rt_text_open(char **text, size_t *n);
void rt_text_save(FILE *f, char **text, const size_t *n, const char *path); /* closes, writes, frees */

/* ---- the sections of a report ---- */

typedef struct RtSection {
    const char *id, *title;
    bool (*has)(const RtRun *r);
    void (*write)(FILE *f, const RtRun *r);
} RtSection;

/* sections_answers.c */
bool rt_has_per_class(const RtRun *r);
void rt_write_per_class(FILE *f, const RtRun *r);
bool rt_has_confused(const RtRun *r);
void rt_write_confused(FILE *f, const RtRun *r);
/* sections_pictures.c */
bool rt_has_misclassified(const RtRun *r);
void rt_write_misclassified(FILE *f, const RtRun *r);
bool rt_has_augmented(const RtRun *r);
void rt_write_augmented(FILE *f, const RtRun *r);
bool rt_has_weights(const RtRun *r);
void rt_write_weights(FILE *f, const RtRun *r);
bool rt_has_masks(const RtRun *r);
void rt_write_masks(FILE *f, const RtRun *r);
bool rt_has_rebuilt(const RtRun *r);
void rt_write_rebuilt(FILE *f, const RtRun *r);
bool rt_has_space(const RtRun *r); /* t-SNE in three dimensions */
void rt_write_space(FILE *f, const RtRun *r);
/* sections_run.c */
bool rt_has_kernels(const RtRun *r);
void rt_write_kernels(FILE *f, const RtRun *r);
bool rt_has_environment(const RtRun *r);
void rt_write_environment(FILE *f, const RtRun *r);
bool rt_has_settings(const RtRun *r);
void rt_write_settings(FILE *f, const RtRun *r);
bool rt_has_description(const RtRun *r);
void rt_write_description(FILE *f, const RtRun *r);
#endif
