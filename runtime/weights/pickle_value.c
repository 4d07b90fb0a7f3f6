/* Asking values of a pickle what they are. */
#include "weights/pickle.h"
#include <string.h>

bool rt_value_is_text(const RtValue *v, const char *text)
{
    return v->kind == RT_P_TEXT && v->text.n == strlen(text) && !memcmp(v->text.s, text, v->text.n);
}

RtValue *rt_value_get(const RtValue *v, const char *key)
{
    for (size_t i = 0; v->kind == RT_P_DICT && i + 1 < v->list.n; i += 2) {
        if (rt_value_is_text(v->list.v[i], key)) return v->list.v[i + 1];
    }
    return NULL;
}

RtValue *const *rt_value_tuple(const RtValue *v, size_t n)
{
    return v->kind == RT_P_TUPLE && v->list.n >= n ? v->list.v : NULL;
}

int rt_value_compare(const RtValue *a, const RtValue *b)
{
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->kind != RT_P_TEXT) return a->i < b->i ? -1 : a->i > b->i;
    size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
    int c = n ? memcmp(a->text.s, b->text.s, n) : 0;
    return c ? c : a->text.n < b->text.n ? -1 : a->text.n > b->text.n;
}
