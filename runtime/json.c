/* The one place that writes JSON.
 *
 * In: keys and values. Out: text, whole, then written in one go.
 * Rule: what comes out is valid UTF-8 and valid JSON whatever the strings held; numbers read back
 * as the same double (17 digits, fewer if they suffice). */
#include "json.h"
#include "err.h"
#include "file.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void rt_json_begin(RtJson *j, bool pretty)
{
    memset(j, 0, sizeof *j);
    j->pretty = pretty;
    j->f = open_memstream(&j->text, &j->size);
    if (!j->f) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the JSON text");
    fputc('{', j->f);
    j->first[0] = true;
}

static void indent(RtJson *j, int depth)
{
    if (j->pretty) fprintf(j->f, "\n%*s", 2 * depth, "");
}

void rt_json_members(RtJson *j)
{
    if (!j->first[j->depth]) fputs(j->pretty ? "," : ", ", j->f);
    j->first[j->depth] = false;
    indent(j, j->depth + 1);
}

/* The number of bytes of the UTF-8 sequence at s; 0: not valid. */
static size_t sequence(const unsigned char *s, size_t n)
{
    size_t len = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
    if (len > n) return 0;
    for (size_t i = 1; i < len; i++) {
        if (s[i] >> 6 != 2) return 0;
    }
    if (len == 3 && ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f))) return 0;
    if (len == 4 && ((*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))) return 0;
    return len;
}

void rt_json_quote(FILE *f, const char *s, size_t n)
{
    fputc('"', f);
    for (size_t i = 0; i < n;) {
        const unsigned char *p = (const unsigned char *)s + i;
        size_t len = sequence(p, n - i);
        if (len == 0)
            fputs("\\ufffd", f);
        else if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else if (*p < 32 || *p == 127)
            fprintf(f, "\\u%04x", *p);
        else
            fwrite(p, 1, len, f);
        i += len ? len : 1;
    }
    fputc('"', f);
}

static void member(RtJson *j, const char *key)
{
    rt_json_members(j);
    if (!key) return;
    rt_json_quote(j->f, key, strlen(key));
    fputs(": ", j->f);
}

static void open_level(RtJson *j, const char *key, char c)
{
    member(j, key);
    fputc(c, j->f);
    if (j->depth + 1 == RT_JSON_DEPTH) rt_fail(RT_EXIT_BUG, "B001", "JSON nested too deep");
    j->first[++j->depth] = true;
}

static void close_level(RtJson *j, char c)
{
    bool empty = j->first[j->depth];
    j->depth--;
    if (!empty) indent(j, j->depth + 1);
    fputc(c, j->f);
}

void rt_json_object(RtJson *j, const char *key)
{
    open_level(j, key, '{');
}

void rt_json_array(RtJson *j, const char *key)
{
    open_level(j, key, '[');
}

void rt_json_end_object(RtJson *j)
{
    close_level(j, '}');
}

void rt_json_end_array(RtJson *j)
{
    close_level(j, ']');
}

void rt_json_str(RtJson *j, const char *key, const char *value)
{
    member(j, key);
    if (value)
        rt_json_quote(j->f, value, strlen(value));
    else
        fputs("null", j->f);
}

void rt_json_num(RtJson *j, const char *key, double value)
{
    member(j, key);
    if (!isfinite(value)) {
        fputs("null", j->f);
        return;
    }
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, j->f);
}

void rt_json_int(RtJson *j, const char *key, int64_t value)
{
    member(j, key);
    fprintf(j->f, "%lld", (long long)value);
}

void rt_json_bool(RtJson *j, const char *key, bool value)
{
    member(j, key);
    fputs(value ? "true" : "false", j->f);
}

const char *rt_json_text(RtJson *j)
{
    bool empty = j->first[0];
    if (!empty) indent(j, 0);
    fputs("}\n", j->f);
    if (fclose(j->f) != 0) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate the JSON text");
    j->f = NULL;
    return j->text;
}

void rt_json_free(RtJson *j)
{
    if (j->f) fclose(j->f);
    free(j->text);
    memset(j, 0, sizeof *j);
}

void rt_json_save(RtJson *j, const char *path)
{
    const char *text = rt_json_text(j);
    if (!strcmp(path, "-"))
        fputs(text, stdout);
    else
        rt_file_save(path, text, strlen(text), NULL);
    rt_json_free(j);
}
