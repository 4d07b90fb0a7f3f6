/* Writing JSON, one value after the other; commas, indentation and escaping are done here. */
#ifndef RUNTIME_JSON_H
#define RUNTIME_JSON_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { RT_JSON_DEPTH = 16 };

typedef struct RtJson {
    FILE *f;
    char *text; /* what was written so far, once rt_json_text was called */
    size_t size;
    int depth;
    bool first[RT_JSON_DEPTH], pretty;
} RtJson;

/* Starts with an open object. pretty: a line a member; otherwise all on one line. */
void rt_json_begin(RtJson *j, bool pretty);
const char *rt_json_text(RtJson *j); /* closes what is open; valid until rt_json_free */
void rt_json_free(RtJson *j);
/* Closes, writes to the file `path` ("-": stdout) and frees. */
void rt_json_save(RtJson *j, const char *path);

/* key NULL: an element of an array. */
void rt_json_object(RtJson *j, const char *key);
void rt_json_array(RtJson *j, const char *key);
void rt_json_end_object(RtJson *j);
void rt_json_end_array(RtJson *j);
void rt_json_str(RtJson *j, const char *key, const char *value); /* NULL: null */
void rt_json_num(RtJson *j, const char *key, double value);      /* not finite: null */
void rt_json_int(RtJson *j, const char *key, int64_t value);
void rt_json_bool(RtJson *j, const char *key, bool value);
/* Comma and indentation for members that the caller prints to j->f. */
void rt_json_members(RtJson *j);

void rt_json_quote(FILE *f, const char *s, size_t n); /* invalid UTF-8 becomes U+FFFD */
#endif
