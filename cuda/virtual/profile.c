/* The profile: what every kernel did, counted exactly, and what was copied; written as JSON when the program ends. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Entry {
    char *kernel;
    uint64_t launches;
    PtxProfile counts;
} Entry;

static Entry **entries; /* their addresses stay */
static int nentries;
static struct {
    uint64_t count, bytes;
} copies[3];
static uint64_t graphs, never_run;

PtxProfile *profile_of(const char *kernel)
{
    if (!device.profile) return NULL;
    int i = 0;
    while (i < nentries && strcmp(entries[i]->kernel, kernel)) i++;
    if (i == nentries) {
        Entry **grown = realloc(entries, (size_t)(nentries + 1) * sizeof *grown);
        if (!grown) abort();
        entries = grown;
        entries[nentries] = must_alloc(1, sizeof **entries);
        entries[nentries++]->kernel = strdup(kernel);
    }
    entries[i]->launches++;
    return &entries[i]->counts;
}

void profile_copy(Direction d, size_t bytes)
{
    copies[d].count++;
    copies[d].bytes += bytes;
}

void profile_graph(void)
{
    graphs++;
}

void profile_never_run(int n)
{
    never_run += (uint64_t)n;
}

/* ---- writing ---- */

static void write_entry(FILE *f, const Entry *e)
{
    const PtxProfile *p = &e->counts;
    fprintf(f, "  {\"kernel\": \"%s\", \"launches\": %llu", e->kernel,
            (unsigned long long)e->launches);
#define COUNT(name) fprintf(f, ", \"" #name "\": %llu", (unsigned long long)p->name);
#define COUNTS(C)                                                                                  \
    C(instructions)                                                                                \
    C(mma) C(ldmatrix) C(barriers) C(load_requests) C(load_sectors) C(store_requests)              \
        C(store_sectors) C(load_bytes) C(store_bytes) C(shared_requests) C(shared_phases) C(loop_requests) C(loop_phases) C(flops)
    COUNTS(COUNT)
    double factor = p->shared_requests ? (double)p->shared_phases / (double)p->shared_requests : 1;
    double loop = p->loop_requests ? (double)p->loop_phases / (double)p->loop_requests : 1;
    fprintf(f, ", \"bank_conflict_factor\": %.4f, \"main_loop_conflict_factor\": %.4f}", factor, loop);
}

static void write_all(FILE *f)
{
    static const char *const names[] = {"host_to_device", "device_to_host", "device_to_device"};
    fprintf(f,
            "{\"device\": \"%s\", \"peak_memory\": %zu, \"graph_launches\": %llu, \"never_run\": "
            "%llu,\n",
            device.name, device.peak, (unsigned long long)graphs, (unsigned long long)never_run);
    for (int i = 0; i < 3; i++)
        fprintf(f, " \"%s\": {\"copies\": %llu, \"bytes\": %llu},\n", names[i],
                (unsigned long long)copies[i].count, (unsigned long long)copies[i].bytes);
    fprintf(f, " \"kernels\": [");
    for (int i = 0; i < nentries; i++) {
        fputs(i ? ",\n" : "\n", f);
        write_entry(f, entries[i]);
    }
    fprintf(f, "\n]}\n");
}

__attribute__((destructor(200))) static void write_profile(void)
{
    if (device.profile && initialised) {
        FILE *f = fopen(device.profile, "w");
        if (f) write_all(f);
        if (!f || fclose(f))
            fprintf(stderr, "sinter virtual device: cannot write the profile to %s\n",
                    device.profile);
    }
    for (int i = 0; i < nentries; i++) {
        free(entries[i]->kernel);
        free(entries[i]);
    }
    free(entries);
    entries = NULL;
    nentries = 0;
}
