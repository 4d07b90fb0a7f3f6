/* "RandomCrop(28, padding=2)" -> an operator with its arguments in their places.
 *
 * in:  text of a description (or of a flag), and the table
 * rule: arguments by place, then by name, as the table says; what was not given has its default.
 * not here: what an operator does.
 */
#include "transform.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Parser {
    const char *at;
} Parser;

static void skip_space(Parser *p)
{
    while (isspace((unsigned char)*p->at)) p->at++;
}

static bool take(Parser *p, char c)
{
    skip_space(p);
    if (*p->at != c) return false;
    p->at++;
    return true;
}

static bool word(Parser *p, char *buf, size_t n)
{
    skip_space(p);
    size_t len = 0;
    while (isalnum((unsigned char)p->at[len]) || p->at[len] == '_') len++;
    if (len == 0 || len >= n) return false;
    memcpy(buf, p->at, len);
    buf[len] = 0;
    p->at += len;
    return true;
}

static bool number(Parser *p, double *out)
{
    skip_space(p);
    char *end;
    *out = strtod(p->at, &end);
    if (end == p->at) return false;
    p->at = end;
    return true;
}

/* ---- one argument ---- */

static bool is_fine(const RtAttr *a, const double *v, int n)
{
    if (!(a->counts >> n & 1)) return false;
    for (int i = 0; i < n; i++) {
        if (!(v[i] >= a->least && v[i] <= a->most)) return false;
        if (a->rules & RT_WHOLE && v[i] != floor(v[i])) return false;
        if (a->rules & RT_ODD && fmod(v[i], 2) != 1) return false;
        if (a->rules & RT_ORDERED && i % 2 && v[i] < v[i - 1]) return false;
    }
    return n > 1 || !(a->rules & (RT_SPAN | RT_AROUND)) || v[0] >= 0;
}

static void widen(const RtAttr *a, double *v, int *n)
{
    double x = v[0];
    if (*n != 1 || !(a->rules & (RT_SPAN | RT_AROUND | RT_TWICE))) return;
    *n = 2;
    v[0] = a->rules & RT_SPAN ? -x : a->rules & RT_TWICE ? x : x < 1 ? 1 - x : 0;
    v[1] = a->rules & RT_AROUND ? 1 + x : x;
}

static bool numbers(Parser *p, const RtAttr *a, double *v, int *n)
{
    char close = take(p, '(') ? ')' : take(p, '[') ? ']' : 0;
    *n = 0;
    do {
        if (*n == 4 || !number(p, &v[*n])) return false;
        ++*n;
    } while (close && take(p, ','));
    if (close && !take(p, close)) return false;
    if (!is_fine(a, v, *n)) return false;
    widen(a, v, n);
    return true;
}

static bool value(Parser *p, const RtAttr *a, double *v, int *n)
{
    char text[32];
    Parser ahead = *p;
    bool named = word(&ahead, text, sizeof text);
    if (named && (!strcmp(text, "None") ? a->def && !strcmp(a->def, "None")
                                        : !strcmp(text, "random") && a->rules & RT_RANDOM)) {
        *n = 0;
        *p = ahead;
        return true;
    }
    if (!a->words) return numbers(p, a, v, n);
    for (int i = 0; named && a->words[i]; i++) {
        if (strcmp(a->words[i], text) != 0) continue;
        v[0] = i;
        *n = 1;
        *p = ahead;
        return true;
    }
    return false;
}

static bool defaults(RtTransform *t)
{
    const RtAttr *a = t->def->attr;
    for (int i = 0; a[i].name; i++) {
        Parser p = {a[i].words ? a[i].words[0] : a[i].def};
        t->n[i] = 0;
        if (p.at && !value(&p, &a[i], t->v[i], &t->n[i])) return false;
    }
    return true;
}

static bool arguments(Parser *p, RtTransform *t, unsigned *given)
{
    const RtAttr *a = t->def->attr;
    bool named = false;
    if (take(p, ')')) return true;
    for (int i = 0;; i++) {
        char key[32];
        Parser ahead = *p;
        if (word(&ahead, key, sizeof key) && take(&ahead, '=')) {
            for (i = 0; a[i].name && strcmp(a[i].name, key) != 0;) i++;
            *p = ahead;
            named = true;
        } else if (named) {
            return false;
        }
        if (!a[i].name || *given >> i & 1 || !value(p, &a[i], t->v[i], &t->n[i])) return false;
        *given |= 1u << i;
        if (take(p, ')')) return true;
        if (!take(p, ',')) return false;
    }
}

/* ---- one call ---- */

static bool fail(RtError *e, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    e->exit = RT_EXIT_SPEC;
    e->id = id;
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return false;
}

static bool unknown(const RtTransformDef *defs, const char *name, const char *what, RtError *e)
{
    char all[400] = "";
    for (size_t n = 0; defs->name && n < sizeof all; defs++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", defs->name);
    return fail(e, "S017", "%s: unknown transform '%s'\nthere are %s", what, name, all);
}

bool rt_transform_parse(RtTransform *t, const RtTransformDef *defs, const char **text,
                        const char *what, RtError *e)
{
    Parser p = {*text};
    char name[64];
    unsigned given = 0;
    const RtTransformDef *d = defs;
    if (!word(&p, name, sizeof name) || isdigit((unsigned char)*name))
        return fail(e, "S014", "%s: expected a transform at '%s'", what, rt_esc(*text));
    while (d->name && strcmp(d->name, name) != 0) d++;
    if (!d->name) return unknown(defs, name, what, e);
    memset(t, 0, sizeof *t);
    t->def = d;
    bool ok = defaults(t) && (!take(&p, '(') || arguments(&p, t, &given));
    for (int i = 0; ok && d->attr[i].name; i++)
        ok = given >> i & 1 || d->attr[i].def || d->attr[i].words;
    if (!ok) return fail(e, "S014", "%s: wrong arguments of %s in '%s'", what, name, rt_esc(*text));
    skip_space(&p);
    *text = p.at;
    return true;
}
