/* Weights and checkpoints: the state as safetensors under torch's names. */
#ifndef RUNTIME_CKPT_H
#define RUNTIME_CKPT_H
#include "exec.h"
#include "safetensors.h"

enum { /* which tensors, as bits of their roles */
       RT_WEIGHTS = 1 << RT_PARAM | 1 << RT_BUFFER,
       RT_EVERYTHING = RT_WEIGHTS | 1 << RT_MOMENT
};

void rt_ckpt_save(const RtState *s, unsigned roles, const char *path, const RtPair *meta, int nmeta,
                  const char *kept);
/* Exits 4 (W006 .. W009) if the file does not fit; nothing is changed then. strict = false: a
 * tensor that is missing keeps its value, one that is not the model's is passed over. */
void rt_ckpt_load(RtState *s, unsigned roles, const RtSt *file, bool strict);
/* Name of the first tensor that holds a NaN or an infinity; NULL: all are finite. */
const char *rt_ckpt_nonfinite(const RtState *s);
#endif
