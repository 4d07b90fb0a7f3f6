/* The three doors of errors.
 *   user : diag_error(...) records a message with a place; the stage ends, the pipeline stops.
 *   world: fatal(...)      I/O, memory, LLVM: prints and exits with the given code.
 *   bug  : bug_if(...)     file:line, abort (exit 70).
 * A record is printed as clang prints: file:line:col: error[ID]: text, the source line, a caret under
 * loc.len characters with the text of diag_under() beside it, then `= help:` lines, then notes.
 * Records are printed in the order of their place when diag_flush() is called (or as JSON lines). */
#ifndef SUPPORT_DIAG_H
#define SUPPORT_DIAG_H
#include <stdbool.h>
#include <stddef.h>

typedef struct Loc {
    const char *file; /* as the user named it; NULL: no place */
    int line, col;    /* 1-based, in characters */
    int len;          /* characters under the caret, >= 1 */
} Loc;

enum { /* exit codes, the same in the compiler and in every built program */
    EXIT_OK = 0, EXIT_CHECK = 1, EXIT_USAGE = 2, EXIT_SPEC = 3, EXIT_DATA = 4, EXIT_TOOL = 5,
    EXIT_MEMORY = 6, EXIT_WRITE = 7, EXIT_NONFINITE = 8, EXIT_BUG = 70
};

void diag_json(bool on);                                          /* --diagnostics=json */
void diag_source(const char *file, const char *text, size_t len); /* text is kept by reference */
void diag_error(Loc loc, const char *id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(Loc loc, const char *id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* These three add to the record begun by the last diag_error or diag_warning. */
void diag_under(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void diag_help(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void diag_note(Loc loc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int diag_errors(void);         /* errors so far */
void diag_exit_with(int code); /* the last record asks for this exit code instead of EXIT_SPEC */
int diag_flush(void);          /* prints all records and "N errors; nothing was written"; -> exit code or 0 */

/* Nearest name within edit distance 1 + len/3 (case counts less), or one that begins with the word, or NULL.
 * names ends with NULL. */
const char *diag_nearest(const char *word, const char *const *names);

_Noreturn void fatal(int exit_code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void bug_(const char *file, int line, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* bug_if(cond, "fmt", ...): an invariant of the compiler itself is broken. */
#define bug_if(cond, ...)                                                                          \
    do {                                                                                           \
        if (cond) bug_(__FILE__, __LINE__, #cond, __VA_ARGS__);                                    \
    } while (0)
#endif
