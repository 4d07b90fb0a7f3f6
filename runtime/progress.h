/* Progress on stderr: a bar on a terminal, a line an epoch elsewhere. */
#ifndef RUNTIME_PROGRESS_H
#define RUNTIME_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

/* title: "epoch 3/10"; total: items. Nothing is drawn unless stderr is a terminal. */
void rt_progress_begin(const char *title, int64_t total, int64_t already);
void rt_progress_step(int64_t done, double loss, double accuracy); /* NaN: not shown */
void rt_progress_end(void);                                        /* wipes the bar */
void rt_progress_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "41 s", "3:07", "1:02:33" into out[16]; returns out. */
const char *rt_duration(double seconds, char *out);
#endif
