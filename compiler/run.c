/* In: a description, options of the build, a command line. Out: the program, running in this process' place.
 *
 * The cache's key is everything that decides the program's bytes: sinter and its runtime, the files of the
 * description, the command line up to the verb, which has the build's options, and this machine. Not here: what is in a
 * program (pipeline.c). */
#include "run.h"
#include "link.h"
#include "support/cache.h"
#include "support/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_FILE = 1 << 28 };

/* The last value of --device, or NULL. */
static const char *device_of(char **word, int n)
{
    const char *device = NULL;
    for (int i = 1; i < n && strcmp(word[i], "--") != 0; i++) {
        if (!strncmp(word[i], "--device=", 9)) device = word[i] + 9;
        if (!strcmp(word[i], "--device") && i + 1 < n) device = word[i + 1];
    }
    return device;
}

static void add_file(Arena *a, Buf *b, const char *path)
{
    size_t n = 0;
    const char *why, *text = path ? file_read(a, path, MOST_FILE, &n, &why) : NULL;
    buf_printf(b, "file %zu\n", n);
    if (text) buf_write(b, text, n);
}

static void add_machine(Arena *a, Buf *b, const char *name)
{
    const Machine *m = machine_find(a, name);
    buf_printf(b, "%s %s %s %lld %lld %lld\n", m->name, m->cpu, m->features, (long long)m->l1, (long long)m->l2,
               (long long)m->l3);
}

/* NULL: the description has errors, which are recorded. */
static char *key_of(Arena *a, const CompileOptions *o, const char *before)
{
    Spec *s = spec_read(a, o->spec, o->set, o->nset);
    if (!s || diag_errors()) return NULL;
    Buf b = {0};
    buf_printf(&b, "%s\n", before);
    add_file(a, &b, "/proc/self/exe");
    add_file(a, &b, link_library_path(a, "libsinter_rt.a", "SINTER_RT"));
    for (int i = 0; spec_file(s, i); i++) add_file(a, &b, spec_file(s, i));
    add_machine(a, &b, o->machine);
    for (int i = 0; i < o->narch; i++) add_machine(a, &b, o->arch[i]);
    char *key = cache_key(a, &b);
    buf_free(&b);
    return key;
}

static _Noreturn void become(const char *path, char **word)
{
    execv(path, word);
    fatal(EXIT_TOOL, "cannot start the program: %s", strerror(errno));
}

/* Builds it in a folder of its own, keeps a copy, and becomes it when the folder is gone. */
static int build_and_become(Arena *a, CompileOptions *o, const char *key, char **word)
{
    size_t n = 0;
    char *dir = file_temp_dir(a);
    const char *why, *path = o->out = arena_printf(a, "%s/program", dir);
    int code = compile(o);
    if (code != EXIT_OK) return code;
    const char *bytes = file_read(a, path, MOST_FILE, &n, &why);
    if (bytes && !o->no_cache) cache_put(key, bytes, n, 0700);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    file_remove_tree(dir);
    if (fd < 0) fatal(EXIT_TOOL, "cannot open the program: %s", strerror(errno));
    become(arena_printf(a, "/proc/self/fd/%d", fd), word);
}

int run_program(const CompileOptions *given, char **word, int n)
{
    Arena *a = arena_new();
    CompileOptions o = *given;
    const char *device = device_of(word, n), *path = NULL;
    size_t size;
    if (device && !strncmp(device, "cuda", 4) && !o.narch) o.arch[o.narch++] = machine_cuda_names[0];
    if (device && !strcmp(device, "cuda:virtual")) {
        const char *lib = link_library_path(a, "libsinter_cuda_virtual.so", "SINTER_CUDA_VIRTUAL");
        if (lib) setenv("SINTER_CUDA_VIRTUAL", lib, 0);
    }
    o.quiet = true;
    char *key = key_of(a, &o, word[0]);
    if (!key) return diag_flush();
    if (!o.no_cache && cache_get(a, key, &size, &path)) become(path, word);
    return build_and_become(a, &o, key, word);
}
