/* The learning rate as a function of how far training is: PyTorch's schedulers and a linear warm-up.
 *
 * in:  train.schedule, "StepLR(step_size=30,gamma=0.1)", and train.warmup, "3 epochs" or "500 steps"
 * out: the rate of every step
 * rule: everything but ReduceLROnPlateau is a formula of (epoch, step), evaluated in double, so that
 *       a resumed run has the same rates bit for bit; the plateau's four numbers go into checkpoints.
 * not here: momentum (OneCycleLR's cycle_momentum is off).
 */
#ifndef RUNTIME_SCHEDULE_H
#define RUNTIME_SCHEDULE_H
#include "options.h"

enum { RT_MILESTONES = 64 };

typedef enum RtScheduleKind {
    RT_CONSTANT,
    RT_STEP,
    RT_MULTI_STEP,
    RT_EXPONENTIAL,
    RT_COSINE,
    RT_ONE_CYCLE,
    RT_PLATEAU
} RtScheduleKind;

typedef struct RtPlateau { /* the state of ReduceLROnPlateau */
    double lr, best;
    int64_t bad, cooldown;
} RtPlateau;

typedef struct RtSchedule {
    RtScheduleKind kind;
    double base;           /* the rate without a schedule */
    double gamma, eta_min; /* gamma: factor of the plateau too; eta_min: its min_lr */
    int64_t period;        /* StepLR's step_size, the cosine's T_max */
    int64_t milestone[RT_MILESTONES];
    int nmilestones;
    double max_lr, pct_start, div, final_div;
    bool linear;   /* OneCycleLR's anneal_strategy */
    int64_t total; /* its steps */
    bool maximize; /* the plateau's mode */
    double threshold;
    int64_t patience, wait; /* wait: the plateau's cooldown */
    int64_t warmup;         /* steps */
    RtPlateau plateau;
} RtSchedule;

/* A run of `epochs` epochs of `batches` steps. Exits 2 or 3 when the text is none. */
void rt_schedule_init(RtSchedule *s, const RtOptions *o, double lr, int64_t epochs,
                      int64_t batches);
/* The rate of step `step` (of all, from 0) in epoch `epoch` (from 0). */
double rt_schedule_lr(const RtSchedule *s, int64_t epoch, int64_t step);
/* After an epoch: the value that the plateau watches. */
void rt_schedule_epoch(RtSchedule *s, double value);
/* Everything that decides rates, as text: a resumed run must have the same. Caller frees. */
char *rt_schedule_text(const RtSchedule *s, const RtOptions *o);
#endif
