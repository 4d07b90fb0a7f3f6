/* What ptxas says of kernels under -v. In: NVRTC's log, where each kernel has, among others, these lines:
 *     ptxas info    : Compiling entry function 'k2' for 'sm_80'
 *     ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
 *     ptxas info    : Used 10 registers, used 1 barriers, 4096 bytes smem, 360 bytes cmem[0]
 * Out: numbers. The one place that knows this form. */
#include "nvrtc/stats.h"
#include "support/diag.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const entry = "Compiling entry function '";

/* The text that speaks of one kernel: from its "Compiling" line to the next one. */
static const char *section(const char *log, const char *kernel, const char **end)
{
    size_t n = strlen(kernel);
    for (const char *p = log; (p = strstr(p, entry));) {
        p += strlen(entry);
        if (strncmp(p, kernel, n) != 0 || p[n] != '\'') continue;
        *end = strstr(p, entry);
        if (!*end) *end = p + strlen(p);
        return p;
    }
    return NULL;
}

/* The number in front of `what`: "4096 bytes smem"; 0 when it is not said. */
static int amount(const char *p, const char *end, const char *what)
{
    const char *at = strstr(p, what);
    if (!at || at >= end) return 0;
    while (at > p && at[-1] == ' ') at--;
    while (at > p && at[-1] >= '0' && at[-1] <= '9') at--;
    return atoi(at);
}

bool ptxas_read(const char *log, CudaStats *s)
{
    const char *end, *p = section(log, s->name, &end);
    if (!p) return false;
    s->registers = amount(p, end, "registers");
    s->barriers = amount(p, end, "barriers");
    s->stack = amount(p, end, "bytes stack frame");
    s->spill_st = amount(p, end, "bytes spill stores");
    s->spill_ld = amount(p, end, "bytes spill loads");
    s->shared = amount(p, end, "bytes smem");
    return s->registers > 0;
}
