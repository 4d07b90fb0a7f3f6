/* Does the model overfit? One rule, stated with its answer.
 *
 * In: curves. Out: a word, the numbers it follows from, the rule.
 * Rule: see `rule` below. A gap alone is a generalisation gap; a rising loss of the val split is what makes it
 * harmful. */
#include "report.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double rise_limit = 0.05, gap_limit = 0.05;

static const char rule[] =
    "The rule: it overfits if, after its lowest point, the val loss has risen by more than 5% while the train loss fell, or "
    "if at the end train accuracy is more than 5 points above val accuracy; strongly if the rise is over 25% or the gap "
    "over 15 points. It still improves if the best val loss is the last one.";

static int lowest(const double *v, int n)
{
    int best = -1;
    for (int i = 0; i < n; i++) {
        if (isfinite(v[i]) && (best < 0 || v[i] < v[best])) best = i;
    }
    return best;
}

bool rt_verdict(const RtRun *r, RtVerdict *v)
{
    int n = r->nepochs, last = n - 1;
    const double *train = r->series[RT_LOSS_TRAIN], *val = r->series[RT_LOSS_VAL];
    int low = lowest(val, n);
    if (n < 2 || low < 0 || !isfinite(val[last]) || !isfinite(train[last])) return false;
    double rise = val[low] > 0 ? val[last] / val[low] - 1 : 0;
    bool fell = train[last] < train[low];
    double gap = r->series[RT_ACC_TRAIN][last] - r->series[RT_ACC_VAL][last];
    bool harmful = rise > rise_limit && fell, apart = isfinite(gap) && gap > gap_limit;
    bool strong = (harmful && rise > 0.25) || (apart && gap > 0.15);
    v->word = harmful || apart ? (strong ? "It overfits strongly" : "It overfits")
              : low == last    ? "It does not overfit, and still improves"
                               : "It does not overfit";
    int k = low == last ? snprintf(v->reason, sizeof v->reason, "The val loss is lowest in the last epoch, %d (%.4g)", low + 1, val[low])
                        : snprintf(v->reason, sizeof v->reason,
                     "The val loss is lowest in epoch %d (%.4g) and ends at %.4g, %.3g%% %s; the train loss went from %.4g "
                     "to %.4g in that time",
                     low + 1, val[low], val[last], fabs(100 * rise), rise < 0 ? "lower" : "higher", train[low],
                     train[last]);
    if (isfinite(gap) && k > 0 && (size_t)k < sizeof v->reason)
        k += snprintf(v->reason + k, sizeof v->reason - (size_t)k, ". At the end train accuracy is %.3g points %s val accuracy",
                      fabs(100 * gap), gap < 0 ? "below" : "above");
    snprintf(v->reason + k, sizeof v->reason - (size_t)k, ".");
    snprintf(v->rule, sizeof v->rule, "%s", rule);
    return true;
}
