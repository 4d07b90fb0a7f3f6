/* What a training run leaves behind for its report: report.json, plots/weights-*.png.
 *
 * A part of the program (parts.def): there when the description has `report:`. */
#ifndef RUNTIME_REPORT_COLLECT_H
#define RUNTIME_REPORT_COLLECT_H
#include "../json.h"
#include "../train.h"

typedef struct RtReporter {
    void (*begin)(RtTrain *t); /* a new run has its first weights */
    void (*end)(RtTrain *t);   /* a finished run: collects, writes the report. The state holds other weights then. */
} RtReporter;
extern const RtReporter rt_part_report;

/* ---- shared by the files that collect ---- */

typedef struct RtCollect {
    RtTrain *t;
    RtFeed *feed; /* of inference, prepared */
    RtJson *j;
    RtDataConfig config;
    int c, h, w; /* of the input; c 0: it is no picture */
    char *scratch;
} RtCollect;

/* collect_pictures.c. Pictures go into JSON as PNG in base64, shrunk by whole factors to sides of at most 160. */
void rt_collect_plain(const RtCollect *x, const char *key, const float *chw); /* takes the normalisation back */
void rt_collect_png(RtJson *j, const char *key, const uint8_t *px, int c, int h, int w);
/* Labels as colours over the picture (chw NULL: alone); rgb[256*3]. */
void rt_collect_mask(const RtCollect *x, const char *key, const float *chw, const int32_t *label, const uint8_t *rgb);
void rt_collect_augmented(const RtCollect *x);
void rt_collect_first_weights(RtTrain *t); /* plots/weights-first.png */
void rt_collect_weights(const RtCollect *x);
/* collect_scores.c */
void rt_collect_scores(const RtCollect *x);
/* collect_tsne.c */
void rt_collect_tsne(const RtCollect *x);
/* collect_numbers.c */
void rt_collect_brightness(const RtCollect *x);
void rt_collect_pixels(const RtCollect *x); /* of each class, where labels are masks */
void rt_collect_programs(const RtCollect *x);
#endif
