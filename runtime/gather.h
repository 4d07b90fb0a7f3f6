/* What eval learns of every item beyond its class: probabilities, quality of pictures, predictions.csv.
 *
 * in:  items as rt_score shows them
 * out: what the description's `metrics` ask for, as text; all of it as JSON; a row an item
 * rule: predictions.csv is quoted as RFC 4180 says; its columns depend on what the model does:
 *      item,label,prediction,probability,second,second_probability,third,third_probability
 *      item,pixels,accuracy                 (masks; pixels that count)
 *      item,psnr,ssim                       (target: input)
 */
#ifndef RUNTIME_GATHER_H
#define RUNTIME_GATHER_H
#include "feed.h"
#include "json.h"
#include "session.h"

typedef struct RtGather RtGather;

/* names[classes]: borrowed, as all of these. csv: predictions.csv is wanted. */
RtGather *rt_gather_new(RtFeed *f, RtSession *s, RtData *d, enum RtSplit split, const char *const *names, bool csv);
void rt_gather_free(RtGather *g);
void rt_gather_item(void *gather, const RtItem *item); /* RtWatch.item */
void rt_gather_print(const RtGather *g, FILE *f);
void rt_gather_json(const RtGather *g, RtJson *j);
void rt_gather_save_csv(RtGather *g, const char *path);
#endif
