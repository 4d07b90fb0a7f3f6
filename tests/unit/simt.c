#include "simt.h"
#include "nvrtc/emit.h"
#include "support/diag.h"
#include "support/file.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stand-ins. A row of lanes is one task; rows never meet, so that one row at a time is enough. Every __syncwarp counts
 * a lane out and goes on with another one that is behind. */
static const char prelude[] =
    "#include <math.h>\n#include <stdint.h>\n#include <stdlib.h>\n#include <string.h>\n#include "
    "<ucontext.h>\n"
    "#define __global__\n#define __launch_bounds__(n)\n#define __shared__ static\n"
    "struct Dim { int x, y, z; };\n"
    "static Dim threadIdx, blockIdx;\n"
    "enum { LANES = 16, STACK = 256 << 10 };\n"
    "static ucontext_t home, fiber[LANES];\n"
    "static char *stack[LANES];\n"
    "static int passed[LANES], over[LANES], lane_now;\n"
    "static unsigned seed = 1;\n"
    "static void (*body)(void *const *);\nstatic void *const *body_args;\n"
    "static float __int_as_float(int x) { float f; memcpy(&f, &x, 4); return f; }\n"
    "static double __longlong_as_double(long long x) { double f; memcpy(&f, &x, 8); return f; }\n"
    "static float f32_of_f16(unsigned short h) { _Float16 f; memcpy(&f, &h, 2); return f; }\n"
    "static unsigned short f16_of_f32(float x) { _Float16 f = x; unsigned short h; memcpy(&h, &f, 2); return h; }\n"
    "static float f32_of_bf16(unsigned short h) { return __int_as_float(h << 16); }\n"
    "static unsigned short bf16_of_f32(float x) { /* the nearest of two neighbours */\n"
    "    if (x != x) return 0x7fff;\n"
    "    unsigned u; memcpy(&u, &x, 4); unsigned short lo = u >> 16, hi = lo + 1;\n"
    "    double a = f32_of_bf16(lo), b = (hi & 0x7fff) == 0x7f80 ? copysign(0x1p128, x) : f32_of_bf16(hi);\n"
    "    if (u << 16 == 0) return lo;\n"
    "    double to_lo = fabs(x - a), to_hi = fabs(b - x);\n"
    "    return to_lo < to_hi || (to_lo == to_hi && !(lo & 1)) ? lo : hi;\n"
    "}\n"
    "static void __syncwarp(unsigned) { passed[lane_now]++; swapcontext(&fiber[lane_now], &home); "
    "}\n"
    "static void enter() { body(body_args); over[lane_now] = 1; swapcontext(&fiber[lane_now], "
    "&home); }\n"
    "static void run_row() {\n"
    "    for (int i = 0; i < LANES; i++) {\n"
    "        if (!stack[i]) stack[i] = (char *)malloc(STACK);\n"
    "        getcontext(&fiber[i]); fiber[i].uc_stack.ss_sp = stack[i]; fiber[i].uc_stack.ss_size "
    "= STACK;\n"
    "        fiber[i].uc_link = &home; makecontext(&fiber[i], enter, 0); passed[i] = over[i] = 0;\n"
    "    }\n"
    "    for (;;) { /* the lanes that have passed the fewest barriers, in random order */\n"
    "        int least = 1 << 30, n = 0, pick[LANES];\n"
    "        for (int i = 0; i < LANES; i++) if (!over[i] && passed[i] < least) least = "
    "passed[i];\n"
    "        for (int i = 0; i < LANES; i++) if (!over[i] && passed[i] == least) pick[n++] = i;\n"
    "        if (!n) return;\n"
    "        seed = seed * 1664525u + 1013904223u;\n"
    "        lane_now = pick[(seed >> 16) % n]; threadIdx.x = lane_now;\n"
    "        swapcontext(&home, &fiber[lane_now]);\n"
    "    }\n"
    "}\n"
    "static void run_tasks(void (*b)(void *const *), void *const *args, int64_t begin, int64_t "
    "end) {\n"
    "    body = b; body_args = args;\n"
    "    for (int64_t t = begin; t < end; t++) { blockIdx.x = (int)(t / 8); threadIdx.y = (int)(t "
    "% 8); run_row(); }\n"
    "}\n";

/* extern "C" void run_k00(args, begin, end): unpacks the arguments for every lane. */
static void emit_entry(Buf *b, const Func *f)
{
    static const char *const types[] = {"float",         "double", "int",            "long long",
                                        "unsigned char", "bool",   "unsigned short", "unsigned short"};
    buf_printf(b, "static void call_%s(void *const *a) { %s(", f->name, f->name);
    for (int i = 0; i < f->nargs; i++)
        buf_printf(b, "%s(%s *)a[%d]", i ? ", " : "", types[f->buf.v[i]->type], i);
    buf_printf(b,
               "); }\nextern \"C\" void run_%s(void *const *a, int64_t begin, int64_t end) "
               "{ run_tasks(call_%s, a, begin, end); }\n",
               f->name, f->name);
}

KernelFn *simt_load(Func *const *f, int n)
{
    static Arena *tables; /* they stay, and stay reachable */
    Arena *a = arena_new();
    Buf text = {0};
    char *err, *dir = file_temp_dir(a), *cpp = arena_printf(a, "%s/k.cpp", dir),
               *so = arena_printf(a, "%s/k.so", dir);
    buf_puts(&text, prelude);
    for (int i = 0; i < n; i++) {
        cuda_emit(&text, f[i]);
        emit_entry(&text, f[i]);
    }
    bug_if(!file_write_atomic(cpp, text.s, text.n, 0600), "cannot write %s", cpp);
    char *argv[] = {"g++", "-O1", "-w", "-ffp-contract=off", "-mfma", "-shared", "-fPIC", "-o",
                    so,    cpp,   NULL};
    bug_if(file_run(a, argv, &err) != 0, "g++: %s", err);
    void *lib = dlopen(so, RTLD_NOW);
    bug_if(!lib, "%s", dlerror());
    if (!tables) tables = arena_new();
    KernelFn *fn = NEWN(tables, KernelFn, n + 1);
    for (int i = 0; i < n; i++)
        *(void **)&fn[i] = dlsym(lib, arena_printf(a, "run_%s", f[i]->name));
    file_remove_tree(dir);
    buf_free(&text);
    arena_free(a);
    return fn;
}
