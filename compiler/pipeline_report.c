/* What a build says when it is done: the line about the program, the time of every stage. */
#include "pipeline_report.h"
#include "../runtime/abi.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool wants_exe(const CompileOptions *o)
{
    return !o->predict && (!o->emit || o->emit & EMIT_EXE);
}

const char *phase_name(uint32_t phase)
{
    return phase == RT_TRAIN ? "training step" : "inference";
}

void report_times(const double *stage, double total)
{
    for (int i = 0; stage_names[i]; i++)
        fprintf(stderr, "%-9s %8.3f ms\n", stage_names[i], 1e3 * stage[i]);
    fprintf(stderr, "%-9s %8.3f ms\n", "total", 1e3 * total);
}

static int operation_count(const Groups *gs)
{
    int n = 0;
    for (int i = 0; i < gs->group.n; i++) n += gs->group.v[i]->node.n;
    return n;
}

/* "native (znver5), cuda sm_80 sm_90" */
static const char *machines(Arena *a, const CompileOptions *o, const Machine *cpu, const Machine *const *gpu)
{
    const char *all = wants_exe(o) ? cpu->name : "";
    for (int i = 0; i < o->narch; i++)
        all = arena_printf(a, "%s%s%s", all,
                           i      ? " "
                           : *all ? ", cuda "
                                  : "cuda ",
                           gpu[i]->name);
    return all;
}

/* "cnn: training step 65 operations -> 21 kernels; inference 27 -> 7; native (znver5); 445 kB" */
void report_built(Arena *a, const CompileOptions *o, const Machine *cpu, const Machine *const *gpu, const BlobProgram *prog,
                  int n, double seconds)
{
    const char *word = " operations";
    struct stat st = {0};
    FILE *f = o->quiet ? stderr : stdout;
    fprintf(f, "%s: ", o->quiet ? o->spec : o->out);
    for (int i = 0; i < n; i++) {
        if (prog[i].variant == RT_UNFUSED || prog[i].batch != prog[0].batch ||
            prog[i].device != prog[0].device)
            continue;
        const Schedule *s = prog[i].loops->plan->schedule;
        fprintf(f, "%s %d%s -> %d%s; ", phase_name(prog[i].phase), operation_count(s->groups), word,
                groups_at_work(s), *word ? " kernels" : "");
        word = "";
    }
    fprintf(f, "%s; ", machines(a, o, cpu, gpu));
    Precision precision = prog[0].loops->plan->schedule->groups->graph->precision;
    bool on_cpu = !strcmp(prog[n - 1].loops->plan->schedule->machine->backend, "cpu");
    if (precision)
        fprintf(f, "%s%s; ", precision_names[precision],
                on_cpu && precision == PRECISION_TF32 ? " (fp32 on a CPU)" : "");
    if (wants_exe(o) && !stat(o->out, &st))
        fprintf(f, "%lld kB; ", (long long)st.st_size / 1000);
    fprintf(f, "%.2f s\n", seconds);
}
