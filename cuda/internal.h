/* Shared by the files of the CUDA device. */
#ifndef CUDA_INTERNAL_H
#define CUDA_INTERNAL_H
#include "cuda_api.h"
#include "cudnn.h"
#include "device.h"

typedef struct Cuda {
    RtDevice device;
    const RtModel *model;
    int ordinal, driver, capability; /* driver: 13000; capability: 80 */
    char name[128];
    CuContext context;
    CuStream stream, copies; /* runs; what comes up beside them */
    CuModule module;
    CuEvent begin, end; /* of what is timed */
    CudnnDevice *cudnn; /* NULL until a step needs it */
    bool blocking;      /* CUDA_LAUNCH_BLOCKING=1: each launch is waited for, so that a failure has a name */
} Cuda;

/* ---- module.c ---- */

/* Loads the model's image that suits the device. false: there is none, *e says what there is. */
bool cuda_load_module(Cuda *c, RtError *e);

/* ---- channel.c ---- */

RtChannel *cuda_channel(RtDevice *d, void *to, size_t bytes);
void *cuda_fill(RtChannel *c);
void cuda_send(RtChannel *c);
void cuda_close_channel(RtChannel *c);

/* ---- launch.c ---- */

RtList *cuda_list(RtDevice *d, const RtModel *m, const RtLaunch *launch, int n);
void cuda_close_list(RtList *l);
void cuda_run(RtList *l);
void cuda_profile(RtList *l, double *ns);
double cuda_time(RtList *l);

/* ---- library.c ---- */

/* Can cuDNN compute what the model leaves to it? false: *e says why not. */
bool cuda_load_cudnn(const RtModel *m, RtError *e);
typedef struct CudaPlan CudaPlan;
/* The plan of a step whose arguments lie at `args`, which must live on. */
CudaPlan *cuda_plan(Cuda *c, const RtStep *s, void *const *args);
void cuda_plan_start(const CudaPlan *p); /* on the stream of runs; exits with 5 on failure */
void cuda_plan_free(CudaPlan *p);

/* ---- device.c ---- */

void *cuda_alloc(RtDevice *d, size_t bytes, const char *what);
void cuda_free(RtDevice *d, void *p, size_t bytes);
#endif
