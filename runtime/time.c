/* time: runs on demand, for those who measure this program beside others.
 *
 * In: numbers on stdin, one a line; tensors from files. Out: for each number a line with the milliseconds of that many
 * runs, one after the other; nothing runs in between. Rule: training steps have a learning rate of 0, so that a long
 * measurement stays where the numbers are ordinary. Not here: statistics. */
#include "err.h"
#include "raw.h"
#include "scalars.h"
#include "session.h"
#include "verbs.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int most = 1000000; /* runs on demand of one line */

/* The first batch of the file that the option names, if the program takes such a tensor. */
static void put(const RtSession *s, RtExec *e, const char *name, const char *key)
{
    RtRaw raw;
    const char *path = rt_option_str(&s->opt, key, NULL);
    if (!rt_exec_tensor(e, name)) return;
    if (!path) rt_fail(RT_EXIT_USAGE, "C001", "time needs --%s", name);
    rt_raw_read(&raw, path, e, name);
    rt_raw_put(&raw, e, name, 0, raw.rows < raw.batch ? raw.rows : raw.batch);
    rt_raw_free(&raw);
}

static void answer(RtExec *e, const char *line)
{
    char *end;
    long n = strtol(line, &end, 10);
    if (end == line || strcspn(end, "\n") || n < 1 || n > most) {
        rt_fail(RT_EXIT_USAGE, "C002", "stdin: '%s' is not an integer 1..%d", rt_esc(line), most);
    }
    for (long i = 0; i < n; i++) printf("%s%.6f", i ? " " : "", 1e3 * rt_exec_time(e));
    putchar('\n');
    if (fflush(stdout) != 0)
        rt_fail(RT_EXIT_WRITE, "E001", "cannot write the results: %s", strerror(errno));
}

int rt_verb_time(const RtVerb *v)
{
    RtSession s;
    char line[32];
    rt_session_open(&s, v, RT_VERB_TIME);
    bool train = !strcmp(rt_option_str(&s.opt, "run.phase", ""), "train-step");
    RtExec *e = rt_session_exec(&s, train ? RT_TRAIN : RT_INFER, 0);
    if (!train) rt_exec_without_loss(e);
    rt_session_begin_weights(&s);
    put(&s, e, "input", "run.input");
    if (train) put(&s, e, "target", "run.target");
    rt_scalars_step(s.state, &s.opt, 1);
    rt_scalars_set(s.state, "lr", 0);
    rt_exec_prepare(e);
    while (fgets(line, sizeof line, stdin)) answer(e, line);
    rt_exec_free(e);
    rt_session_close(&s);
    return RT_EXIT_OK;
}
