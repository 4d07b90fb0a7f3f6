/* Class names: the metadata member "classes", a JSON list that train wrote. */
#include "classes.h"
#include "err.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

char **rt_classes(const RtSt *file, int n)
{
    const char *text = file ? rt_st_meta(file, "classes") : NULL;
    json_t *list = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool fits = json_is_array(list) && json_array_size(list) == (size_t)n;
    char **names = rt_alloc((size_t)n + 1, sizeof *names, "class names");
    for (int i = 0; i < n; i++) {
        const char *s = fits ? json_string_value(json_array_get(list, (size_t)i)) : NULL;
        names[i] = s ? rt_strdup(s) : rt_format("%d", i);
    }
    json_decref(list);
    return names;
}

void rt_classes_free(char **names)
{
    for (int i = 0; names[i]; i++) free(names[i]);
    free(names);
}
