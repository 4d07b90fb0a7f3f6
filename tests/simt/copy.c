/* cp.async. A copy that has been begun lies in its thread's list; its bytes move when the thread waits for its group,
 * as late as the rules allow, so that whoever reads earlier reads what was there before. */
#include "internal.h"
#include "support/diag.h"
#include <stdlib.h>
#include <string.h>

typedef struct Copy {
    char *to;
    const char *from;
    unsigned bytes, filled;
    unsigned group;
} Copy;

static struct {
    Copy *copy;
    int n, cap;
    unsigned group; /* the one that is open */
} lists[SIMT_MOST_THREADS];

void simt_copy_async(void *shared, const void *global, unsigned bytes, unsigned filled)
{
    const void *site = __builtin_return_address(0);
    int id = simt_block.now->id;
    if ((bytes != 4 && bytes != 8 && bytes != 16) || filled > bytes)
        simt_fault(SIMT_MISUSE, site, "copies %u bytes, %u of them from memory", bytes, filled);
    if ((uintptr_t)shared % bytes || (filled && (uintptr_t)global % bytes))
        simt_fault(SIMT_MISALIGNED, site, "copies %u bytes", bytes);
    simt_shadow_access(global, filled, SIMT_LOAD, site);
    simt_shadow_depart(shared, bytes, site);
    if (lists[id].n == lists[id].cap) {
        lists[id].cap = lists[id].cap ? 2 * lists[id].cap : 16;
        lists[id].copy = realloc(lists[id].copy, sizeof(Copy) * (size_t)lists[id].cap);
        if (!lists[id].copy) fatal(EXIT_MEMORY, "out of memory");
    }
    lists[id].copy[lists[id].n++] = (Copy){shared, global, bytes, filled, lists[id].group};
}

void simt_copy_commit(void)
{
    lists[simt_block.now->id].group++;
}

void simt_copy_wait(unsigned newest)
{
    const void *site = __builtin_return_address(0);
    int id = simt_block.now->id, kept = 0;
    for (int i = 0; i < lists[id].n; i++) {
        Copy *c = &lists[id].copy[i];
        if (c->group + newest >= lists[id].group) {
            lists[id].copy[kept++] = *c;
            continue;
        }
        memset(c->to, 0, c->bytes);
        memcpy(c->to, c->from, c->filled);
        simt_shadow_land(c->to, c->bytes, site);
    }
    lists[id].n = kept;
}

void simt_copy_reset(void)
{
    for (int i = 0; i < simt_block.threads; i++) lists[i].n = 0, lists[i].group = 0;
}
