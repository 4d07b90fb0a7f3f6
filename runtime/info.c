/* info: what the program holds. Reads the blob only: no thread, no state, no data. */
#include "err.h"
#include "json.h"
#include "model.h"
#include "options.h"
#include "verbs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text(const RtModel *m, RtRef ref)
{
    return ref ? RT_STR(m, ref) : NULL;
}

static int64_t parameters(const RtModel *m)
{
    int64_t n = 0;
    const RtTensor *t = rt_model_states(m);
    for (uint32_t i = 0; i < m->nstates; i++) {
        if (t[i].role == RT_PARAM) n += rt_tensor_count(&t[i]);
    }
    return n;
}

static void totals(const RtModel *m, const RtProgram *p, double *flops, double *bytes)
{
    const RtStep *s = RT_AT(m, RtStep, p->steps);
    *flops = *bytes = 0;
    for (uint32_t i = 0; i < p->nsteps; i++) {
        *flops += s[i].flops;
        *bytes += s[i].bytes;
    }
}

static const char *phase(const RtProgram *p)
{
    return p->phase == RT_TRAIN ? "train" : "infer";
}

static const char *variant(const RtProgram *p)
{
    return p->variant == RT_FUSED ? "fused" : "unfused";
}

static const char *device(const RtProgram *p)
{
    return p->device == RT_CPU ? "cpu" : "cuda";
}

/* "cubin sm_80 sm_90, PTX sm_80" */
static char *images(const RtModel *m)
{
    char *all = rt_strdup("");
    const RtCode *x = RT_AT(m, RtCode, m->images);
    for (uint32_t i = 0; i < m->nimages; i++) {
        bool first = i == 0 || x[i].kind != x[i - 1].kind;
        const char *kind = !first ? "" : x[i].kind == RT_PTX ? "PTX " : "cubin ";
        char *more = rt_format("%s%s%ssm_%u%s", all, !i ? "" : first ? ", " : " ", kind, x[i].arch,
                               x[i].exact ? "a" : "");
        free(all);
        all = more;
    }
    return all;
}

static void line(const char *key, const char *value)
{
    if (value && *value) printf("%-11s %s\n", key, value);
}

static void print_text(const RtModel *m)
{
    printf("%-11s %s, from %s, hash %s\n", "model", text(m, m->name), text(m, m->spec_file),
           text(m, m->spec_hash));
    line("compiler", text(m, m->compiler));
    line("target", text(m, m->target));
    line("needs", text(m, m->isa));
    char *gpu = images(m);
    line("cuda", gpu);
    free(gpu);
    line("precision", rt_model_option(m, "model.precision", NULL));
    line("loss", text(m, m->loss));
    line("optimizer", text(m, m->optimizer));
    printf("%-11s %lld\n%-11s %u in %u programs\n", "parameters", (long long)parameters(m),
           "kernels", m->nkernels + m->ndevice_kernels, m->nprograms);
    printf("%-11s %.2f MiB\n\n", "state", (double)m->state_size / 1048576);
    printf("%-6s %-6s %-8s %6s %6s %8s %16s %13s %9s %9s\n", "device", "phase", "variant", "batch",
           "steps", "prepare*", "activations MiB", "prepared MiB", "GFLOP", "MB moved");
    const RtProgram *p = rt_model_programs(m);
    for (uint32_t i = 0; i < m->nprograms; i++, p++) {
        double flops, bytes;
        totals(m, p, &flops, &bytes);
        printf("%-6s %-6s %-8s %6u %6u %8u %16.2f %13.2f %9.3f %9.1f\n", device(p), phase(p),
               variant(p), p->batch, p->nsteps, p->nprepare, (double)p->slab_size / 1048576,
               (double)p->prep_size / 1048576, flops * 1e-9, bytes * 1e-6);
    }
    puts("\n* steps that run once for given weights; what they compute is kept");
}

static void json_images(RtJson *j, const RtModel *m)
{
    const RtCode *x = RT_AT(m, RtCode, m->images);
    rt_json_array(j, "images");
    for (uint32_t i = 0; i < m->nimages; i++) {
        rt_json_object(j, NULL);
        rt_json_str(j, "kind", x[i].kind == RT_PTX ? "ptx" : "cubin");
        rt_json_int(j, "arch", x[i].arch);
        rt_json_bool(j, "exact", x[i].exact);
        rt_json_int(j, "bytes", (int64_t)x[i].size);
        rt_json_end_object(j);
    }
    rt_json_end_array(j);
}

static void print_json(const RtModel *m, const char *path)
{
    RtJson j;
    rt_json_begin(&j, true);
    rt_json_str(&j, "model", text(m, m->name));
    rt_json_str(&j, "spec_file", text(m, m->spec_file));
    rt_json_str(&j, "spec_hash", text(m, m->spec_hash));
    rt_json_str(&j, "compiler", text(m, m->compiler));
    rt_json_str(&j, "target", text(m, m->target));
    rt_json_str(&j, "isa", text(m, m->isa));
    rt_json_str(&j, "precision", rt_model_option(m, "model.precision", NULL));
    rt_json_str(&j, "loss", text(m, m->loss));
    rt_json_str(&j, "optimizer", text(m, m->optimizer));
    rt_json_int(&j, "parameters", parameters(m));
    rt_json_int(&j, "kernels", m->nkernels);
    rt_json_int(&j, "device_kernels", m->ndevice_kernels);
    json_images(&j, m);
    rt_json_int(&j, "state_bytes", (int64_t)m->state_size);
    rt_json_array(&j, "programs");
    const RtProgram *p = rt_model_programs(m);
    for (uint32_t i = 0; i < m->nprograms; i++, p++) {
        double flops, bytes;
        totals(m, p, &flops, &bytes);
        rt_json_object(&j, NULL);
        rt_json_str(&j, "device", device(p));
        rt_json_str(&j, "phase", phase(p));
        rt_json_str(&j, "variant", variant(p));
        rt_json_int(&j, "batch", p->batch);
        rt_json_int(&j, "steps", p->nsteps);
        rt_json_int(&j, "prepare_steps", p->nprepare);
        rt_json_int(&j, "slab_bytes", (int64_t)p->slab_size);
        rt_json_int(&j, "prepared_bytes", (int64_t)p->prep_size);
        rt_json_num(&j, "flops", flops);
        rt_json_num(&j, "bytes", bytes);
        rt_json_end_object(&j);
    }
    rt_json_end_array(&j);
    rt_json_save(&j, path);
}

int rt_verb_info(const RtVerb *v)
{
    RtOptions o;
    rt_options_parse(&o, v->model, RT_VERB_INFO, v->argc, v->argv);
    const char *json = rt_option_str(&o, "run.json", NULL);
    if (json) print_json(v->model, json);
    if (!json || strcmp(json, "-") != 0) print_text(v->model);
    rt_options_free(&o);
    return RT_EXIT_OK;
}
