/* Where the comments of a description are.
 * In: its text and its tree. Out: comments and empty lines with their line numbers.
 * Rule: `#` begins a comment at the start of a line or behind a blank, but not inside of quotes or
 * of text over several lines. */
#include "spec/fmt_comments.h"
#include <string.h>

typedef struct Comment {
    const char *text; /* "# ...", or "" for an empty line */
    int line;
    bool beside; /* something stands before it on the line */
    bool taken;
} Comment;

struct Comments {
    Arena *a;
    VEC(Comment) all;
    int next;
    int nlines, last;    /* lines; the last one that a value stands on */
    const Yaml **quoted; /* by line: the last quoted scalar that begins on it */
    bool *covered;       /* by line: inside of a text that began before */
};

static void cover(Comments *c, const Yaml *y)
{
    if ((y->kind == Y_SCALAR || y->flow) && y->end_line > c->last) c->last = y->end_line;
    if (y->kind == Y_SCALAR && y->loc.line <= c->nlines) {
        if (!y->plain) c->quoted[y->loc.line] = y;
        for (int i = y->loc.line + 1; !y->plain && i <= y->end_line && i <= c->nlines; i++)
            c->covered[i] = true;
    }
    for (int i = 0; i < y->item.n; i++) {
        if (y->kind == Y_MAP) cover(c, y->key.v[i]);
        cover(c, y->item.v[i]);
    }
}

/* The quotes of a line, single and double, one after the other. */
static size_t find_hash(const char *s, size_t n, bool quotes)
{
    char open = 0;
    for (size_t i = 0; i < n; i++) {
        bool start = i == 0 || s[i - 1] == ' ' || s[i - 1] == '\t' || strchr("[{,:", s[i - 1]);
        if (open == '"' && s[i] == '\\') {
            i++;
        } else if (open) {
            if (s[i] == open) open = 0;
        } else if (quotes && start && (s[i] == '"' || s[i] == '\'')) {
            open = s[i];
        } else if (s[i] == '#' && (i == 0 || s[i - 1] == ' ' || s[i - 1] == '\t')) {
            return i;
        }
    }
    return n;
}

static void take_line(Comments *c, const char *s, size_t n, int line)
{
    size_t blank = 0;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r')) n--;
    while (blank < n && (s[blank] == ' ' || s[blank] == '\t')) blank++;
    if (c->covered[line]) return;
    size_t at = find_hash(s, n, c->quoted[line] != NULL);
    if (n && at == n) return;
    Comment comment = {arena_strndup(c->a, s + at, n - at), line, at > blank, false};
    vec_push(c->a, &c->all, comment);
}

Comments *comments_find(Arena *a, const char *text, size_t len, const Yaml *root)
{
    Comments *c = NEW(a, Comments);
    c->a = a;
    c->nlines = 1;
    for (size_t i = 0; i < len; i++) c->nlines += text[i] == '\n';
    c->quoted = NEWN(a, const Yaml *, c->nlines + 2);
    c->covered = NEWN(a, bool, c->nlines + 2);
    cover(c, root);
    int line = 1;
    for (size_t i = 0; i < len; line++) {
        const char *nl = memchr(text + i, '\n', len - i);
        size_t n = nl ? (size_t)(nl - text) - i : len - i;
        take_line(c, text + i, n, line);
        i += n + 1;
    }
    while (c->all.n && !*c->all.v[c->all.n - 1].text && c->all.v[c->all.n - 1].line > c->last)
        c->all.n--;
    return c;
}

const char *comments_before(Comments *c, int line)
{
    while (c->next < c->all.n && c->all.v[c->next].taken) c->next++;
    if (c->next == c->all.n || c->all.v[c->next].line >= line) return NULL;
    return c->all.v[c->next++].text;
}

const char *comments_beside(Comments *c, int line)
{
    for (int i = c->next; i < c->all.n && c->all.v[i].line <= line; i++) {
        if (c->all.v[i].line < line || !c->all.v[i].beside || c->all.v[i].taken) continue;
        c->all.v[i].taken = true;
        return c->all.v[i].text;
    }
    return NULL;
}

bool comments_inside(const Comments *c, int from, int to)
{
    for (int i = c->next; i < c->all.n && c->all.v[i].line < to; i++)
        if (c->all.v[i].line >= from && *c->all.v[i].text && !c->all.v[i].taken) return true;
    return false;
}
