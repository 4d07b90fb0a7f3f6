/* Link by the system's C compiler driver, started without a shell. Everything is made in a private
 * folder and moved into place at the end: nothing half-written is ever seen. */
#include "link.h"
#include "../runtime/abi.h"
#include "support/diag.h"
#include "support/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FILE = 1 << 28 };

const char *link_library_path(Arena *a, const char *file, const char *variable)
{
    const char *own = getenv(variable);
    if (own) return access(own, R_OK) ? NULL : own;
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) return NULL;
    exe[n] = 0;
    char *slash = strrchr(exe, '/');
    if (slash) *slash = 0;
    char *beside = arena_printf(a, "%s/%s", exe, file);
    if (!access(beside, R_OK)) return beside;
    char *installed = arena_printf(a, "%s/../lib/sinter/%s", exe, file);
    return access(installed, R_OK) ? NULL : installed;
}

/* Programs of ours hold the model table, which begins with a magic number and the table's version; those of an
 * earlier sinter are ours as well. */
static bool is_ours(const char *path)
{
    Arena *a = arena_new();
    size_t len = 0;
    const char *why, *text = file_read(a, path, MOST_FILE, &len, &why);
    bool ours = false, elf = text && len > 4 && !memcmp(text, "\177ELF", 4);
    for (uint32_t v = 1; elf && v <= RT_ABI_VERSION && !ours; v++)
        ours = memmem(text, len, (uint32_t[2]){RT_MAGIC, v}, sizeof(uint32_t[2])) != NULL;
    arena_free(a);
    return ours;
}

static const char *refusal(const char *out, bool force)
{
    struct stat st;
    if (out[0] == '-') return "its name begins with '-'";
    if (stat(out, &st)) return NULL;
    if (S_ISDIR(st.st_mode)) return "it is a directory";
    if (!S_ISREG(st.st_mode)) return "it is not a regular file";
    if (!force && st.st_size > 0 && !is_ours(out))
        return "it exists and sinter did not write it (use --force)";
    return NULL;
}

/* -> 0, or the errno with which a file cannot be made in out's folder. */
static int folder_error(const char *out)
{
    char dir[4096];
    const char *slash = strrchr(out, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - out + 1) : 1, slash ? out : ".");
    return access(dir, W_OK | X_OK) ? errno : 0;
}

bool link_may_write(const char *out, bool force)
{
    const char *why = refusal(out, force);
    int err = why ? 0 : folder_error(out);
    if (why) diag_error((Loc){0}, "C004", "cannot create '%s': %s", out, why);
    if (err) diag_error((Loc){0}, "C005", "cannot create '%s': %s", out, strerror(err));
    if (why || err) diag_exit_with(EXIT_WRITE);
    return !why && !err;
}

static char *write_object(Arena *a, const char *dir, int i, const Object *o)
{
    char *path = arena_printf(a, "%s/model%d.o", dir, i);
    if (!file_write_atomic(path, o->data, o->size, 0600))
        fatal(EXIT_WRITE, "cannot write '%s': %s", path, strerror(errno));
    return path;
}

static void run_cc(Arena *a, char *const *argv)
{
    char *err = NULL;
    int status = file_run(a, argv, &err);
    if (status < 0) fatal(EXIT_TOOL, "cannot run '%s': %s", argv[0], strerror(errno));
    if (status == 0) return;
    fputs(err ? err : "", stderr); /* many lines, which name only our own temporary files */
    fatal(EXIT_TOOL, "'%s' failed to link; SINTER_CC names another one", argv[0]);
}

/* Copies beside the target, then renames: the folder of temporaries may be on another file system.
 */
static void move_into_place(Arena *a, const char *from, const char *out)
{
    size_t n;
    const char *why, *data = file_read(a, from, MOST_FILE, &n, &why);
    if (!data) fatal(EXIT_TOOL, "cannot read back '%s': %s", from, why);
    if (!file_write_atomic(out, data, n, 0755))
        fatal(EXIT_WRITE, "cannot create '%s': %s", out, strerror(errno));
}

static int count(const char *const *list)
{
    int n = 0;
    while (list[n]) n++;
    return n;
}

void link_executable(Arena *a, const Object *obj, int nobj, const char *const *parts, const char *out,
                     bool keep_temps)
{
    enum { OTHER_ARGS = 16 };
    char **argv = NEWN(a, char *, nobj + 2 * count(parts) + OTHER_ARGS);
    int n = 0;
    const char *rt = link_library_path(a, "libsinter_rt.a", "SINTER_RT");
    if (!rt) fatal(EXIT_TOOL, "the runtime library libsinter_rt.a is not installed beside sinter");
    const char *cc = getenv("SINTER_CC");
    char *dir = file_temp_dir(a), *exe = arena_printf(a, "%s/program", dir);
    static const char *const flags[] = {"-pie", "-Wl,--gc-sections,--build-id=none",
                                        "-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code",
                                        "-Wl,-z,pack-relative-relocs"}; /* glibc 2.36; 12 kB less */
    static const char *const libs[] = {"-lm", "-lpthread"};
    argv[n++] = (char *)(cc ? cc : "cc");
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) argv[n++] = (char *)flags[i];
    if (!keep_temps) argv[n++] = "-s";
#ifdef SINTER_SAN
    argv[n++] = SINTER_SAN; /* the runtime library was built so */
#endif
    argv[n++] = "-o";
    argv[n++] = exe;
    for (; *parts; parts++) {
        argv[n++] = "-u";
        argv[n++] = (char *)*parts;
    }
    for (int i = 0; i < nobj; i++) argv[n++] = write_object(a, dir, i, &obj[i]);
    argv[n++] = (char *)rt;
    for (size_t i = 0; i < sizeof libs / sizeof libs[0]; i++) argv[n++] = (char *)libs[i];
    argv[n] = NULL;
    run_cc(a, argv);
    move_into_place(a, exe, out);
    if (!keep_temps) {
        file_remove_tree(dir);
        return;
    }
    file_keep_dir(dir);
    fprintf(stderr, "sinter: kept %s\n", dir);
}

char *link_shared(Arena *a, const Object *obj, int nobj, const char *dir)
{
    enum { OTHER_ARGS = 8 };
    char **argv = NEWN(a, char *, nobj + OTHER_ARGS), *out = arena_printf(a, "%s/kernels.so", dir);
    const char *cc = getenv("SINTER_CC");
    int n = 0;
    argv[n++] = (char *)(cc ? cc : "cc");
    argv[n++] = "-shared";
    argv[n++] = "-Wl,-z,noexecstack";
    argv[n++] = "-o";
    argv[n++] = out;
    for (int i = 0; i < nobj; i++) argv[n++] = write_object(a, dir, i, &obj[i]);
    argv[n] = NULL;
    run_cc(a, argv);
    return out;
}
