/* step: exact optimizer steps on tensors from a file; no data set, no shuffling, no augmentation.
 *
 * In: k batches of rows. Step i (from 0) takes batch i mod k. Out: the losses, the gradients of the
 * last step (before its update, under the weights' names), the weights after it. */
#include "ckpt.h"
#include "err.h"
#include "file.h"
#include "json.h"
#include "loss_scale.h"
#include "model.h"
#include "raw.h"
#include "scalars.h"
#include "session.h"
#include "verbs.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* scale: of the loss in that step, which the gradients carry. */
static void save_gradients(RtExec *e, double scale, const char *path)
{
    const RtProgram *p = rt_exec_program(e);
    const RtModel *m = rt_exec_model(e);
    const RtTensor *t = rt_program_tensors(m, p);
    RtStTensor *x = rt_alloc(p->ntensors, sizeof *x, "gradients");
    int n = 0;
    for (uint32_t i = 0; i < p->ntensors; i++, t++) {
        if (t->role != RT_GRAD) continue;
        x[n].name = (char *)(uintptr_t)RT_STR(m, t->name);
        strcpy(x[n].dtype, "F32");
        x[n].rank = t->rank;
        memcpy(x[n].dim, t->dim, sizeof t->dim);
        x[n].count = rt_tensor_count(t);
        void *plain = rt_alloc((size_t)x[n].count, 4, "gradients");
        rt_exec_get(e, x[n].name, plain);
        for (int64_t k = 0; k < x[n].count && scale != 1; k++) ((float *)plain)[k] /= (float)scale;
        x[n++].data = plain;
    }
    rt_st_write(path, x, n, NULL, 0, NULL);
    for (int i = 0; i < n; i++) free((void *)(uintptr_t)x[i].data);
    free(x);
}

/* Runs the steps; returns the log, a JSON line a step (malloc). */
static char *run_steps(RtSession *s, RtExec *e, const RtRaw *input, const RtRaw *target,
                       float *last, double *scale)
{
    char *log = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&log, &size);
    if (!f) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the log");
    int64_t steps = rt_option_int(&s->opt, "run.steps", 1), batches = input->rows / input->batch;
    rt_scalars_set(s->state, "dataset_size", (double)input->rows);
    for (int64_t i = 0; i < steps; i++) {
        int64_t first = i % batches * input->batch;
        rt_raw_put(input, e, "input", first, input->batch);
        if (target->values) rt_raw_put(target, e, "target", first, input->batch);
        rt_scalars_step(s->state, &s->opt, i + 1);
        if (i == steps - 1) *scale = rt_loss_scale(s->state).scale;
        rt_exec_run(e);
        rt_exec_get(e, "loss", last);
        if (!isfinite(*last)) {
            rt_fail(RT_EXIT_NONFINITE, "N001", "step %lld: loss is not finite", (long long)i + 1);
        }
        fprintf(f, "{\"step\": %lld, \"loss\": %.9g}\n", (long long)i + 1, (double)*last);
    }
    fclose(f);
    return log;
}

static void check_rows(const RtRaw *input, const RtRaw *target)
{
    if (target->values && target->rows != input->rows) {
        rt_fail(RT_EXIT_DATA, "D007", "%lld inputs but %lld targets", (long long)input->rows,
                (long long)target->rows);
    }
    if (input->rows % input->batch) {
        rt_fail(RT_EXIT_DATA, "D026", "%lld rows are no whole number of batches of %d",
                (long long)input->rows, input->batch);
    }
}

static void report(const RtSession *s, float loss)
{
    RtJson j;
    int64_t steps = rt_option_int(&s->opt, "run.steps", 1);
    const char *json = rt_option_str(&s->opt, "run.json", NULL);
    if (!json || strcmp(json, "-") != 0)
        printf("%lld steps, last loss %.9g\n", (long long)steps, (double)loss);
    if (!json) return;
    rt_json_begin(&j, true);
    rt_json_int(&j, "steps", steps);
    rt_json_num(&j, "loss", loss);
    rt_json_save(&j, json);
}

int rt_verb_step(const RtVerb *v)
{
    RtSession s;
    RtRaw input = {0}, target = {0};
    float loss = 0;
    double scale = 1;
    rt_session_open(&s, v, RT_VERB_STEP);
    const char *in = rt_option_str(&s.opt, "run.input", NULL),
               *to = rt_option_str(&s.opt, "run.target", NULL);
    RtExec *e = rt_session_exec(&s, RT_TRAIN, 0);
    bool wanted = rt_exec_tensor(e, "target") != NULL; /* not where the input is the target */
    if (!in || (wanted && !to)) {
        rt_fail(RT_EXIT_USAGE, "C001", "step needs --input%s", wanted ? " and --target" : "");
    }
    rt_raw_read(&input, in, e, "input");
    if (to) rt_raw_read(&target, to, e, "target");
    check_rows(&input, &target);
    rt_session_begin_weights(&s);
    rt_exec_prepare(e);
    char *log = run_steps(&s, e, &input, &target, &loss, &scale);
    const char *path;
    if ((path = rt_option_str(&s.opt, "run.log", NULL))) rt_file_save(path, log, strlen(log), NULL);
    if ((path = rt_option_str(&s.opt, "run.save_grads", NULL))) save_gradients(e, scale, path);
    if ((path = rt_option_str(&s.opt, "run.save_weights", NULL))) {
        rt_ckpt_save(s.state, RT_WEIGHTS, path, NULL, 0, NULL);
    }
    report(&s, loss);
    free(log);
    rt_raw_free(&input);
    rt_raw_free(&target);
    rt_exec_free(e);
    rt_session_close(&s);
    return RT_EXIT_OK;
}
