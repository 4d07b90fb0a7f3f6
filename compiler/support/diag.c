/* The three doors of errors: records of user errors, fatal(), bug_().
 * In: places and texts. Out: stderr, and the exit code that the caller should use.
 * Rule: a hostile description may cause any number of errors; only the first MAX_RECORDS are kept.
 * Not here: how a record looks (diag_print.c). */
#include "support/diag.h"
#include "support/diag_record.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_RECORDS = 100, MAX_WORD = 64 };

static struct {
    Arena *arena; /* of the records; made at the first one */
    VEC(DiagRecord *) record;
    DiagRecord *last;
    int errors, warnings;
    int repeated; /* errors that have been said before, word for word: a body that is used twice */
    bool json;
} state;

static struct {
    Arena *arena;
    VEC(DiagSource) source;
} files;

void diag_json(bool on)
{
    state.json = on;
}

void diag_source(const char *file, const char *text, size_t len)
{
    for (int i = 0; i < files.source.n; i++) {
        DiagSource *s = &files.source.v[i];
        if (strcmp(s->file, file) != 0) continue;
        s->text = text;
        s->len = len;
        return;
    }
    if (!files.arena) files.arena = arena_new();
    DiagSource s = {arena_strdup(files.arena, file), text, len};
    vec_push(files.arena, &files.source, s);
}

const DiagSource *diag_find_source(const char *file)
{
    for (int i = 0; file && i < files.source.n; i++)
        if (strcmp(files.source.v[i].file, file) == 0) return &files.source.v[i];
    return NULL;
}

static const char *format(const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    bug_if(n < 0, "bad format '%s'", fmt);
    char *s = arena_alloc(state.arena, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    return s;
}

static bool said_before(Loc loc, const char *text)
{
    for (int i = 0; loc.file && i < state.record.n; i++) {
        const DiagRecord *r = state.record.v[i];
        if (!r->loc.file || r->loc.line != loc.line || r->loc.col != loc.col) continue;
        if (strcmp(r->loc.file, loc.file) == 0 && strcmp(r->text, text) == 0) return true;
    }
    return false;
}

static void begin(Loc loc, bool warning, const char *id, const char *fmt, va_list ap)
{
    if (!state.arena) state.arena = arena_new();
    *(warning ? &state.warnings : &state.errors) += 1;
    state.last = NULL;
    if (state.record.n == MAX_RECORDS) return;
    const char *text = format(fmt, ap);
    if (said_before(loc, text)) {
        state.repeated += !warning;
        return;
    }
    DiagRecord *r = NEW(state.arena, DiagRecord);
    *r = (DiagRecord){.loc = loc, .warning = warning, .exit_code = EXIT_SPEC};
    if (loc.file) r->loc.file = arena_strdup(state.arena, loc.file);
    r->id = id ? arena_strdup(state.arena, id) : NULL;
    r->text = text;
    vec_push(state.arena, &state.record, r);
    state.last = r;
}

void diag_error(Loc loc, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    begin(loc, false, id, fmt, ap);
    va_end(ap);
}

void diag_warning(Loc loc, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    begin(loc, true, id, fmt, ap);
    va_end(ap);
}

void diag_under(const char *fmt, ...)
{
    if (!state.last) return;
    va_list ap;
    va_start(ap, fmt);
    state.last->under = format(fmt, ap);
    va_end(ap);
}

void diag_help(const char *fmt, ...)
{
    if (!state.last) return;
    va_list ap;
    va_start(ap, fmt);
    vec_push(state.arena, &state.last->help, format(fmt, ap));
    va_end(ap);
}

void diag_note(Loc loc, const char *fmt, ...)
{
    if (!state.last) return;
    va_list ap;
    va_start(ap, fmt);
    DiagNote note = {loc, format(fmt, ap)};
    va_end(ap);
    if (loc.file) note.loc.file = arena_strdup(state.arena, loc.file);
    vec_push(state.arena, &state.last->note, note);
}

int diag_errors(void)
{
    return state.errors;
}

void diag_exit_with(int code)
{
    if (state.last) state.last->exit_code = code;
}

/* Which of two records is printed first? Without a place first; then by line and column. Files keep
 * the order in which their first record came, because the sort is stable. */
static bool before(const DiagRecord *a, const DiagRecord *b)
{
    if (!a->loc.file || !b->loc.file) return !a->loc.file && b->loc.file;
    if (strcmp(a->loc.file, b->loc.file) != 0) return false;
    if (a->loc.line != b->loc.line) return a->loc.line < b->loc.line;
    return a->loc.col < b->loc.col;
}

static void sort(DiagRecord **v, int n)
{
    for (int i = 1; i < n; i++) {
        DiagRecord *r = v[i];
        int j = i;
        for (; j > 0 && before(r, v[j - 1]); j--) v[j] = v[j - 1];
        v[j] = r;
    }
}

static void print_all(Buf *b)
{
    for (int i = 0; i < state.record.n; i++) {
        if (state.json)
            diag_print_json(b, state.record.v[i]);
        else
            diag_print_text(b, state.record.v[i]);
    }
    if (!state.errors || state.json) return;
    int errors = state.errors - state.repeated;
    buf_printf(b, "%d error%s", errors, errors == 1 ? "" : "s");
    if (errors > MAX_RECORDS)
        buf_printf(b, " (only the first %d messages are shown)", state.record.n);
    buf_puts(b, "; nothing was written\n");
}

int diag_flush(void)
{
    if (!state.arena) return 0;
    sort(state.record.v, state.record.n);
    int code = state.errors ? EXIT_SPEC : 0;
    for (int i = state.record.n - 1; i >= 0; i--) /* the first error decides */
        if (!state.record.v[i]->warning) code = state.record.v[i]->exit_code;
    Buf b = {0};
    print_all(&b);
    if (b.n) fwrite(b.s, 1, b.n, stderr);
    fflush(stderr);
    buf_free(&b);
    arena_free(state.arena);
    bool json = state.json;
    memset(&state, 0, sizeof state);
    state.json = json;
    return code;
}

/* Edit distance with swaps of neighbours; both words are at most MAX_WORD long. */
static int distance(const char *a, const char *b, bool fold)
{
    int row[3][MAX_WORD + 1];
    int n = (int)strlen(a), m = (int)strlen(b);
    int *before_last = row[0], *last = row[1], *now = row[2];
    for (int j = 0; j <= m; j++) last[j] = j;
    for (int i = 1; i <= n; i++) {
        now[0] = i;
        for (int j = 1; j <= m; j++) {
#define AT(s, k) (fold ? tolower((unsigned char)(s)[k]) : (unsigned char)(s)[k])
            int best = last[j - 1] + (AT(a, i - 1) != AT(b, j - 1));
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            bool swap =
                i > 1 && j > 1 && AT(a, i - 1) == AT(b, j - 2) && AT(a, i - 2) == AT(b, j - 1);
#undef AT
            if (swap && before_last[j - 2] + 1 < best) best = before_last[j - 2] + 1;
            now[j] = best;
        }
        int *free_row = before_last;
        before_last = last;
        last = now;
        now = free_row;
    }
    return last[m];
}

const char *diag_nearest(const char *word, const char *const *names)
{
    size_t len = strlen(word);
    if (len == 0 || len > MAX_WORD) return NULL;
    const char *best = NULL;
    int best_score = 0;
    for (int i = 0; names[i]; i++) {
        size_t n = strlen(names[i]);
        size_t apart = n > len ? n - len : len - n;
        if (n > MAX_WORD || apart > 1 + len / 3) continue;
        int d = distance(word, names[i], true);
        if (d > 1 + (int)len / 3 || d >= (int)(len > n ? len : n)) continue;
        int score = d * (2 * MAX_WORD) + distance(word, names[i], false); /* case breaks ties */
        if (best && score >= best_score) continue;
        best = names[i];
        best_score = score;
    }
    for (int i = 0; !best && len >= 3 && names[i]; i++) /* kernel: kernel_size */
        if (strncasecmp(names[i], word, len) == 0) best = names[i];
    return best;
}

void fatal(int exit_code, const char *fmt, ...)
{
    int e = errno;
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t n = strlen(text);
    if (n && text[n - 1] == ':') snprintf(text + n, sizeof text - n, " %s", strerror(e));
    if (exit_code == EXIT_MEMORY) { /* nothing that allocates */
        fprintf(stderr, "sinter: error: %s\n", text);
        exit(exit_code);
    }
    Buf b = {0};
    if (state.json) {
        buf_puts(&b, "{\"severity\":\"fatal\",\"message\":");
        diag_json_string(&b, text);
        buf_puts(&b, "}");
    } else {
        buf_puts(&b, "sinter: error: ");
        diag_escape(&b, text);
    }
    fprintf(stderr, "%s\n", b.s);
    exit(exit_code);
}

void bug_(const char *file, int line, const char *what, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fflush(stdout);
    fprintf(stderr, "%s:%d: internal error: %s (%s)\n", file, line, text, what);
    fprintf(stderr, "This is a bug in sinter itself; the description may be fine.\n");
    _Exit(EXIT_BUG);
}
