/* What is in a directory.
 *
 * rule: names sorted by bytes, so that every machine numbers items alike; hidden entries do not count.
 */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

void rt_list_free(RtList *l)
{
    for (int64_t i = 0; i < l->n; i++) free(l->name[i]);
    free(l->name);
    *l = (RtList){0};
}

bool rt_list_add(RtList *l, const char *name, RtError *e)
{
    if (l->n == l->cap) {
        int64_t cap = 2 * l->cap + 64;
        char **grown = realloc(l->name, (size_t)cap * sizeof *grown);
        if (!grown) return rt_data_no_memory(e, "a directory", (uint64_t)cap * sizeof *grown);
        l->name = grown;
        l->cap = cap;
    }
    l->name[l->n] = strdup(name);
    if (!l->name[l->n]) return rt_data_no_memory(e, "a directory", strlen(name));
    l->n++;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool rt_cannot_read(const char *name, int error, RtError *e)
{
    if (error == ELOOP)
        return rt_data_fail(e, RT_EXIT_DATA, "D022", "directory loop at '%s'", rt_esc(name));
    return rt_data_fail(e, RT_EXIT_DATA, "D002", "cannot read '%s': %s", rt_esc(name),
                        strerror(error));
}

/* Names in a directory, sorted; what begins with a dot is hidden. */
bool rt_list_dir(const char *path, const char *shown, RtList *l, RtError *e)
{
    *l = (RtList){0};
    DIR *dir = opendir(path);
    if (!dir) return rt_cannot_read(shown, errno, e);
    bool ok = true;
    struct dirent *entry;
    for (errno = 0; ok && (entry = readdir(dir)); errno = 0)
        if (entry->d_name[0] != '.') ok = rt_list_add(l, entry->d_name, e);
    if (ok && errno) ok = rt_cannot_read(shown, errno, e);
    closedir(dir);
    if (!ok)
        rt_list_free(l);
    else if (l->n)
        qsort(l->name, (size_t)l->n, sizeof *l->name, by_bytes);
    return ok;
}

bool rt_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool has_extension(const char *name, const char *const *list)
{
    const char *dot = strrchr(name, '.');
    for (; dot && *list; list++)
        if (!strcasecmp(dot + 1, *list)) return true;
    return false;
}

/* Files that say they are images: those that we do not read are reported, not passed over. */
bool rt_is_image_name(const char *name)
{
    static const char *const images[] = {"png",  "jpg", "jpeg", "gif", "bmp", "tga",  "psd", "hdr",
                                         "webp", "tif", "tiff", "ppm", "pgm", "jfif", NULL};
    return has_extension(name, images);
}
