/* What is done after every stage: its time, its dump, and whether to go on. */
#include "pipeline_work.h"
#include "support/file.h"
#include <stdio.h>
#include <string.h>

const char *const stage_names[] = {"spec", "graph", "grad", "simplify", "fuse", "schedule", "plan",
                                   "loop", "cuda",  "ptx",  "llvm",     "asm",  "link",     NULL};

static int stage_index(const char *stage)
{
    int i = 0;
    while (strcmp(stage_names[i], stage) != 0) i++;
    return i;
}

static bool in_list(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (!strncmp(p, word, n) && (!p[n] || p[n] == ',')) return true;
    return false;
}

bool wants_dump(const Pipeline *p, const char *stage)
{
    return p->o->dump && (in_list(p->o->dump, "all") || in_list(p->o->dump, stage));
}

static void write_dump(Pipeline *p, const char *stage, const Buf *text)
{
    const char *s = text->s ? text->s : "";
    if (!p->o->dump_dir) {
        printf("==== %s %s ====\n%s", stage, p->program ? p->program : "", s);
        return;
    }
    const char *path =
        p->program ? arena_printf(p->perm, "%s/%s.%s.txt", p->o->dump_dir, p->program, stage)
                   : arena_printf(p->perm, "%s/%s.txt", p->o->dump_dir, stage);
    if (!file_write_atomic(path, s, text->n, 0644)) fatal(EXIT_WRITE, "cannot write '%s'", path);
}

bool after(Pipeline *p, const char *stage, void (*print)(Buf *, const void *), const void *product)
{
    double now = time_now();
    p->time[stage_index(stage)] += now - p->t0;
    if (print && wants_dump(p, stage)) {
        Buf b = {0};
        print(&b, product);
        write_dump(p, stage, &b);
        buf_free(&b);
    }
    p->t0 = time_now();
    return p->o->stop_after && !strcmp(p->o->stop_after, stage);
}
