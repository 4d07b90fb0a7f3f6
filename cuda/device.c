/* A CUDA device: opening, memory, copies.
 *
 * In: the model, "cuda:" and what stands behind it. Out: an RtDevice. Rule: one context, one stream for runs and the
 * copies that belong to their order, one for copies beside them (channel.c). Not here: images (module.c), kernels
 * (launch.c), the driver itself (cuda_api.c). */
#include "err.h"
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double gib(size_t bytes)
{
    return (double)bytes / (1 << 30);
}

static _Noreturn void no_memory(const Cuda *c, size_t bytes, const char *what)
{
    size_t available = 0, total = 0;
    if (cu.cuMemGetInfo_v2(&available, &total)) available = total = 0;
    rt_fail(RT_EXIT_MEMORY, "E003",
            "'%s' has no room for %s: %.3f GiB needed, %.3f GiB of %.3f GiB free\nbuild it for a smaller batch: "
            "sinter build %s --batch N",
            rt_esc(c->name), what, gib(bytes), gib(available), gib(total), RT_STR(c->model, c->model->spec_file));
}

void *cuda_alloc(RtDevice *d, size_t bytes, const char *what)
{
    Cuda *c = (Cuda *)d;
    CuAddress p = 0;
    if (!bytes) bytes = 64;
    int result = cu.cuMemAlloc_v2(&p, bytes);
    if (result == CU_OUT_OF_MEMORY) no_memory(c, bytes, what);
    cu_check(result, "device memory");
    cu_check(cu.cuMemsetD8Async(p, 0, bytes, c->stream), "clear device memory");
    cu_check(cu.cuStreamSynchronize(c->stream), "clear device memory"); /* other streams may use it from now on */
    return (void *)(uintptr_t)p;
}

void cuda_free(RtDevice *d, void *p, size_t bytes)
{
    (void)d, (void)bytes;
    cu_check(cu.cuMemFree_v2((CuAddress)(uintptr_t)p), "free device memory");
}

static void wait_for_runs(Cuda *c)
{
    int result = cu.cuStreamSynchronize(c->stream);
    if (result) {
        rt_fail(RT_EXIT_DEVICE, "G006", "a kernel failed on '%s': %s\nCUDA_LAUNCH_BLOCKING=1 names it", rt_esc(c->name),
                cu_reason(result));
    }
}

static void upload(RtDevice *d, void *to, const void *from, size_t bytes)
{
    Cuda *c = (Cuda *)d;
    cu_check(cu.cuMemcpyHtoDAsync_v2((CuAddress)(uintptr_t)to, from, bytes, c->stream), "copy to the device");
    wait_for_runs(c); /* `from` may change */
}

static void download(RtDevice *d, void *to, const void *from, size_t bytes)
{
    Cuda *c = (Cuda *)d;
    cu_check(cu.cuMemcpyDtoHAsync_v2(to, (CuAddress)(uintptr_t)from, bytes, c->stream), "copy from the device");
    wait_for_runs(c);
}

static void close_device(RtDevice *d)
{
    Cuda *c = (Cuda *)d;
    cudnn_device_free(c->cudnn);
    cu.cuEventDestroy_v2(c->begin);
    cu.cuEventDestroy_v2(c->end);
    cu.cuModuleUnload(c->module);
    cu.cuStreamDestroy_v2(c->copies);
    cu.cuStreamDestroy_v2(c->stream);
    cu.cuDevicePrimaryCtxRelease_v2(c->ordinal);
    free(c);
}

static const RtDevice functions = {.kind = RT_CUDA,
                                   .alloc = cuda_alloc,
                                   .free = cuda_free,
                                   .upload = upload,
                                   .download = download,
                                   .channel = cuda_channel,
                                   .fill = cuda_fill,
                                   .send = cuda_send,
                                   .close_channel = cuda_close_channel,
                                   .list = cuda_list,
                                   .close_list = cuda_close_list,
                                   .run = cuda_run,
                                   .profile = cuda_profile,
                                   .time = cuda_time,
                                   .close = close_device};

/* "" or a number -> the device's number; -1: *e says why. */
static int pick(const char *which, RtError *e)
{
    char *end;
    int count = 0;
    long n = *which ? strtol(which, &end, 10) : 0;
    *e = (RtError){.exit = RT_EXIT_DEVICE, .id = "G003"};
    if (*which && (*end || n < 0 || *which == '+' || *which == ' ')) {
        *e = (RtError){.exit = RT_EXIT_USAGE, .id = "C002"};
        snprintf(e->text, sizeof e->text, "--device: 'cuda:%s' is neither cuda:N nor cuda:virtual", rt_esc(which));
        return -1;
    }
    cu_check(cu.cuDeviceGetCount(&count), "count devices");
    if (n < count) return (int)n;
    if (count == 0)
        snprintf(e->text, sizeof e->text, "there is no CUDA device (the driver is installed)");
    else
        snprintf(e->text, sizeof e->text, "there is no CUDA device %ld: they are 0 to %d", n, count - 1);
    return -1;
}

static void start(Cuda *c)
{
    int major = 0, minor = 0;
    cu_check(cu.cuDriverGetVersion(&c->driver), "version");
    cu_check(cu.cuDeviceGetName(c->name, sizeof c->name, c->ordinal), "name of the device");
    cu_check(cu.cuDeviceGetAttribute(&major, CU_CAPABILITY_MAJOR, c->ordinal), "capability of the device");
    cu_check(cu.cuDeviceGetAttribute(&minor, CU_CAPABILITY_MINOR, c->ordinal), "capability of the device");
    c->capability = 10 * major + minor;
    cu_check(cu.cuDevicePrimaryCtxRetain(&c->context, c->ordinal), "open the device");
    cu_check(cu.cuCtxSetCurrent(c->context), "open the device");
    cu_check(cu.cuStreamCreate(&c->stream, CU_STREAM_NON_BLOCKING), "create a stream");
    cu_check(cu.cuStreamCreate(&c->copies, CU_STREAM_NON_BLOCKING), "create a stream");
    cu_check(cu.cuEventCreate(&c->begin, 0), "create an event");
    cu_check(cu.cuEventCreate(&c->end, 0), "create an event");
}

static RtDevice *open_device(const RtModel *m, const char *which, RtError *e)
{
    bool virtual = !strcmp(which, "virtual");
    if (cu_load(virtual, e)) return NULL;
    int n = pick(virtual ? "" : which, e);
    if (n < 0) return NULL;
    Cuda *c = rt_alloc(1, sizeof *c, "a device");
    const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
    c->device = functions;
    c->device.name = c->name;
    c->model = m;
    c->blocking = blocking && !strcmp(blocking, "1");
    cu_check(cu.cuDeviceGet(&c->ordinal, n), "open the device");
    start(c);
    if (cuda_load_cudnn(m, e) && cuda_load_module(c, e)) return &c->device;
    free(c);
    return NULL;
}

const RtDriver rt_driver_cuda = {.name = "cuda", .open = open_device};
