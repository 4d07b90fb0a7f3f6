/* One number or a few against the counts and rules of runtime/data/attr.h.
 * In: a value. Out: AttrVal.list as it was written; the runtime widens what stands for two.
 * Rule: what is refused here the runtime refuses as well (runtime/data/transform_parse.c). */
#include "spec/numbers.h"
#include "../../runtime/data/attr.h"
#include <math.h>
#include <string.h>

enum { MOST = 4 };

const char *numbers_wanted(Arena *a, const AttrDef *d)
{
    const char *s = "";
    int last = 0;
    for (int n = 1; n <= MOST; n++)
        if (d->counts >> n & 1) last = n;
    for (int n = 1; n <= last; n++) {
        if (!(d->counts >> n & 1)) continue;
        s = arena_printf(a, "%s%s%d", s, !*s ? "" : n == last ? " or " : ", ", n);
    }
    return arena_printf(a, "%s %s%snumber%s%s", s, d->rules & RT_ODD ? "odd " : "",
                        d->rules & RT_WHOLE ? "whole " : "", last == 1 ? "" : "s",
                        d->rules & RT_RANDOM ? ", or random" : "");
}

static const char *shown(Arena *a, double x)
{
    return x == floor(x) && fabs(x) < 1e15 ? arena_printf(a, "%.0f", x) : val_number(a, x);
}

static const char *range(Arena *a, const AttrDef *d)
{
    return arena_printf(a, "%s..%s", shown(a, d->min), shown(a, d->max));
}

static bool is_number(const Val *v)
{
    return v->kind == VAL_INT || v->kind == VAL_FLOAT;
}

static double number(const Val *v)
{
    return v->kind == VAL_INT ? (double)v->i : v->f;
}

static NumbersFault said(const Val *v, bool whole, const char *name, const char *rule,
                         const char *got)
{
    diag_error(v->loc, whole ? "S015" : "S016", "'%s' must be %s, got %s", name, rule, got);
    return NUMBERS_SAID;
}

/* x[i] on its own and against its neighbour. */
static NumbersFault check(Arena *a, const AttrDef *d, const Val *part, const double *x, int i,
                          int n)
{
    bool whole = d->rules & RT_WHOLE, odd = d->rules & RT_ODD;
    bool alone = n == 1 && d->rules & (RT_SPAN | RT_AROUND);
    const char *got = val_text(a, part);
    if (!(x[i] >= d->min && x[i] <= d->max)) return said(part, whole, d->name, range(a, d), got);
    if (odd && fmod(x[i], 2) != 1) return said(part, whole, d->name, "odd", got);
    if (alone && x[i] < 0) return said(part, whole, d->name, "at least 0 if it is one number", got);
    if (d->rules & RT_ORDERED && i % 2 && x[i] < x[i - 1])
        return said(part, whole, d->name, "in order, the smaller number first",
                    arena_printf(a, "%s,%s", shown(a, x[i - 1]), shown(a, x[i])));
    return NUMBERS_FINE;
}

NumbersFault numbers_set(Arena *a, const AttrDef *d, const Val *v, AttrVal *out)
{
    if (v->kind == VAL_WORD && d->rules & RT_RANDOM && !strcmp(v->s, "random")) {
        out->s = "random";
        return NUMBERS_FINE;
    }
    bool list = v->kind == VAL_LIST;
    int n = list ? v->list.n : 1;
    if ((!list && !is_number(v)) || n > MOST || !(d->counts >> n & 1)) return NUMBERS_KIND;
    double *x = NEWN(a, double, n);
    for (int i = 0; i < n; i++) {
        const Val *part = list ? &v->list.v[i] : v;
        if (part->kind != VAL_INT && (d->rules & RT_WHOLE || part->kind != VAL_FLOAT))
            return NUMBERS_KIND;
        x[i] = number(part);
        NumbersFault fault = check(a, d, part, x, i, n);
        if (fault) return fault;
    }
    out->list = x;
    out->nlist = n;
    return NUMBERS_FINE;
}

const char *numbers_text(Arena *a, const AttrVal *v)
{
    if (!v->list) return v->s ? v->s : "None";
    if (v->nlist == 1) return shown(a, v->list[0]);
    const char *s = "(";
    for (int i = 0; i < v->nlist; i++)
        s = arena_printf(a, "%s%s%s", s, i ? "," : "", shown(a, v->list[i]));
    return arena_printf(a, "%s)", s);
}
