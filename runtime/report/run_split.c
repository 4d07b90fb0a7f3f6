/* split.csv of a run's folder: how many items of each class are in each split.
 *
 * In: "split,item,label,class", fields with commas in quotes. Out: counts and class names of RtRun.
 * Rule: an empty label is none (items whose truth is a mask). */
#include "../err.h"
#include "read.h"
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 4 };

/* Cuts the next field off in place; *s then is what follows it. */
static char *field(char **s)
{
    char *from = *s, *to = *s, *p = *s;
    if (*p != '"') {
        p += strcspn(p, ",\r\n");
        to = p;
    } else {
        for (p++; *p && !(*p == '"' && p[1] != '"'); p++) {
            p += *p == '"';
            *to++ = *p;
        }
        p += *p == '"';
    }
    char end = *p;
    *s = p + (end == ',');
    *to = 0;
    return from;
}

static int split_of(const char *name)
{
    for (int s = 0; s < RT_NSPLITS; s++) {
        if (!strcmp(name, rt_split_name[s])) return s;
    }
    return -1;
}

static void count(RtRun *r, char *const *f)
{
    char *end;
    int s = split_of(f[0]);
    long label = strtol(f[2], &end, 10);
    if (s < 0 || *f[1] == 0 || *end || label < 0 || label >= RT_RUN_CLASSES)
        rt_run_damaged(r, "split.csv", "a line is not split,item,label,class");
    r->items[s]++;
    if (*f[2] == 0) return;
    rt_run_classes(r, (int)label + 1);
    r->count[s][label]++;
    if (!r->class_name[label]) r->class_name[label] = rt_strdup(f[3]);
}

/* The end of a record: a newline outside quotes. */
static char *record_end(char *s)
{
    for (bool quoted = false; *s && (quoted || *s != '\n'); s++) quoted ^= *s == '"';
    return s;
}

void rt_run_split(RtRun *r)
{
    size_t n;
    char *text = rt_run_text(r, "split.csv", &n);
    bool head = true;
    for (char *s = text; s && *s;) {
        char *end = record_end(s), *next = end + (*end == '\n'), *f[FIELDS];
        *end = 0;
        for (int i = 0; i < FIELDS; i++) f[i] = field(&s);
        if (!head) count(r, f);
        head = false;
        s = next;
    }
    free(text);
}
