/* The instructions of a cubin's kernels, counted. In: a cubin, which is an ELF file with a section .text.NAME for each
 * kernel. Out: per kernel the mix of all instructions and of its main loop. No disassembler: an instruction is 16
 * bytes, its opcode the low 9 bits, and of operands only the distance of branches is read. A loop is what lies between
 * a branch and its target before it; code that was moved out of line is not counted to it. */
#include "nvrtc/stats.h"
#include "support/diag.h"
#include <elf.h>
#include <stdint.h>
#include <string.h>

enum { INSTRUCTION = 16, OPCODE_BITS = 0x1ff, OPCODE_NOP = 0x118 };

typedef struct Code {
    const unsigned char *text;
    int n; /* instructions */
} Code;

static const struct {
    const char *name;
    unsigned opcode;
} ops[] = {
#define X(name, opcode) {#name, opcode},
#include "nvrtc/sass.def"
#undef X
};

const char *sass_name(SassOp op)
{
    return op == SASS_OTHER ? "other" : ops[op].name;
}

static uint64_t word(Code c, int i, int half)
{
    uint64_t w;
    memcpy(&w, c.text + (size_t)i * INSTRUCTION + 8 * half, sizeof w);
    return w;
}

static unsigned opcode(Code c, int i)
{
    return word(c, i, 0) & OPCODE_BITS;
}

static SassOp classify(unsigned code)
{
    int k = 0;
    while (k < SASS_OTHER && ops[k].opcode != code) k++;
    return (SassOp)k;
}

static SassMix count(Code c, int begin, int end)
{
    SassMix m = {.total = end - begin};
    for (int i = begin; i < end; i++) m.op[classify(opcode(c, i))]++;
    return m;
}

/* Where a BRA goes to: a signed distance in bits 34..81, from the instruction behind it; since sm_90 it has eight more
 * bits at the low end, in bits 16..23. In units of 4 bytes. */
static int64_t target(Code c, int i, int arch)
{
    uint64_t lo = word(c, i, 0), hi = word(c, i, 1) & 0x3ffff;
    int64_t distance = (int64_t)((lo >> 34 | hi << 30) << 16) >> 16;
    if (arch >= 90) distance = distance * 256 + (int64_t)(lo >> 16 & 0xff);
    return i + 1 + distance * 4 / INSTRUCTION;
}

/* The target of a loop's branch, or -1. A branch to itself ends the code of every kernel. */
static int loop_begin(Code c, int i, int arch)
{
    if (opcode(c, i) != ops[SASS_BRA].opcode) return -1;
    int64_t t = target(c, i, arch);
    return t >= 0 && t < i ? (int)t : -1;
}

/* Which HMMA the kernel has: bit 83 of the instruction tells tf32, bit 75 a depth of 16 from one of 8. */
static void read_hmma(CudaStats *s, Code c)
{
    for (int i = 0; i < c.n && !s->hmma_flops; i++) {
        if (opcode(c, i) != ops[SASS_HMMA].opcode) continue;
        s->tf32 = word(c, i, 1) >> 19 & 1;
        s->hmma_flops = 2 * 16 * 8 * (word(c, i, 1) >> 11 & 1 ? 16 : 8);
    }
}

static bool holds_loop(Code c, int begin, int end, int arch)
{
    for (int i = begin; i < end; i++)
        if (loop_begin(c, i, arch) >= begin) return true;
    return false;
}

static bool does_more(const SassMix *a, const SassMix *b)
{
    if (a->op[SASS_HMMA] != b->op[SASS_HMMA]) return a->op[SASS_HMMA] > b->op[SASS_HMMA];
    return a->op[SASS_FFMA] > b->op[SASS_FFMA];
}

static SassMix main_loop(Code c, int arch)
{
    SassMix best = {0};
    for (int i = 0; i < c.n; i++) {
        int begin = loop_begin(c, i, arch);
        if (begin < 0 || holds_loop(c, begin, i, arch)) continue;
        SassMix m = count(c, begin, i + 1);
        if (does_more(&m, &best)) best = m;
    }
    return best;
}

/* Without the padding behind the code: NOPs, and the branch to itself in front of them. */
static Code trimmed(Code c, int arch)
{
    while (c.n && opcode(c, c.n - 1) == OPCODE_NOP) c.n--;
    if (c.n && opcode(c, c.n - 1) == ops[SASS_BRA].opcode && target(c, c.n - 1, arch) == c.n - 1) c.n--;
    return c;
}

/* ---- the file ---- */

/* 80 of sm_80: CUDA 13 keeps it in the second byte, older ones in the first. */
static int arch_of(const Elf64_Ehdr *h)
{
    return h->e_flags >> (h->e_ident[EI_ABIVERSION] >= 8 ? 8 : 0) & 0xff;
}

static bool inside(const Object *o, uint64_t offset, uint64_t size)
{
    return offset <= o->size && size <= o->size - offset;
}

static const Elf64_Ehdr *header(const Object *o)
{
    const Elf64_Ehdr *h = o->data;
    bool ok = o->size >= sizeof *h && !memcmp(h->e_ident, ELFMAG, SELFMAG) && h->e_ident[EI_CLASS] == ELFCLASS64 &&
              h->e_shentsize == sizeof(Elf64_Shdr) && h->e_shstrndx < h->e_shnum &&
              inside(o, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr));
    bug_if(!ok, "NVRTC's cubin is not an ELF file of 64 bits");
    return h;
}

CudaStats *sass_read(Arena *a, const Object *cubin, int *n)
{
    static const char prefix[] = ".text.";
    const Elf64_Ehdr *h = header(cubin);
    const char *base = cubin->data;
    const Elf64_Shdr *s = (const Elf64_Shdr *)(base + h->e_shoff), *names = &s[h->e_shstrndx];
    CudaStats *out = NEWN(a, CudaStats, h->e_shnum);
    *n = 0;
    bug_if(!inside(cubin, names->sh_offset, names->sh_size), "a cubin without names");
    for (int i = 0; i < h->e_shnum; i++) {
        bug_if(s[i].sh_name >= names->sh_size, "a section without a name");
        const char *name = base + names->sh_offset + s[i].sh_name;
        if (strncmp(name, prefix, sizeof prefix - 1) != 0) continue;
        bug_if(!inside(cubin, s[i].sh_offset, s[i].sh_size), "section %s lies outside of the cubin", name);
        Code c = {(const unsigned char *)base + s[i].sh_offset, (int)(s[i].sh_size / INSTRUCTION)};
        c = trimmed(c, arch_of(h));
        out[(*n)++] = (CudaStats){.name = arena_strdup(a, name + sizeof prefix - 1),
                                  .all = count(c, 0, c.n),
                                  .main = main_loop(c, arch_of(h))};
        read_hmma(&out[*n - 1], c);
    }
    return out;
}

/* ---- both halves ---- */

CudaStats *cuda_stats(Arena *a, const Object *cubin, const char *log, int *n)
{
    CudaStats *s = sass_read(a, cubin, n);
    for (int i = 0; i < *n; i++) bug_if(!ptxas_read(log, &s[i]), "ptxas' log does not speak of %s", s[i].name);
    return s;
}

const CudaStats *cuda_stats_find(const CudaStats *s, int n, const char *kernel)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(s[i].name, kernel)) return &s[i];
    return NULL;
}

double cuda_slots_per_hmma(const CudaStats *s)
{
    int hmma = s->main.op[SASS_HMMA];
    return hmma ? (double)s->main.total / hmma : 0;
}
