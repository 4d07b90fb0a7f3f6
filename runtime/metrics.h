/* Numbers about predictions, all of them from one confusion matrix, of items or of pixels.
 *
 * in:  pairs (truth, prediction)
 * out: accuracy, precision, recall, F1 (of pixels: Dice) and IoU per class and averaged; the pairs of classes that are
 *      taken for each other most often; as a table or as JSON
 * rule: 0/0 is 0. Macro averages run over the classes that occur in truth or prediction, as in
 *      scikit-learn with zero_division=0; classes that do not occur are named. Every printed
 * average says which one it is.
 */
#ifndef RUNTIME_METRICS_H
#define RUNTIME_METRICS_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct RtConfusion {
    int n;
    uint64_t *count; /* [truth][prediction] */
} RtConfusion;

typedef struct RtClassMetrics {
    double precision, recall, f1, iou;
    uint64_t support; /* items whose truth is this class */
    bool present;     /* in truth or prediction */
} RtClassMetrics;

typedef struct RtMetrics {
    int n, absent; /* classes; how many of them occur nowhere */
    uint64_t total;
    double accuracy;
    double precision_macro, recall_macro, f1_macro, iou_macro;
    double precision_weighted, recall_weighted, f1_weighted;
    RtClassMetrics *per_class; /* [n] */
} RtMetrics;

RtConfusion *rt_confusion_new(int nclasses); /* NULL: out of memory */
/* False, and nothing counted, if either is not a class. */
bool rt_confusion_add(RtConfusion *c, int truth, int prediction);
void rt_confusion_free(RtConfusion *c);

typedef struct RtConfused { /* two classes */
    int a, b;
    uint64_t a_as_b, b_as_a; /* items of a that were taken for b; of b, for a */
} RtConfused;

/* The pairs with the most mistakes, at most `most`, those without left out; of equal ones the lower classes come first.
 * -> how many. */
int rt_confusion_pairs(const RtConfusion *c, RtConfused *out, int most);

bool rt_metrics(const RtConfusion *c, RtMetrics *m); /* false: out of memory */
void rt_metrics_free(RtMetrics *m);

/* names[n]: class names, or NULL for numbers. They are escaped here. pixels: with Dice and IoU. */
void rt_metrics_print(FILE *f, const RtMetrics *m, const char *const *names, bool pixels);
void rt_pairs_print(FILE *f, const RtConfusion *c, const char *const *names);
void rt_confusion_print(FILE *f, const RtConfusion *c, const char *const *names);
/* The members "accuracy", "f1_macro", ... "confusion" of a JSON object, without its braces, so that
 * the caller can add others ("loss"). */
void rt_metrics_json(FILE *f, const RtConfusion *c, const RtMetrics *m, const char *const *names);
#endif
