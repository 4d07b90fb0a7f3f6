/* The bytes of a description: read, bounded, valid UTF-8. And small functions on the tree.
 * In: a path. Out: text that diag can quote. Not here: YAML itself (yaml.c). */
#include "spec/yaml_file.h"
#include "spec/yaml_tree.h"
#include "support/file.h"
#include <errno.h>
#include <string.h>

enum { MAX_FILE = 256 * 1024, MAX_SHOW = 80 };

/* Bytes of the valid UTF-8 character at s, 0 if there is none. NUL is not accepted. */
static int utf8_len(const unsigned char *s, size_t n)
{
    if (s[0] == 0) return 0;
    if (s[0] < 0x80) return 1;
    int len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || (size_t)len > n) return 0;
    for (int i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0; /* overlong */
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xed && s[1] >= 0xa0) return 0; /* surrogates */
    if (s[0] == 0xf4 && s[1] >= 0x90) return 0; /* past the last character */
    return len;
}

Loc yaml_file_place(const char *file, const char *text, size_t offset)
{
    Loc loc = {file, 1, 1, 1};
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n')
            loc.line++, loc.col = 1;
        else if (((unsigned char)text[i] & 0xc0) != 0x80)
            loc.col++;
    }
    return loc;
}

size_t yaml_file_offset(const char *text, size_t len, Loc loc)
{
    size_t at = 0;
    for (int line = 1; line < loc.line; line++) {
        const char *nl = memchr(text + at, '\n', len - at);
        if (!nl) return len;
        at = (size_t)(nl - text) + 1;
    }
    for (int col = 1; at < len && col < loc.col; col++) do
            at++;
        while (at < len && ((unsigned char)text[at] & 0xc0) == 0x80);
    return at;
}

const char *yaml_file_read(Arena *a, const char *path, const char *shown, size_t *len)
{
    const char *why;
    const char *text = file_read(a, path, MAX_FILE, len, &why);
    if (!text && errno == EFBIG) {
        diag_error((Loc){shown, 0, 0, 0}, "S006", "spec larger than %d bytes", MAX_FILE);
        return NULL;
    }
    if (!text) {
        bool irregular = errno == EINVAL;
        diag_error((Loc){0}, irregular ? "S002" : "S001", "cannot open spec '%s': %s",
                   yaml_show(a, shown), why);
        diag_exit_with(EXIT_DATA);
        return NULL;
    }
    if (*len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3, *len -= 3;
    diag_source(shown, text, *len);
    for (size_t i = 0; i < *len;) {
        int n = utf8_len((const unsigned char *)text + i, *len - i);
        if (n == 0) {
            diag_error(yaml_file_place(shown, text, i), "S005", "not valid UTF-8 at byte %zu", i);
            return NULL;
        }
        i += (size_t)n;
    }
    return text;
}

Yaml *yaml_get(const Yaml *map, const char *key)
{
    if (!map || map->kind != Y_MAP) return NULL;
    for (int i = 0; i < map->key.n; i++)
        if (strcmp(map->key.v[i]->text, key) == 0) return map->item.v[i];
    return NULL;
}

Yaml *yaml_scalar(Arena *a, const char *text, Loc loc)
{
    Yaml *y = NEW(a, Yaml);
    *y = (Yaml){.kind = Y_SCALAR, .loc = loc, .text = text, .plain = true, .weight = 1};
    return y;
}

Yaml *yaml_map(Arena *a, Loc loc)
{
    Yaml *y = NEW(a, Yaml);
    *y = (Yaml){.kind = Y_MAP, .loc = loc, .weight = 1, .height = 1};
    return y;
}

void yaml_put(Arena *a, Yaml *map, Yaml *key, Yaml *value)
{
    for (int i = 0; i < map->key.n; i++) {
        if (strcmp(map->key.v[i]->text, key->text) != 0) continue;
        map->item.v[i] = value;
        return;
    }
    vec_push(a, &map->key, key);
    vec_push(a, &map->item, value);
}

bool yaml_is_null(const Yaml *y)
{
    return y->kind == Y_SCALAR && y->plain &&
           (!*y->text || strcmp(y->text, "~") == 0 || strcmp(y->text, "null") == 0);
}

const char *yaml_show(Arena *a, const char *text)
{
    size_t n = strlen(text);
    if (n <= MAX_SHOW) return text;
    n = MAX_SHOW;
    while (n && ((unsigned char)text[n] & 0xc0) == 0x80) n--; /* not inside a character */
    return arena_printf(a, "%.*s...", (int)n, text);
}
