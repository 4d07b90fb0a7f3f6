/* The block model -> graph: bodies, modules, layers, the loss.
 * In: Spec. Out: Graph with inputs "input" and "target", outputs "output" and "loss".
 * Rule: a mapping is named modules in order, a list modules named 0,1,2,...; the names joined by
 * dots are the paths of the weights. After an error the rest is checked without shapes. Not here:
 * from, if, repeat and blocks (blocks.c); shapes (the operators' rules). */
#include "spec/model.h"
#include <string.h>

const char *model_path(Build *b, const char *path, const char *name)
{
    return *path ? arena_printf(b->arena, "%s.%s", path, name) : name;
}

void model_made(Build *b, const char *path, Node *n, Loc loc, bool layer)
{
    Made m = {path, n, loc, layer};
    vec_push(b->arena, &b->made, m);
}

/* Everything that is built passes here, so that nothing can go on for ever. */
static bool count(Build *b, int *n, int max, Loc loc, const char *what)
{
    if (b->stopped) return false;
    if (++*n <= max) return true;
    diag_error(loc, "S030", "more than %d %s", max, what);
    b->stopped = true;
    return false;
}

bool model_check_name(Build *b, const Yaml *key)
{
    const char *t = key->text;
    bool number = *t && strspn(t, "0123456789") == strlen(t) && strlen(t) <= 9;
    bool taken = strcmp(t, "in") == 0 || strcmp(t, "input") == 0;
    if ((number || schema_name_ok(t, false)) && !taken) return true;
    diag_error(key->loc, "S020", "'%s' cannot be the name of a layer", yaml_show(b->arena, t));
    diag_help("layer names are [A-Za-z_][A-Za-z0-9_]{0,63} or a number, and not `in` or `input`");
    return false;
}

/* ---- layers ---- */

static bool check_inputs(Build *b, const OpDef *op, const Use *u, const char *who, const Flow *in)
{
    int wanted = op->layer ? 1 : op->nin;
    if (wanted < 0 || wanted == in->n) return true;
    diag_error(u->loc, "S024", "%s takes %d input%s, got %d", who, wanted, wanted == 1 ? "" : "s",
               in->n);
    if (wanted > 1)
        diag_help("name them: {do: %s(), from: [%s]}", yaml_show(b->arena, u->name),
                  wanted == 2 ? "a, b" : "a, b, c");
    return false;
}

/* Products of sizes must not overflow in what follows, bytes and weights included. */
static bool check_size(Build *b, const Use *u, const char *who, const Node *n)
{
    int64_t count = 1;
    bool over = false;
    for (int d = 0; d < n->shape.rank; d++)
        over = over || __builtin_mul_overflow(count, n->shape.dim[d], &count);
    if (!over && count <= (int64_t)1 << 40) return true;
    diag_error(u->loc, "H010", "the output of %s is too large: %s", who,
               shape_str(b->arena, n->shape));
    return false;
}

static Node *build_layer(Build *b, const Use *u, const char *path, const Flow *in)
{
    const OpDef *op = use_op(b->arena, u, OP_LAYER);
    if (!op) return NULL;
    Layer l = {.g = b->graph, .op = op, .path = path, .nin = in->n, .loc = u->loc};
    const char *who = arena_printf(b->arena, "%s '%s'", op->name, path);
    bool ok = use_bind(b->arena, u, who, op->attrs, l.attr, NULL);
    ok = check_inputs(b, op, u, who, in) && ok;
    for (int i = 0; i < in->n; i++) {
        l.in[i] = in->in[i];
        ok = ok && l.in[i];
    }
    if (!ok) return NULL;
    int before = diag_errors();
    Node *n = layer_build(&l);
    bug_if(!n && diag_errors() == before, "%s gave no node and no error", who);
    return n && check_size(b, u, who, n) ? n : NULL;
}

static Node *build_use(Build *b, const Yaml *y, const char *path, const Flow *in,
                       const Scope *scope)
{
    const Use *u = use_read(b->arena, y, blocks_scope(b, scope, in), false, blocks_keys);
    if (!u) return NULL;
    const Yaml *block = blocks_find(b, u->name);
    if (block) return blocks_use(b, block, u, path, in);
    if (!count(b, &b->layers, MAX_LAYERS, u->loc, "layers")) return NULL;
    Node *n = build_layer(b, u, path, in);
    if (n && n != in->in[0]) model_made(b, path, n, u->loc, true);
    return n;
}

static Node *build_long(Build *b, const Yaml *y, const char *path, const Flow *in,
                        const Frame *body, const Scope *scope)
{
    Flow from;
    if (!blocks_from(b, y, in, body, &from)) return NULL;
    int yes = blocks_if(b, y, blocks_scope(b, scope, &from));
    if (yes == 0) return from.in[0];
    Node *n = build_use(b, y, path, &from, scope);
    return yes == 1 ? n : NULL;
}

Node *model_run(Build *b, const Yaml *y, const char *path, const Flow *in, const Frame *body,
                const Scope *scope)
{
    if (!count(b, &b->modules, MAX_MODULES, y->loc, "modules")) return NULL;
    if (y->kind == Y_SCALAR) return build_use(b, y, path, in, scope);
    if (y->kind == Y_MAP && yaml_get(y, "type")) return build_long(b, y, path, in, body, scope);
    if (y->kind == Y_MAP && blocks_is_directive(y))
        return blocks_directive(b, y, path, NULL, in, body, scope);
    if (in->n > 1) {
        diag_error(y->loc, "S024", "a list or mapping of modules takes 1 input, got %d", in->n);
        return NULL;
    }
    Frame inner = {body, path, in->in[0], y};
    return model_body(b, y, &inner, scope);
}

Node *model_body(Build *b, const Yaml *y, const Frame *body, const Scope *scope)
{
    Node *flow = body->in;
    int index = 0; /* repeated modules of a list take several numbers */
    if (y->item.n == 0) {
        diag_error(y->loc, "S013", "there are no layers in %s",
                   *body->path ? "this body" : "'model'");
        return NULL;
    }
    for (int i = 0; i < y->item.n && !b->stopped; i++) {
        const Yaml *item = y->item.v[i];
        Flow in = {{flow}, 1};
        if (y->kind == Y_MAP && !model_check_name(b, y->key.v[i])) {
            flow = NULL;
            continue;
        }
        if (y->kind == Y_LIST && item->kind == Y_MAP && yaml_get(item, "repeat")) {
            flow = blocks_directive(b, item, body->path, &index, &in, body, scope);
            continue;
        }
        const char *name =
            y->kind == Y_MAP ? y->key.v[i]->text : arena_printf(b->arena, "%d", index++);
        const char *path = model_path(b, body->path, name);
        flow = model_run(b, item, path, &in, body, scope);
        model_made(b, path, flow, item->loc, false);
    }
    return b->stopped ? NULL : flow;
}

/* ---- the graph ---- */

/* A layer whose output nobody reads is a mistake in `from:`. */
static void check_reached(Build *b, const Node *output)
{
    Graph *g = b->graph;
    bool *used = NEWN(b->arena, bool, g->node.n);
    used[output->id] = true;
    for (int i = g->node.n - 1; i >= 0; i--) {
        const Node *n = g->node.v[i];
        for (int k = 0; used[i] && k < n->nin; k++) used[n->in[k]->id] = true;
    }
    for (int i = 0; i < b->made.n; i++) {
        const Made *m = &b->made.v[i];
        if (m->layer && !used[m->node->id])
            diag_error(m->loc, "S023", "layer '%s' does not reach the output", m->path);
    }
}

static Node *build_model(Build *b, Node *input)
{
    const Spec *s = b->spec;
    const Yaml *model = yaml_get(s->root, "model");
    Val training = {.kind = VAL_BOOL, .i = b->graph->training, .loc = model->loc};
    b->scope = scope_add(b->arena, s->scope, "training", training);
    if (model->kind == Y_SCALAR) {
        diag_error(model->loc, "S014", "'model' must be a mapping or list of layers");
        return NULL;
    }
    Frame body = {NULL, "", input, model};
    return model_body(b, model, &body, b->scope);
}

static bool has_labels(const Spec *s)
{
    return strcmp(s->loss.op->name, "CrossEntropyLoss") == 0;
}

/* Classes of the data against the width of the output. */
static bool check_classes(const Spec *s, const Node *out)
{
    if (!has_labels(s) || !s->classes || out->shape.rank < 2) return true;
    if (out->shape.dim[1] == s->classes) return true;
    diag_error(out->loc, "H007", "the model has %lld outputs, but the data have %lld classes",
               (long long)out->shape.dim[1], (long long)s->classes);
    diag_note(s->classes_loc, "the classes are given here");
    return false;
}

static Node *build_target(Graph *g, const Spec *s, Node *out, Node *input)
{
    if (s->target == TARGET_INPUT) return input;
    if (has_labels(s))
        return graph_input(g, "target", DT_I32, shape_make(2, input->shape.dim[0], (int64_t)1));
    return graph_input(g, "target", DT_F32, out->shape);
}

static bool build_loss(Graph *g, const Spec *s, Node *out, Node *input)
{
    const Chosen *c = &s->loss;
    if (!c->op) return true;
    if (!check_classes(s, out)) return false;
    g->cur_loc = c->loc;
    Layer l = {.g = g, .op = c->op, .path = "loss", .nin = 2, .loc = c->loc};
    l.in[0] = out;
    l.in[1] = build_target(g, s, out, input);
    memcpy(l.attr, c->attr, sizeof l.attr);
    Node *loss = l.in[1] ? layer_build(&l) : NULL;
    if (loss) graph_output(g, "loss", loss);
    return loss != NULL;
}

static Node *build_input(Graph *g, const Spec *s, int64_t batch)
{
    Shape shape = {.rank = s->input.rank + 1};
    shape.dim[0] = batch;
    int64_t count = batch;
    bool over = false;
    for (int d = 0; d < s->input.rank; d++) {
        shape.dim[d + 1] = s->input.dim[d];
        over = over || __builtin_mul_overflow(count, s->input.dim[d], &count);
    }
    g->cur_loc = s->input_loc;
    if (!over && count <= (int64_t)1 << 40) return graph_input(g, "input", DT_F32, shape);
    diag_error(s->input_loc, "H010", "a batch of inputs is too large: %s",
               shape_str(g->arena, shape));
    return NULL;
}

Graph *spec_graph(Arena *a, const Spec *s, bool training, int64_t batch)
{
    int before = diag_errors();
    Graph *g = graph_new(a);
    g->training = training;
    Build b = {.arena = a, .spec = s, .graph = g};
    Node *input = build_input(g, s, batch);
    Node *out = input ? build_model(&b, input) : NULL;
    bug_if(!out && diag_errors() == 0, "no output and no error");
    if (!out || diag_errors() > before) return NULL;
    check_reached(&b, out);
    graph_output(g, "output", out);
    bool ok = build_loss(g, s, out, input);
    return ok && diag_errors() == before ? g : NULL;
}

bool spec_optimizer(const Spec *s, Graph *g, Node *weights, Node *gradients)
{
    const Chosen *c = &s->optimizer;
    if (!c->op) return false;
    Layer l = {.g = g, .op = c->op, .path = "optimizer", .nin = 2, .loc = c->loc};
    l.in[0] = weights;
    l.in[1] = gradients;
    memcpy(l.attr, c->attr, sizeof l.attr);
    int before = diag_errors();
    layer_build(&l);
    return diag_errors() == before;
}
