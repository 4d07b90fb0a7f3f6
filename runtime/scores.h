/* Numbers about predicted probabilities: what a confusion matrix does not know.
 *
 * in:  truth and probabilities of every item (or pixel)
 * out: top-k accuracy, average precision and ROC-AUC of each class, calibration
 * rule: formulas and their limits are scikit-learn's. Every class against the rest. Ranks are exact for items; for
 *      pixels, of which there are too many to keep, probabilities count in steps of 1/4096.
 * not here: metrics of classes alone (metrics.h).
 */
#ifndef RUNTIME_SCORES_H
#define RUNTIME_SCORES_H
#include <stdbool.h>
#include <stdint.h>

enum { RT_CALIBRATION_BINS = 15 };

typedef struct RtScores RtScores;

typedef struct RtCalibrationBin { /* predictions whose confidence lies in (i/15, (i+1)/15] */
    uint64_t n;
    double confidence, accuracy; /* means */
} RtCalibrationBin;

typedef struct RtScoreNumbers {
    int classes;
    uint64_t n;
    double *average_precision; /* [classes]; NaN: the class is nowhere in the truth */
    double *roc_auc;           /* [classes]; NaN: the class, or everything else, is nowhere */
    double mean_average_precision; /* over the classes that have one; NaN: none */
    double roc_auc_macro, roc_auc_weighted;
    /* Expected calibration error (Guo et al. 2017); the Brier score sums over classes (two classes: is one class's, as
     * scikit-learn has it). */
    double ece, brier;
    RtCalibrationBin bin[RT_CALIBRATION_BINS];
} RtScoreNumbers;

/* pixels: keep counts of steps, not every item. */
RtScores *rt_scores_new(int classes, bool pixels);
void rt_scores_free(RtScores *s);
/* p[classes] adds up to 1; what is not finite in it becomes 0. A truth that is no class is not counted. */
void rt_scores_add(RtScores *s, int truth, double *p);
/* The share of items with fewer than k classes above the truth; of equal probabilities the lower class comes first. */
double rt_scores_topk(const RtScores *s, int k);
void rt_scores_numbers(const RtScores *s, RtScoreNumbers *out);
void rt_scores_numbers_free(RtScoreNumbers *n);
#endif
