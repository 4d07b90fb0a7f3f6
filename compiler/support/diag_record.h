/* What diag.c collects and diag_print.c prints. Private to support. */
#ifndef SUPPORT_DIAG_RECORD_H
#define SUPPORT_DIAG_RECORD_H
#include "support/buf.h"
#include "support/diag.h"
#include "support/vec.h"

typedef struct DiagNote {
    Loc loc;
    const char *text;
} DiagNote;

typedef struct DiagRecord {
    Loc loc;
    bool warning;
    int exit_code;
    const char *id, *text;
    const char *under; /* beside the caret; NULL: nothing */
    VEC(const char *) help;
    VEC(DiagNote) note;
} DiagRecord;

typedef struct DiagSource {
    const char *file, *text;
    size_t len;
} DiagSource;

const DiagSource *diag_find_source(const char *file); /* NULL: unknown */
void diag_print_text(Buf *b, const DiagRecord *r);
void diag_print_json(Buf *b, const DiagRecord *r);
void diag_json_string(Buf *b, const char *s);
void diag_escape(Buf *b, const char *s); /* control characters made visible, cut when long */
#endif
