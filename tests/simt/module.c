/* CUDA C -> a shared object that is loaded into this process. The text is a file of its own, kernels.cu, that a small
 * wrapper includes: it adds the storage of dynamic shared memory, and a table of calls. */
#include "internal.h"
#include "support/diag.h"
#include "support/file.h"
#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DYNAMIC = 228 << 10 }; /* more shared memory than any block can have */

SimtModule *simt_running;

/* ---- compilers ---- */

static bool on_path(const char *program)
{
    char *copy = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin"), *save = NULL, file[4096];
    bool found = false;
    for (char *d = strtok_r(copy, ":", &save); d && !found; d = strtok_r(NULL, ":", &save)) {
        snprintf(file, sizeof file, "%s/%s", d, program);
        found = !access(file, X_OK);
    }
    free(copy);
    return found;
}

static const char *find_compiler(bool checked)
{
    static const char *const clang[] = {"clang-19", "clang-14", "clang", NULL}, *const gcc[] = {"g++", NULL};
    const char *const *p = checked ? clang : gcc;
    while (*p && !on_path(*p)) p++;
    return *p;
}

const char *simt_missing(bool checked)
{
    if (find_compiler(checked)) return NULL;
    return checked ? "no clang to instrument kernels with (Debian: clang-19)" : "no g++";
}

/* Options: compilers take longer than what they make, so that nothing is optimised. Sums are rounded as written; checked,
 * no access may be wider than ThreadSanitizer can tell, and a local variable that is not written is NaN. */
static void compile(Arena *a, bool checked, char *cpp, char *so)
{
    static char *const plain[] = {"-O0", NULL};
    static char *const watch[] = {"-O0", "-gline-tables-only", "-gdwarf-4", "-fsanitize=thread", "-mllvm",
                                  "-tsan-instrument-func-entry-exit=0", "-fno-vectorize", "-fno-slp-vectorize",
                                  "-ftrivial-auto-var-init=pattern", "-Wl,--wrap=memcpy,--wrap=memmove,--wrap=memset",
                                  NULL};
    static char *const both[] = {"-x", "c++", "-std=c++17", "-w", "-ffp-contract=off", "-fPIC", "-shared", "-include",
                                 "tests/simt/twins.h", "-DSINTER_HOST", NULL};
    char *argv[32], *err;
    int n = 0;
    argv[n++] = (char *)find_compiler(checked);
    for (char *const *p = both; *p; p++) argv[n++] = *p;
    for (char *const *p = checked ? watch : plain; *p; p++) argv[n++] = *p;
#ifdef __x86_64__
    argv[n++] = "-mfma";
#endif
    argv[n++] = "-o";
    argv[n++] = so;
    argv[n++] = cpp;
    argv[n] = NULL;
    bug_if(!argv[0], "%s", simt_missing(checked));
    bug_if(file_run(a, argv, &err) != 0, "%s: %s", argv[0], err);
}

/* ---- the wrapper ---- */

/* The name of the next `extern __shared__ T name[];`, or NULL; *p moves behind it. */
static char *next_dynamic(Arena *a, const char **p)
{
    const char *s = strstr(*p, "extern __shared__"), *end;
    if (!s) return NULL;
    end = strpbrk(s, "[;");
    bug_if(!end, "a declaration without an end");
    *p = end;
    while (end > s && isspace((unsigned char)end[-1])) end--;
    for (s = end; isalnum((unsigned char)s[-1]) || s[-1] == '_';) s--;
    return arena_strndup(a, s, (size_t)(end - s));
}

/* All of them are the same memory. -> a name, or NULL */
static const char *dynamic_storage(Arena *a, Buf *b, const char *source)
{
    char *first = NULL, *name;
    for (const char *p = source; (name = next_dynamic(a, &p));) {
        bug_if(first && strcmp(first, name) != 0, "dynamic shared memory under two names: %s, %s", first, name);
        if (!first)
            buf_printf(b,
                       "__asm__(\".section .tbss,\\\"awT\\\",@nobits\\n.globl %s\\n.type %s,@object\\n"
                       ".size %s,%d\\n.balign 1024\\n%s: .zero %d\\n.text\");\n",
                       name, name, name, DYNAMIC, name, DYNAMIC);
        first = name;
    }
    return first;
}

static void wrap(Buf *b, const char *const *names, int n)
{
    buf_puts(b, "extern \"C\" {\nvoid simt_tasks(const void *, int, void *const *, long long, long long);\n"
                "void *simt_self;\nchar *simt_static() { static thread_local char x; return &x; }\n");
    for (int i = 0; i < n; i++)
        buf_printf(b,
                   "static void call_%d(void *const *p) { simt_call(%s, p); }\n"
                   "static void tasks_%d(void *const *a, long long begin, long long end)\n"
                   "{ simt_tasks(simt_self, %d, a, begin, end); }\n",
                   i, names[i], i, i);
    buf_puts(b, "extern void (*const simt_calls[])(void *const *) = {");
    for (int i = 0; i < n; i++) buf_printf(b, "call_%d, ", i);
    buf_puts(b, "0};\nextern void (*const simt_table[])(void *const *, long long, long long) = {");
    for (int i = 0; i < n; i++) buf_printf(b, "tasks_%d, ", i);
    buf_puts(b, "0};\n}\n");
}

/* ---- the loaded object ---- */

/* Where it lies, and its thread's variables: shared memory. */
static void look(SimtModule *m)
{
    Dl_info at;
    bug_if(!dladdr(m->call, &at), "a module that is not loaded");
    const Elf64_Ehdr *e = at.dli_fbase;
    const Elf64_Phdr *h = (const Elf64_Phdr *)((const char *)e + e->e_phoff);
    m->data = (SimtRegion){at.dli_fbase, 0, "the module"};
    m->statics.name = "shared";
    bug_if(dlinfo(m->lib, RTLD_DI_TLS_DATA, &m->statics.p), "%s", dlerror());
    for (int i = 0; i < e->e_phnum; i++) {
        if (h[i].p_type == PT_TLS) m->statics.bytes = h[i].p_memsz;
        if (h[i].p_type == PT_LOAD) m->data.bytes = h[i].p_vaddr + h[i].p_memsz;
    }
}

static void *symbol(const SimtModule *m, const char *name)
{
    void *p = dlsym(m->lib, name);
    bug_if(!p, "%s", dlerror());
    return p;
}

static void load(SimtModule *m, const char *so, const char *dynamic)
{
    m->lib = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    bug_if(!m->lib, "%s", dlerror());
    m->call = symbol(m, "simt_calls");
    *(void **)symbol(m, "simt_self") = m;
    char *(*touch)(void);
    *(void **)&touch = symbol(m, "simt_static");
    touch(); /* from now on the variables have a place */
    look(m);
    if (dynamic) m->dynamic = (SimtRegion){symbol(m, dynamic), DYNAMIC, "dynamic shared"};
}

/* A name under which lines can be looked up when the file is gone. */
static const char *keep_open(Arena *a, const char *so)
{
    int fd = open(so, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fatal(EXIT_DATA, "%s:", so);
    return arena_printf(a, "/proc/%d/fd/%d", (int)getpid(), fd);
}

SimtModule *simt_open(const char *source, const char *const *names, int n, bool checked)
{
    static Arena *kept; /* reachable until the end */
    if (!kept) kept = arena_new();
    SimtModule *m = NEW(kept, SimtModule);
    char *dir = file_temp_dir(kept), *cu = arena_printf(kept, "%s/kernels.cu", dir),
         *cpp = arena_printf(kept, "%s/wrap.cpp", dir), *so = arena_printf(kept, "%s/kernels.so", dir);
    Buf b = {0};
    buf_puts(&b, "#include \"kernels.cu\"\n");
    *m = (SimtModule){.a = kept, .so = "", .checked = checked, .n = n};
    const char *dynamic = dynamic_storage(kept, &b, source);
    wrap(&b, names, n);
    if (!file_write_atomic(cu, source, strlen(source), 0600) || !file_write_atomic(cpp, b.s, b.n, 0600))
        fatal(EXIT_WRITE, "%s:", dir);
    buf_free(&b);
    compile(kept, checked, cpp, so);
    load(m, so, dynamic);
    if (checked) m->so = keep_open(kept, so);
    file_remove_tree(dir);
    return m;
}

/* ---- lines ---- */

/* The line of the kernel's own text: what was inlined there comes first in addr2line's list. */
static void read_line(FILE *f, char *out, size_t size)
{
    char line[4400];
    *out = '\0';
    while (fgets(line, sizeof line, f)) {
        const char *slash = strrchr(line, '/'), *name = slash ? slash + 1 : line;
        bool own = !strncmp(name, "kernels.cu:", 11);
        if (*out && !own) continue;
        snprintf(out, size, "%.*s", (int)strcspn(name, " \n"), name); /* without "(discriminator 2)" */
        if (own) break;
    }
}

const char *simt_site_name(const void *site)
{
    enum { TURNS = 4 };
    static char text[TURNS][256];
    static int turn;
    const SimtModule *m = simt_running;
    char command[4400], *out = text[turn++ % TURNS];
    if (!m || !*m->so || (const char *)site < m->data.p || (const char *)site >= m->data.p + m->data.bytes) return "";
    snprintf(command, sizeof command, "addr2line -i -e '%s' 0x%tx 2>/dev/null", m->so,
             (const char *)site - m->data.p - 1);
    FILE *f = popen(command, "r");
    if (!f) return "";
    read_line(f, out, sizeof *text);
    pclose(f);
    return out;
}
