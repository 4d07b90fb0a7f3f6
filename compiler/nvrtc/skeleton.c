/* Skeletons -> CUDA C: a template with definitions in front of it.
 * In: a Func with a Skeleton. Out: text. Rule: every name that is defined for a kernel is undefined behind it, so that
 * one module holds any number of them; what a template declares is in a namespace of the kernel's own. */
#include "nvrtc/skeleton.h"
#include "nvrtc/emit.h"
#include "nvrtc/text.h"

static const char *const own_names[] = {"KERNEL", "SPACE", "PARAMETERS", "ARGUMENTS", "A", "B", "TILE_SUMS"};
enum { NOWN = sizeof own_names / sizeof own_names[0] };

static void define_own(Buf *out, const Func *f)
{
    const Skeleton *k = f->skeleton;
    buf_printf(out, "#define KERNEL %s\n#define SPACE %s_space\n#define PARAMETERS ", f->name, f->name);
    cuda_parameters(out, f);
    buf_puts(out, "\n#define ARGUMENTS ");
    for (int i = 0; i < f->nargs; i++) buf_printf(out, "%sa%d", i ? ", " : "", i);
    buf_printf(out, "\n#define A a%d\n#define B a%d\n", k->a, k->b);
    if (k->sums >= 0) buf_printf(out, "#define TILE_SUMS a%d\n", k->sums);
}

static void emit_skeleton(Buf *out, const Func *f)
{
    const Skeleton *k = f->skeleton;
    define_own(out, f);
    for (int i = 0; i < k->define.n; i++)
        buf_printf(out, "#define %s (%lld)\n", k->define.v[i].name, (long long)k->define.v[i].value);
    buf_puts(out, "namespace SPACE {\n");
    cuda_emit_tail(out, k->tail);
    buf_puts(out, "}\n");
    buf_puts(out, text_template(k->name));
    for (int i = 0; i < NOWN; i++) buf_printf(out, "#undef %s\n", own_names[i]);
    for (int i = 0; i < k->define.n; i++) buf_printf(out, "#undef %s\n", k->define.v[i].name);
}

void cuda_prelude(Buf *out)
{
    buf_puts(out, text_prelude);
}

void cuda_kernels(Buf *out, Func *const *f, int n)
{
    for (int i = 0; i < n; i++) {
        if (i) buf_putc(out, '\n');
        (f[i]->skeleton ? emit_skeleton : cuda_emit)(out, f[i]);
    }
}

Geometry cuda_launch(const Func *f)
{
    const Skeleton *k = f->skeleton;
    if (k) return (Geometry){{k->grid[0], k->grid[1], k->grid[2]}, {k->threads, 1, 1}, (size_t)k->shared};
    unsigned blocks = (unsigned)((f->ntasks + CUDA_TASKS - 1) / CUDA_TASKS);
    return (Geometry){{blocks, 1, 1}, {CUDA_LANES, CUDA_TASKS, 1}, 0};
}
