/* Plan: where every stored value lives and in which order groups run. Made by plan.c. */
#ifndef PLAN_H
#define PLAN_H
#include "schedule.h"

typedef enum PlanArena { PLAN_STATE, PLAN_PREP, PLAN_SLAB, PLAN_SCALAR, PLAN_NARENAS } PlanArena;

typedef struct Place { /* storage of one value */
    PlanArena arena;
    int64_t offset; /* bytes */
    int64_t bytes;
    int first, last; /* run-order positions between which it is live; not of STATE */
    bool pinned;     /* inputs, outputs: never shared */
} Place;

typedef struct Plan {
    const Schedule *schedule;
    VEC(Group *) order; /* run order; prepare groups first */
    int nprep;          /* how many of them are prepare groups */
    VEC(Node *)
    copy; /* Assigns whose value cannot be computed in the state's place: copied at the end */
    Place *value;             /* by node id; bytes == 0: not stored */
    Place *workspace;         /* by group id */
    Place *kept;              /* by group id: what it keeps between runs, made when the weights change; in PREP */
    int *made;                /* by group id: behind which prepare group in `order` that is made from its weights; -1:
                                 behind all of them */
    Place *state;             /* by state id */
    VEC(const char *) scalar; /* names; scalar i lies at 64*i */
    int64_t size[PLAN_NARENAS];
} Plan;
#endif
