/* The folder of a run: created, locked, described.
 *
 * In: --output-dir. Out: DIR/ and DIR/weights/, a lock that the kernel drops when the process ends.
 * Not here: checkpoints (resume.c), metrics (history.c). */
#include "rundir.h"
#include "err.h"
#include "file.h"
#include "json.h"
#include "machine.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_dirs(const char *path)
{
    char *p = rt_strdup(path);
    for (char *s = p + 1;; s++) {
        if (*s != '/' && *s != 0) continue;
        char c = *s;
        *s = 0;
        struct stat st;
        if (mkdir(p, 0777) != 0 && !(errno == EEXIST && stat(p, &st) == 0 && S_ISDIR(st.st_mode))) {
            rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(p), strerror(errno));
        }
        if (!c) break;
        *s = c;
    }
    free(p);
}

char *rt_rundir_file(const RtRunDir *d, const char *name)
{
    return rt_format("%s/%s", d->path, name);
}

static void take_lock(RtRunDir *d)
{
    char *path = rt_rundir_file(d, ".lock"), pid[24] = "";
    d->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (d->lock < 0) {
        rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(path), strerror(errno));
    }
    if (flock(d->lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(d->lock, pid, sizeof pid - 1, 0);
        pid[n > 0 ? strspn(pid, "0123456789") : 0] = 0;
        rt_fail(RT_EXIT_WRITE, "C007", "'%s' is locked by pid %s", rt_esc(d->path),
                *pid ? pid : "unknown");
    }
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(d->lock, 0) != 0 || pwrite(d->lock, pid, (size_t)n, 0) != n) {
        rt_fail(RT_EXIT_WRITE, "E001", "cannot write '%s': %s", rt_esc(path), strerror(errno));
    }
    free(path);
}

/* Temporary files of a process that was killed: we hold the lock, so they belong to nobody. */
static void remove_stale(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t n = strlen(e->d_name);
        if (e->d_name[0] == '.' && n > 5 && !strcmp(e->d_name + n - 4, ".tmp"))
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir) closedir(dir);
}

void rt_rundir_open(RtRunDir *d, const RtSession *s, bool resume)
{
    d->path = rt_session_dir(s);
    char *weights = rt_rundir_file(d, "weights"),
         *last = rt_rundir_file(d, "weights/last.safetensors");
    if (!resume && !rt_option_bool(&s->opt, "run.force", false) && access(last, F_OK) == 0) {
        rt_fail(RT_EXIT_WRITE, "C004",
                "'%s' exists (use --force)\nor --resume auto, or another --output-dir",
                rt_esc(d->path));
    }
    make_dirs(weights);
    take_lock(d);
    remove_stale(d->path);
    remove_stale(weights);
    free(weights);
    free(last);
}

void rt_rundir_close(RtRunDir *d)
{
    close(d->lock);
    free(d->path);
}

static void save_text(const RtRunDir *d, const char *name, const char *text, size_t n)
{
    char *path = rt_rundir_file(d, name);
    rt_file_save(path, text, n, NULL);
    free(path);
}

void rt_rundir_describe(const RtRunDir *d, const RtSession *s, const char *split_hash)
{
    const RtModel *m = s->model;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate args.yaml");
    fprintf(f, "# settings of this run; the model is %s (%s)\n", RT_STR(m, m->spec_file),
            RT_STR(m, m->spec_hash));
    rt_options_print(&s->opt, f);
    fclose(f);
    save_text(d, "args.yaml", text, n);
    free(text);

    RtJson j;
    char *path = rt_rundir_file(d, "env.json");
    rt_json_begin(&j, true);
    rt_json_str(&j, "model", RT_STR(m, m->name));
    rt_json_str(&j, "spec_hash", RT_STR(m, m->spec_hash));
    rt_json_str(&j, "split_sha256", split_hash);
    rt_machine_json(&j, m, s->device, rt_pool_threads(s->pool));
    rt_json_save(&j, path);
    free(path);
}
