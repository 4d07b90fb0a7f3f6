/* The bytes of a description, and the way between byte offsets and places. */
#ifndef SPEC_YAML_FILE_H
#define SPEC_YAML_FILE_H
#include "support/arena.h"
#include "support/diag.h"

/* Reads, checks size and UTF-8, registers the text for messages. NULL after a diag_error. */
const char *yaml_file_read(Arena *a, const char *path, const char *shown, size_t *len);
Loc yaml_file_place(const char *file, const char *text, size_t offset);
size_t yaml_file_offset(const char *text, size_t len, Loc loc); /* len if there is no such place */
#endif
