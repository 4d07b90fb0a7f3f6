/* Errors of the built program: one door, one format, the exit codes of the documentation.
 *
 * Text after a newline in a message becomes a help line. Text that came from a file, a directory or
 * the command line goes through rt_esc first. */
#ifndef RUNTIME_ERR_H
#define RUNTIME_ERR_H
#include <stddef.h>

enum {
    RT_EXIT_OK,
    RT_EXIT_CHECK,     /* a check failed */
    RT_EXIT_USAGE,     /* command line */
    RT_EXIT_SPEC,      /* description */
    RT_EXIT_DATA,      /* data or weights */
    RT_EXIT_DEVICE,    /* device or tool */
    RT_EXIT_MEMORY,    /* memory or threads */
    RT_EXIT_WRITE,     /* cannot create or write */
    RT_EXIT_NONFINITE, /* NaN or infinity */
    RT_EXIT_BUG = 70,
    RT_EXIT_INTERRUPTED = 130
};

typedef struct RtError {
    int exit;       /* exit code of the catalogue: 3 description, 4 data, 6 memory, 7 write */
    const char *id; /* "D004" */
    char text[512];
} RtError;

/* Prints "error[ID]: text" and exits. A text "file: ..." or "file:12: ..." puts its place first:
 * "file:12: error[ID]: ...". */
_Noreturn void rt_fail(int exit_code, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void rt_warn(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Untrusted text as printable UTF-8: control and broken bytes as \xNN, cut at 80 bytes.
 * The answer lives until the thread's eighth next call. */
const char *rt_esc(const char *s);
const char *rt_esc_n(const char *s, size_t n);

/* Zeroed memory, or exit 6. The product of the sizes is checked. */
void *rt_alloc(size_t n, size_t size, const char *what);
char *rt_strdup(const char *s);
char *rt_format(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* caller frees */

/* Called before a message is printed, so that a progress bar can end its line. NULL: nothing. */
extern void (*rt_before_message)(void);
#endif
