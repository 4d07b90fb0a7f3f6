/* Rows of comma-separated values (RFC 4180): of labels.csv and of split files. */
#ifndef RUNTIME_DATA_CSV_H
#define RUNTIME_DATA_CSV_H
#include "internal.h"
#include <stdio.h>

enum { RT_CSV_FIELDS = 16 };

typedef struct RtCsv {
    char *text, *at;
    const char *name; /* for messages; borrowed */
    int64_t line;     /* that the present row begins in */
    int64_t next_line;
    int n;
    char *field[RT_CSV_FIELDS]; /* unquoted, in text */
} RtCsv;

/* The whole file into memory, at most 1 GiB; NUL bytes are D021. */
bool rt_csv_open(RtCsv *c, const char *path, const char *name, RtError *e);
/* The next row that is not empty: 1; 0: the end; -1: failed. */
int rt_csv_next(RtCsv *c, RtError *e);
int rt_csv_column(const RtCsv *c, const char *name); /* of the present row, the header; -1: none */
/* D021 with the row's line; false. */
bool rt_csv_fail(const RtCsv *c, RtError *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "train", "val", "test" -> the split; -1: another word */
int rt_csv_split(const char *word);
void rt_csv_close(RtCsv *c);
/* A field as it is written: in quotes where it needs them (RFC 4180). */
void rt_csv_put(FILE *f, const char *s);
#endif
