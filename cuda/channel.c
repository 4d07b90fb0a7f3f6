/* Channels: host -> device beside the runs.
 *
 * Two slots take turns. A slot is a page-locked buffer here and a buffer there; the copy between them is on the stream
 * of copies, and only the short way from there to the tensor's place waits in the stream of the runs. So the next batch
 * comes up while the step before it still runs. Events say when a slot may be used again. */
#include "err.h"
#include "internal.h"
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2 };

typedef struct Slot {
    void *here;
    void *there;
    CuEvent arrived, taken; /* there; from there to its place */
    bool used;
} Slot;

struct RtChannel {
    Cuda *cuda;
    CuAddress to;
    size_t bytes;
    Slot slot[SLOTS];
    int next;
};

RtChannel *cuda_channel(RtDevice *d, void *to, size_t bytes)
{
    RtChannel *c = rt_alloc(1, sizeof *c, "a channel");
    c->cuda = (Cuda *)d;
    c->to = (CuAddress)(uintptr_t)to;
    c->bytes = bytes;
    for (Slot *s = c->slot; s < c->slot + SLOTS && bytes; s++) {
        cu_check(cu.cuMemAllocHost_v2(&s->here, bytes), "page-locked memory");
        memset(s->here, 0, bytes);
        s->there = cuda_alloc(d, bytes, "inputs");
        cu_check(cu.cuEventCreate(&s->arrived, CU_EVENT_NO_TIMING), "create an event");
        cu_check(cu.cuEventCreate(&s->taken, CU_EVENT_NO_TIMING), "create an event");
    }
    return c;
}

void *cuda_fill(RtChannel *c)
{
    Slot *s = &c->slot[c->next];
    if (s->used) cu_check(cu.cuEventSynchronize(s->arrived), "wait for a copy");
    return s->here;
}

void cuda_send(RtChannel *c)
{
    Slot *s = &c->slot[c->next];
    CuStream copies = c->cuda->copies, stream = c->cuda->stream;
    CuAddress there = (CuAddress)(uintptr_t)s->there;
    if (!c->bytes) return;
    if (s->used) cu_check(cu.cuStreamWaitEvent(copies, s->taken, 0), "order copies");
    cu_check(cu.cuMemcpyHtoDAsync_v2(there, s->here, c->bytes, copies), "copy to the device");
    cu_check(cu.cuEventRecord(s->arrived, copies), "order copies");
    cu_check(cu.cuStreamWaitEvent(stream, s->arrived, 0), "order copies");
    cu_check(cu.cuMemcpyDtoDAsync_v2(c->to, there, c->bytes, stream), "copy on the device");
    cu_check(cu.cuEventRecord(s->taken, stream), "order copies");
    s->used = true;
    c->next = (c->next + 1) % SLOTS;
}

void cuda_close_channel(RtChannel *c)
{
    for (Slot *s = c->slot; s < c->slot + SLOTS && c->bytes; s++) {
        if (s->used) cu_check(cu.cuEventSynchronize(s->taken), "wait for a copy");
        cu.cuEventDestroy_v2(s->arrived);
        cu.cuEventDestroy_v2(s->taken);
        cuda_free(&c->cuda->device, s->there, c->bytes);
        cu.cuMemFreeHost(s->here);
    }
    free(c);
}
