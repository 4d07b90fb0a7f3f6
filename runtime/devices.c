/* Which device: --device. */
#include "device.h"
#include "err.h"
#include "model.h"
#include "progress.h"
#include <string.h>

static const RtDriver *find(const RtDriver *const *drivers, const char *word, size_t n)
{
    for (; *drivers; drivers++) {
        if (strlen((*drivers)->name) == n && !memcmp((*drivers)->name, word, n)) return *drivers;
    }
    return NULL;
}

static RtDevice *open_cpu(const RtModel *m, RtPool *pool, const RtKernel *kernels)
{
    rt_model_check_cpu(m);
    return rt_cpu_device(pool, kernels);
}

static RtDevice *open_any(const RtModel *m, const RtDriver *const *drivers, RtPool *pool,
                          const RtKernel *kernels)
{
    RtError e;
    for (; *drivers; drivers++) {
        RtDevice *d = (*drivers)->open(m, "", &e);
        if (d) return d;
        e.text[strcspn(e.text, "\n")] = 0;
        rt_progress_line("%s: running on the CPU", e.text);
    }
    return open_cpu(m, pool, kernels);
}

RtDevice *rt_device_open(const RtModel *m, const RtDriver *const *drivers, const char *word,
                         RtPool *pool, const RtKernel *kernels)
{
    RtError e;
    if (!strcmp(word, "auto")) return open_any(m, drivers, pool, kernels);
    if (!strcmp(word, "cpu")) return open_cpu(m, pool, kernels);
    size_t n = strcspn(word, ":");
    const RtDriver *driver = find(drivers, word, n);
    if (!driver && n == 4 && !memcmp(word, "cuda", n)) {
        rt_fail(RT_EXIT_DEVICE, "G004",
                "this program was built for the CPU alone\nsinter build %s --target=cuda builds it "
                "for GPUs as well",
                RT_STR(m, m->spec_file));
    }
    if (!driver) {
        rt_fail(RT_EXIT_USAGE, "C002",
                "--device: '%s' is none of auto, cpu, cuda, cuda:N, cuda:virtual", rt_esc(word));
    }
    RtDevice *d = driver->open(m, word[n] ? word + n + 1 : "", &e);
    if (!d) rt_fail(e.exit, e.id, "%s", e.text);
    return d;
}
