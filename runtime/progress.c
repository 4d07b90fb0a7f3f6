/* The progress bar.
 *
 * In: counts. Out: one line of a terminal, redrawn at most ten times a second.
 * Rule: no colour with NO_COLOR, no bar with TERM=dumb or a stderr that is no terminal; a message
 * never lands in the middle of a bar (rt_before_message). */
#include "progress.h"
#include "err.h"
#include "thread.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAR = 24 };

static struct {
    char title[64];
    int64_t total, first;
    double begin, drawn;
    bool tty, color, shown;
} bar;

const char *rt_duration(double seconds, char *out)
{
    unsigned s = seconds > 0 && seconds < 1e9 ? (unsigned)(seconds + 0.5) : 0;
    if (seconds > 0 && seconds < 9.95)
        snprintf(out, 16, "%.1f s", seconds);
    else if (s < 60)
        snprintf(out, 16, "%u s", s);
    else if (s < 3600)
        snprintf(out, 16, "%u:%02u", s / 60, s % 60);
    else
        snprintf(out, 16, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    return out;
}

void rt_progress_end(void)
{
    if (bar.shown) fputs("\r\033[K", stderr);
    bar.shown = false;
}

void rt_progress_begin(const char *title, int64_t total, int64_t already)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    bar.tty = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    bar.color = !(plain && *plain);
    snprintf(bar.title, sizeof bar.title, "%s", title);
    bar.total = total > 0 ? total : 1;
    bar.first = already;
    bar.begin = rt_now();
    bar.drawn = 0;
    rt_before_message = rt_progress_end;
}

void rt_progress_step(int64_t done, double loss, double accuracy)
{
    double now = rt_now(), spent = now - bar.begin;
    if (!bar.tty || (now - bar.drawn < 0.1 && done < bar.total)) return;
    bar.drawn = now;
    bar.shown = true;
    double rate = spent > 0 ? (double)(done - bar.first) / spent : 0;
    char eta[16], line[BAR + 1];
    int full = (int)(BAR * done / bar.total);
    for (int i = 0; i < BAR; i++) line[i] = i < full ? '#' : '.';
    line[BAR] = 0;
    fprintf(stderr, "\r\033[K%s [%s%.*s%s%s] %3d%%", bar.title, bar.color ? "\033[32m" : "", full,
            line, bar.color ? "\033[0m" : "", line + full, (int)(100 * done / bar.total));
    if (!isnan(loss)) fprintf(stderr, " loss %.4f", loss);
    if (!isnan(accuracy)) fprintf(stderr, " acc %.2f%%", 100 * accuracy);
    fprintf(stderr, " | %.0f img/s", rate);
    if (rate > 0) fprintf(stderr, " | eta %s", rt_duration((double)(bar.total - done) / rate, eta));
}

void rt_progress_line(const char *fmt, ...)
{
    va_list ap;
    rt_progress_end();
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}
