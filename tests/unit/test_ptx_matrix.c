/* Tensor-core instructions in the PTX interpreter against plain products of matrices, and CUDA C through NVRTC against the
 * host's mathematics.
 *
 * The products load A and B with ldmatrix from row-major shared memory and store the accumulators where the PTX ISA says
 * they lie (row lane/4, columns 2 (lane mod 4) and the next; 8 rows below for the upper two). */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "need.h"
#include "nvrtc/cubin.h"
#include "ptx_kernel.h"
#include "support/buf.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 16, N = 8, MOST_K = 16 };

/* 0 f16, 1 bf16, 2 tf32: bits of small whole numbers, which all of them hold */
static uint32_t element(int type, int x)
{
    float f = (float)x;
    uint32_t u;
    memcpy(&u, &f, 4);
    if (type == 2) return u | 0x0abc; /* lower bits that the tensor core does not read */
    if (type == 1) return u >> 16;
    return x ? (u >> 16 & 0x8000) | (((u >> 23 & 255) - 112) << 10) | (u >> 13 & 0x3ff) : 0;
}

static void put(char *to, int type, int at, int x)
{
    uint32_t e = element(type, x);
    memcpy(to + at * (type == 2 ? 4 : 2), &e, type == 2 ? 4 : 2);
}

/* A [16, k] and B [k, 8] (tf32: its transpose [8, k]), row-major, then C [16, 8] in float32. */
typedef struct Problem {
    _Alignas(128) char a[M * MOST_K * 4], b[MOST_K * N * 4];
    float c[M * N];
    float want[M * N];
} Problem;

static int small(int i)
{
    return (i * 37 + 11) % 13 - 6;
}

static void fill(Problem *p, int type, int k)
{
    for (int i = 0; i < M; i++)
        for (int x = 0; x < k; x++) put(p->a, type, i * k + x, small(i * k + x));
    for (int x = 0; x < k; x++)
        for (int j = 0; j < N; j++) put(p->b, type, type == 2 ? j * k + x : x * N + j, small(1000 + x * N + j));
    for (int i = 0; i < M; i++) {
        for (int j = 0; j < N; j++) {
            float sum = p->c[i * N + j] = (float)small(i + 5 * j);
            for (int x = 0; x < k; x++) sum += (float)(small(i * k + x) * small(1000 + x * N + j));
            p->want[i * N + j] = sum;
        }
    }
}

/* Lane l has 16 bytes of A, at row l mod 16 and half l / 16 of the row if it has two; B likewise, by 8 rows. */
static void emit_product(Buf *b, const char *mma, int type, int k)
{
    int bytes = type == 2 ? 4 : 2, row_a = k * bytes, row_b = type == 2 ? k * bytes : N * bytes, na = row_a / 8;
    buf_puts(b, PTX_HEAD
             ".visible .entry k(.param .u64 pa, .param .u64 pb, .param .u64 pc)\n{\n"
             ".shared .align 128 .b8 sa[1024];\n.shared .align 128 .b8 sb[512];\n.reg .b32 %r<40>;\n.reg .b64 %x<9>;\n"
             ".reg .pred %p<3>;\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, sa;\nmov.u32 %r2, sb;\n"
             "ld.param.u64 %x0, [pa];\nld.param.u64 %x1, [pb];\nld.param.u64 %x2, [pc];\n");
    for (int side = 0; side < 2; side++) {
        int size = side ? (type == 2 ? N * k * 4 : k * N * 2) : M * k * bytes;
        buf_printf(b, "mul.lo.u32 %%r3, %%r0, 16;\nsetp.lt.u32 %%p0, %%r3, %d;\n", size);
        for (int at = 0; at < size; at += 512)
            buf_printf(b,
                       "add.s32 %%r4, %%r3, %d;\ncvt.u64.u32 %%x3, %%r4;\nadd.s64 %%x3, %%x3, %%x%d;\n"
                       "add.s32 %%r4, %%r4, %%r%d;\n@%%p0 cp.async.cg.shared.global [%%r4], [%%x3], 16;\n",
                       at, side, 1 + side);
    }
    buf_puts(b, "cp.async.commit_group;\ncp.async.wait_group 0;\nbar.sync 0;\n");
    buf_printf(b,
               "and.b32 %%r5, %%r0, 15;\nmul.lo.u32 %%r5, %%r5, %d;\nshr.u32 %%r6, %%r0, 4;\nmad.lo.u32 %%r5, %%r6, "
               "16, %%r5;\n"
               "add.s32 %%r5, %%r5, %%r1;\n",
               row_a);
    buf_printf(b, na == 4 ? "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%%r10, %%r11, %%r12, %%r13}, [%%r5];\n"
                          : "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%%r10, %%r11}, [%%r5];\n");
    if (type == 2) /* rows of the transpose: columns of B, two halves of k if k is 8 */
        buf_printf(
            b,
            "and.b32 %%r5, %%r0, 7;\nmul.lo.u32 %%r5, %%r5, %d;\nshr.u32 %%r6, %%r0, 3;\nand.b32 %%r6, %%r6, 1;\n"
            "mad.lo.u32 %%r5, %%r6, 16, %%r5;\n",
            row_b);
    else
        buf_printf(b, "and.b32 %%r5, %%r0, 15;\nmul.lo.u32 %%r5, %%r5, %d;\n", row_b);
    buf_printf(b, "add.s32 %%r5, %%r5, %%r2;\nldmatrix.sync.aligned.m8n8.%s%s.shared.b16 %s, [%%r5];\n",
               na == 4 ? "x2" : "x1", type == 2 ? "" : ".trans", na == 4 ? "{%r14, %r15}" : "{%r14}");
    buf_puts(b, "shr.u32 %r7, %r0, 2;\nand.b32 %r8, %r0, 3;\nshl.b32 %r8, %r8, 1;\nmad.lo.u32 %r7, %r7, 8, %r8;\n"
                "mul.wide.u32 %x4, %r7, 4;\nadd.s64 %x4, %x4, %x2;\nld.global.v2.f32 {%r20, %r21}, [%x4];\n"
                "ld.global.v2.f32 {%r22, %r23}, [%x4+256];\n");
    buf_printf(b, "%s {%%r20,%%r21,%%r22,%%r23}, %s, %s, {%%r20,%%r21,%%r22,%%r23};\n", mma,
               na == 4 ? "{%r10,%r11,%r12,%r13}" : "{%r10,%r11}", na == 4 ? "{%r14,%r15}" : "{%r14}");
    buf_puts(b, "st.global.v2.f32 [%x4], {%r20, %r21};\nst.global.v2.f32 [%x4+256], {%r22, %r23};\nret;\n}\n");
}

static void products(void **state)
{
    (void)state;
    static const struct {
        const char *mma;
        int type, k;
    } forms[] = {{"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 0, 16},
                 {"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", 0, 8},
                 {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 1, 16},
                 {"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", 1, 8},
                 {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", 2, 8},
                 {"mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32", 2, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        static Problem p;
        Buf text = {0};
        PtxProfile count = {0};
        fill(&p, forms[i].type, forms[i].k);
        emit_product(&text, forms[i].mma, forms[i].type, forms[i].k);
        char *fault = ptx_try(
            text.s, &(PtxRun){.buffer = {{p.a, sizeof p.a}, {p.b, sizeof p.b}, {p.c, sizeof p.c}}, .races = true},
            &count);
        if (fault) fail_msg("%s: %s", forms[i].mma, fault);
        for (int at = 0; at < M * N; at++)
            if (p.c[at] != p.want[at])
                fail_msg("%s: [%d,%d] is %g, not %g", forms[i].mma, at / N, at % N, (double)p.c[at],
                         (double)p.want[at]);
        assert_int_equal(count.flops, 2 * M * N * forms[i].k);
        buf_free(&text);
    }
}

/* ---- CUDA C ---- */

static const char cuda_source[] =
    "extern \"C\" __global__ void k(float *y, const float *x, double *z) {\n"
    "    int i = threadIdx.x;\n"
    "    float v = x[i];\n"
    "    float *o = y + i * 16;\n"
    "    o[0] = expf(v), o[1] = logf(v + 4), o[2] = tanhf(v), o[3] = erff(v), o[4] = sqrtf(v + 4), o[5] = sinf(v);\n"
    "    o[6] = cosf(v * 1e6f), o[7] = powf(v + 4, 1.7f), o[8] = floorf(v), o[9] = fmodf(v, 0.3f), o[10] = 1 / (v + "
    "4);\n"
    "    o[11] = (float)(int)(v * 10), o[12] = roundf(v), o[13] = expm1f(v), o[14] = atan2f(v, 2.f), o[15] = "
    "cbrtf(v);\n"
    "    double w = v, *q = z + i * 8;\n"
    "    q[0] = exp(w), q[1] = log(w + 4), q[2] = tanh(w), q[3] = sin(w * 1e9), q[4] = pow(w + 4, 1.7), q[5] = "
    "erf(w);\n"
    "    q[6] = w / (w + 4), q[7] = (double)((long long)(w * 1e6) % 1000 / 7);\n"
    "}\n";

static void check_close(double got, double want, double tolerance, const char *what, int i)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("%s[%d] is %.17g, not %.17g", what, i, got, want);
}

static void check_thread(const float *o, const double *q, float v)
{
    const double f[16] = {exp(v),
                          log((double)v + 4),
                          tanh(v),
                          erf(v),
                          sqrt((double)v + 4),
                          sin(v),
                          cos((double)(v * 1e6f)),
                          pow(v + 4, 1.7f),
                          floor(v),
                          fmod(v, 0.3f),
                          1 / ((double)v + 4),
                          trunc((double)(v * 10)),
                          round(v),
                          expm1(v),
                          atan2(v, 2),
                          cbrt(v)};
    const double w = v, d[8] = {exp(w),          log(w + 4), tanh(w),     sin(w * 1e9),
                                pow(w + 4, 1.7), erf(w),     w / (w + 4), (double)((long long)(w * 1e6) % 1000 / 7)};
    for (int i = 0; i < 16; i++) check_close(o[i], f[i], 1e-6, "float", i);
    for (int i = 0; i < 8; i++) check_close(q[i], d[i], 1e-14, "double", i);
}

static void mathematics(void **state)
{
    (void)state;
    static const char *const archs[] = {"compute_80", "sm_90a", "compute_120"};
    need(cuda_missing());
    for (int a = 0; a < 3; a++) {
        static float y[32 * 16], x[32];
        static double z[32 * 8];
        Object cubin, ptx;
        Buf log = {0};
        for (int i = 0; i < 32; i++) x[i] = (float)(i - 16) * 0.1731f + 0.01f;
        cuda_compile(cuda_source, archs[a], &cubin, &ptx, &log);
        char *fault =
            ptx_try(ptx.data, &(PtxRun){.buffer = {{y, sizeof y}, {x, sizeof x}, {z, sizeof z}}, .races = true}, NULL);
        if (fault) fail_msg("%s: %s", archs[a], fault);
        for (int i = 0; i < 32; i++) check_thread(y + i * 16, z + i * 8, x[i]);
        free(cubin.data);
        free(ptx.data);
        buf_free(&log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products), cmocka_unit_test(mathematics)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
