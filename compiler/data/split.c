/* `sinter data split DIR|SPEC -o split.csv`: deals items out once, so that every run has the same train, val and test.
 *
 * rule: the same fractions and seed give the same file; it is what a run with those fractions would write. */
#include "data/data.h"
#include "data/set.h"
#include "runtime/err.h"
#include "runtime/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int help(void)
{
    puts("usage: sinter data split DIR|SPEC [-o split.csv] [--train X --val X --test X] [--seed N] [--stratify yes|no]\n"
         "       [--format F] [--limit N] [--force] [--json FILE|-]\n"
         "  A description reads it back with `data: {split: {file: split.csv}}`, a program with --split-file.\n"
         "  --train, --val, --test  shares [of the description, or 0.8 0.1 0.1]; what the set itself splits stays so\n"
         "  --stratify              the same shares in each class [yes]");
    return RT_EXIT_OK;
}

static double share(const char *flag, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= 0 && v <= 1))
        rt_fail(RT_EXIT_USAGE, "C002", "%s: '%s' is not a share 0..1", flag, rt_esc(text));
    return v;
}

static bool own(DataSet *s, const char *flag, const char *value)
{
    RtDataConfig *c = &s->config;
    char *end;
    if (!strcmp(flag, "-o"))
        s->out = value;
    else if (!strcmp(flag, "--train"))
        c->train = share(flag, value);
    else if (!strcmp(flag, "--val"))
        c->val = share(flag, value);
    else if (!strcmp(flag, "--test"))
        c->test = share(flag, value);
    else if (!strcmp(flag, "--seed")) {
        c->seed = strtoull(value, &end, 10);
        if (end == value || *end || *value == '-')
            rt_fail(RT_EXIT_USAGE, "C002", "--seed: '%s' is not a number", rt_esc(value));
    } else if (!strcmp(flag, "--stratify")) {
        c->stratify = !strcmp(value, "yes");
        if (!c->stratify && strcmp(value, "no"))
            rt_fail(RT_EXIT_USAGE, "C002", "--stratify: '%s' is neither yes nor no", rt_esc(value));
    } else
        return false;
    return true;
}

static void write_json(const DataSet *s, const RtData *d, const char *hash)
{
    RtJson j;
    static const char *const name[RT_NSPLITS] = {"train", "val", "test"};
    rt_json_begin(&j, true);
    rt_json_str(&j, "file", s->out);
    rt_json_str(&j, "sha256", hash);
    rt_json_bool(&j, "stratified", s->config.stratify);
    rt_json_int(&j, "seed", (int64_t)s->config.seed);
    for (int k = 0; k < RT_NSPLITS; k++) rt_json_int(&j, name[k], d->split[k].n);
    rt_json_save(&j, s->json);
}

int data_split(int argc, char **argv)
{
    DataSet s;
    RtError e;
    char hash[65];
    set_parse(&s, "split", argc, argv, own);
    if (s.help) return help();
    if (!s.out) s.out = "split.csv";
    if (!s.force && access(s.out, F_OK) == 0)
        rt_fail(RT_EXIT_WRITE, "C004", "'%s' exists (use --force)", rt_esc(s.out));
    RtData *d = set_open(&s);
    fputs(rt_data_notes(d), stderr);
    if (d->nbad) rt_warn("D018", "%" PRId64 " damaged images are left out: sinter data check names them", d->nbad);
    if (!rt_data_save_split(d, s.out, hash, &e)) rt_fail(e.exit, e.id, "%s", e.text);
    if (!s.json || strcmp(s.json, "-") != 0)
        printf("%s: %" PRId64 " train, %" PRId64 " val, %" PRId64 " test%s; sha256 %s\n", rt_esc(s.out), d->split[0].n,
               d->split[1].n, d->split[2].n, s.config.stratify ? ", stratified" : "", hash);
    if (s.json) write_json(&s, d, hash);
    rt_data_close(d);
    arena_free(s.arena);
    return RT_EXIT_OK;
}
