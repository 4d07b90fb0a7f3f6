#include "load.h"
#include "link.h"
#include "support/diag.h"
#include "support/file.h"
#include <dlfcn.h>
#include <string.h>

bool load_runs_here(Arena *a, const Machine *m)
{
    const Machine *here = machine_find(a, "native");
    bool arm = !strncmp(m->triple, "aarch64", 7), here_arm = !strncmp(here->triple, "aarch64", 7);
    bool runs = arm == here_arm;
    for (const char *p = m->isa; runs && *p;) {
        size_t n = strcspn(p, " ");
        char *word = arena_strndup(a, p, n);
        const char *found = strstr(here->isa, word);
        runs = found && (found[n] == 0 || found[n] == ' ');
        runs = runs || (!strcmp(word, "sse4.2") && !here_arm);
        p += n + (p[n] == ' ');
    }
    return runs;
}

Loaded load_kernels(Arena *a, const Object *obj, int nobj)
{
    char *dir = file_temp_dir(a), *path = link_shared(a, obj, nobj, dir);
    Loaded l = {.library = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    const char *why = l.library ? NULL : arena_strdup(a, dlerror());
    file_remove_tree(dir);
    if (!l.library) fatal(EXIT_TOOL, "cannot load the kernels: %s", why);
    l.kernel = dlsym(l.library, "rt_kernels");
    if (!l.kernel) fatal(EXIT_TOOL, "cannot find the kernels: %s", dlerror());
    return l;
}

void load_close(Loaded *l)
{
    dlclose(l->library);
}
