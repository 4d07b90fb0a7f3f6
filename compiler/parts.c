/* Parts of the runtime, from the description's run-time values (runtime/parts.def), and the transforms that
 * its lists call (runtime/data/transforms.def).
 * In: the values as the program will have them. Out: symbols for the linker.
 * Rule: a part that the description does not ask for is not in the program. */
#include "parts.h"
#include <string.h>

#define PART(symbol, key, word) {#symbol, key, word},
static const struct {
    const char *symbol, *key, *word;
} parts[] = {
#include "../runtime/parts.def"
#define TRANSFORM(name, function, size, random) {"rt_tf_" #function, "data.transforms.", #name},
#define BATCH(name, function) {"rt_mix_" #function, "data.transforms.", #name},
#define NUMBERS(...)
#define WORDS(...)
#define END
#include "../runtime/data/transforms.def"
#undef TRANSFORM
#undef BATCH
#undef NUMBERS
#undef WORDS
#undef END
};
#undef PART
enum { NPARTS = sizeof parts / sizeof parts[0] };

/* Is `name` one of the calls "RandomCrop(28);ColorJitter(hue=0.1)"? */
static bool calls(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (; *list; list += strspn(list, ";")) {
        if (strcspn(list, "(;") == n && !strncmp(list, name, n)) return true;
        list += strcspn(list, ";");
    }
    return false;
}

static bool asks(const char *key, const char *value, int part)
{
    const char *wanted = parts[part].key;
    size_t n = strlen(wanted);
    if (wanted[n - 1] == '.') return !strncmp(wanted, key, n) && calls(value, parts[part].word);
    return !strcmp(wanted, key) && (!parts[part].word || !strcmp(parts[part].word, value));
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
