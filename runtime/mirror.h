/* Memory of a device with the host's copy of it: the one place that knows which of the two is newer. */
#ifndef RUNTIME_MIRROR_H
#define RUNTIME_MIRROR_H
#include "device.h"

typedef struct RtMirror {
    RtDevice *device;
    char *there, *here; /* the same address where the device's memory is the host's */
    size_t bytes;
    bool here_newer, there_newer;
} RtMirror;

/* there: on the device. Both sides are zero, or `there_newer` is set by the caller. */
void rt_mirror_open(RtMirror *m, RtDevice *d, void *there, size_t bytes, const char *what);
void rt_mirror_close(RtMirror *m);
/* The host's side, fetched if the device's is newer. */
const char *rt_mirror_read(RtMirror *m);
/* The same; what is changed there reaches the device before the next run. */
char *rt_mirror_write(RtMirror *m);
/* Before a run, and after one that may have changed it. */
void rt_mirror_push(RtMirror *m);
void rt_mirror_touch(RtMirror *m);
#endif
