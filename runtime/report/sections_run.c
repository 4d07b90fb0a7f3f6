/* The sections about the run itself: kernels, environment, settings, description.
 *
 * In: report.json, env.json, args.yaml. Out: tables. */
#include "page.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool rt_has_kernels(const RtRun *r)
{
    return json_array_size(json_object_get(r->report, "programs")) > 0;
}

static double total(const json_t *steps)
{
    size_t i;
    json_t *s;
    double sum = 0;
    json_array_foreach(steps, i, s) {
        double us = rt_json_of(s, "us");
        if (us > 0) sum += us;
    }
    return sum;
}

static void step(FILE *f, const json_t *s, double sum)
{
    double us = rt_json_of(s, "us"), flops = rt_json_of(s, "flops"), bytes = rt_json_of(s, "bytes");
    rt_page_text(f, "<tr><td class=\"n\">", rt_json_text_of(s, "kernel"), "</td>");
    rt_page_text(f, "<td class=\"n\">", rt_json_text_of(s, "nest"), "</td>");
    rt_page_text(f, "<td class=\"n\">", rt_json_text_of(s, "layers"), "</td>");
    fprintf(f, "<td>%.0f</td><td>%.1f</td><td>%.1f</td><td>%.1f</td><td>%.1f</td><td class=\"h\"><i style=\"width:%.1f%%\"></i></td></tr>\n",
            fmax(rt_json_of(s, "line"), 0), us, us > 0 ? flops / us * 1e-3 : 0, us > 0 ? bytes / us * 1e-3 : 0,
            sum > 0 ? 100 * us / sum : 0, sum > 0 && us > 0 ? 100 * us / sum : 0);
}

void rt_write_kernels(FILE *f, const RtRun *r)
{
    size_t i, k;
    json_t *p, *s;
    fputs("<p class=\"s\">One run of each program on this machine, step by step; `OUT bench` measures with more care.</p>\n", f);
    json_array_foreach(json_object_get(r->report, "programs"), i, p) {
        const json_t *steps = json_object_get(p, "steps");
        double sum = total(steps), batch = rt_json_of(p, "batch");
        rt_page_text(f, "<h3>", rt_json_text_of(p, "phase"), "");
        fprintf(f, ", batch %.0f: %.3f ms in %zu steps, %.0f images/s</h3>\n<div class=\"x\"><table><tr><th class=\"n\">kernel</th>"
                   "<th class=\"n\">nest</th><th class=\"n\">layers</th><th>line</th><th>\xc2\xb5s</th><th>GFLOP/s</th><th>GB/s</th><th>%%</th><th></th></tr>\n",
                batch, sum * 1e-3, json_array_size(steps), sum > 0 ? batch / sum * 1e6 : 0);
        json_array_foreach(steps, k, s) step(f, s, sum);
        fputs("</table></div>\n", f);
    }
}

bool rt_has_environment(const RtRun *r)
{
    return json_object_size(r->env) > 0;
}

static void row(FILE *f, const char *key, const char *value)
{
    rt_page_text(f, "<tr><td class=\"n\">", key, "</td>");
    rt_page_text(f, "<td class=\"n\">", value, "</td></tr>\n");
}

void rt_write_environment(FILE *f, const RtRun *r)
{
    const char *key;
    json_t *v;
    fputs("<div class=\"x\"><table>\n", f);
    json_object_foreach(r->env, key, v) {
        char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);
        row(f, key, text ? text : json_is_string(v) ? json_string_value(v) : "");
        free(text);
    }
    fputs("</table></div>\n", f);
}

bool rt_has_settings(const RtRun *r)
{
    return r->nsettings > 0;
}

void rt_write_settings(FILE *f, const RtRun *r)
{
    fputs("<details><summary>Every value of the run</summary><div class=\"x\"><table>\n", f);
    for (int i = 0; i < r->nsettings; i++) row(f, r->setting[i].key, r->setting[i].value);
    fputs("</table></div></details>\n", f);
}

bool rt_has_description(const RtRun *r)
{
    return *rt_json_text_of(r->report, "description") != 0;
}

void rt_write_description(FILE *f, const RtRun *r)
{
    rt_page_text(f, "<pre>", rt_json_text_of(r->report, "description"), "</pre>\n");
}
