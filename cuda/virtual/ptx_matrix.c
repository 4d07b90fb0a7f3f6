/* Matrices across a warp: ldmatrix, stmatrix, mma.sync. Which lane holds which element: PTX ISA, "Matrix Fragments for
 * mma.m16n8k..." and "ldmatrix". Products of halves are exact in float32; they are added in the order of k. */
#include "ptx_handlers.h"
#include "ptx_memory.h"
#include "ptx_number.h"
#include "ptx_shadow.h"
#include <string.h>

/* ---- ldmatrix, stmatrix: 8x8 elements of 16 bits; lanes 8i .. 8i+7 hold the addresses of the rows of matrix i ---- */

enum { TRANSPOSED = 1 };

static bool whole_warp(Warp *w)
{
    if (w->live != ~0u) ptx_fault(w, first_lane(w->mask), "needs all 32 lanes of the warp; %#x are there", w->live);
    return warp_meet(w, ~0u);
}

static uint32_t address_lanes(const Inst *in)
{
    return in->vec == 4 ? ~0u : (1u << 8 * in->vec) - 1;
}

/* Each lane reads one word of a row, or, transposed, half of two. */
static void shadow_matrix(Warp *w, const Inst *in, const uint64_t *at)
{
    for (int i = 0; i < 8 * in->vec; i++) {
        for (int k = 0; k < 4; k++) {
            int r = i % 8;
            shadow_load(w, in->kind & TRANSPOSED ? 8 * k + r / 2 : 4 * r + k, at[i] + (unsigned)(4 * k), 4);
            if (in->kind & TRANSPOSED) shadow_load(w, 8 * k + 4 + r / 2, at[i] + (unsigned)(4 * k), 4);
        }
    }
}

static void run_ldmatrix(Warp *w, const Inst *in)
{
    uint64_t at[LANES];
    uint16_t x[8][8];
    if (!whole_warp(w)) return;
    resolve(w, in, &(Access){address_lanes(in), 16, false}, at);
    if (w->block->shadow) shadow_matrix(w, in, at);
    w->count.ldmatrix++;
    for (int i = 0; i < in->vec; i++) {
        uint32_t *d = WORD(w, in->more[i]);
        for (int r = 0; r < 8; r++) memcpy(x[r], (const void *)(uintptr_t)at[8 * i + r], 16);
        for (int l = 0; l < LANES; l++) {
            int p = l / 4, q = l % 4 * 2;
            d[l] =
                in->kind & TRANSPOSED ? x[q][p] | (uint32_t)x[q + 1][p] << 16 : x[p][q] | (uint32_t)x[p][q + 1] << 16;
        }
    }
}

static void run_stmatrix(Warp *w, const Inst *in)
{
    uint64_t at[LANES];
    uint16_t x[8][8];
    if (!whole_warp(w)) return;
    resolve(w, in, &(Access){address_lanes(in), 16, true}, at);
    for (int i = 0; i < in->vec; i++) {
        const uint32_t *d = WORD(w, in->more[i]);
        for (int l = 0; l < LANES; l++) {
            int p = l / 4, q = l % 4 * 2;
            *(in->kind & TRANSPOSED ? &x[q][p] : &x[p][q]) = (uint16_t)d[l];
            *(in->kind & TRANSPOSED ? &x[q + 1][p] : &x[p][q + 1]) = (uint16_t)(d[l] >> 16);
        }
        for (int r = 0; r < 8; r++) {
            if (w->block->shadow) shadow_store(w, 4 * r, at[8 * i + r], 16, x[r]);
            memcpy((void *)(uintptr_t)at[8 * i + r], x[r], 16);
        }
    }
}

/* ---- mma.sync.m16n8k: D[16,8] = A[16,k] B[k,8] + C[16,8] ---- */

typedef enum Element { ELEMENT_F16, ELEMENT_BF16, ELEMENT_TF32 } Element;
enum { M = 16, N = 8, MOST_K = 16, WIDE_RESULT = 8 }; /* Inst.kind: Element, and whether C and D are float32 */

/* One element of every lane's register: the only one (tf32), or the lower or upper half. */
static void widen(Element e, const uint32_t *word, int half, float *x)
{
    const int by = 16 * half;
    if (e == ELEMENT_F16)
        for (int l = 0; l < LANES; l++) x[l] = half_float(word[l] >> by & 0xffff);
    else if (e == ELEMENT_BF16)
        for (int l = 0; l < LANES; l++) x[l] = brain_float(word[l] >> by & 0xffff);
    else
        for (int l = 0; l < LANES; l++) x[l] = bits_float(word[l] & 0xffffe000u); /* the lower bits are not read */
}

/* Register r of A holds row lane/4 + 8 (r mod 2), a pair of columns (tf32: one); behind two registers come the next 8
 * columns (4). */
static void read_a(const Warp *w, const Inst *in, Element e, int k, float a[M][MOST_K])
{
    int per = e == ELEMENT_TF32 ? 1 : 2, registers = M * k / (LANES * per);
    for (int r = 0; r < registers; r++) {
        for (int h = 0; h < per; h++) {
            float x[LANES];
            widen(e, WORD(w, in->more[4 + r]), h, x);
            for (int l = 0; l < LANES; l++) a[l / 4 + 8 * (r & 1)][l % 4 * per + h + 4 * per * (r >> 1)] = x[l];
        }
    }
}

/* Register r of B: rows like A's columns, column lane/4. */
static void read_b(const Warp *w, const Inst *in, Element e, int k, float b[MOST_K][N])
{
    int per = e == ELEMENT_TF32 ? 1 : 2, registers = N * k / (LANES * per), first = 4 + M * k / (LANES * per);
    for (int r = 0; r < registers; r++) {
        for (int h = 0; h < per; h++) {
            float x[LANES];
            widen(e, WORD(w, in->more[first + r]), h, x);
            for (int l = 0; l < LANES; l++) b[l % 4 * per + h + 4 * per * r][l / 4] = x[l];
        }
    }
}

/* C and D: rows lane/4 and lane/4 + 8, columns 2 (lane mod 4) and the next; float32: a register each, else in pairs. */
static void read_c(const Warp *w, const Inst *in, int first, float c[M][N])
{
    bool wide = in->kind & WIDE_RESULT;
    for (int r = 0; r < 4; r++) {
        const uint32_t *x = WORD(w, in->more[first + (wide ? r : r / 2)]);
        for (int l = 0; l < LANES; l++)
            c[l / 4 + 8 * (r >> 1)][l % 4 * 2 + (r & 1)] =
                wide ? bits_float(x[l]) : half_float(x[l] >> 16 * (r & 1) & 0xffff);
    }
}

static void write_d(Warp *w, const Inst *in, float c[M][N])
{
    bool wide = in->kind & WIDE_RESULT;
    for (int r = 0; r < (wide ? 4 : 2); r++) {
        uint32_t *d = WORD(w, in->more[r]);
        for (int l = 0; l < LANES; l++) {
            int i = l / 4 + 8 * (wide ? r >> 1 : r), j = l % 4 * 2 + (wide ? r & 1 : 0);
            d[l] = wide ? float_bits(c[i][j]) : float_half(c[i][j]) | float_half(c[i][j + 1]) << 16;
        }
    }
}

static void multiply(int k, float a[M][MOST_K], float b[MOST_K][N], float c[M][N])
{
    for (int i = 0; i < M; i += 4) { /* four rows at once: four independent chains of additions */
        float sum[4][N];
        memcpy(sum, c[i], sizeof sum);
        for (int x = 0; x < k; x++)
            for (int r = 0; r < 4; r++)
                for (int j = 0; j < N; j++) sum[r][j] += a[i + r][x] * b[x][j];
        memcpy(c[i], sum, sizeof sum);
    }
}

/* more: D in four places, A, B, C */
static void run_mma(Warp *w, const Inst *in)
{
    float a[M][MOST_K], b[MOST_K][N], c[M][N];
    Element e = (Element)(in->kind & 7);
    int k = in->vec, first_c = 4 + (M + N) * k / (LANES * (e == ELEMENT_TF32 ? 1 : 2));
    if (!whole_warp(w)) return;
    read_a(w, in, e, k, a);
    read_b(w, in, e, k, b);
    read_c(w, in, first_c, c);
    multiply(k, a, b, c);
    write_d(w, in, c);
    w->count.mma++;
    w->count.flops += ptx_matrix_flops(in) * LANES;
}

unsigned ptx_matrix_flops(const Inst *in)
{
    return in->fn == run_mma ? 2u * M * N * in->vec / LANES : 0;
}

/* ---- builders ---- */

/* {ld|st}matrix.sync.aligned.m8n8.x{1,2,4}{.trans}{.shared}.b16 */
static void build_matrix(Parse *p, bool load)
{
    static const char *const counts[] = {"x1", "x2", "x4", NULL};
    bool good = part_take(p, "sync") && part_take(p, "aligned") && part_take(p, "m8n8") && part_take(p, "b16");
    int n = part_choice(p, counts);
    if (!good || n < 0) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    bool trans = part_take(p, "trans"), shared = part_take(p, "shared") || part_take(p, "shared::cta");
    parts_all_known(p);
    want_operands(p, 2);
    const Operand *value = &p->operand[!load], *address = &p->operand[load];
    if ((value->kind == OPERAND_VECTOR ? value->n : 1) != 1 << n) scan_fail(&p->lex, "%s: %d registers", p->op, 1 << n);
    Inst *in = inst_new(p, load ? run_ldmatrix : run_stmatrix);
    in->vec = (uint8_t)(1 << n);
    in->kind = trans ? TRANSPOSED : 0;
    in->space = shared ? SPACE_SHARED : SPACE_GENERIC;
    in->more = pool_alloc(&p->m->pool, sizeof *in->more << n);
    inst_more(p, in, 0, value, REG_WORD, load);
    inst_address(p, in, address);
}

static void build_ldmatrix(Parse *p)
{
    build_matrix(p, true);
}

static void build_stmatrix(Parse *p)
{
    build_matrix(p, false);
}

static const struct {
    const char *op;
    uint8_t element, k, wide;
} mma_forms[] = {{"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", ELEMENT_F16, 16, WIDE_RESULT},
                 {"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", ELEMENT_F16, 8, WIDE_RESULT},
                 {"mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16", ELEMENT_F16, 16, 0},
                 {"mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16", ELEMENT_F16, 8, 0},
                 {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", ELEMENT_BF16, 16, WIDE_RESULT},
                 {"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", ELEMENT_BF16, 8, WIDE_RESULT},
                 {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", ELEMENT_TF32, 8, WIDE_RESULT},
                 {"mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32", ELEMENT_TF32, 4, WIDE_RESULT}};

static void fragment(Parse *p, Inst *in, int operand, int at, int want)
{
    const Operand *o = &p->operand[operand];
    if ((o->kind == OPERAND_VECTOR ? o->n : 1) != want)
        scan_fail(&p->lex, "%s: operand %d has %d registers", p->op, operand + 1, want);
    inst_more(p, in, at, o, REG_WORD, operand == 0);
}

static void build_mma(Parse *p)
{
    size_t f = 0, n = sizeof mma_forms / sizeof mma_forms[0];
    while (f < n && strcmp(mma_forms[f].op, p->op) != 0) f++;
    if (f == n) scan_fail(&p->lex, "unknown instruction '%s'", p->op);
    want_operands(p, 4);
    int k = mma_forms[f].k, per = mma_forms[f].element == ELEMENT_TF32 ? 1 : 2, results = mma_forms[f].wide ? 4 : 2;
    int na = M * k / (LANES * per), nb = N * k / (LANES * per);
    Inst *in = inst_new(p, run_mma);
    in->vec = (uint8_t)k;
    in->kind = (uint8_t)(mma_forms[f].element | mma_forms[f].wide);
    in->more = pool_alloc(&p->m->pool, sizeof *in->more * 16);
    fragment(p, in, 0, 0, results);
    fragment(p, in, 1, 4, na);
    fragment(p, in, 2, 4 + na, nb);
    fragment(p, in, 3, 4 + na + nb, results);
}

const Builder build_matrices[] = {
    {"ldmatrix", build_ldmatrix}, {"stmatrix", build_stmatrix}, {"mma", build_mma}, {NULL, NULL}};
