/* run: inference on tensors from a file; outputs, loss and named tensors of the program into a
 * file.
 *
 * Rule: any number of rows; they go through in batches of the program, and what is written has as
 * many rows. */
#include "err.h"
#include "model.h"
#include "raw.h"
#include "session.h"
#include "tensor.h"
#include "verbs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OUT = 64 };

typedef struct Outputs {
    int n;
    RtStTensor t[MAX_OUT];
} Outputs;

static void add_output(Outputs *o, const RtExec *e, const char *name, int64_t rows)
{
    const RtTensor *t = rt_exec_tensor(e, name);
    if (!t || t->rank == 0)
        rt_fail(RT_EXIT_USAGE, "C002", "--layer: the program keeps no tensor '%s'", rt_esc(name));
    if (o->n == MAX_OUT - 1) rt_fail(RT_EXIT_USAGE, "C002", "--layer: too many names");
    RtStTensor *x = &o->t[o->n++];
    x->name = rt_strdup(name);
    strcpy(x->dtype, t->dtype == RT_I32 ? "I32" : "F32");
    x->rank = t->rank;
    memcpy(x->dim, t->dim, sizeof t->dim);
    x->dim[0] = rows;
    x->count = rt_tensor_count(t) / t->dim[0] * rows;
    x->data = rt_alloc((size_t)x->count, 4, "outputs");
}

/* Every output of the description, under its name. */
static void add_declared(Outputs *o, const RtExec *e, int64_t rows)
{
    const RtProgram *p = rt_exec_program(e);
    const RtTensor *t = rt_program_tensors(rt_exec_model(e), p);
    for (uint32_t i = 0; i < p->ntensors; i++, t++) {
        if (t->role == RT_OUTPUT && t->rank > 0 && t->dim[0] == p->batch)
            add_output(o, e, RT_STR(rt_exec_model(e), t->name), rows);
    }
}

static bool has_output(const Outputs *o, const char *name)
{
    for (int i = 0; i < o->n; i++) {
        if (!strcmp(o->t[i].name, name)) return true;
    }
    return false;
}

static void add_loss(Outputs *o, const float *loss)
{
    RtStTensor *x = &o->t[o->n++];
    x->name = rt_strdup("loss");
    strcpy(x->dtype, "F32");
    x->count = 1;
    x->data = memcpy(rt_alloc(1, 4, "the loss"), loss, 4);
}

static double batch_loss(RtExec *e, const RtRaw *input, const RtRaw *target, int64_t first,
                         int64_t n)
{
    float loss, rest = 0;
    rt_exec_get(e, "loss", &loss);
    if (n < input->batch) { /* the missing rows repeated row `first`: take them off again */
        rt_raw_put(input, e, "input", first, 1);
        rt_raw_put(target, e, "target", first, 1);
        rt_exec_run(e);
        rt_exec_get(e, "loss", &rest);
    }
    return (double)loss * input->batch - (double)rest * (double)(input->batch - n);
}

/* Returns the mean loss; 0 without a target. */
static double run_all(RtExec *e, const RtRaw *input, const RtRaw *target, Outputs *o)
{
    double sum = 0;
    bool loss = target->values && rt_exec_tensor(e, "loss");
    for (int64_t first = 0; first < input->rows; first += input->batch) {
        int64_t left = input->rows - first, n = left < input->batch ? left : input->batch;
        rt_raw_put(input, e, "input", first, n);
        if (target->values) rt_raw_put(target, e, "target", first, n);
        rt_exec_run(e);
        for (int i = 0; i < o->n; i++) {
            int64_t row = o->t[i].count / input->rows;
            rt_exec_get_rows(e, o->t[i].name, (char *)(uintptr_t)o->t[i].data + 4 * first * row, 0,
                             n);
        }
        if (loss) sum += batch_loss(e, input, target, first, n);
    }
    return sum / (double)input->rows;
}

/* Batch 1 if the build has it, else the largest. */
static RtExec *pick(RtSession *s)
{
    bool single = rt_model_program(s->model, s->device->kind, RT_INFER, s->variant, 1) != NULL;
    return rt_session_exec(s, RT_INFER, single ? 1 : 0);
}

int rt_verb_run(const RtVerb *v)
{
    RtSession s;
    RtRaw input = {0}, target = {0};
    Outputs o = {0};
    rt_session_open(&s, v, RT_VERB_RUN);
    const char *in = rt_option_str(&s.opt, "run.input", NULL),
               *out = rt_option_str(&s.opt, "run.output", NULL);
    if (!in || !out) rt_fail(RT_EXIT_USAGE, "C001", "run needs --input and --output");
    rt_st_free(rt_session_weights(&s));
    RtExec *e = pick(&s);
    rt_raw_read(&input, in, e, "input");
    const char *want = rt_option_str(&s.opt, "run.target", NULL);
    if (want) rt_raw_read(&target, want, e, "target");
    if (!want) rt_exec_without_loss(e);
    if (want && target.rows != input.rows) {
        rt_fail(RT_EXIT_DATA, "D007", "%lld inputs but %lld targets", (long long)input.rows,
                (long long)target.rows);
    }
    add_declared(&o, e, input.rows);
    int n = 0;
    char **layer = rt_option_list(rt_option_str(&s.opt, "run.layer", ""), &n);
    for (int i = 0; i < n; i++) {
        if (!has_output(&o, layer[i])) add_output(&o, e, layer[i], input.rows);
    }
    free(layer);
    rt_exec_prepare(e);
    float loss = (float)run_all(e, &input, &target, &o);
    if (want && rt_exec_tensor(e, "loss")) add_loss(&o, &loss);
    rt_st_write(out, o.t, o.n, NULL, 0, NULL);
    for (int i = 0; i < o.n; i++) {
        free(o.t[i].name);
        free((void *)(uintptr_t)o.t[i].data);
    }
    rt_raw_free(&input);
    rt_raw_free(&target);
    rt_exec_free(e);
    rt_session_close(&s);
    return RT_EXIT_OK;
}
