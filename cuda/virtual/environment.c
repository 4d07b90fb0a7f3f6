/* The device's description, read from the environment at cuInit:
 *   SINTER_VIRTUAL_DEVICE=sm_80|sm_90|sm_120   SINTER_VIRTUAL_MEMORY=BYTES   SINTER_VIRTUAL_THREADS=N
 *   SINTER_VIRTUAL_CHECK=0|1 (races)           SINTER_VIRTUAL_SEED=N (other work runs in between, at random)
 *   SINTER_VIRTUAL_BUDGET=N (instructions of a warp, by default some minutes of them)
 *   SINTER_VIRTUAL_PROFILE=FILE                SINTER_VIRTUAL_FAULT=oom@N,launch@N,driver=11040,devices=0
 * A value that is not understood is an error: a typing mistake must not turn a check off. */
#include "internal.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A100-SXM4-40GB, H100-SXM5, GeForce RTX 5090: NVIDIA's architecture whitepapers and data sheets; what a
 * multiprocessor holds: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability". */
static const Chip chips[] = {{80, 108, 1410000, 1215000, 5120, 40 << 20, 164 << 10, 2048, 32},
                             {90, 132, 1980000, 2619000, 5120, 50 << 20, 228 << 10, 2048, 32},
                             {120, 170, 2407000, 14001000, 512, 96 << 20, 100 << 10, 1536, 24}};

Device device;

static bool wrong(const char *name, const char *value, const char *expected)
{
    fprintf(stderr, "sinter virtual device: %s=%s is not understood; expected %s\n", name, value,
            expected);
    return false;
}

/* Reads a number from the environment into *value, which is left alone when the variable is not set. */
static bool number(const char *name, uint64_t min, uint64_t max, uint64_t *value)
{
    const char *s = getenv(name);
    if (!s) return true;
    char *end, expected[64];
    unsigned long long n = strtoull(s, &end, 10);
    snprintf(expected, sizeof expected, "a number from %llu to %llu", (unsigned long long)min,
             (unsigned long long)max);
    if (*s < '0' || *s > '9' || *end || n < min || n > max) return wrong(name, s, expected);
    *value = n;
    return true;
}

static bool read_chip(void)
{
    const char *s = getenv("SINTER_VIRTUAL_DEVICE");
    device.chip = &chips[0];
    for (size_t i = 0; s && i < sizeof chips / sizeof chips[0]; i++) {
        char name[16];
        snprintf(name, sizeof name, "sm_%d", chips[i].arch);
        if (!strcmp(name, s)) {
            device.chip = &chips[i];
            s = NULL;
        }
    }
    snprintf(device.name, sizeof device.name, "sinter virtual sm_%d", device.chip->arch);
    return !s || wrong("SINTER_VIRTUAL_DEVICE", s, "sm_80, sm_90 or sm_120");
}

static bool read_fault(const char *word)
{
    long n;
    int used = 0;
    size_t len = strlen(word);
    if (sscanf(word, "oom@%ld%n", &n, &used) == 1 && used == (int)len && n > 0)
        device.oom_at = n;
    else if (sscanf(word, "launch@%ld%n", &n, &used) == 1 && used == (int)len && n > 0)
        device.launch_at = n;
    else if (sscanf(word, "driver=%ld%n", &n, &used) == 1 && used == (int)len && n >= 1000 &&
             n <= 99990)
        device.driver = (int)n;
    else if (sscanf(word, "devices=%ld%n", &n, &used) == 1 && used == (int)len &&
             (n == 0 || n == 1))
        device.count = (int)n;
    else
        return wrong("SINTER_VIRTUAL_FAULT", word,
                     "oom@N, launch@N, driver=VERSION or devices=0, separated by commas");
    return true;
}

static bool read_faults(void)
{
    const char *s = getenv("SINTER_VIRTUAL_FAULT");
    char text[256], *save;
    if (!s) return true;
    if (strlen(s) >= sizeof text) return wrong("SINTER_VIRTUAL_FAULT", s, "fewer faults");
    strcpy(text, s);
    for (char *w = strtok_r(text, ",", &save); w; w = strtok_r(NULL, ",", &save))
        if (!read_fault(w)) return false;
    return true;
}

bool device_describe(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t memory = (uint64_t)4 << 30, threads = cpus < 1 ? 1 : (uint64_t)cpus, check = 0,
             seed = 0, budget = (uint64_t)1 << 32;
    device = (Device){.count = 1, .driver = 13000, .profile = getenv("SINTER_VIRTUAL_PROFILE")};
    if (!read_chip() || !read_faults()) return false;
    if (!number("SINTER_VIRTUAL_MEMORY", 1 << 20, (uint64_t)1 << 40, &memory)) return false;
    if (!number("SINTER_VIRTUAL_THREADS", 1, 1024, &threads)) return false;
    if (!number("SINTER_VIRTUAL_CHECK", 0, 1, &check)) return false;
    if (!number("SINTER_VIRTUAL_BUDGET", 1, UINT64_MAX, &budget)) return false;
    if (!number("SINTER_VIRTUAL_SEED", 0, UINT64_MAX, &seed)) return false;
    device.memory = memory;
    device.threads = (int)threads;
    device.check_races = check;
    device.budget = budget;
    device.seed = seed;
    return true;
}
