/* Which reader a file of weights belongs to. */
#include "err.h"
#include "file.h"
#include "weights.h"
#include "weights/pth.h"
#include <stdio.h>

RtSt *rt_weights_read(const char *path, RtError *e)
{
    size_t n;
    const char *why;
    void *file = rt_file_map(path, &n, &why);
    if (!file) {
        *e = (RtError){.exit = RT_EXIT_DATA, .id = "W001"};
        snprintf(e->text, sizeof e->text, "cannot read '%s': %s", rt_esc(path), why);
        return NULL;
    }
    return rt_pth_is(file, n) ? rt_pth_parse(file, n, n, path, e)
                              : rt_st_parse_map(file, n, path, e);
}

RtSt *rt_weights_open(const char *path)
{
    RtError e;
    RtSt *s = rt_weights_read(path, &e);
    if (!s) rt_fail(e.exit, e.id, "%s", e.text);
    return s;
}
