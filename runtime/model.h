/* Access to the blob that the compiler wrote. */
#ifndef RUNTIME_MODEL_H
#define RUNTIME_MODEL_H
#include "abi.h"

/* Exit 70 if the blob is not one of this runtime or points outside itself; exit 5 (E008) if the CPU
 * lacks an instruction set that the kernels use. */
void rt_model_check(const RtModel *m);
void rt_model_check_cpu(const RtModel *m);

const RtTensor *rt_model_states(const RtModel *m);
const RtProgram *rt_model_programs(const RtModel *m);
const RtScalar *rt_model_scalars(const RtModel *m);
const RtTensor *rt_program_tensors(const RtModel *m, const RtProgram *p);

/* NULL if there is none. */
const RtTensor *rt_model_state(const RtModel *m, const char *name);
const RtTensor *rt_program_tensor(const RtModel *m, const RtProgram *p, const char *name);
const char *rt_model_option(const RtModel *m, const char *key, uint32_t *line);
/* batch 0: the program with the largest batch. */
const RtProgram *rt_model_program(const RtModel *m, uint32_t device, uint32_t phase,
                                  uint32_t variant, uint32_t batch);

int64_t rt_tensor_count(const RtTensor *t); /* elements, without padding */
#endif
