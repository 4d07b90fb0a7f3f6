/* Parts of the runtime, from the description's run-time values (runtime/parts.def).
 * In: the values as the program will have them. Out: symbols for the linker.
 * Rule: a part that the description does not ask for is not in the program. */
#include "parts.h"
#include <string.h>

#define PART(symbol, key, word) {#symbol, key, word},
static const struct {
    const char *symbol, *key, *word;
} parts[] = {
#include "../runtime/parts.def"
};
#undef PART
enum { NPARTS = sizeof parts / sizeof parts[0] };

static bool asks(const char *key, const char *value, int part)
{
    return !strcmp(parts[part].key, key) && (!parts[part].word || !strcmp(parts[part].word, value));
}

const char *const *parts_wanted(Arena *a, const Setting *option, int n, const char *target)
{
    const char **symbol = NEWN(a, const char *, NPARTS + 1);
    int found = 0;
    for (int i = 0; i < NPARTS; i++) {
        bool wanted = target && asks("target", target, i);
        for (int k = 0; k < n; k++) wanted = wanted || asks(option[k].key, option[k].value, i);
        if (wanted) symbol[found++] = parts[i].symbol;
    }
    symbol[found] = NULL;
    return symbol;
}
