/* Shapes and element types: arithmetic, text, the broadcasting convention. */
#include "graph/graph.h"
#include <stdarg.h>
#include <stdio.h>

int64_t shape_count(Shape s)
{
    int64_t n = 1;
    for (int d = 0; d < s.rank; d++) n *= s.dim[d];
    return n;
}

bool shape_eq(Shape a, Shape b)
{
    if (a.rank != b.rank) return false;
    for (int d = 0; d < a.rank; d++)
        if (a.dim[d] != b.dim[d]) return false;
    return true;
}

Shape shape_make(int rank, ...)
{
    bug_if(rank < 0 || rank > MAX_RANK, "rank %d", rank);
    Shape s = {.rank = rank};
    va_list ap;
    va_start(ap, rank);
    for (int d = 0; d < rank; d++) s.dim[d] = va_arg(ap, int64_t);
    va_end(ap);
    return s;
}

const char *shape_str(Arena *a, Shape s)
{
    char t[MAX_RANK * 21 + 3] = "[";
    size_t n = 1;
    for (int d = 0; d < s.rank; d++)
        n += (size_t)snprintf(t + n, sizeof t - n, d ? ",%lld" : "%lld", (long long)s.dim[d]);
    snprintf(t + n, sizeof t - n, "]");
    return arena_strdup(a, t);
}

int dtype_size(DType t)
{
    return t == DT_U8 ? 1 : 4;
}

const char *dtype_name(DType t)
{
    static const char *const name[] = {"f32", "i32", "u8"};
    return name[t];
}

const char *const precision_names[] = {"fp32", "tf32", "fp16", "bf16", NULL};

/* A rank-1 [C] against rank >= 2 lies along axis 1. */
static bool channel_fits(Shape c, Shape s)
{
    return c.rank == 1 && s.rank >= 2 && c.dim[0] == s.dim[1];
}

static bool equal_rank(Shape a, Shape b, Shape *out)
{
    *out = a;
    for (int d = 0; d < a.rank; d++) {
        if (a.dim[d] != b.dim[d] && a.dim[d] != 1 && b.dim[d] != 1) return false;
        out->dim[d] = a.dim[d] == 1 ? b.dim[d] : a.dim[d];
    }
    return true;
}

bool shape_broadcast(Shape a, Shape b, Shape *out)
{
    if (a.rank == b.rank) return equal_rank(a, b, out);
    bool b_is_small = b.rank == 0 || channel_fits(b, a);
    if (!b_is_small && a.rank != 0 && !channel_fits(a, b)) return false;
    *out = b_is_small ? a : b;
    return true;
}
