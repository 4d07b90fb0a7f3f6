/* The parts that this program holds.
 *
 * In: parts.def. Out: the part of a key and a word, or why it is not here.
 * Rule: this file refers to a part weakly: nothing of it is linked but by the compiler's -u (compiler/parts.c), and
 * its address is then not NULL. A part is data, so that one type stands for all of them here. */
#include "parts.h"
#include <stdio.h>
#include <string.h>

#define PART(symbol, key, word) \
    extern const char symbol[] __attribute__((weak, visibility("hidden")));
#include "parts.def"
#undef PART

typedef struct Part {
    const char *key, *word, *at;
} Part;

#define PART(symbol, key, word) {key, word, symbol},
static const Part parts[] = {
#include "parts.def"
};
#undef PART

static const Part *find(const char *key, const char *word)
{
    for (const Part *p = parts; p < parts + sizeof parts / sizeof *parts; p++) {
        if (!strcmp(p->key, key) && (!p->word || !strcmp(p->word, word))) return p;
    }
    return NULL;
}

const void *rt_part(const char *key, const char *word, RtError *e)
{
    const Part *p = find(key, word);
    if (p && p->at) return p->at;
    if (!e) return NULL;
    e->exit = RT_EXIT_USAGE;
    e->id = "C008";
    snprintf(e->text, sizeof e->text,
             p ? "this program was built without `%s: %s`\n"
                 "give the description this key and build it again"
               : "unknown %s '%s'",
             key, rt_esc(word));
    return NULL;
}
