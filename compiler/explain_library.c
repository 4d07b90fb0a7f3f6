/* What cuDNN computes of a program, what that costs in copies, and why other convolutions stay with kernels of ours:
 * the table that a person reads. */
#include "schedule.h"
#include "stages.h"
#include <string.h>

static double bytes_of(const Library *lib, int t)
{
    return (double)(lib->tensor[t].count * ltype_size(schedule_library_type(lib, t)));
}

typedef struct Copies {
    int n, kept;
    double bytes; /* read and written in a run */
} Copies;

/* A copy is read once and written once more than the tensor itself would be. */
static void add_copies(Copies *c, const Library *lib)
{
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++) {
        const LibraryTensor *x = &lib->tensor[t];
        if (!x->value || !x->copied) continue;
        c->kept += x->kept;
        c->n += !x->kept;
        if (!x->kept) c->bytes += 2 * bytes_of(lib, t);
    }
}

static const char *copied_names(Arena *a, const Library *lib)
{
    static const char *const name[] = {"x", "w", "y"};
    const char *s = "";
    for (int t = 0; t < CUDNN_MOST_TENSORS; t++)
        if (lib->tensor[t].value && lib->tensor[t].copied)
            s = arena_printf(a, "%s%s%s", s, t < 3 ? name[t] : "z", lib->tensor[t].kept ? "(once)" : "");
    return *s ? s : "-";
}

static void print_operations(Buf *b, const Schedule *s)
{
    Arena *a = arena_new();
    buf_printf(b, "%4s  %-32s %10s  %-12s %s\n", "#", "operation", "scratch", "copied", "layers");
    for (int i = 0; i < s->groups->group.n; i++) {
        const Library *lib = s->group[i].library;
        char name[64];
        if (!lib) continue;
        cudnn_conv_name(&lib->conv, name, sizeof name);
        buf_printf(b, "%4d  %-32s %7.2f MB  %-12s %s\n", i, name, 1e-6 * (double)lib->scratch,
                   copied_names(a, lib), group_layers(a, s->groups->group.v[i]));
    }
    arena_free(a);
}

/* Every reason once, with the groups that it keeps: all of them (whole), or their elementwise ends. */
static void print_reasons(Buf *b, const Schedule *s, bool whole)
{
    Arena *a = arena_new();
    const char *title = whole ? "convolutions by kernels of ours, because of cuDNN\n"
                              : "elementwise ends by kernels of ours, because of cuDNN\n";
    int n = s->groups->group.n;
    const char **why = NEWN(a, const char *, n + 1);
    for (int i = 0; i < n; i++)
        why[i] = whole ? s->group[i].refused : s->group[i].library ? s->group[i].library->less : NULL;
    for (int i = 0; i < n; i++) {
        if (!why[i]) continue;
        const char *reason = why[i];
        buf_printf(b, "%s  %s\n     ", title, reason);
        title = "";
        for (int k = i; k < n; k++) {
            if (!why[k] || strcmp(why[k], reason) != 0) continue;
            buf_printf(b, " #%d %s", k, s->groups->group.v[k]->anchor->name);
            buf_puts(b, s->groups->group.v[k]->anchor->is_grad ? "'" : "");
            if (k > i) why[k] = NULL;
        }
        buf_putc(b, '\n');
    }
    arena_free(a);
}

void schedule_explain_library(Buf *b, const Schedule *s)
{
    Copies c = {0};
    int ours = 0, theirs = 0;
    for (int i = 0; i < s->groups->group.n; i++) {
        ours += s->group[i].refused != NULL;
        theirs += s->group[i].library != NULL;
        if (s->group[i].library) add_copies(&c, s->group[i].library);
    }
    size_t v = cudnn_version();
    if (v) buf_printf(b, "cuDNN %zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
    buf_printf(b, "%s computes %d of %d convolutions; %d copies a run move %.2f MB, %d of weights are made once\n",
               v ? "" : "cuDNN", theirs, ours + theirs, c.n, 1e-6 * c.bytes, c.kept);
    if (theirs) print_operations(b, s);
    print_reasons(b, s, true);
    print_reasons(b, s, false);
}
