/* What `sinter verify` prints: a table of kernels per program, a table of gradients, a last line;
 * or one JSON object. Names come from the description: they are cut and their control characters
 * are made visible. */
#include "ops/op.h"
#include "support/diag_record.h"
#include "verify.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NAME_WIDTH = 36, LINES_WIDTH = 12 };

void verify_progress(const char *what, int done, int all)
{
    if (!isatty(STDERR_FILENO)) return;
    if (all)
        fprintf(stderr, "\r\033[K%d of %d  %.50s", done + 1, all, what);
    else
        fprintf(stderr, "\r\033[K");
    fflush(stderr);
}

static void print_name(const char *s, int width)
{
    Buf b = {0};
    diag_escape(&b, s ? s : "");
    bool cut = b.n > (size_t)width;
    printf("  %-*.*s%s", cut ? width - 2 : width, cut ? width - 2 : width, b.s ? b.s : "",
           cut ? ".." : "");
    buf_free(&b);
}

/* ---- kernels ---- */

static int by_number(const int *line, int n, int x)
{
    int i = 0;
    while (i < n && line[i] < x) i++;
    return i;
}

/* "14", "14,16", "14-22": the YAML lines of the group's layers. */
static void lines_of(const Group *g, char *text, size_t size)
{
    enum { MOST = 16 };
    int line[MOST], n = 0;
    for (int i = 0; g && i < g->node.n && n < MOST; i++) {
        int x = g->node.v[i]->loc.line, at = by_number(line, n, x);
        if (!x || (at < n && line[at] == x)) continue;
        memmove(&line[at + 1], &line[at], sizeof *line * (size_t)(n - at));
        line[at] = x;
        n++;
    }
    if (n == 0)
        snprintf(text, size, "-");
    else if (n == 1)
        snprintf(text, size, "%d", line[0]);
    else if (n == 2)
        snprintf(text, size, "%d,%d", line[0], line[1]);
    else
        snprintf(text, size, "%d-%d", line[0], line[n - 1]);
}

static void print_detail(const VerifyRow *row)
{
    Arena *a = arena_new();
    const Node *n = row->worst;
    if (row->problem) printf("      %s\n", row->problem);
    if (!row->diff.ok)
        printf("      %s %s: element %lld is %.9g, should be %.9g; %lld beyond the tolerance\n",
               op_name(n->op), shape_str(a, n->shape), (long long)row->diff.at, row->diff.got,
               row->diff.want, (long long)row->diff.differ);
    if (row->ok && row->noisy)
        printf("      in %lld element%s the reference itself moves as far by rounding "
               "(cancellation, or a jump)\n",
               (long long)row->noisy, row->noisy > 1 ? "s" : "");
    arena_free(a);
}

void verify_print_program(const VerifyProgram *p)
{
    printf("%s\n  %-6s  %-*s  %-*s  %7s  %8s  %8s  verdict\n", p->what, "kernel", NAME_WIDTH,
           "layers", LINES_WIDTH, "lines", "outputs", "rel L2", "worst");
    for (int i = 0; i < p->row.n; i++) {
        const VerifyRow *row = &p->row.v[i];
        char lines[32];
        lines_of(row->group, lines, sizeof lines);
        printf("  %-6d", row->kernel);
        print_name(row->layers, NAME_WIDTH);
        printf("  %-*s  %7d  %8.1e  %8.1e  %s\n", LINES_WIDTH, lines, row->nout, row->diff.l2,
               row->diff.worst, row->ok ? "ok" : "DIFFERS");
        print_detail(row);
    }
}

/* ---- gradients ---- */

static const char *verdict_of(const VerifyGradient *g)
{
    return g->verdict == GRADIENT_OK     ? "ok"
           : g->verdict == GRADIENT_KINK ? "skipped: kink"
                                         : "DIFFERS";
}

void verify_print_gradients(const VerifyGradients *g)
{
    if (g->unchecked) printf("gradients: no finite differences: %s\n", g->unchecked);
    if (!g->row.n) return;
    printf("gradients of the loss, %.7g (rounding moves it by %.1e), of %d parameter tensors\n",
           g->loss, g->noise, g->trained);
    printf("  %-*s  %9s  %8s  %12s  %12s  %8s  verdict\n", NAME_WIDTH, "parameter", "element",
           "step", "gradient", "difference", "allowed");
    for (int i = 0; i < g->row.n; i++) {
        const VerifyGradient *row = &g->row.v[i];
        char element[24] = "along it";
        if (row->at >= 0) snprintf(element, sizeof element, "%lld", (long long)row->at);
        print_name(row->param->name, NAME_WIDTH);
        printf("  %9s  %8.1e  %12.4e  %12.4e  %8.1e  %s\n", element, row->step, row->gradient,
               row->difference, row->allowed, verdict_of(row));
    }
}

/* ---- the last line ---- */

static int failed_kernels(const VerifyReport *r, int *rows)
{
    int failed = 0;
    *rows = 0;
    for (int i = 0; i < r->nprogram; i++) {
        *rows += r->program[i].row.n;
        failed += r->program[i].failed;
    }
    return failed;
}

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

bool verify_passed(const VerifyReport *r)
{
    int rows;
    return !failed_kernels(r, &rows) && !r->gradients.failed;
}

void verify_print_last(const VerifyReport *r)
{
    int rows, failed = failed_kernels(r, &rows),
              gradients = r->gradients.row.n - r->gradients.skipped;
    printf("%d kernel%s, %d gradient%s", rows, plural(rows), gradients, plural(gradients));
    if (r->gradients.skipped) printf(" (%d skipped at kinks)", r->gradients.skipped);
    if (verify_passed(r)) {
        printf(": ok\n");
        return;
    }
    printf(": ");
    if (failed) printf("%d kernel%s", failed, plural(failed));
    if (failed && r->gradients.failed) printf(" and ");
    if (r->gradients.failed)
        printf("%d gradient%s", r->gradients.failed, plural(r->gradients.failed));
    printf(" %s\n", failed + r->gradients.failed == 1 ? "differs" : "differ");
}

/* ---- JSON ---- */

static void json_number(Buf *b, const char *key, double x)
{
    buf_printf(b, "\"%s\": ", key);
    if (isfinite(x))
        buf_printf(b, "%.9g", x);
    else
        buf_puts(b, "null");
}

static void json_text(Buf *b, const char *key, const char *s)
{
    buf_printf(b, "\"%s\": ", key);
    diag_json_string(b, s ? s : "");
}

static void json_row(Buf *b, const VerifyRow *row)
{
    char lines[32];
    lines_of(row->group, lines, sizeof lines);
    buf_printf(b, "{\"kernel\": %d, ", row->kernel);
    json_text(b, "layers", row->layers);
    buf_puts(b, ", ");
    json_text(b, "lines", lines);
    buf_printf(b, ", \"outputs\": %d, ", row->nout);
    json_number(b, "rel_l2", row->diff.l2);
    buf_puts(b, ", ");
    json_number(b, "worst", row->diff.worst);
    buf_printf(b, ", \"noisy\": %lld, ", (long long)row->noisy);
    if (row->problem) {
        json_text(b, "problem", row->problem);
        buf_puts(b, ", ");
    }
    buf_printf(b, "\"ok\": %s}", row->ok ? "true" : "false");
}

static void json_gradient(Buf *b, const VerifyGradient *g)
{
    buf_putc(b, '{');
    json_text(b, "parameter", g->param->name);
    if (g->at < 0)
        buf_puts(b, ", \"element\": null, ");
    else
        buf_printf(b, ", \"element\": %lld, ", (long long)g->at);
    json_number(b, "step", g->step);
    buf_puts(b, ", ");
    json_number(b, "gradient", g->gradient);
    buf_puts(b, ", ");
    json_number(b, "difference", g->difference);
    buf_puts(b, ", ");
    json_number(b, "allowed", g->allowed);
    buf_printf(b, ", \"verdict\": \"%s\"}",
               g->verdict == GRADIENT_OK     ? "ok"
               : g->verdict == GRADIENT_KINK ? "kink"
                                             : "differs");
}

void verify_print_json(const VerifyReport *r)
{
    Buf b = {0};
    buf_putc(&b, '{');
    json_text(&b, "name", r->name);
    buf_puts(&b, ", ");
    json_text(&b, "target", r->target);
    buf_printf(&b, ", \"batch\": %lld, \"seed\": %llu, ", (long long)r->batch,
               (unsigned long long)r->seed);
    json_number(&b, "tolerance", r->tolerance);
    buf_puts(&b, ", \"programs\": [");
    for (int i = 0; i < r->nprogram; i++) {
        buf_puts(&b, i ? ",\n {" : "\n {");
        json_text(&b, "phase", r->program[i].what);
        buf_puts(&b, ", \"kernels\": [");
        for (int k = 0; k < r->program[i].row.n; k++) {
            buf_puts(&b, k ? ",\n  " : "\n  ");
            json_row(&b, &r->program[i].row.v[k]);
        }
        buf_puts(&b, "]}");
    }
    buf_puts(&b, "],\n ");
    json_number(&b, "loss", r->gradients.loss);
    buf_puts(&b, ", ");
    json_number(&b, "loss_noise", r->gradients.noise);
    buf_puts(&b, ", \"gradients_unchecked\": ");
    if (r->gradients.unchecked)
        buf_printf(&b, "\"%s\"", r->gradients.unchecked);
    else
        buf_puts(&b, "null");
    buf_puts(&b, ", \"gradients\": [");
    for (int i = 0; i < r->gradients.row.n; i++) {
        buf_puts(&b, i ? ",\n  " : "\n  ");
        json_gradient(&b, &r->gradients.row.v[i]);
    }
    buf_printf(&b, "],\n \"ok\": %s}\n", verify_passed(r) ? "true" : "false");
    fputs(b.s, stdout);
    buf_free(&b);
}
