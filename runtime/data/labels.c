/* Names of numbered classes, and which of them count.
 *
 * In: names of a format or of root/classes.txt (one a line), data.classes. Out: d's classes and a map from the
 * number in a file to the class. Rule: data.classes may say a name or a number; a name goes first.
 */
#include "labels.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool split_lines(RtNames *names, const char *path, RtError *e)
{
    for (char *p = names->text; *p;) {
        char *end = p + strcspn(p, "\n"), *last = end;
        bool more = *end != 0;
        while (last > p && (last[-1] == '\r' || last[-1] == ' ' || last[-1] == '\t')) last--;
        *last = 0;
        if (last > p) {
            if (names->n == RT_MAX_LABELS)
                return rt_data_fail(e, RT_EXIT_DATA, "D009", "'%s': more than %d classes",
                                    rt_esc(path), RT_MAX_LABELS);
            names->name[names->n++] = p;
        }
        p = end + more;
    }
    if (names->n == 0) return rt_data_fail(e, RT_EXIT_DATA, "D020", "'%s': no class", rt_esc(path));
    return true;
}

bool rt_names_read(RtNames *names, const char *root, const char *file, RtError *e)
{
    char path[PATH_MAX];
    names->n = 0;
    snprintf(path, sizeof path, "%s/%s", root, file);
    if (access(path, F_OK) != 0) return true;
    RtSource *s = rt_source_open(path, false, e);
    int64_t got = s ? rt_source_read(s, names->text, RT_MAX_NAMES, e) : -1;
    rt_source_close(s);
    if (got < 0) return false;
    names->text[got] = 0;
    return split_lines(names, path, e);
}

bool rt_names_select(RtData *d, const RtDataConfig *c, const RtNames *names, int base, int *map,
                     RtError *e)
{
    char number[RT_MAX_LABELS][4];
    const char *all[RT_MAX_LABELS];
    for (int i = 0; i < base; i++) {
        snprintf(number[i], sizeof number[i], "%u", (unsigned)i & 255u);
        all[i] = i < names->n ? names->name[i] : number[i];
        map[i] = c->nclasses ? -1 : i;
    }
    if (!c->nclasses) return rt_data_set_classes(d, base, all, e);
    const char *picked[RT_MAX_LABELS];
    for (int k = 0; k < c->nclasses; k++) {
        int i = 0;
        while (i < base && strcmp(c->classes[k], all[i])) i++;
        for (int j = 0; i == base && j < base; j++)
            if (!strcmp(c->classes[k], number[j])) i = j;
        if (i == base || map[i] >= 0)
            return rt_data_fail(e, RT_EXIT_SPEC, "D020",
                                i == base ? "data.classes: class '%s' is not in the data"
                                          : "data.classes: class '%s' is listed twice",
                                rt_esc(c->classes[k]));
        map[i] = k;
        picked[k] = all[i];
    }
    return rt_data_set_classes(d, c->nclasses, picked, e);
}
