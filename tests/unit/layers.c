#include "layers.h"
#include <string.h>

Node *make_layer(Graph *g, const char *op, const char *path, const char *attrs, Node *a, Node *b)
{
    return make_layer_of(g, op, path, attrs, (Node *[]){a, b}, b ? 2 : 1);
}

Node *make_layer_of(Graph *g, const char *op, const char *path, const char *attrs, Node *const *in,
                    int nin)
{
    Node proto = {.op = op_find(op)};
    Layer l = {.g = g, .op = proto.op, .path = path, .nin = nin};
    for (int i = 0; i < nin; i++) l.in[i] = in[i];
    char *save = NULL;
    op_default_attrs(proto.op, proto.attr);
    for (int i = 0; proto.op->attrs && proto.op->attrs[i].name; i++)
        proto.attr[i].infer = proto.op->attrs[i].infer;
    for (char *w = strtok_r(arena_strdup(g->arena, attrs), " ", &save); w;
         w = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(w, '=');
        *eq = '\0';
        bug_if(!op_parse_attr(g->arena, &proto, w, eq + 1), "attribute %s of %s", w, op);
        proto.attr[attr_index(proto.op, w)].infer = false;
    }
    memcpy(l.attr, proto.attr, sizeof l.attr);
    l.loc = (Loc){"test.yaml", 1, 1, 1};
    return layer_build(&l);
}
