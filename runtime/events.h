/* TensorBoard's event files: scalars of each epoch.
 *
 * out: DIR/events.out.tfevents.SECONDS.sinter, records as TFRecord frames them, messages as protocol buffers. Only
 *      appended to; a file that ends within a record is read up to there. */
#ifndef RUNTIME_EVENTS_H
#define RUNTIME_EVENTS_H
#include <stddef.h>
#include <stdint.h>

typedef struct RtEvents RtEvents;

/* fresh: a new run, whose folder may hold events of an earlier one: they are removed. first_step: of what follows;
 * TensorBoard forgets what an interrupted run had written beyond it. Exits 7. */
RtEvents *rt_events_open(const char *dir, int fresh, int64_t first_step);
void rt_events_scalars(RtEvents *e, int64_t step, const char *const *name, const double *value, int n); /* NaN: left out */
void rt_events_close(RtEvents *e);

uint32_t rt_crc32c(const void *p, size_t n);
#endif
