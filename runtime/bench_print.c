/* The tables and the JSON of bench. */
#include "bench.h"
#include "err.h"
#include "machine.h"
#include "model.h"
#include <math.h>
#include <stdio.h>

const char *rt_variant_name(uint32_t variant)
{
    return variant == RT_FUSED ? "fused" : "unfused";
}

const char *rt_phase_name(uint32_t phase)
{
    return phase == RT_TRAIN ? "train-step" : "infer";
}

static double rate(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0;
}

void rt_bench_head(const RtModel *m, const RtDevice *d, int threads, double peak)
{
    if (d->host) {
        printf("%s; %s; %d thread%s; peak %.1f GFLOP/s (measured)\n%s, target %s\n\n",
               rt_machine_cpu(), rt_machine_isa(), threads, threads == 1 ? "" : "s", peak * 1e-9,
               RT_STR(m, m->compiler), RT_STR(m, m->target));
    } else
        printf("%s; times are the device's own\n%s\n\n", rt_esc(d->name), RT_STR(m, m->compiler));
    const char *precision = rt_model_option(m, "model.precision", NULL);
    if (precision) printf("precision %s\n\n", precision);
    printf("%-8s %-10s %5s %7s %9s %9s %9s %10s %8s %6s %8s %8s\n", "variant", "phase", "batch",
           "steps", "p50 ms", "p90 ms", "p99 ms", "images/s", "GFLOP/s", "%peak", "MB moved",
           "peak MiB");
}

static void print_lane(const RtBench *b, const RtLane *l, double peak)
{
    double speed = rate(l->flops, l->p50);
    char percent[16] = "-";
    if (peak > 0) snprintf(percent, sizeof percent, "%.1f", 100 * speed / peak);
    printf("%-8s %-10s %5u %7u %9.3f %9.3f %9.3f %10.0f %8.1f %6s %8.2f %8.1f\n",
           rt_variant_name(l->variant), rt_phase_name(b->phase), b->batch, l->steps,
           1e3 * l->p50, 1e3 * l->p90, 1e3 * l->p99, rate(b->batch, l->p50), speed * 1e-9, percent,
           l->bytes * 1e-6, (double)l->memory / 1048576);
}

static void print_profile(const RtModel *m, const RtLane *l)
{
    const RtStep *s = RT_AT(m, RtStep, l->program->steps);
    double total = 0;
    for (uint32_t i = 0; i < l->program->nsteps; i++) total += l->step_ns[i];
    printf("\n%s, step by step:\n%4s %6s %-10s %9s %6s %8s %8s  %s\n", rt_variant_name(l->variant),
           "step", "kernel", "nest", "us", "%", "GFLOP/s", "GB/s", "layers");
    for (uint32_t i = 0; i < l->program->nsteps; i++, s++) {
        double t = 1e-9 * l->step_ns[i];
        if (!rt_bench_runs(l->program, s)) continue;
        printf("%4u    %c%02u %-10s %9.1f %6.1f %8.1f %8.1f  %s", i,
               s->kind == RT_STEP_KERNEL ? 'k' : 'c', s->kernel, RT_STR(m, s->nest), 1e6 * t, total > 0 ? 100 * l->step_ns[i] / total : 0, rate(s->flops, t) * 1e-9,
               rate(s->bytes, t) * 1e-9, RT_STR(m, s->layers));
        if (s->line) printf("  %s:%u", RT_STR(m, m->spec_file), s->line);
        putchar('\n');
    }
}

static void print_library(const RtBench *b, const RtLane *l)
{
    const RtStep *s = RT_AT(b->model, RtStep, l->program->steps);
    int n = 0;
    for (uint32_t i = 0; i < l->program->nsteps; i++) n += s[i].kind != RT_STEP_KERNEL;
    if (n) printf("  %s: %d of its steps are cuDNN's\n", rt_variant_name(l->variant), n);
}

void rt_bench_print(const RtBench *b, double peak)
{
    for (int i = 0; i < b->nlanes; i++) print_lane(b, &b->lane[i], peak);
    for (int i = 0; i < b->nlanes; i++) print_library(b, &b->lane[i]);
    if (b->nlanes == 2) {
        printf("  fused is %.2fx as fast (95%% interval %.2f..%.2f, %d pairs); ", b->speedup, b->lo,
               b->hi, b->samples);
        if (b->diff.abs == 0)
            puts("both compute the same bits");
        else
            printf("largest difference %.2g in '%s', relative %.2g\n", b->diff.abs,
                   rt_esc(b->diff.tensor), b->diff.rel);
    }
    for (int i = 0; i < b->nlanes; i++) {
        if (b->lane[i].step_ns) print_profile(b->model, &b->lane[i]);
    }
    putchar('\n');
}

static void json_steps(RtJson *j, const RtModel *m, const RtLane *l)
{
    const RtStep *s = RT_AT(m, RtStep, l->program->steps);
    rt_json_array(j, "profile");
    for (uint32_t i = 0; i < l->program->nsteps; i++, s++) {
        if (!rt_bench_runs(l->program, s)) continue;
        rt_json_object(j, NULL);
        rt_json_int(j, "kernel", s->kernel);
        rt_json_str(j, "layers", RT_STR(m, s->layers));
        rt_json_str(j, "nest", RT_STR(m, s->nest));
        rt_json_int(j, "line", s->line);
        rt_json_num(j, "us", 1e-3 * l->step_ns[i]);
        rt_json_num(j, "flops", s->flops);
        rt_json_num(j, "bytes", s->bytes);
        rt_json_end_object(j);
    }
    rt_json_end_array(j);
}

static void json_lane(RtJson *j, const RtBench *b, const RtLane *l, double peak)
{
    rt_json_object(j, NULL);
    rt_json_str(j, "variant", rt_variant_name(l->variant));
    rt_json_int(j, "steps", l->steps);
    rt_json_num(j, "p50_ms", 1e3 * l->p50);
    rt_json_num(j, "p50_low_ms", 1e3 * l->low);
    rt_json_num(j, "p50_high_ms", 1e3 * l->high);
    rt_json_num(j, "p90_ms", 1e3 * l->p90);
    rt_json_num(j, "p99_ms", 1e3 * l->p99);
    rt_json_num(j, "images_per_second", rate(b->batch, l->p50));
    rt_json_num(j, "gflops", rate(l->flops, l->p50) * 1e-9);
    rt_json_num(j, "percent_of_peak", peak > 0 ? 100 * rate(l->flops, l->p50) / peak : NAN);
    rt_json_num(j, "flops", l->flops);
    rt_json_num(j, "bytes_moved", l->bytes);
    rt_json_int(j, "peak_memory_bytes", (int64_t)l->memory);
    if (l->step_ns) json_steps(j, b->model, l);
    rt_json_end_object(j);
}

void rt_bench_json(RtJson *j, const RtBench *b, double peak)
{
    rt_json_object(j, NULL);
    rt_json_str(j, "phase", rt_phase_name(b->phase));
    rt_json_int(j, "batch", b->batch);
    rt_json_int(j, "threads", b->threads);
    rt_json_num(j, "peak_gflops", peak > 0 ? peak * 1e-9 : NAN);
    rt_json_int(j, "samples", b->samples);
    rt_json_array(j, "variants");
    for (int i = 0; i < b->nlanes; i++) json_lane(j, b, &b->lane[i], peak);
    rt_json_end_array(j);
    if (b->nlanes == 2) {
        rt_json_object(j, "speedup");
        rt_json_num(j, "ratio", b->speedup);
        rt_json_num(j, "low", b->lo);
        rt_json_num(j, "high", b->hi);
        rt_json_end_object(j);
        rt_json_object(j, "difference");
        rt_json_str(j, "tensor", b->diff.tensor);
        rt_json_num(j, "absolute", b->diff.abs);
        rt_json_num(j, "relative", b->diff.rel);
        rt_json_end_object(j);
    }
    rt_json_end_object(j);
}
