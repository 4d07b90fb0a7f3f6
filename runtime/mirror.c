/* Mirrors. Rule: never are both sides newer: a write fetches first, a run sends first. */
#include "mirror.h"
#include "slab.h"

void rt_mirror_open(RtMirror *m, RtDevice *d, void *there, size_t bytes, const char *what)
{
    *m = (RtMirror){.device = d, .there = there, .bytes = bytes};
    m->here = d->host ? there : rt_map(bytes, what);
}

void rt_mirror_close(RtMirror *m)
{
    if (m->here && m->here != m->there) rt_unmap(m->here, m->bytes);
    m->here = NULL;
}

const char *rt_mirror_read(RtMirror *m)
{
    if (m->there_newer && m->here != m->there)
        m->device->download(m->device, m->here, m->there, m->bytes);
    m->there_newer = false;
    return m->here;
}

char *rt_mirror_write(RtMirror *m)
{
    rt_mirror_read(m);
    m->here_newer = true;
    return m->here;
}

void rt_mirror_push(RtMirror *m)
{
    if (m->here_newer && m->here != m->there)
        m->device->upload(m->device, m->there, m->here, m->bytes);
    m->here_newer = false;
}

void rt_mirror_touch(RtMirror *m)
{
    m->there_newer = true;
}
