/* Entry points that copy and fill. Those without Async go through the legacy stream; of them only copies from and
 * to the host wait until they are done (CUDA Driver API, "API synchronization behavior"). */
#include "internal.h"

static void *host(CUdeviceptr p)
{
    return (void *)(uintptr_t)p;
}

static CUresult submit(Op op, CUstream handle, bool wait)
{
    GUARDED Guard g = enter(IN_CONTEXT);
    if (g.error) return g.error;
    Stream *s = stream_get(g.context, handle);
    if (!s) return CUDA_ERROR_INVALID_HANDLE;
    if (!op.bytes) return CUDA_SUCCESS;
    CUresult e = op_check(g.context, &op);
    if (!e) e = stream_submit(g.context, s, op, NULL, NULL);
    return e || !wait ? e : stream_wait(g.context, s);
}

static Op copy(Direction d, void *to, const void *from, size_t bytes)
{
    return (Op){.kind = OP_COPY, .direction = d, .to = to, .from = from, .bytes = bytes};
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
    return submit(copy(HOST_TO_DEVICE, host(to), from, bytes), NULL, true);
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    return submit(copy(DEVICE_TO_HOST, to, host(from), bytes), NULL, true);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    return submit(copy(DEVICE_TO_DEVICE, host(to), host(from), bytes), NULL, false);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    return submit(copy(HOST_TO_DEVICE, host(to), from, bytes), stream, false);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    return submit(copy(DEVICE_TO_HOST, to, host(from), bytes), stream, false);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    return submit(copy(DEVICE_TO_DEVICE, host(to), host(from), bytes), stream, false);
}

static CUresult fill(CUdeviceptr to, unsigned value, unsigned width, size_t count, CUstream stream)
{
    if (count > SIZE_MAX / width) return CUDA_ERROR_INVALID_VALUE;
    Op op = {
        .kind = OP_FILL, .to = host(to), .bytes = count * width, .value = value, .width = width};
    return submit(op, stream, false);
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count)
{
    return fill(to, value, 1, count, NULL);
}

CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count)
{
    return fill(to, value, 4, count, NULL);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream)
{
    return fill(to, value, 1, count, stream);
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream)
{
    return fill(to, value, 4, count, stream);
}
