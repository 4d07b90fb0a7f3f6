/* `imports:`: other descriptions, whose model and blocks this one may use.
 * In: Spec with its own file. Out: s->unit, every file read once.
 * Rule: a description may come from a stranger, so an import reaches only files in the folder of
 * the description that was named, or below, after symbolic links are followed; and `std:`, the
 * models shipped with the compiler. Not here: what is done with them (uses.c). */
#include "spec/unit.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_UNITS = 32, MAX_STD = 256, MAX_PATH = 4096 };

const Import *unit_find(const Unit *u, const char *name)
{
    for (int i = 0; i < u->import.n; i++)
        if (strcmp(u->import.v[i].name, name) == 0) return &u->import.v[i];
    return NULL;
}

/* ---- where the models of `std:` are ---- */

const char *unit_shipped(Arena *a, const char *folder, const char *file)
{
    static const char *const places[] = {"../share/sinter", "..", "../..", "../../..", NULL};
    char exe[MAX_PATH];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) return NULL;
    exe[n] = 0;
    char *slash = strrchr(exe, '/');
    if (slash) *slash = 0;
    for (int i = 0; places[i]; i++) {
        const char *at = arena_printf(a, "%s/%s/%s/%s", exe, places[i], folder, file);
        if (access(at, R_OK) == 0) return at;
    }
    return NULL;
}

static const char *std_folder(Arena *a)
{
    const char *own = getenv("SINTER_MODELS");
    if (own) return access(own, X_OK) == 0 ? own : NULL;
    const char *one = unit_shipped(a, "models", "resnet18.yaml");
    return one ? arena_strndup(a, one, (size_t)(strrchr(one, '/') - one)) : NULL;
}

static void unknown_std(Spec *s, const Yaml *y, const char *folder, const char *name)
{
    const char *names[MAX_STD + 1], *all = "";
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && n < MAX_STD && (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot && strcmp(dot, ".yaml") == 0)
            names[n++] = arena_strndup(s->arena, e->d_name, (size_t)(dot - e->d_name));
    }
    if (d) closedir(d);
    names[n] = NULL;
    const char *near = diag_nearest(name, names), *shown = yaml_show(s->arena, name);
    if (near)
        diag_error(y->loc, "S017", "unknown model 'std:%s'; did you mean 'std:%s'?", shown, near);
    else
        diag_error(y->loc, "S017", "unknown model 'std:%s'", shown);
    for (int i = 0; i < n; i++)
        all = arena_printf(s->arena, "%s%s%s", all, i ? ", " : "", names[i]);
    if (!near && n < 40) diag_help("there are %s", all);
}

/* ---- where an import points ---- */

static const char *resolve(Arena *a, const char *path)
{
    char *real = realpath(path, NULL);
    const char *copy = real ? arena_strdup(a, real) : NULL;
    free(real);
    return copy;
}

static const char *folder_of(Arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? arena_strndup(a, path, (size_t)(slash - path) + 1) : "";
}

static bool refuse(Spec *s, const Yaml *y, const char *why)
{
    diag_error(y->loc, "S034", "import '%s' %s", yaml_show(s->arena, y->text), why);
    diag_help("imports reach files in the description's own folder and below it, and std:");
    return false;
}

static bool check_text(Spec *s, const Yaml *y)
{
    const char *t = y->kind == Y_SCALAR ? y->text : "";
    if (!*t || strlen(t) >= 1024) {
        diag_error(y->loc, "S014", "an import is a file such as blocks.yaml, or std:resnet50");
        return false;
    }
    for (const char *c = t; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) return refuse(s, y, "is not a name of a file");
    if (*t == '/') return refuse(s, y, "is an absolute path");
    for (const char *c = t; c; c = strchr(c, '/') ? strchr(c, '/') + 1 : NULL)
        if (strncmp(c, "..", 2) == 0 && (c[2] == '/' || !c[2]))
            return refuse(s, y, "contains '..'");
    return true;
}

static bool std_path(Spec *s, const Yaml *y, Unit *to)
{
    const char *name = y->text + strlen("std:");
    const char *folder = std_folder(s->arena);
    if (!folder) {
        diag_error(y->loc, "S001", "the models of std: are not beside the compiler");
        diag_help("set SINTER_MODELS to the folder that holds resnet18.yaml");
        return false;
    }
    to->std = true;
    to->shown = y->text;
    if (schema_name_ok(name, false))
        to->path = resolve(s->arena, arena_printf(s->arena, "%s/%s.yaml", folder, name));
    if (!to->path) unknown_std(s, y, folder, name);
    return to->path != NULL;
}

static bool file_path(Spec *s, const Unit *from, const Yaml *y, Unit *to)
{
    Arena *a = s->arena;
    to->std = from->std;
    to->shown = arena_printf(a, "%s%s", from->std ? "std:" : folder_of(a, from->shown), y->text);
    to->path = resolve(a, arena_printf(a, "%s%s", folder_of(a, from->path), y->text));
    if (!to->path) {
        diag_error(y->loc, "S001", "cannot open import '%s': %s", yaml_show(a, y->text),
                   strerror(errno));
        return false;
    }
    const char *root = folder_of(a, from->std ? from->path : s->own->path);
    if (strncmp(to->path, root, strlen(root)) != 0)
        return refuse(s, y, "leads out of the description's folder");
    struct stat st;
    if (stat(to->path, &st) == 0 && S_ISREG(st.st_mode)) return true;
    diag_error(y->loc, "S002", "import '%s' is not a regular file", yaml_show(a, y->text));
    return false;
}

/* ---- what every file must obey ---- */

static void check_version(Spec *s, const Yaml *root)
{
    const Yaml *y = yaml_get(root, "spec");
    if (!y) return;
    const char *v = schema_value(s->arena, schema_find("", "spec"), y, NULL);
    if (v && strcmp(v, "1") != 0)
        diag_error(y->loc, "S018", "spec version %s not supported (1..1)", v);
}

static void check_name(Spec *s, const Yaml *root, const Yaml *key, const char *what)
{
    if (!expr_is_name(key->text) || !schema_name_ok(key->text, false)) {
        diag_error(key->loc, "S020", "'%s' cannot be the name of %s",
                   yaml_show(s->arena, key->text), what);
    } else if (op_find(key->text)) {
        diag_error(key->loc, "S019", "'%s' is the name of an operator", key->text);
    } else if (strcmp(what, "an import") == 0 && yaml_get(yaml_get(root, "blocks"), key->text)) {
        diag_error(key->loc, "S019", "'%s' is the name of a block too", key->text);
    }
}

static void check_names(Spec *s, const Yaml *root, const char *block, const char *what)
{
    const Yaml *map = yaml_get(root, block);
    if (!map || yaml_is_null(map)) return;
    if (map->kind != Y_MAP) diag_error(map->loc, "S014", "'%s' must be a mapping", block);
    for (int i = 0; i < map->key.n; i++) check_name(s, root, map->key.v[i], what);
}

void unit_check(Spec *s, const Unit *u)
{
    schema_check_keys(s->arena, u->root, "");
    check_version(s, u->root);
    check_names(s, u->root, "blocks", "a block");
    check_names(s, u->root, "imports", "an import");
}

/* ---- reading ---- */

static Unit *find_path(const Spec *s, const char *path)
{
    for (int i = 0; i < s->unit.n; i++)
        if (strcmp(s->unit.v[i]->path, path) == 0) return s->unit.v[i];
    return NULL;
}

static void read_imports(Spec *s, Unit *u);

static Unit *read_unit(Spec *s, const Unit *from, const Yaml *y)
{
    Unit *u = NEW(s->arena, Unit);
    if (!check_text(s, y)) return NULL;
    bool std = strncmp(y->text, "std:", 4) == 0;
    if (!(std ? std_path(s, y, u) : file_path(s, from, y, u))) return NULL;
    Unit *known = find_path(s, u->path);
    if (known && known->open) {
        diag_error(y->loc, "S022", "imports form a cycle: '%s' is being read already",
                   yaml_show(s->arena, y->text));
        return NULL;
    }
    if (known) return known;
    if (s->unit.n == MAX_UNITS) {
        diag_error(y->loc, "S035", "more than %d files are imported", MAX_UNITS - 1);
        return NULL;
    }
    vec_push(s->arena, &s->unit, u);
    u->root = yaml_read(s->arena, u->path, u->shown);
    if (!u->root) return NULL;
    unit_check(s, u);
    params_check(s, yaml_get(u->root, "params"));
    read_imports(s, u);
    return u;
}

static void read_imports(Spec *s, Unit *u)
{
    const Yaml *map = yaml_get(u->root, "imports");
    if (!map || map->kind != Y_MAP) return;
    u->open = true;
    for (int i = 0; i < map->key.n; i++) {
        const Unit *unit = read_unit(s, u, map->item.v[i]);
        Import import = {map->key.v[i]->text, unit && unit->root ? unit : NULL};
        vec_push(s->arena, &u->import, import);
    }
    u->open = false;
}

void unit_read(Spec *s)
{
    s->own->path = resolve(s->arena, s->file);
    if (!s->own->path) s->own->path = s->file; /* it was there a moment ago */
    vec_push(s->arena, &s->unit, s->own);
    read_imports(s, s->own);
}
