/* What is read from cubins: on a file made here, whose instructions are known one by one, and on what NVRTC makes of
 * a source whose loops are known. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "need.h"
#include "nvrtc/cubin.h"
#include "nvrtc/stats.h"
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a cubin by hand ---- */

enum { HMMA = 0x23c, FFMA_IMM = 0x423, FFMA = 0x223, LDG = 0x981, NOP = 0x918, BRA = 0x947, EXIT = 0x94d };

typedef struct Instruction {
    int opcode, to; /* to: where a BRA goes */
} Instruction;

/* An outer loop (1..8) round two inner ones: 2..3 with an HMMA, 4..7 with two FFMA; padding behind. */
static const Instruction nest[] = {{LDG, 0}, {LDG, 0},      {HMMA, 0}, {BRA, 2}, {FFMA, 0},  {FFMA_IMM, 0}, {LDG, 0},
                                   {BRA, 4}, {BRA, 1},      {BRA, 10},  {EXIT, 0}, {BRA, 11}, {NOP, 0},      {NOP, 0}};
enum { NNEST = sizeof nest / sizeof nest[0] };

static void encode(uint64_t w[2], Instruction x, int i, int arch)
{
    int64_t distance = (int64_t)(x.to - i - 1) * 4;
    w[0] = (uint64_t)x.opcode;
    w[1] = 0;
    if (x.opcode != BRA) return;
    if (arch >= 90) w[0] |= (uint64_t)(distance & 0xff) << 16, distance >>= 8;
    w[0] |= (uint64_t)distance << 34;
    w[1] |= (uint64_t)distance >> 30 & 0x3ffff;
}

typedef struct File {
    Elf64_Ehdr head;
    Elf64_Shdr section[3];
    char names[32];
    uint64_t code[NNEST][2];
} File;

static File cubin_of(const Instruction *x, int n, int arch)
{
    static const char names[] = "\0.names\0.text.k7";
    File f = {.head = {.e_shoff = offsetof(File, section),
                       .e_shentsize = sizeof(Elf64_Shdr),
                       .e_shnum = 3,
                       .e_shstrndx = 1,
                       .e_flags = (Elf64_Word)arch << 8}};
    memcpy(f.head.e_ident, ELFMAG, SELFMAG);
    f.head.e_ident[EI_CLASS] = ELFCLASS64;
    f.head.e_ident[EI_ABIVERSION] = 8;
    memcpy(f.names, names, sizeof names);
    f.section[1] = (Elf64_Shdr){.sh_name = 1, .sh_offset = offsetof(File, names), .sh_size = sizeof f.names};
    f.section[2] = (Elf64_Shdr){.sh_name = 8, .sh_offset = offsetof(File, code), .sh_size = (Elf64_Xword)n * 16};
    for (int i = 0; i < n; i++) encode(f.code[i], x[i], i, arch);
    return f;
}

static CudaStats read_one(Arena *a, const Instruction *x, int n, int arch)
{
    File f = cubin_of(x, n, arch);
    int kernels;
    CudaStats *s = sass_read(a, &(Object){&f, sizeof f}, &kernels);
    assert_int_equal(kernels, 1);
    assert_string_equal(s->name, "k7");
    return *s;
}

static void loops_and_mix(void **state)
{
    (void)state;
    Arena *a = arena_new();
    for (int arch = 80; arch <= 120; arch += 10) {
        CudaStats s = read_one(a, nest, NNEST, arch);
        assert_int_equal(s.all.total, 11); /* without the branch to itself and NOPs */
        assert_int_equal(s.all.op[SASS_LDG], 3);
        assert_int_equal(s.all.op[SASS_FFMA], 2); /* whatever its operands are */
        assert_int_equal(s.all.op[SASS_BRA], 4);
        assert_int_equal(s.all.op[SASS_OTHER], 1);
        assert_int_equal(s.main.total, 2); /* HMMA goes before FFMA, inner before outer */
        assert_float_equal(cuda_slots_per_hmma(&s), 2, 0);
    }
    arena_free(a);
}

static void without_tensor_cores(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Instruction x[NNEST];
    memcpy(x, nest, sizeof x);
    x[2].opcode = LDG;
    CudaStats s = read_one(a, x, NNEST, 80);
    assert_int_equal(s.main.total, 4);
    assert_int_equal(s.main.op[SASS_FFMA], 2);
    assert_float_equal(cuda_slots_per_hmma(&s), 0, 0);
    s = read_one(a, x, 2, 80); /* no branch at all */
    assert_int_equal(s.main.total, 0);
    arena_free(a);
}

static void what_ptxas_says(void **state)
{
    (void)state;
    static const char log[] = "ptxas info    : 0 bytes gmem\n"
                              "ptxas info    : Compiling entry function 'k10' for 'sm_80'\n"
                              "ptxas         .     96 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n"
                              "ptxas info    : Used 255 registers, used 1 barriers, 96 bytes cumulative stack size, "
                              "4096 bytes smem, 360 bytes cmem[0]\n"
                              "ptxas info    : Compiling entry function 'k1' for 'sm_80'\n"
                              "ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
                              "ptxas info    : Used 14 registers, used 0 barriers, 360 bytes cmem[0]\n";
    CudaStats s = {.name = "k10"}, t = {.name = "k1"}, none = {.name = "k"};
    assert_true(ptxas_read(log, &s) && ptxas_read(log, &t));
    assert_int_equal(s.registers, 255);
    assert_int_equal(s.barriers, 1);
    assert_int_equal(s.stack, 96);
    assert_int_equal(s.spill_st, 8);
    assert_int_equal(s.spill_ld, 12);
    assert_int_equal(s.shared, 4096);
    assert_int_equal(t.registers, 14);
    assert_int_equal(t.shared, 0);
    assert_false(ptxas_read(log, &none));
}

/* ---- NVRTC's cubins ---- */

static const char source[] =
    "#define MMA(d) asm volatile(\"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},\" \\\n"
    "    \"{%4,%4,%4,%4},{%4,%4},{%0,%1,%2,%3};\" : \"+f\"(d[0]), \"+f\"(d[1]), \"+f\"(d[2]), \"+f\"(d[3]) : \"r\"(x))\n"
    "extern \"C\" __global__ void tensor(float *out, const int *in, int n)\n"
    "{\n"
    "    float d[4] = {0, 0, 0, 0}, e[4] = {0, 0, 0, 0};\n"
    "    #pragma unroll 1\n"
    "    for (int i = 0; i < n; i++) {\n"
    "        int x = in[i * 32 + threadIdx.x];\n"
    "        MMA(d); MMA(e); MMA(d);\n"
    "    }\n"
    "    int x = in[0];\n"
    "    MMA(d);\n"
    "    out[threadIdx.x] = d[0] + d[1] + d[2] + d[3] + e[0] + e[1] + e[2] + e[3];\n"
    "}\n"
    "extern \"C\" __global__ void tf32(float *out, int x)\n"
    "{\n"
    "    float d[4] = {0, 0, 0, 0};\n"
    "    asm volatile(\"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%4,%4,%4},{%4,%4},\"\n"
    "                 \"{%0,%1,%2,%3};\" : \"+f\"(d[0]), \"+f\"(d[1]), \"+f\"(d[2]), \"+f\"(d[3]) : \"r\"(x));\n"
    "    out[threadIdx.x] = d[0] + d[1] + d[2] + d[3];\n"
    "}\n"
    "extern \"C\" __global__ void simt(float *out, const float *in, int n, int m)\n"
    "{\n"
    "    __shared__ float s[256];\n"
    "    float d = 0;\n"
    "    s[threadIdx.x] = in[threadIdx.x];\n"
    "    __syncthreads();\n"
    "    #pragma unroll 1\n"
    "    for (int i = 0; i < n; i++) {\n"
    "        #pragma unroll 1\n"
    "        for (int k = 0; k < m; k++)\n"
    "            d = fmaf(s[k], in[i + k], d), d = fmaf(s[k + 1], d, d);\n"
    "        out[i] = d;\n"
    "    }\n"
    "}\n";

static void read_compiled(const char *arch)
{
    Arena *a = arena_new();
    Object cubin, ptx;
    Buf log = {0};
    int n;
    cuda_compile(source, arch, &cubin, &ptx, &log);
    const CudaStats *s = cuda_stats(a, &cubin, log.s, &n);
    assert_int_equal(n, 3);
    const CudaStats *tensor = cuda_stats_find(s, n, "tensor"), *simt = cuda_stats_find(s, n, "simt");
    const CudaStats *tf32 = cuda_stats_find(s, n, "tf32");
    assert_true(tensor && simt && tf32);
    assert_true(tensor->hmma_flops == 4096 && !tensor->tf32);
    assert_true(tf32->hmma_flops == 2048 && tf32->tf32);
    assert_int_equal(simt->hmma_flops, 0);
    assert_int_equal(tensor->all.op[SASS_HMMA], 4);
    assert_int_equal(tensor->main.op[SASS_HMMA], 3);
    assert_int_equal(tensor->main.op[SASS_LDG], 1);
    assert_true(cuda_slots_per_hmma(tensor) >= 5.0 / 3 && cuda_slots_per_hmma(tensor) < 8);
    assert_int_equal(simt->main.op[SASS_FFMA], 2); /* the inner loop: the store stays outside */
    assert_int_equal(simt->main.op[SASS_STG], 0);
    assert_int_equal(simt->main.op[SASS_LDS] >= 1, 1);
    assert_int_equal(simt->all.op[SASS_BAR], 1);
    assert_int_equal(simt->shared, 1024);
    assert_int_equal(simt->barriers, 1);
    assert_true(simt->registers > 8 && simt->registers < 64);
    free(cubin.data);
    free(ptx.data);
    buf_free(&log);
    arena_free(a);
}

static void compiled(void **state)
{
    (void)state;
    need(cuda_missing());
    for (int i = 0; machine_cuda_names[i]; i++) read_compiled(machine_cuda_names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loops_and_mix), cmocka_unit_test(without_tensor_cores),
                                       cmocka_unit_test(what_ptxas_says), cmocka_unit_test(compiled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
