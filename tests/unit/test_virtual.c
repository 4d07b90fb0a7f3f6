/* The virtual device as a program sees it, through the driver API: what must be waited for, what is refused, what
 * is found out. Each test is a process of its own, for the device is described by the environment once. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "cuda/virtual/api.h"
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- kernels ---- */

/* clang-format off: a line is an instruction or a few that belong together */
#define HEADER ".version 7.0\n.target sm_80\n.address_size 64\n"
/* %r1 = blockIdx.x * blockDim.x + threadIdx.x; %rd2 = its offset in floats */
#define INDEX                                                        \
    "mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ntid.x; mov.u32 %r5, %tid.x;\n" \
    "mad.lo.s32 %r1, %r3, %r4, %r5;\n"                               \
    "mul.wide.s32 %rd2, %r1, 4;\n"

static const char kernels[] = HEADER
    ".global .align 4 .b8 counter[16];\n"
    ".visible .entry fill(.param .u64 fill_p, .param .f32 fill_v)\n" /* p[i] = v */
    "{\n"
    ".reg .f32 %f<2>; .reg .b32 %r<6>; .reg .b64 %rd<5>;\n"
    "ld.param.u64 %rd1, [fill_p];\n"
    "ld.param.f32 %f1, [fill_v];\n"
    "cvta.to.global.u64 %rd1, %rd1;\n"
    INDEX
    "add.s64 %rd3, %rd1, %rd2;\n"
    "st.global.f32 [%rd3], %f1;\n"
    "ret;\n"
    "}\n"
    ".visible .entry add(.param .u64 add_p, .param .u64 add_q)\n" /* p[i] += q[i] */
    "{\n"
    ".reg .f32 %f<4>; .reg .b32 %r<6>; .reg .b64 %rd<8>;\n"
    "ld.param.u64 %rd1, [add_p];\n"
    "ld.param.u64 %rd4, [add_q];\n"
    "cvta.to.global.u64 %rd1, %rd1;\n"
    "cvta.to.global.u64 %rd4, %rd4;\n"
    INDEX
    "add.s64 %rd3, %rd1, %rd2;\n"
    "add.s64 %rd5, %rd4, %rd2;\n"
    "ld.global.f32 %f1, [%rd3];\n"
    "ld.global.f32 %f2, [%rd5];\n"
    "add.f32 %f3, %f1, %f2;\n"
    "st.global.f32 [%rd3], %f3;\n"
    "ret;\n"
    "}\n"
    ".visible .entry put(.param .u32 put_v)\n" /* counter[1] = v */
    "{\n"
    ".reg .b32 %r<2>;\n"
    "ld.param.u32 %r1, [put_v];\n"
    "st.global.u32 [counter+4], %r1;\n"
    "ret;\n"
    "}\n"
    ".visible .entry small()\n" /* takes at most 64 threads, and does nothing */
    ".maxntid 64, 1, 1\n"
    "{\n"
    "ret;\n"
    "}\n";
/* clang-format on */

/* ---- what tests are written with ---- */

static int failures;

static void is(CUresult got, CUresult want, const char *what, int line)
{
    const char *name = "?";
    if (got == want) return;
    cuGetErrorName(got, &name);
    fprintf(stderr, "line %d: %s gives %s (%d), not %d\n", line, what, name, got, want);
    failures++;
}

static void holds(bool ok, const char *what, int line)
{
    if (ok) return;
    fprintf(stderr, "line %d: %s does not hold\n", line, what);
    failures++;
}
#define IS(call, want) is(call, want, #call, __LINE__)
#define OK(call)       IS(call, CUDA_SUCCESS)
#define HOLDS(x)       holds(x, #x, __LINE__)

/* Runs a test in a process of its own; pairs of a variable and its value, then NULL. */
static int in_child(void (*test)(void), ...)
{
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        va_list ap;
        va_start(ap, test);
        for (const char *name; (name = va_arg(ap, const char *));)
            setenv(name, va_arg(ap, const char *), 1);
        va_end(ap);
        test();
        exit(failures ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}
#define PASSES(test, ...) assert_int_equal(in_child(test, __VA_ARGS__), 0)

enum { N = 256 };
static CUcontext context;
static CUmodule module;
static CUfunction fill, add;

static void start(void)
{
    OK(cuInit(0));
    OK(cuDevicePrimaryCtxRetain(&context, 0));
    OK(cuCtxSetCurrent(context));
    OK(cuModuleLoadData(&module, kernels));
    OK(cuModuleGetFunction(&fill, module, "fill"));
    OK(cuModuleGetFunction(&add, module, "add"));
}

static void stop(void)
{
    OK(cuDevicePrimaryCtxRelease_v2(0));
}

static CUdeviceptr floats(void)
{
    CUdeviceptr p = 0;
    OK(cuMemAlloc_v2(&p, N * sizeof(float)));
    return p;
}

static CUresult launch_fill(CUdeviceptr p, float v, CUstream s)
{
    return cuLaunchKernel(fill, N / 64, 1, 1, 64, 1, 1, 0, s, (void *[]){&p, &v}, NULL);
}

static CUresult launch_add(CUdeviceptr p, CUdeviceptr q, CUstream s)
{
    return cuLaunchKernel(add, N / 64, 1, 1, 64, 1, 1, 0, s, (void *[]){&p, &q}, NULL);
}

/* Whether all floats have this value; waits for blocking streams. */
static bool all(CUdeviceptr p, float v)
{
    float x[N];
    if (cuMemcpyDtoH_v2(x, p, sizeof x)) return false;
    for (int i = 0; i < N; i++)
        if (memcmp(&x[i], &v, sizeof v)) return false;
    return true;
}

static float poison(void)
{
    float v;
    memset(&v, 0xFF, sizeof v);
    return v;
}

/* ---- the device ---- */

static void describes(void)
{
    int n = 0, version = 0;
    char name[64] = "";
    size_t bytes = 0, available = 0;
    CUdevice d;
    IS(cuDeviceGetCount(&n), CUDA_ERROR_NOT_INITIALIZED);
    start();
    OK(cuDriverGetVersion(&version));
    OK(cuDeviceGetCount(&n));
    OK(cuDeviceGet(&d, 0));
    IS(cuDeviceGet(&d, 1), CUDA_ERROR_INVALID_DEVICE);
    OK(cuDeviceGetName(name, sizeof name, 0));
    OK(cuDeviceTotalMem_v2(&bytes, 0));
    HOLDS(n == 1 && version == 13000 && bytes == 64 << 20 && !strcmp(name, "sinter virtual sm_90"));
    OK(cuDeviceGetAttribute(&n, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
    HOLDS(n == 9);
    OK(cuDeviceGetAttribute(&n, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0));
    HOLDS(n == 227 << 10);
    floats();
    OK(cuMemGetInfo_v2(&available, &bytes));
    HOLDS(bytes == 64 << 20 && available == bytes - 4096);
    stop();
}

static void the_environment_describes_it(void **state)
{
    (void)state;
    PASSES(describes, "SINTER_VIRTUAL_DEVICE", "sm_90", "SINTER_VIRTUAL_MEMORY", "67108864", NULL);
}

static void is_refused(void)
{
    IS(cuInit(0), CUDA_ERROR_UNKNOWN);
}

static void values_not_understood_are_errors(void **state)
{
    (void)state;
    PASSES(is_refused, "SINTER_VIRTUAL_DEVICE", "sm_81", NULL);
    PASSES(is_refused, "SINTER_VIRTUAL_MEMORY", "4G", NULL);
    PASSES(is_refused, "SINTER_VIRTUAL_CHECK", "yes", NULL);
    PASSES(is_refused, "SINTER_VIRTUAL_BUDGET", "0", NULL);
    PASSES(is_refused, "SINTER_VIRTUAL_FAULT", "oom", NULL);
}

static void finds_entry_points(void)
{
    void *f = NULL;
    CUdriverProcAddressQueryResult status;
    OK(cuGetProcAddress_v2("cuMemAlloc", &f, 12000, 0, &status));
    HOLDS(f == (void *)cuMemAlloc_v2 && status == CU_GET_PROC_ADDRESS_SUCCESS);
    OK(cuGetProcAddress_v2("cuGraphInstantiate", &f, 12000, 0, &status));
    HOLDS(f == (void *)cuGraphInstantiateWithFlags);
    OK(cuGetProcAddress_v2("cuGraphLaunch", &f, 9000, 0, &status));
    HOLDS(!f && status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
    IS(cuGetProcAddress("cuNothing", &f, 12000, 0), CUDA_ERROR_NOT_FOUND);
}

static void entry_points_by_name(void **state)
{
    (void)state;
    PASSES(finds_entry_points, NULL);
}

/* ---- memory ---- */

static void memory(void)
{
    CUdeviceptr p, q = 0;
    float x[N] = {0};
    start();
    p = floats();
    HOLDS(all(p, poison()));
    IS(cuMemcpyHtoD_v2(p + 4, x, sizeof x), CUDA_ERROR_INVALID_VALUE); /* past the end */
    IS(cuMemcpyHtoD_v2((CUdeviceptr)(uintptr_t)x, x, sizeof x), CUDA_ERROR_INVALID_VALUE);
    IS(cuMemcpyDtoH_v2((void *)(uintptr_t)p, p, sizeof x), CUDA_ERROR_INVALID_VALUE);
    IS(cuMemsetD32_v2(p + 2, 1, 1), CUDA_ERROR_INVALID_VALUE); /* not aligned */
    OK(cuMemsetD32_v2(p, 0x3f800000, N));
    HOLDS(all(p, 1));
    OK(cuMemFree_v2(p));
    IS(cuMemFree_v2(p), CUDA_ERROR_INVALID_VALUE);
    IS(cuMemcpyHtoD_v2(p, x, sizeof x), CUDA_ERROR_INVALID_VALUE);
    HOLDS(floats() != p); /* addresses are not given out twice */
    IS(cuMemAlloc_v2(&q, 0), CUDA_ERROR_INVALID_VALUE);
    IS(cuMemAlloc_v2(&q, (size_t)1 << 40), CUDA_ERROR_OUT_OF_MEMORY);
    stop();
}

static void memory_is_watched(void **state)
{
    (void)state;
    PASSES(memory, NULL);
}

static void reads_as_host(void)
{
    start();
    signal(SIGSEGV, SIG_DFL); /* a sanitizer would report it and exit */
    exit(*(volatile float *)(uintptr_t)floats() == 0);
}

static void device_memory_is_not_the_host_s(void **state)
{
    (void)state;
    assert_int_equal(in_child(reads_as_host, NULL), -SIGSEGV);
}

/* ---- streams ---- */

static void lazy(void)
{
    CUstream a, b;
    CUdeviceptr p, q;
    float *x;
    start();
    p = floats(), q = floats();
    OK(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    OK(cuMemAllocHost_v2((void **)&x, N * sizeof *x));
    for (int i = 0; i < N; i++) x[i] = 3;

    /* nothing orders b after a, so b's kernel reads what was in the memory before */
    OK(cuMemcpyHtoDAsync_v2(q, x, N * sizeof *x, a));
    OK(cuMemsetD32Async(p, 0, N, b));
    OK(launch_add(p, q, b));
    OK(cuStreamSynchronize(b));
    HOLDS(!all(p, 3));
    /* the copy reads its source when it runs */
    for (int i = 0; i < N; i++) x[i] = 5;
    OK(cuStreamSynchronize(a));
    HOLDS(all(q, 5));
    /* and writes its target when it runs */
    OK(cuMemcpyDtoHAsync_v2(x, p, N * sizeof *x, a));
    HOLDS(x[0] == 5);
    /* freeing waits */
    OK(cuMemFreeHost(x));
    stop();
}

static void nothing_runs_before_it_must(void **state)
{
    (void)state;
    PASSES(lazy, NULL);
}

static void ordered_by_event(void)
{
    CUstream a, b;
    CUevent e, never;
    float ms = -1;
    start();
    CUdeviceptr p = floats(), q = floats();
    OK(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    OK(cuEventCreate(&e, 0));
    OK(cuEventCreate(&never, 0));
    OK(launch_fill(q, 3, a));
    OK(cuEventRecord(e, a));
    OK(launch_fill(p, 0, b));
    OK(cuStreamWaitEvent(b, e, 0));
    OK(cuStreamWaitEvent(b, never, 0)); /* never recorded: nothing to wait for */
    OK(launch_add(p, q, b));
    IS(cuEventQuery(e), CUDA_ERROR_NOT_READY);
    OK(cuStreamSynchronize(b));
    OK(cuEventQuery(e));
    HOLDS(all(p, 3));
    OK(cuEventElapsedTime(&ms, e, e));
    HOLDS(ms == 0);
    IS(cuEventElapsedTime(&ms, e, never), CUDA_ERROR_INVALID_HANDLE);
    OK(cuEventDestroy_v2(e));
    IS(cuEventRecord(e, a), CUDA_ERROR_INVALID_HANDLE);
    OK(cuStreamDestroy_v2(a));
    IS(launch_fill(p, 1, a), CUDA_ERROR_INVALID_HANDLE);
    stop();
}

static void events_order_streams(void **state)
{
    (void)state;
    PASSES(ordered_by_event, NULL);
    PASSES(ordered_by_event, "SINTER_VIRTUAL_SEED", "7", NULL);
}

static void legacy(void)
{
    CUstream blocking, other;
    start();
    CUdeviceptr p = floats(), q = floats(), r = floats();
    OK(cuStreamCreate(&blocking, 0));
    OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    OK(launch_fill(q, 3, blocking));
    OK(launch_fill(r, 3, other));
    OK(launch_fill(p, 1, NULL)); /* after what blocking streams hold, before what they are given */
    OK(launch_add(p, q, blocking));
    OK(cuStreamSynchronize(blocking));
    HOLDS(all(p, 4)); /* this copy is of the legacy stream */
    HOLDS(all(r, poison()));
    OK(cuCtxSynchronize());
    HOLDS(all(r, 3));
    stop();
}

static void the_legacy_stream_synchronises(void **state)
{
    (void)state;
    PASSES(legacy, NULL);
}

static void asks_until_done(void)
{
    CUstream s;
    int asked = 0;
    start();
    CUdeviceptr p = floats();
    OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    OK(launch_fill(p, 1, s));
    OK(launch_fill(p, 2, s));
    while (cuStreamQuery(s) == CUDA_ERROR_NOT_READY) asked++;
    HOLDS(asked == 2 && all(p, 2));
    stop();
}

static void asking_lets_time_pass(void **state)
{
    (void)state;
    PASSES(asks_until_done, NULL);
}

static void random_order(void)
{
    CUstream s[2];
    start();
    CUdeviceptr p = floats(), q = floats();
    for (int i = 0; i < 2; i++) OK(cuStreamCreate(&s[i], CU_STREAM_NON_BLOCKING));
    for (int i = 0; i < 8; i++) OK(launch_fill(q, 9, s[1]));
    for (int i = 0; i < 8; i++) OK(launch_fill(p, (float)i, s[0]));
    OK(cuStreamSynchronize(s[0])); /* something of the other stream has run meanwhile */
    HOLDS(all(p, 7) && all(q, 9));
    stop();
}

static void a_seed_runs_other_work(void **state)
{
    (void)state;
    PASSES(random_order, "SINTER_VIRTUAL_SEED", "1", NULL);
}

/* ---- modules and launches ---- */

static void modules(void)
{
    CUmodule m;
    CUfunction f;
    CUdeviceptr g;
    size_t bytes = 0;
    int got[4] = {0}, seven = 7;
    char log[200] = "";
    start();
    IS(cuModuleLoadData(&m, "\177ELF\2\1\1"), CUDA_ERROR_NO_BINARY_FOR_GPU);
    IS(cuModuleLoadData(&m, "hello"), CUDA_ERROR_INVALID_IMAGE);
    IS(cuModuleLoadData(&m, ".version 7.0\n.target sm_90\n"), CUDA_ERROR_INVALID_PTX);
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)sizeof log};
    const char newer[] = ".version 99.0\n.target sm_80\n";
    IS(cuModuleLoadDataEx(&m, newer, 2, options, values), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    HOLDS(strstr(log, "99.0"));
    IS(cuModuleLoadData(&m, HEADER ".visible .entry bad()\n{\nnonsense.u32 %r1;\nret;\n}\n"),
       CUDA_ERROR_INVALID_PTX);
    IS(cuModuleGetFunction(&f, module, "nothing"), CUDA_ERROR_NOT_FOUND);
    OK(cuModuleGetFunction(&f, module, "put"));
    OK(cuModuleGetGlobal_v2(&g, &bytes, module, "counter"));
    HOLDS(bytes == sizeof got);
    OK(cuMemsetD32_v2(g, 1, 4));
    OK(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&seven}, NULL));
    OK(cuMemcpyDtoH_v2(got, g, sizeof got));
    HOLDS(got[0] == 1 && got[1] == 7);
    OK(cuModuleUnload(module));
    IS(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
    IS(launch_fill(g, 1, NULL), CUDA_ERROR_INVALID_HANDLE);
    stop();
}

static void images_are_checked(void **state)
{
    (void)state;
    PASSES(modules, NULL);
}

static void limits(void)
{
    CUfunction f;
    int n = 0;
    start();
    CUdeviceptr p = floats();
    float v = 1;
    void *args[] = {&p, &v};
    OK(cuModuleGetFunction(&f, module, "small"));
    IS(cuLaunchKernel(fill, 1, 1, 1, 1025, 1, 1, 0, NULL, args, NULL), CUDA_ERROR_INVALID_VALUE);
    IS(cuLaunchKernel(fill, 1, 1, 1, 64, 32, 1, 0, NULL, args, NULL), CUDA_ERROR_INVALID_VALUE);
    IS(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 65, 0, NULL, args, NULL), CUDA_ERROR_INVALID_VALUE);
    IS(cuLaunchKernel(fill, 0, 1, 1, 1, 1, 1, 0, NULL, args, NULL), CUDA_ERROR_INVALID_VALUE);
    IS(cuLaunchKernel(fill, 1, 65536, 1, 1, 1, 1, 0, NULL, args, NULL), CUDA_ERROR_INVALID_VALUE);
    IS(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
    IS(cuLaunchKernel(f, 1, 1, 1, 65, 1, 1, 0, NULL, NULL, NULL),
       CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    OK(cuLaunchKernel(f, 1, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
    IS(cuLaunchKernel(f, 1, 1, 1, 64, 1, 1, 49153, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
    IS(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 164 << 10),
       CUDA_ERROR_INVALID_VALUE);
    OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 163 << 10));
    OK(cuFuncGetAttribute(&n, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
    HOLDS(n == 163 << 10);
    OK(cuLaunchKernel(f, 1, 1, 1, 64, 1, 1, 49153, NULL, NULL, NULL));
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&n, f, 64, 81 << 10));
    HOLDS(n == 2);
    OK(cuCtxSynchronize());
    stop();
}

static void launches_beyond_limits(void **state)
{
    (void)state;
    PASSES(limits, NULL);
}

static void out_of_bounds(void)
{
    float x[N];
    start();
    CUdeviceptr p = floats();
    OK(launch_fill(p + 4, 1, NULL)); /* the last thread is past the end; nobody knows yet */
    IS(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    IS(cuMemcpyDtoH_v2(x, p, sizeof x), CUDA_ERROR_ILLEGAL_ADDRESS); /* and from now on */
    IS(launch_fill(p, 1, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    stop();
}

static void misaligned(void)
{
    start();
    OK(launch_fill(floats() + 2, 1, NULL));
    IS(cuCtxSynchronize(), CUDA_ERROR_MISALIGNED_ADDRESS);
    stop();
}

static void faults_are_sticky(void **state)
{
    (void)state;
    PASSES(out_of_bounds, NULL);
    PASSES(misaligned, NULL);
}

/* ---- contexts ---- */

static void contexts(void)
{
    CUcontext mine, got;
    CUdeviceptr p;
    start();
    OK(cuCtxCreate_v2(&mine, 0, 0));
    OK(cuCtxGetCurrent(&got));
    HOLDS(got == mine);
    p = floats();
    IS(launch_fill(p, 1, NULL), CUDA_ERROR_INVALID_HANDLE); /* the kernel is of the other context */
    OK(cuCtxSetCurrent(context));
    IS(cuMemFree_v2(p), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxDestroy_v2(mine));
    IS(cuCtxSetCurrent(mine), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuDevicePrimaryCtxRetain(&got, 0));
    HOLDS(got == context);
    stop();
    OK(cuCtxSynchronize()); /* retained twice */
    stop();
    IS(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    OK(cuCtxSetCurrent(NULL));
    IS(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
}

static void contexts_own_things(void **state)
{
    (void)state;
    PASSES(contexts, NULL);
}

/* ---- graphs ---- */

static CUgraphExec instantiate(CUgraph g)
{
    CUgraphExec x = NULL;
    OK(cuGraphInstantiateWithFlags(&x, g, 0));
    OK(cuGraphDestroy(g));
    return x;
}

static void replays(void)
{
    CUstream a, b;
    CUevent fork, join;
    CUgraph g;
    CUstreamCaptureStatus status;
    float x[N];
    start();
    CUdeviceptr p = floats(), q = floats();
    OK(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
    OK(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING));
    OK(launch_fill(p, 0, a));
    OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuEventRecord(fork, a));
    OK(cuStreamWaitEvent(b, fork, 0));
    OK(cuMemcpyHtoDAsync_v2(q, x, sizeof x, b));
    OK(cuEventRecord(join, b));
    OK(cuStreamWaitEvent(a, join, 0));
    OK(launch_add(p, q, a));
    OK(cuStreamIsCapturing(b, &status));
    HOLDS(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
    OK(cuStreamEndCapture(a, &g));
    OK(cuStreamIsCapturing(b, &status));
    HOLDS(status == CU_STREAM_CAPTURE_STATUS_NONE);
    OK(cuCtxSynchronize());
    HOLDS(all(p, 0)); /* what was captured did not run */
    CUgraphExec exec = instantiate(g);
    for (int i = 0; i < N; i++) x[i] = 2;
    OK(cuGraphLaunch(exec, a));
    OK(cuGraphLaunch(exec, b)); /* after the first, although in another stream */
    OK(cuStreamSynchronize(b));
    HOLDS(all(p, 4));
    for (int i = 0; i < N; i++) x[i] = 1; /* a graph reads the host's memory whenever it runs */
    OK(cuGraphLaunch(exec, a));
    OK(cuGraphExecDestroy(exec)); /* what is queued still runs */
    OK(cuStreamSynchronize(a));
    HOLDS(all(p, 5));
    IS(cuGraphLaunch(exec, a), CUDA_ERROR_INVALID_VALUE);
    stop();
}

static void graphs_replay(void **state)
{
    (void)state;
    PASSES(replays, NULL);
    PASSES(replays, "SINTER_VIRTUAL_SEED", "3", NULL);
}

/* Two branches without an order: the younger runs first. */
static void unordered(void)
{
    CUstream a, b;
    CUevent fork, join;
    CUgraph g;
    start();
    CUdeviceptr p = floats();
    OK(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    OK(cuEventCreate(&fork, 0));
    OK(cuEventCreate(&join, 0));
    OK(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
    OK(cuEventRecord(fork, a));
    OK(cuStreamWaitEvent(b, fork, 0));
    OK(launch_fill(p, 1, a));
    OK(launch_fill(p, 2, b));
    OK(cuEventRecord(join, b));
    OK(cuStreamWaitEvent(a, join, 0));
    OK(cuStreamEndCapture(a, &g));
    OK(cuGraphLaunch(instantiate(g), a));
    OK(cuStreamSynchronize(a));
    HOLDS(all(p, 1));
    stop();
}

static void a_graph_keeps_no_more_order_than_it_must(void **state)
{
    (void)state;
    PASSES(unordered, NULL);
}

static CUstream captured;

/* A capture during which `wrong` is called, which gives `want`, ends with `end` and without a graph. */
static void spoiled(CUresult (*wrong)(void), CUresult want, CUresult end, int line)
{
    CUgraph g = (CUgraph)1;
    OK(cuStreamBeginCapture_v2(captured, CU_STREAM_CAPTURE_MODE_GLOBAL));
    is(wrong(), want, "the wrong call", line);
    is(cuStreamEndCapture(captured, &g), end, "the end", line);
    HOLDS(!g);
}

static CUdeviceptr target;
static CUstream elsewhere;
static CUevent outside;

static CUresult synchronizes(void)
{
    return cuStreamSynchronize(captured);
}
static CUresult allocates(void)
{
    CUdeviceptr p;
    return cuMemAlloc_v2(&p, 4);
}
static CUresult uses_legacy(void)
{
    return launch_fill(target, 1, NULL);
}
static CUresult waits_outside(void)
{
    return cuStreamWaitEvent(captured, outside, 0);
}
static CUresult begins_again(void)
{
    return cuStreamBeginCapture_v2(captured, CU_STREAM_CAPTURE_MODE_GLOBAL);
}
static CUresult forks_only(void)
{
    CUevent e;
    OK(cuEventCreate(&e, 0));
    OK(cuEventRecord(e, captured));
    OK(cuStreamWaitEvent(elsewhere, e, 0));
    IS(cuEventSynchronize(outside), CUDA_SUCCESS);
    return launch_fill(target, 1, elsewhere);
}
static CUresult waits_for_captured(void)
{
    CUevent e;
    OK(cuEventCreate(&e, 0));
    OK(cuEventRecord(e, captured));
    return cuEventSynchronize(e);
}

static void spoils(void)
{
    CUgraph g;
    start();
    target = floats();
    OK(cuStreamCreate(&captured, 0));
    OK(cuStreamCreate(&elsewhere, CU_STREAM_NON_BLOCKING));
    OK(cuEventCreate(&outside, 0));
    OK(cuEventRecord(outside, elsewhere));
    IS(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL),
       CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    IS(cuStreamEndCapture(captured, &g), CUDA_ERROR_ILLEGAL_STATE);
    const CUresult invalid = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                   unsupported = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    spoiled(synchronizes, unsupported, invalid, __LINE__);
    spoiled(cuCtxSynchronize, unsupported, invalid, __LINE__);
    spoiled(allocates, unsupported, invalid, __LINE__);
    spoiled(uses_legacy, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, invalid, __LINE__);
    spoiled(waits_outside, CUDA_ERROR_STREAM_CAPTURE_ISOLATION, invalid, __LINE__);
    spoiled(waits_for_captured, CUDA_ERROR_CAPTURED_EVENT, invalid, __LINE__);
    spoiled(forks_only, CUDA_SUCCESS, CUDA_ERROR_STREAM_CAPTURE_UNJOINED, __LINE__);
    OK(cuStreamBeginCapture_v2(captured, CU_STREAM_CAPTURE_MODE_GLOBAL));
    IS(begins_again(), CUDA_ERROR_ILLEGAL_STATE);
    OK(cuStreamEndCapture(captured, &g));
    OK(cuGraphDestroy(g));
    stop();
}

static void illegal_calls_spoil_a_capture(void **state)
{
    (void)state;
    PASSES(spoils, NULL);
}

static void freed(void)
{
    CUstream s;
    CUgraph g;
    start();
    CUdeviceptr p = floats(), q = floats();
    OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemcpyDtoDAsync_v2(p, q, N * sizeof(float), s));
    OK(cuStreamEndCapture(s, &g));
    OK(cuMemFree_v2(q));
    OK(cuGraphLaunch(instantiate(g), s));
    IS(cuStreamSynchronize(s), CUDA_ERROR_ILLEGAL_ADDRESS);
    stop();
}

static void a_graph_over_freed_memory(void **state)
{
    (void)state;
    PASSES(freed, NULL);
}

/* ---- faults by request, and the profile ---- */

static void second_allocation_fails(void)
{
    CUdeviceptr p;
    start();
    floats();
    IS(cuMemAlloc_v2(&p, 4), CUDA_ERROR_OUT_OF_MEMORY);
    floats();
    stop();
}

static void second_launch_fails(void)
{
    start();
    CUdeviceptr p = floats();
    OK(launch_fill(p, 1, NULL));
    OK(launch_fill(p, 2, NULL));
    IS(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
    IS(cuMemFree_v2(p), CUDA_ERROR_LAUNCH_FAILED);
    stop();
}

static void old_driver(void)
{
    int version = 0;
    CUmodule m;
    OK(cuDriverGetVersion(&version));
    HOLDS(version == 11040);
    start();
    IS(cuModuleLoadData(&m, ".version 8.5\n.target sm_80\n"), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    stop();
}

static void no_device(void)
{
    IS(cuInit(0), CUDA_ERROR_NO_DEVICE);
}

static void faults_on_request(void **state)
{
    (void)state;
    PASSES(second_allocation_fails, "SINTER_VIRTUAL_FAULT", "oom@2", NULL);
    PASSES(second_launch_fails, "SINTER_VIRTUAL_FAULT", "launch@2", NULL);
    PASSES(old_driver, "SINTER_VIRTUAL_FAULT", "driver=11040", NULL);
    PASSES(no_device, "SINTER_VIRTUAL_FAULT", "devices=0,oom@7", NULL);
}

static void profiled(void)
{
    CUstream s;
    start();
    CUdeviceptr p = floats();
    OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    for (int i = 0; i < 3; i++) OK(launch_fill(p, 1, s));
    OK(cuStreamSynchronize(s));
    HOLDS(all(p, 1));
    OK(launch_fill(p, 2, s)); /* nothing waits for it */
}

static void the_profile_counts(void **state)
{
    (void)state;
    char file[] = "/tmp/sinter-virtual-XXXXXX", text[4096];
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    PASSES(profiled, "SINTER_VIRTUAL_PROFILE", file, NULL);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    unlink(file);
    assert_true(n > 0);
    text[n] = 0;
    /* 256 threads of a warp each store 128 bytes: 8 requests of 4 sectors in each of 3 launches */
    static const char *const wanted[] = {"\"kernel\": \"fill\", \"launches\": 3,",
                                         "\"store_requests\": 24,",
                                         "\"store_sectors\": 96,",
                                         "\"store_bytes\": 3072,",
                                         "\"device_to_host\": {\"copies\": 1, \"bytes\": 1024}",
                                         "\"never_run\": 1",
                                         "\"peak_memory\": 4096"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!strstr(text, wanted[i])) fail_msg("no %s in\n%s", wanted[i], text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_describes_it),
        cmocka_unit_test(values_not_understood_are_errors),
        cmocka_unit_test(entry_points_by_name),
        cmocka_unit_test(memory_is_watched),
        cmocka_unit_test(device_memory_is_not_the_host_s),
        cmocka_unit_test(nothing_runs_before_it_must),
        cmocka_unit_test(events_order_streams),
        cmocka_unit_test(the_legacy_stream_synchronises),
        cmocka_unit_test(asking_lets_time_pass),
        cmocka_unit_test(a_seed_runs_other_work),
        cmocka_unit_test(images_are_checked),
        cmocka_unit_test(launches_beyond_limits),
        cmocka_unit_test(faults_are_sticky),
        cmocka_unit_test(contexts_own_things),
        cmocka_unit_test(graphs_replay),
        cmocka_unit_test(a_graph_keeps_no_more_order_than_it_must),
        cmocka_unit_test(illegal_calls_spoil_a_capture),
        cmocka_unit_test(a_graph_over_freed_memory),
        cmocka_unit_test(faults_on_request),
        cmocka_unit_test(the_profile_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
