/* Opcodes that compute lane by lane, for a host with AVX2 and FMA; elsewhere the same as ptx_ops_any. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __x86_64__
#pragma GCC target("avx2,fma,bmi,bmi2,lzcnt,popcnt")
#endif
#define PTX_OPS ptx_ops_avx2
#include "ptx_lanes.h"
