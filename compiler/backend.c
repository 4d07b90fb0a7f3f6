/* The backends, by name. */
#include "backend.h"
#include <string.h>

static const Backend *const backends[] = {&backend_llvm, &backend_nvrtc, NULL};

const Backend *backend_find(const char *name)
{
    for (const Backend *const *b = backends; *b; b++)
        if (!strcmp((*b)->name, name)) return *b;
    return NULL;
}
