/* The machine that we run on. */
#ifndef RUNTIME_MACHINE_H
#define RUNTIME_MACHINE_H
#include "device.h"
#include "json.h"
#include "thread.h"

const char *rt_machine_cpu(void); /* "AMD EPYC 7763", from the kernel */
const char *rt_machine_isa(void); /* widest vectors that the CPU can multiply and add: "avx512f" */
/* Members device, cpu, isa, threads, compiler, target, denormals. */
void rt_machine_json(RtJson *j, const RtModel *m, const RtDevice *d, int threads);
/* Fused multiply-adds as fast as all threads of the pool can: floating-point operations a second.
 */
double rt_machine_peak(RtPool *pool);
#endif
