/* Weights and checkpoints: the state as safetensors under torch's names.
 *
 * Weights (weights/last, weights/best) hold parameters and buffers under the keys of PyTorch's
 * state_dict, in its shapes, F32 row-major; `num_batches_tracked` is I64, as PyTorch has it. They
 * load with safetensors.torch.load_file and load_state_dict(strict=True).
 *
 * A checkpoint of a run (optim.safetensors) holds the same and the optimizer's moments, each under
 * its parameter's key and PyTorch's name of the moment:
 *     SGD           KEY.momentum_buffer
 *     Adam, AdamW   KEY.exp_avg, KEY.exp_avg_sq, KEY.max_exp_avg_sq (amsgrad)
 *     RMSprop       KEY.square_avg, KEY.momentum_buffer
 *     Adagrad       KEY.sum
 * and KEY.grad_sum, KEY.ema (compiler/spec/steps.c); and with precision fp16 loss_scale, loss_scale.good and loss_scale.skipped;
 * (nothing here knows these names: every moment of the model is saved and must be there again)
 * and in __metadata__, as text:
 *     format model spec_hash classes             what was trained
 *     epoch batch step                           how far: epochs, batches of the next, all steps
 *     batch_size seed items optimizer lr monitor schedule precision l2 accumulate ema  must be the same to go on
 *     loss_sum seen labelled correct             of the unfinished epoch
 *     val/loss train/accuracy ... (train.h: RtMonitor) best best_epoch waited    of the last one
 *     plateau                                    ReduceLROnPlateau: scale best bad cooldown
 *     history                                    metrics.jsonl
 *     sha256                                     of the file (safetensors.h)
 * The one before it is kept as optim.previous.safetensors, which --resume auto falls back to.
 * Real numbers are hexadecimal (%a): every bit comes back. Resuming is bit for bit. */
#ifndef RUNTIME_CKPT_H
#define RUNTIME_CKPT_H
#include "exec.h"
#include "safetensors.h"

enum { /* which tensors, as bits of their roles */
       RT_WEIGHTS = 1 << RT_PARAM | 1 << RT_BUFFER,
       RT_EVERYTHING = RT_WEIGHTS | 1 << RT_MOMENT
};

void rt_ckpt_save(RtState *s, unsigned roles, const char *path, const RtPair *meta, int nmeta,
                  const char *kept);
/* Name of the first tensor that holds a NaN or an infinity; NULL: all are finite. */
const char *rt_ckpt_nonfinite(RtState *s);

/* ---- ckpt_load.c ---- */

enum { RT_NAMES_SHOWN = 3 };

typedef struct RtNames { /* the first of n names, which lie in the model or in the file */
    const char *first[RT_NAMES_SHOWN];
    int n;
} RtNames;

typedef struct RtFit { /* how a file may differ from the model */
    bool lenient; /* a missing tensor keeps its value, one that is not the model's is passed over */
    const char
        *fresh; /* "fc,layer4.1": modules that keep their values whatever the file has; NULL */
} RtFit;

typedef struct RtFitted { /* what became of it */
    int wanted, matched;
    RtNames fresh, missing, extra;
} RtFitted;

/* Exits 4 (W006 .. W009) if the file does not fit; nothing is changed then. fit NULL: everything
 * must fit. */
RtFitted rt_ckpt_load(RtState *s, unsigned roles, const RtSt *file, const RtFit *fit);
/* One line, "FILE: 120 of 122 tensors ..."; caller frees. */
char *rt_ckpt_report(const RtSt *file, const RtFitted *f);
/* PyTorch's counter of a BatchNorm's batches: I64 there, may be missing, nothing depends on it. */
bool rt_ckpt_is_counter(const char *name);
#endif
