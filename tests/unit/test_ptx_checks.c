/* What the PTX interpreter checks and counts: kernels with a planted bug fault with the right words, their sound twins do
 * not; counts of kernels whose counts are known by hand. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "ptx_kernel.h"
#include "support/buf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* %x0 the buffer, %r0 the thread, %x1 its word of the buffer, %r3 its word of shared memory at s (1024 bytes). */
#define KERNEL(body)                                                                                                   \
    PTX_HEAD                                                                                                           \
        ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<20>;\n.reg .b64 %x<20>;\n.reg .pred %p<9>;\n"               \
        ".shared .align 16 .b8 s[1024];\nld.param.u64 %x0, [p];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %x1, %r0, 4;\n"    \
        "add.s64 %x1, %x1, %x0;\nmov.u32 %r1, s;\nshl.b32 %r2, %r0, 2;\nadd.s32 %r3, %r1, %r2;\n" body "\nret;\n}\n"
/* the word of the thread's neighbour, in shared memory */
#define NEIGHBOUR "xor.b32 %r4, %r2, 4;\nadd.s32 %r4, %r4, %r1;\n"
#define PUT       "st.shared.u32 [%r3], %r0;\n"
#define GET       "ld.shared.u32 %r5, [%r4];\nst.global.u32 [%x1], %r5;\n"

typedef struct Planted {
    const char *what, *kernel;
    const char *fault; /* words of it; NULL: the kernel is sound */
    unsigned threads, blocks;
} Planted;

static const Planted planted[] = {
    {"sound", KERNEL(NEIGHBOUR PUT "bar.sync 0;\n" GET), NULL, 64, 2},
    {"no barrier between warps", KERNEL("xor.b32 %r4, %r2, 128;\nadd.s32 %r4, %r4, %r1;\n" PUT GET),
     "thread (0,0,0), PTX line 20 `ld.shared.u32 %r5, [%r4];`: uninitialised", 64, 1},
    {"no barrier within a warp", KERNEL(NEIGHBOUR PUT GET),
     "reads what was written by thread (1,0,0) (PTX line 19), with no barrier", 32, 1},
    {"a barrier of the warp is enough for it", KERNEL(NEIGHBOUR PUT "bar.warp.sync -1;\n" GET), NULL, 64, 1},
    {"a barrier of other lanes is not",
     KERNEL(NEIGHBOUR PUT
            "mov.u32 %r6, 0x55555555;\nshl.b32 %r7, %r6, 1;\nand.b32 %r8, %r0, 1;\nsetp.eq.u32 %p0, %r8, 0;\n"
            "selp.b32 %r6, %r6, %r7, %p0;\nbar.warp.sync %r6;\n" GET),
     "reads what was written by thread (1,0,0)", 32, 1},
    {"the second barrier of a loop is missing",
     KERNEL(NEIGHBOUR "mov.u32 %r9, 2;\nL: " PUT "bar.sync 0;\n" GET "add.s32 %r0, %r0, 1;\nsub.s32 %r9, %r9, 1;\n"
                      "setp.ne.s32 %p0, %r9, 0;\n@%p0 bra L;"),
     "overwrites what is read by thread (1,0,0)", 32, 1},
    {"shared memory half written",
     KERNEL(NEIGHBOUR "setp.lt.u32 %p0, %r0, 31;\n@%p0 st.shared.u32 [%r3], %r0;\nbar.sync 0;\n" GET),
     "thread (30,0,0), PTX line 22 `ld.shared.u32 %r5, [%r4];`: uninitialised", 32, 1},
    {"two threads store to one place", KERNEL("mov.u32 %r4, s;\nst.shared.u32 [%r4], %r0;"),
     "overwrites what was written by thread (0,0,0)", 32, 1},
    {"the same value twice does no harm", KERNEL("mov.u32 %r4, s;\nst.shared.u32 [%r4], 5;"), NULL, 32, 1},
    {"past the buffer", KERNEL("st.global.u32 [%x1+256], %r0;"),
     "kernel k, block (0,0,0), thread (0,0,0), PTX line 17 `st.global.u32 [%x1+256], %r0;`: 4 bytes outside of all "
     "memory: at "
     "offset 256 of an allocation of 256",
     32, 1},
    {"before the buffer", KERNEL("ld.global.u32 %r5, [%x1+-4];"), "thread (0,0,0), PTX line 17", 32, 1},
    {"past shared memory", KERNEL("st.shared.u32 [%r3+1000], %r0;"),
     "thread (6,0,0), PTX line 17 `st.shared.u32 [%r3+1000], %r0;`: 4 bytes outside of shared memory: at offset 1024 "
     "of the "
     "block's 1024",
     32, 1},
    {"misaligned", KERNEL("ld.global.u64 %x3, [%x1];"),
     "thread (1,0,0), PTX line 17 `ld.global.u64 %x3, [%x1];`: misaligned", 32, 1},
    {"a barrier in a divergent branch", KERNEL("setp.lt.u32 %p0, %r0, 16;\n@!%p0 bra L;\nbar.sync 0;\nL: bar.sync 0;"),
     "PTX line 19 `bar.sync 0;`: only lanes 0xffff of the warp come here together", 32, 1},
    {"warps at different barriers",
     KERNEL("setp.lt.u32 %p0, %r0, 32;\n@!%p0 bra L;\nbar.sync 0;\nbra E;\nL: bar.sync 0;\nE:"),
     "threads of the block wait at different barriers", 64, 1},
    {"a barrier that nobody opens", KERNEL("setp.lt.u32 %p0, %r0, 32;\n@%p0 bra L;\nbar.sync 1, 64;\nL:"),
     "barrier 1 waits for ever: 32 of the block's 32 threads are there", 64, 1},
    {"a shuffle in a divergent branch",
     KERNEL("setp.lt.u32 %p0, %r0, 16;\n@%p0 shfl.sync.bfly.b32 %r5, %r0, 1, 31, -1;\nbar.sync 0;"),
     "`@%p0 shfl.sync.bfly.b32 %r5, %r0, 1, 31, -1;`: only lanes 0xffff of the warp come here together", 32, 1},
    {"a shuffle from a lane that is not asked",
     KERNEL("setp.lt.u32 %p0, %r0, 16;\n@%p0 shfl.sync.bfly.b32 %r5, %r0, 16, 31, 0xffff;"),
     "reads lane 16, which does not take part", 32, 1},
    {"a vote after half has left", KERNEL("setp.lt.u32 %p0, %r0, 16;\n@%p0 ret;\nvote.sync.any.pred %p1, %p0, -1;"),
     "names lanes that have exited", 32, 1},
    {"mma without half of the warp",
     KERNEL("setp.lt.u32 %p0, %r0, 16;\n@%p0 bra L;\n"
            "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r4,%r5,%r6,%r7}, {%r8,%r9}, {%r10}, "
            "{%r4,%r5,%r6,%r7};\nL:"),
     "needs all 32 lanes of the warp; 0xffff0000 are there", 32, 1},
    {"a copy that is not waited for",
     KERNEL("shl.b32 %r6, %r0, 2;\ncp.async.ca.shared.global [%r3], [%x1], 4;\ncp.async.commit_group;\nld.shared.u32 "
            "%r5, [%r3];"),
     "the cp.async of PTX line 18 to these bytes has not been waited for", 32, 1},
    {"a wait one group too lax",
     KERNEL("cp.async.ca.shared.global [%r3], [%x1], 4;\ncp.async.commit_group;\n"
            "cp.async.ca.shared.global [%r3+512], [%x1], 4;\ncp.async.commit_group;\ncp.async.wait_group 1;\n"
            "ld.shared.u32 %r5, [%r3];\nld.shared.u32 %r5, [%r3+512];"),
     "PTX line 23 `ld.shared.u32 %r5, [%r3+512];`: race: the cp.async of PTX line 19", 32, 1},
    {"copies that are waited for, without a barrier",
     KERNEL(NEIGHBOUR "cp.async.ca.shared.global [%r3], [%x1], 4;\ncp.async.wait_all;\n" GET),
     "reads what was written by thread (1,0,0)", 32, 1},
    {"copies that are waited for, and a barrier",
     KERNEL(NEIGHBOUR "cp.async.ca.shared.global [%r3], [%x1], 4;\ncp.async.wait_all;\nbar.sync 0;\n" GET), NULL, 32,
     1},
    {"blocks that add without atomics",
     KERNEL("ld.global.u32 %r5, [%x0];\nadd.s32 %r5, %r5, 1;\nst.global.u32 [%x0], %r5;"),
     "by another block (PTX line 19)", 1, 2},
    {"blocks that add with atomics", KERNEL("red.global.add.u32 [%x0], 1;"), NULL, 32, 2},
    {"a constant load of what the launch writes",
     KERNEL("st.global.u32 [%x1], %r0;\nbar.sync 0;\nld.global.nc.u32 %r5, [%x1];"),
     ".nc reads what this launch writes", 32, 1},
    {"trap", KERNEL("setp.eq.u32 %p0, %r0, 3;\n@%p0 trap;"), "thread (3,0,0), PTX line 18 `@%p0 trap;`: trap", 32, 1},
};

static void planted_bugs_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof planted / sizeof planted[0]; i++) {
        const Planted *b = &planted[i];
        uint32_t data[64] = {0};
        char *fault = ptx_try(
            b->kernel,
            &(PtxRun){.threads = b->threads, .blocks = b->blocks, .buffer = {{data, sizeof data}}, .races = true},
            NULL);
        if (!b->fault && fault) fail_msg("%s: %s", b->what, fault);
        if (b->fault && (!fault || !strstr(fault, b->fault))) fail_msg("%s: '%s', not '%s'", b->what, fault, b->fault);
        free(fault);
    }
}

/* Blocks 5 and up fault, on three host threads: always the same one is told. */
static void the_first_fault_is_told(void **state)
{
    (void)state;
    uint32_t data[64] = {0};
    for (int i = 0; i < 20; i++) {
        char *fault = ptx_try(KERNEL("mov.u32 %r5, %ctaid.x;\nsetp.gt.u32 %p0, %r5, 4;\n@%p0 trap;"),
                              &(PtxRun){.blocks = 40, .buffer = {{data, sizeof data}}, .host_threads = 3}, NULL);
        assert_non_null(fault);
        assert_non_null(strstr(fault, "block (5,0,0), thread (0,0,0)"));
        free(fault);
    }
}

/* Loops of one instruction, of lanes that part, of barriers; one that ends in time. */
static void kernels_that_do_not_end(void **state)
{
    (void)state;
    static const char *const loops[] = {
        KERNEL("L: bra L;"), KERNEL("setp.lt.u32 %p0, %r0, 7;\nL: add.s32 %r5, %r5, 1;\n@%p0 bra L;"),
        KERNEL("L: bar.sync 0;\nbra L;"), KERNEL("mov.u32 %r5, 1000;\nL: sub.s32 %r5, %r5, 1;\n"
                                                "setp.ne.s32 %p0, %r5, 0;\n@%p0 bra L;")};
    uint32_t data[64] = {0};
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        PtxRun run = {.threads = 64, .blocks = 3, .buffer = {{data, sizeof data}}, .budget = 5000};
        char *fault = ptx_try(loops[i], &run, NULL);
        if (i == 3) {
            assert_null(fault); /* in each of its blocks */
            continue;
        }
        assert_non_null(fault);
        assert_non_null(strstr(fault, "kernel k, block (0,0,0), thread (0,0,0), PTX line "));
        assert_non_null(strstr(fault, "its warp has run 500"));
        free(fault);
    }
}

static void launches_are_checked(void **state)
{
    (void)state;
    uint32_t data[64];
    char *fault = ptx_try(PTX_HEAD ".visible .entry k(.param .u64 p)\n.maxntid 64, 1, 1\n{\nret;\n}\n",
                          &(PtxRun){.threads = 96, .buffer = {{data, sizeof data}}}, NULL);
    assert_string_equal(fault, "kernel k: a block of 96 threads; it takes 1 to 64");
    free(fault);
}

/* Stored halfway, memory of shared arrays and registers is not zero by accident. */
static void what_is_not_written_is_nan(void **state)
{
    (void)state;
    uint32_t data[64] = {0};
    assert_null(ptx_try(KERNEL("ld.shared.u32 %r5, [%r3];\nadd.s32 %r5, %r5, %r9;\nst.global.u32 [%x1], %r5;"),
                        &(PtxRun){.buffer = {{data, sizeof data}}}, NULL));
    assert_int_equal(data[7], 0xfffffffe);
}

/* ---- counts ---- */

static PtxProfile counted(const char *kernel)
{
    static _Alignas(128) uint32_t data[4096];
    PtxProfile c = {0};
    char *fault = ptx_try(kernel, &(PtxRun){.buffer = {{data, sizeof data}}}, &c);
    if (fault) fail_msg("%s", fault);
    return c;
}

static void global_sectors(void **state)
{
    (void)state;
    PtxProfile c = counted(KERNEL("ld.global.f32 %r5, [%x1];\nst.global.f32 [%x1], %r5;"));
    assert_int_equal(c.instructions, 7 + 3);
    assert_int_equal(c.load_requests, 1);
    assert_int_equal(c.load_sectors, 4); /* 128 bytes side by side */
    assert_int_equal(c.load_bytes, 128);
    assert_int_equal(c.store_sectors, 4);
    assert_int_equal(c.store_bytes, 128);
    c = counted(KERNEL("mul.wide.u32 %x2, %r0, 32;\nadd.s64 %x2, %x2, %x0;\nld.global.f32 %r5, [%x2];"));
    assert_int_equal(c.load_sectors, 32); /* each lane in a sector of its own */
    c = counted(KERNEL("ld.global.f32 %r5, [%x1+4];"));
    assert_int_equal(c.load_sectors, 5); /* not on a boundary */
    c = counted(KERNEL("ld.global.f32 %r5, [%x0];"));
    assert_int_equal(c.load_sectors, 1); /* all the same */
    c = counted(
        KERNEL("mul.wide.u32 %x2, %r0, 16;\nadd.s64 %x2, %x2, %x0;\nld.global.v4.f32 {%r5, %r6, %r7, %r8}, [%x2];"));
    assert_int_equal(c.load_requests, 1);
    assert_int_equal(c.load_sectors, 16);
    assert_int_equal(c.load_bytes, 512);
    c = counted(KERNEL("setp.lt.u32 %p0, %r0, 8;\n@%p0 st.global.f32 [%x1], %r0;"));
    assert_int_equal(c.store_sectors, 1);
    assert_int_equal(c.store_bytes, 32);
}

static void bank_conflicts(void **state)
{
    (void)state;
    static const struct {
        unsigned stride, phases, requests;
        const char *store;
    } cases[] = {{4, 1, 1, "st.shared.u32 [%r6], %r0;"},
                 {8, 2, 1, "st.shared.u32 [%r6], %r0;"},
                 {128, 32, 1, "st.shared.u32 [%r6], %r0;"},
                 {132, 1, 1, "st.shared.u32 [%r6], %r0;"},
                 {0, 1, 1, "st.shared.u32 [%r6], %r0;"},
                 {8, 2, 2, "st.shared.v2.u32 [%r6], {%r0, %r0};"},
                 {16, 4, 4, "st.shared.v4.u32 [%r6], {%r0, %r0, %r0, %r0};"},
                 {32, 8, 4, "st.shared.v4.u32 [%r6], {%r0, %r0, %r0, %r0};"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Buf b = {0};
        buf_printf(&b,
                   PTX_HEAD ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %%r<9>;\n.shared .align 128 .b8 s[8192];\n"
                            "mov.u32 %%r0, %%tid.x;\nmov.u32 %%r1, s;\nmad.lo.u32 %%r6, %%r0, %u, %%r1;\n%s\nret;\n}\n",
                   cases[i].stride, cases[i].store);
        PtxProfile c = counted(b.s);
        assert_int_equal(c.shared_requests, cases[i].requests);
        assert_int_equal(c.shared_phases, cases[i].phases);
        buf_free(&b);
    }
}

static void arithmetic_and_barriers(void **state)
{
    (void)state;
    PtxProfile c =
        counted(KERNEL("fma.rn.f32 %r5, %r0, %r0, %r0;\nsetp.lt.u32 %p0, %r0, 8;\n@%p0 add.f32 %r5, %r5, %r5;\n"
                       "bar.sync 0;\nmma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r4,%r5,%r6,%r7}, "
                       "{%r8,%r9,%r10,%r11}, {%r12,%r13}, {%r4,%r5,%r6,%r7};"));
    assert_int_equal(c.flops, 64 + 8 + 4096);
    assert_int_equal(c.mma, 1);
    assert_int_equal(c.barriers, 1);
    c = counted(KERNEL("and.b32 %r4, %r0, 7;\nmad.lo.u32 %r4, %r4, 16, %r1;\nldmatrix.sync.aligned.m8n8.x4.shared.b16 "
                       "{%r5, %r6, %r7, %r8}, [%r4];"));
    assert_int_equal(c.ldmatrix, 1);
    assert_int_equal(c.shared_requests, 4);
    assert_int_equal(c.shared_phases, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planted_bugs_are_found), cmocka_unit_test(the_first_fault_is_told),
        cmocka_unit_test(kernels_that_do_not_end),
        cmocka_unit_test(launches_are_checked),   cmocka_unit_test(what_is_not_written_is_nan),
        cmocka_unit_test(global_sectors),         cmocka_unit_test(bank_conflicts),
        cmocka_unit_test(arithmetic_and_barriers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
