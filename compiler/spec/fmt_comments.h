/* The comments and empty lines of a source, taken in order. Between fmt_comments.c and fmt.c. */
#ifndef SPEC_FMT_COMMENTS_H
#define SPEC_FMT_COMMENTS_H
#include "spec/yaml_tree.h"

typedef struct Comments Comments;
Comments *comments_find(Arena *a, const char *text, size_t len, const Yaml *root);
/* Takes the next comment or empty line ("") that stands before this line; NULL: no more. */
const char *comments_before(Comments *c, int line);
/* Takes the comment that stands on this line, behind something; NULL: none. */
const char *comments_beside(Comments *c, int line);
/* Is there a comment between these lines, the last one's own apart? */
bool comments_inside(const Comments *c, int from, int to);
#endif
