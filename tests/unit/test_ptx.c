/* The PTX interpreter, opcode by opcode: each row of a table is a kernel with one instruction, whose result is known.
 * Then what the parser makes of modules, control flow, and what it refuses. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "ptx_kernel.h"
#include "support/buf.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one instruction ---- */

/* w 32 bits, l 64, f float, d double, h and b float16 and bfloat16, p predicate (0 or 1); the result first. */
typedef struct Op {
    const char *text, *types;
    double x[5]; /* result, operands: floats as they are, whole numbers to 2^53, or bits by B() */
} Op;
#define B(bits) ((double)(bits))

static const Op ops[] = {
    {"add.s32", "www", {B(0x80000000), B(0x7fffffff), 1}},
    {"sub.u16", "www", {B(0xffff), 0, 1}},
    {"mul.lo.s32", "www", {B(0xfffffffa), 2, B(0xfffffffd)}},
    {"mul.hi.u32", "www", {B(0xfffffffe), B(0xffffffff), B(0xffffffff)}},
    {"mul.hi.s32", "www", {B(0xffffffff), B(0xffffffff), 1}},
    {"mul.wide.s32", "lww", {-6, 2, B(0xfffffffd)}},
    {"mul.wide.u32", "lww", {8589934586, 2, B(0xfffffffd)}},
    {"mul.wide.u16", "www", {B(0xfffe0001), B(0xffff), B(0xffff)}},
    {"mad.lo.s32", "wwww", {17, 3, 4, 5}},
    {"mad.wide.u32", "lwwl", {4294967298, B(0xffffffff), 1, 3}},
    {"mad.hi.u32", "wwww", {4, B(0x80000000), 6, 1}},
    {"div.s32", "www", {B(0xfffffffe), B(0xfffffff9), 3}},
    {"rem.s32", "www", {B(0xffffffff), B(0xfffffff9), 3}},
    {"div.u32", "www", {1431655762, B(0xfffffff7), 3}},
    {"div.s32", "www", {B(0x80000000), B(0x80000000), B(0xffffffff)}},
    {"rem.u64", "lll", {1, 1000000000000, 3}},
    {"min.s32", "www", {B(0xffffffff), B(0xffffffff), 1}},
    {"min.u32", "www", {1, B(0xffffffff), 1}},
    {"abs.s32", "ww", {7, B(0xfffffff9)}},
    {"neg.s32", "ww", {B(0xfffffff9), 7}},
    {"sad.s32", "wwww", {15, B(0xfffffffd), 2, 10}},
    {"shl.b32", "www", {0, 1, 32}},
    {"shr.u32", "www", {0, B(0x80000000), 40}},
    {"shr.s32", "www", {B(0xffffffff), B(0x80000000), 40}},
    {"shr.s32", "www", {B(0xf8000000), B(0x80000000), 4}},
    {"shl.b64", "llw", {1099511627776, 1, 40}},
    {"shr.s64", "llw", {-1, -5, 3}},
    {"shf.l.wrap.b32", "wwww", {B(0x23456788), B(0x89abcdef), B(0x12345678), 4}},
    {"shf.r.wrap.b32", "wwww", {B(0x889abcde), B(0x89abcdef), B(0x12345678), 4}},
    {"shf.l.clamp.b32", "wwww", {B(0x89abcdef), B(0x89abcdef), B(0x12345678), 99}},
    {"bfe.u32", "wwww", {2, B(0xa50), 8, 3}},
    {"bfe.s32", "wwww", {B(0xfffffffa), B(0xa00), 8, 4}},
    {"bfe.s32", "wwww", {B(0xffffffff), B(0x80000000), 31, 8}},
    {"bfi.b32", "wwwww", {B(0xffff35ff), 0x35, B(0xffffffff), 8, 8}},
    {"popc.b32", "ww", {16, B(0xf0f0f0f0)}},
    {"popc.b64", "wl", {2, 4294967297}},
    {"clz.b32", "ww", {32, 0}},
    {"clz.b32", "ww", {8, B(0x00ff0000)}},
    {"clz.b64", "wl", {31, 4294967297}},
    {"brev.b32", "ww", {B(0x80000000), 1}},
    {"bfind.u32", "ww", {16, B(0x00010000)}},
    {"bfind.s32", "ww", {B(0xffffffff), B(0xffffffff)}},
    {"bfind.shiftamt.u32", "ww", {15, B(0x00010000)}},
    {"prmt.b32", "wwww", {B(0x88664422), B(0x33445566), B(0x77880022), 0x6024}},
    {"prmt.b32", "wwww", {B(0xff000000), B(0x00000080), 0, B(0x8444)}},
    {"lop3.b32", "wwwww", {B(0x96), B(0xf0), B(0xcc), B(0xaa), 0x96}},
    {"lop3.b32", "wwwww", {B(0xe8), B(0xf0), B(0xcc), B(0xaa), 0xe8}},
    {"dp4a.s32.s32", "wwww", {B(0xfffffffc), B(0x01ff0203), B(0x01020000), B(0xfffffffd)}},
    {"not.b32", "ww", {B(0xffff0000), B(0x0000ffff)}},
    {"cnot.b32", "ww", {1, 0}},
    {"add.rn.f32", "fff", {16777216, 16777216, 1}},
    {"add.rp.f32", "fff", {16777218, 16777216, 1}},
    {"add.rz.f32", "fff", {16777216, 16777216, 1.5}},
    {"add.rm.f32", "fff", {-16777218, -16777216, -1}},
    {"mul.rz.f32", "fff", {0x1.000004p0, 0x1.000002p0, 0x1.000002p0}},
    {"mul.rp.f32", "fff", {0x1.000006p0, 0x1.000002p0, 0x1.000002p0}},
    {"fma.rn.f32", "ffff", {0x1p-46, 0x1.000002p0, 0x1.000002p0, -0x1.000004p0}},
    {"fma.rm.f32", "ffff", {1, 1, 1, 0x1p-40}},
    {"fma.rp.f32", "ffff", {0x1.000002p0, 1, 1, 0x1p-40}},
    {"add.ftz.f32", "fff", {0, 0x1p-130, 0x1p-130}},
    {"add.sat.f32", "fff", {1, 0.75, 0.75}},
    {"div.rn.f32", "fff", {0x1.555556p-2, 1, 3}},
    {"rcp.rn.f32", "ff", {0.25, 4}},
    {"sqrt.rn.f32", "ff", {0x1.6a09e6p0, 2}},
    {"rsqrt.approx.f32", "ff", {0.5, 4}},
    {"ex2.approx.ftz.f32", "ff", {8, 3}},
    {"lg2.approx.f32", "ff", {5, 32}},
    {"sin.approx.f32", "ff", {0, 0}},
    {"cos.approx.f32", "ff", {1, 0}},
    {"tanh.approx.f32", "ff", {0, 0}},
    {"min.f32", "fff", {2, NAN, 2}},
    {"max.f32", "fff", {2, 2, NAN}},
    {"max.NaN.f32", "fff", {NAN, 2, NAN}},
    {"min.f32", "fff", {-0.0, 0.0, -0.0}},
    {"copysign.f32", "fff", {-3, -1, 3}},
    {"fma.rn.f64", "dddd", {0x1p-104, 0x1.0000000000001p0, 0x1.0000000000001p0, -0x1.0000000000002p0}},
    {"add.f64", "ddd", {0.75, 0.5, 0.25}},
    {"rcp.approx.ftz.f64", "dd", {0.25, 4}},
    {"add.f16", "hhh", {2048, 2047, 1}},
    {"add.f16", "hhh", {2048, 2048, 1}},
    {"fma.rn.f16", "hhhh", {7, 2, 3, 1}},
    {"mul.f16", "hhh", {INFINITY, 60000, 2}},
    {"fma.rn.bf16", "bbbb", {7, 2, 3, 1}},
    {"max.bf16", "bbb", {3, 2, 3}},
    {"cvt.f32.f16", "fh", {1.5, 1.5}},
    {"cvt.rn.f16.f32", "hf", {2048, 2049}},
    {"cvt.rn.f16.f32", "hf", {2052, 2051}},
    {"cvt.rn.f16.f32", "hf", {0x1p-24, 0x1p-24}},
    {"cvt.rn.f16.f32", "hf", {INFINITY, 65520}},
    {"cvt.rn.bf16.f32", "bf", {1, 1.00390625}},
    {"cvt.rn.f16x2.f32", "wff", {B(0x3c004000), 1, 2}},
    {"cvt.rn.bf16x2.f32", "wff", {B(0x3f804000), 1, 2}},
    {"cvt.rna.tf32.f32", "ff", {0x1.004p0, 0x1.002p0}},
    {"cvt.rzi.s32.f32", "wf", {B(0xffffffff), -1.75}},
    {"cvt.rni.s32.f32", "wf", {2, 2.5}},
    {"cvt.rmi.s32.f32", "wf", {B(0xfffffffe), -1.25}},
    {"cvt.rzi.s32.f32", "wf", {B(0x7fffffff), 1e20}},
    {"cvt.rzi.u32.f32", "wf", {0, -1}},
    {"cvt.rzi.s32.f32", "wf", {0, NAN}},
    {"cvt.rn.f32.s32", "fw", {-3, B(0xfffffffd)}},
    {"cvt.rn.f32.u32", "fw", {4294967296, B(0xffffffff)}},
    {"cvt.rn.f32.f64", "fd", {0x1p0, 0x1.000001p0}},
    {"cvt.f64.f32", "df", {0.1f, 0.1f}},
    {"cvt.s64.s32", "lw", {-3, B(0xfffffffd)}},
    {"cvt.u64.u32", "lw", {4294967293, B(0xfffffffd)}},
    {"cvt.u32.u16", "ww", {B(0x1234), B(0xabcd1234)}},
    {"cvt.s32.s8", "ww", {B(0xffffff80), 0x80}},
    {"cvt.sat.f32.f32", "ff", {0, NAN}},
    {"cvt.rni.f32.f32", "ff", {-2, -2.5}},
    {"selp.b32", "wwwp", {5, 5, 6, 1}},
    {"selp.f32", "fffp", {6, 5, 6, 0}},
    {"setp.lt.s32", "pww", {1, B(0xffffffff), 0}},
    {"setp.lt.u32", "pww", {0, B(0xffffffff), 0}},
    {"setp.ne.f32", "pff", {0, NAN, 1}},
    {"setp.neu.f32", "pff", {1, NAN, 1}},
    {"setp.ltu.f32", "pff", {1, NAN, 1}},
    {"setp.nan.f32", "pff", {1, NAN, 1}},
    {"setp.lt.and.s32", "pwwp", {0, 1, 2, 0}},
    {"setp.gt.or.s32", "pwwp", {1, 1, 2, 1}},
    {"setp.lt.xor.s32", "pwwp", {0, 1, 2, 1}},
    {"set.gt.f32.f32", "fff", {1, 3, 2}},
    {"and.pred", "ppp", {0, 1, 0}},
    {"not.pred", "pp", {0, 1}},
};
enum { NOPS = sizeof ops / sizeof ops[0] };

static uint32_t half_bits(double x) /* of values that are halves */
{
    int e;
    if (isinf(x)) return 0x7c00;
    if (x == 0) return 0;
    double m = frexp(x, &e);
    return e < -13 ? (uint32_t)ldexp(x, 24) : (uint32_t)((e + 14) << 10) + (uint32_t)((m * 2 - 1) * 1024);
}

static uint64_t bits_of(char type, double x)
{
    float f = (float)x;
    uint32_t u;
    uint64_t d;
    memcpy(&u, &f, 4);
    memcpy(&d, &x, 8);
    switch (type) {
    case 'f':
        return u;
    case 'd':
        return d;
    case 'h':
        return half_bits(x);
    case 'b':
        return u >> 16;
    case 'l':
        return (uint64_t)(int64_t)x;
    default:
        return (uint32_t)(int64_t)x;
    }
}

static bool is_wide(char type)
{
    return type == 'l' || type == 'd';
}

/* Operand i in register i; operands lie 8 bytes apart, behind the results of 32 threads. */
static void emit_op(Buf *b, int id, const Op *op)
{
    int n = (int)strlen(op->types);
    buf_printf(b,
               ".visible .entry k%d(.param .u64 p)\n{\n.reg .b32 %%r<6>;\n.reg .b64 %%x<6>;\n.reg .b64 %%at, %%to;\n"
               ".reg .pred %%p<6>;\nmov.u32 %%r5, %%tid.x;\nmul.wide.u32 %%to, %%r5, 8;\nld.param.u64 %%at, [p];\n"
               "add.s64 %%to, %%to, %%at;\n",
               id);
    for (int i = 1; i < n; i++) {
        char t = op->types[i];
        buf_printf(b, is_wide(t) ? "ld.global.u64 %%x%d, [%%at+%d];\n" : "ld.global.u32 %%r%d, [%%at+%d];\n", i,
                   256 + 8 * i);
        if (t == 'p') buf_printf(b, "setp.ne.s32 %%p%d, %%r%d, 0;\n", i, i);
    }
    buf_puts(b, op->text);
    for (int i = 0; i < n; i++) {
        char t = op->types[i];
        buf_printf(b, "%s %%%c%d", i ? "," : "", t == 'p' ? 'p' : is_wide(t) ? 'x' : 'r', i);
    }
    buf_puts(b, ";\n");
    if (*op->types == 'p') buf_puts(b, "selp.u32 %r0, 1, 0, %p0;\n");
    buf_puts(b, is_wide(*op->types) ? "st.global.u64 [%to], %x0;\nret;\n}\n" : "st.global.u32 [%to], %r0;\nret;\n}\n");
}

static void check_op(const PtxModule *m, int id, unsigned threads)
{
    const Op *op = &ops[id];
    uint64_t data[32 + 5] = {0}, want = bits_of(op->types[0], op->x[0]);
    char name[16];
    for (size_t i = 1; i < strlen(op->types); i++) data[32 + i] = bits_of(op->types[i], op->x[i]);
    snprintf(name, sizeof name, "k%d", id);
    char *fault = ptx_launch(m, name, &(PtxRun){.threads = threads, .buffer = {{data, sizeof data}}}, NULL);
    if (fault) fail_msg("%s", fault);
    uint64_t mask = strchr("hb", *op->types) ? 0xffff : is_wide(*op->types) ? ~UINT64_C(0) : 0xffffffff;
    bool nan = strchr("fd", *op->types) && isnan(op->x[0]);
    for (unsigned l = 0; l < threads; l++) {
        if (nan && (data[l] & 0x7fffffff) > 0x7f800000) continue;
        if ((data[l] & mask) != want)
            fail_msg("%s gives %#llx, not %#llx", op->text, (unsigned long long)(data[l] & mask),
                     (unsigned long long)want);
    }
}

static void opcodes(void **state)
{
    (void)state;
    Buf text = {0};
    buf_puts(&text, PTX_HEAD);
    for (int i = 0; i < NOPS; i++) emit_op(&text, i, &ops[i]);
    PtxModule *m = ptx_module(text.s);
    for (int i = 0; i < NOPS; i++) {
        check_op(m, i, 32); /* all lanes, then some */
        check_op(m, i, 5);
    }
    ptx_unload(m);
    buf_free(&text);
}

/* ---- whole kernels; p is the buffer, each thread has words of it ---- */

#define KERNEL(registers, body)                                                                                        \
    PTX_HEAD                                                                                                           \
        ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<20>;\n.reg .b64 %x<20>;\n.reg .pred %p<9>;\n" registers     \
        "ld.param.u64 %x0, [p];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %x1, %r0, 4;\nadd.s64 %x1, %x1, %x0;\n" body       \
        "\nret;\n}\n"

static void run_words(const char *text, uint32_t *data, unsigned threads, size_t bytes)
{
    char *fault = ptx_try(text, &(PtxRun){.threads = threads, .buffer = {{data, bytes}}, .races = true}, NULL);
    if (fault) fail_msg("%s", fault);
}

static void loops_with_divergence(void **state)
{
    (void)state;
    uint32_t data[64];
    run_words(
        KERNEL("",
               "mov.u32 %r1, 0;\nmov.u32 %r2, %r0;\n" /* sum of 1 .. tid, the odd ones twice */
               "L1: setp.eq.s32 %p0, %r2, 0;\n@%p0 bra L3;\nand.b32 %r3, %r2, 1;\nsetp.eq.s32 %p1, %r3, 0;\n"
               "@%p1 bra L2;\nadd.s32 %r1, %r1, %r2;\nL2: add.s32 %r1, %r1, %r2;\nsub.s32 %r2, %r2, 1;\nbra.uni L1;\n"
               "L3: {.reg.b32 t;\nmov.b32 t, %r1;\nst.global.u32 [%x1], t;\n}"),
        data, 64, sizeof data);
    for (uint32_t i = 0, sum = 0; i < 64; i++) {
        sum += i % 2 ? 2 * i : i;
        assert_int_equal(data[i], sum);
    }
}

static void early_exit_and_warp_barrier(void **state)
{
    (void)state;
    uint32_t data[32];
    /* half a warp leaves; the other half goes on to wait for its own lanes */
    run_words(KERNEL("", "mov.u32 %r1, 7;\nst.global.u32 [%x1], %r1;\nsetp.lt.u32 %p0, %r0, 16;\n@%p0 ret;\n"
                         "bar.warp.sync 0xffff0000;\nadd.s32 %r1, %r1, %r0;\nst.global.u32 [%x1], %r1;"),
              data, 32, sizeof data);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(data[i], i < 16 ? 7 : 7 + i);
}

static void shared_memory_reversed(void **state)
{
    (void)state;
    uint32_t data[128];
    run_words(
        KERNEL(".shared .align 4 .b8 s[512];\n",
               "mov.u32 %r1, s;\nshl.b32 %r2, %r0, 2;\nadd.s32 %r3, %r1, %r2;\nst.shared.u32 [%r3], %r0;\nbar.sync 0;\n"
               "sub.s32 %r4, 508, %r2;\nadd.s32 %r4, %r4, %r1;\nld.shared.u32 %r5, [%r4];\nst.global.u32 [%x1], %r5;"),
        data, 128, sizeof data);
    for (uint32_t i = 0; i < 128; i++) assert_int_equal(data[i], 127 - i);
}

/* NVRTC keeps flags of loops in predicates, and begins with `mov.pred %p, 0`. */
static void predicates_that_are_constant(void **state)
{
    (void)state;
    uint32_t data[32] = {0};
    run_words(KERNEL("", "setp.lt.u32 %p1, %r0, 7;\nmov.pred %p2, 0;\nmov.pred %p3, -1;\n"
                         "@%p1 mov.pred %p2, 1;\n@%p1 mov.pred %p3, 0;\n"
                         "selp.u32 %r1, 1, 0, %p2;\nselp.u32 %r2, 2, 0, %p3;\n"
                         "add.s32 %r1, %r1, %r2;\nst.global.u32 [%x1], %r1;"),
              data, 32, sizeof data);
    for (uint32_t t = 0; t < 32; t++) assert_int_equal(data[t], t < 7 ? 1 : 2);
}

static void shuffles_and_votes(void **state)
{
    (void)state;
    uint32_t data[32];
    run_words(KERNEL("",
                     "shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;\nshfl.sync.up.b32 %r2|%p0, %r0, 4, 0, -1;\n"
                     "selp.u32 %r3, 256, 0, %p0;\nsetp.gt.u32 %p1, %r0, 29;\nvote.sync.ballot.b32 %r4, %p1, -1;\n"
                     "shr.u32 %r4, %r4, 18;\nshl.b32 %r2, %r2, 16;\nadd.s32 %r1, %r1, %r2;\nadd.s32 %r1, %r1, %r3;\n"
                     "add.s32 %r1, %r1, %r4;\nst.global.u32 [%x1], %r1;"),
              data, 32, sizeof data);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(data[i], (i ^ 1) + ((i < 4 ? i : i - 4) << 16) + (i < 4 ? 0 : 256) + 0x3000);
}

static void long_carries(void **state)
{
    (void)state;
    uint32_t data[2];
    run_words(KERNEL("", "mov.u32 %r1, -1;\nadd.cc.u32 %r2, %r1, 1;\naddc.cc.u32 %r3, %r1, 5;\naddc.u32 %r4, 0, 0;\n"
                         "mad.lo.cc.u32 %r5, %r1, %r1, %r1;\nmadc.hi.u32 %r6, %r1, %r1, 0;\nadd.s32 %r6, %r6, %r4;\n"
                         "st.global.u32 [%x0], %r3;\nst.global.u32 [%x0+4], %r6;"),
              data, 1, sizeof data);
    assert_int_equal(data[0], 5);
    assert_int_equal(data[1], 0); /* 0xfffffffe of the product, two carries */
}

static void functions_and_local_memory(void **state)
{
    (void)state;
    uint32_t data[32];
    run_words(
        PTX_HEAD
        ".func (.param .b32 out) twice(.param .b32 in)\n{\n.reg .b32 %r<4>;\n.reg .pred %p<2>;\nld.param.u32 %r1, "
        "[in];\n"
        "setp.gt.u32 %p1, %r1, 9;\n@%p1 bra L;\nadd.s32 %r1, %r1, %r1;\nL: st.param.b32 [out], %r1;\nret;\n}\n"
        ".visible .entry k(.param .u64 p)\n{\n.local .align 4 .b8 stack[16];\n.reg .b32 %r<9>;\n.reg .b64 %x<9>;\n"
        "mov.u64 %x3, stack;\ncvta.local.u64 %x4, %x3;\nld.param.u64 %x0, [p];\nmov.u32 %r0, %tid.x;\n"
        "mul.wide.u32 %x1, %r0, 4;\nadd.s64 %x1, %x1, %x0;\nst.local.u32 [%x3+4], %r0;\n"
        "{ .param .b32 a; .param .b32 b;\nst.param.b32 [a+0], %r0;\ncall.uni (b), twice, (a);\nld.param.b32 %r1, "
        "[b+0];\n}\n"
        "ld.u32 %r2, [%x4+4];\nmad.lo.s32 %r1, %r2, 100, %r1;\nst.global.u32 [%x1], %r1;\nret;\n}\n",
        data, 32, sizeof data);
    for (uint32_t i = 0; i < 32; i++) assert_int_equal(data[i], 100 * i + (i > 9 ? i : 2 * i));
}

static void variables_and_tables(void **state)
{
    (void)state;
    uint32_t data[8];
    run_words(
        PTX_HEAD
        ".const .align 4 .u32 c[3] = {5, 0x10, 7};\n.global .align 8 .u64 where = c;\n"
        ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<9>;\n.reg .b64 %x<9>;\n"
        "ld.param.u64 %x0, [p];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %x1, %r0, 4;\nadd.s64 %x1, %x1, %x0;\n"
        "ld.const.u32 %r1, [c+4];\nld.global.u64 %x2, [where];\nld.u32 %r2, [%x2+8];\nand.b32 %r4, %r0, 1;\n"
        "T: .branchtargets A, B;\nbrx.idx %r4, T;\nA: add.s32 %r1, %r1, %r2;\nbra E;\nB: mul.lo.u32 %r1, %r1, %r2;\n"
        "E: st.global.u32 [%x1], %r1;\nret;\n}\n",
        data, 8, sizeof data);
    for (int i = 0; i < 8; i++) assert_int_equal(data[i], i % 2 ? 0x70 : 0x17);
}

static void atomics_are_the_same_on_every_thread(void **state)
{
    (void)state;
    float x[2][3] = {{0}};
    for (int i = 0; i < 2; i++) {
        char *fault =
            ptx_try(KERNEL("", "cvt.rn.f32.u32 %r1, %r0;\nmul.f32 %r1, %r1, 0f3DCCCCCD;\nmov.u32 %r3, %ctaid.x;\n"
                               "atom.global.add.f32 %r2, [%x0], %r1;\nred.global.max.s32 [%x0+4], %r3;\n"
                               "atom.global.cas.b32 %r4, [%x0+8], 0, 9;"),
                    &(PtxRun){.blocks = 50, .buffer = {{x[i], sizeof x[i]}}, .host_threads = 1 + i}, NULL);
        assert_null(fault);
    }
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    int most, once;
    memcpy(&most, &x[0][1], 4);
    memcpy(&once, &x[0][2], 4);
    assert_int_equal(most, 49);
    assert_int_equal(once, 9);
    assert_true(fabsf(x[0][0] - 2480) < 0.1f);
}

/* ---- what does not load ---- */

static void gaps_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } bad[] = {{"frobnicate.u32 %r1, %r2;", "line 8: unknown instruction 'frobnicate.u32'"},
               {"add.f128 %r1, %r2, %r3;", "unknown instruction 'add.f128'"},
               {"ld.global.nc.L9::x.u32 %r1, [%x1];", "unknown modifier '.L9::x'"},
               {"add.s32 %r1, %r2;", "3 operands, not 2"},
               {"add.s32 %r1, %x2, %r3;", "a register of at most 32 bits expected"},
               {"mov.pred %p1, %r1;", "a predicate expected"},
               {"add.s32 %r1, %q2, %r3;", "unknown name '%q2'"},
               {"bra nowhere;", "no label 'nowhere'"},
               {"ld.global.v4.u32 {%r1, %r2}, [%x1];", "4 elements, not 2"},
               {"shfl.bfly.b32 %r1, %r2, 1, 31;", "'shfl.bfly.b32' without .sync"},
               {".frob 3;", "unknown directive '.frob'"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Buf b = {0};
        char *error = NULL;
        buf_printf(&b, PTX_HEAD ".visible .entry k()\n{\n.reg .b32 %%r<9>; .reg .b64 %%x<9>; .reg .pred %%p<9>;\n\n%s\nret;\n}\n",
                   bad[i].text);
        assert_null(ptx_load(b.s, &error));
        if (!strstr(error, bad[i].error)) fail_msg("'%s' says '%s'", bad[i].text, error);
        free(error);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opcodes),
        cmocka_unit_test(loops_with_divergence),
        cmocka_unit_test(early_exit_and_warp_barrier),
        cmocka_unit_test(shared_memory_reversed),
        cmocka_unit_test(predicates_that_are_constant),
        cmocka_unit_test(shuffles_and_votes),
        cmocka_unit_test(long_carries),
        cmocka_unit_test(functions_and_local_memory),
        cmocka_unit_test(variables_and_tables),
        cmocka_unit_test(atomics_are_the_same_on_every_thread),
        cmocka_unit_test(gaps_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
