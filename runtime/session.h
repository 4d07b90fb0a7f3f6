/* What every verb begins with: options, threads, state, weights, data. */
#ifndef RUNTIME_SESSION_H
#define RUNTIME_SESSION_H
#include "data/data.h"
#include "exec.h"
#include "options.h"
#include "safetensors.h"
#include "verbs.h"

typedef struct RtSession {
    const RtModel *model;
    const RtKernel *kernels;
    RtOptions opt;
    RtPool *pool;
    RtDevice *device;
    RtState *state; /* initialised from the seed */
    uint32_t variant;
} RtSession;

/* Parses the verb's options; opens the device; starts the pool and the state. verb: RT_VERB_TRAIN.. */
void rt_session_open(RtSession *s, const RtVerb *v, unsigned verb);
void rt_session_close(RtSession *s);

/* The program of the phase in the session's variant (or the other one, if the build has only that).
 * batch 0: the largest. Exits 2 when the build has none. */
RtExec *rt_session_exec(RtSession *s, uint32_t phase, uint32_t batch);

char *rt_session_dir(const RtSession *s); /* the run's folder; caller frees */
/* Loads --weights, else the run's best or last ones, else weights.load; exit 4 (W001) when there are
 * none. Returns the file, for its metadata. */
RtSt *rt_session_weights(RtSession *s);
/* What training begins with, if anything: --weights as they are, or --init (weights.load) without
 * the modules of weights.reinit. Says on stderr what was loaded. */
void rt_session_begin_weights(RtSession *s);
void rt_session_begin_again(RtSession *s); /* the state as it was when training began */

/* The data block with the flags applied; the pointers live as long as the session. */
void rt_session_data_config(RtSession *s, RtDataConfig *c);
enum RtSplit rt_session_split(const RtSession *s); /* --split */
RtData *rt_session_data(RtSession *s); /* opens it; prints its notes; exits when it cannot */
#endif
