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

/* Multiply-adds of a contraction: every combination of its axes, in every phase. */
static int64_t multiply_adds(const Node *n)
{
    Contract c;
    int64_t sum = 0;
    for (int phase = 0; n->op->contract; phase++) {
        int64_t all = 1;
        c = (Contract){0};
        if (!n->op->contract(n, phase, &c)) break;
        for (int i = 0; i < c.naxes; i++) all *= c.axis[i].extent;
        sum += all;
    }
    return sum;
}

static void list_layer(Build *b, const Layer *l, const Node *out, int nodes, int states)
{
    Graph *g = b->graph;
    LayerNote note = {.path = l->path, .type = l->op->name, .out = out->shape};
    for (int i = nodes; i < g->node.n; i++) note.macs += multiply_adds(g->node.v[i]);
    for (int i = states; i < g->state.n; i++) {
        const State *s = g->state.v[i];
        if (s->kind == STATE_PARAM) note.params += shape_count(s->shape);
    }
    note.frozen = note.params > 0 && l->frozen;
    vec_push(b->arena, &b->list->layer, note);
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
    l.frozen = weights_frozen(b->spec, path);
    int before = diag_errors(), nodes = b->graph->node.n, states = b->graph->state.n;
    Node *n = layer_build(&l);
    bug_if(!n && diag_errors() == before, "%s gave no node and no error", who);
    if (!n || !check_size(b, u, who, n)) return NULL;
    if (b->list) list_layer(b, &l, n, nodes, states);
    return n;
}

static Node *build_use(Build *b, const Yaml *y, const char *path, const Flow *in,
                       const Scope *scope)
{
    const Use *u = use_read(b->arena, y, blocks_scope(b, scope, in), false, blocks_keys);
    if (!u) return NULL;
    Callee callee;
    if (uses_find(b, u->name, &callee)) return uses_call(b, &callee, u, path, in, NULL);
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
    if (yes == 0) vec_push(b->arena, &b->skipped, path);
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
static void check_reached(Build *b, Node *const *root, int n)
{
    Graph *g = b->graph;
    bool *used = NEWN(b->arena, bool, g->node.n);
    for (int i = 0; i < n; i++) used[root[i]->id] = true;
    for (int i = g->node.n - 1; i >= 0; i--) {
        const Node *x = g->node.v[i];
        for (int k = 0; used[i] && k < x->nin; k++) used[x->in[k]->id] = true;
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
    b->unit = s->own;
    b->training = scope_add(b->arena, NULL, "training", training);
    b->scope = scope_add(b->arena, s->scope, "training", training);
    if (yaml_is_null(model)) {
        diag_error(model->loc, "S014", "'model' must be a mapping or list of layers");
        return NULL;
    }
    Frame body = {NULL, "", input, model};
    Flow in = {{input}, 1};
    bool one = model->kind == Y_SCALAR || (model->kind == Y_MAP && blocks_is_directive(model));
    return one ? model_run(b, model, "", &in, &body, b->scope)
               : model_body(b, model, &body, b->scope);
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

/* ---- outputs ---- */

/* `outputs:` -> out[0] is the main one; without it that is the last module. -> count, 0 after an
 * error */
static int find_outputs(Build *b, Node *last, Node **out, const char **name)
{
    const Spec *s = b->spec;
    int n = 0;
    out[n] = last;
    name[n++] = "output";
    for (int i = 0; i < s->output.n; i++) {
        const Yaml *y = s->output.v[i];
        bool skipped;
        Node *x = loss_module(b, y, "outputs", &skipped);
        if (!x && !skipped) return 0;
        if (i == 0 && skipped) {
            diag_error(y->loc, "S021",
                       "the main output '%s' is not always there: its `if` is false",
                       yaml_show(b->arena, y->text));
            return 0;
        }
        if (i == 0) out[0] = x;
        if (i == 0 || skipped) continue;
        out[n] = x;
        name[n++] = y->text;
    }
    return n;
}

static bool is_taken(const char *name)
{
    static const char *const taken[] = {"input", "target", "output", "loss", "grads", NULL};
    for (int i = 0; taken[i]; i++)
        if (strcmp(name, taken[i]) == 0) return true;
    return false;
}

/* The outputs of the graph; what is not the main one only where nothing is trained. */
static bool set_outputs(Build *b, Node *last, Node **main, Node **root, int *nroot)
{
    Node *out[MAX_OUTPUTS + 1];
    const char *name[MAX_OUTPUTS + 1];
    int n = find_outputs(b, last, out, name), before = diag_errors();
    for (int i = 0; i < n; i++) {
        root[(*nroot)++] = out[i];
        if (i && is_taken(name[i]))
            diag_error(b->spec->output.v[i]->loc, "S020", "'%s' cannot be the name of an output",
                       name[i]);
        else if (!i || !b->graph->training)
            graph_output(b->graph, name[i], out[i]);
    }
    *main = out[0];
    return n > 0 && diag_errors() == before;
}

/* Of evaluation, where a module is there: after all other outputs. */
static bool set_features(Build *b)
{
    int before = diag_errors();
    for (int i = 0; i < b->spec->feature.n; i++) {
        const Yaml *y = b->spec->feature.v[i];
        bool skipped;
        Node *x = loss_module(b, y, "keep", &skipped);
        if (x && !b->graph->training && !graph_find_output(b->graph, y->text)) graph_output(b->graph, y->text, x);
    }
    return diag_errors() == before;
}

void spec_drop_features(const Spec *s, Graph *g)
{
    for (int i = s->feature.n - 1; i >= 0; i--) { /* the last one first: they lie behind all others */
        const char *name = s->feature.v[i]->text;
        bool declared = false;
        for (int k = 1; k < s->output.n; k++) declared = declared || !strcmp(s->output.v[k]->text, name);
        if (!declared && g->output.n && !strcmp(g->output.v[g->output.n - 1].name, name)) g->output.n--;
    }
}

/* ---- states ---- */

/* What the loss does not depend on has no gradient: it is not trained. */
static void freeze_unread(Graph *g, Arena *a, Node *const *on, int n)
{
    bool *used = NEWN(a, bool, g->node.n);
    for (int i = 0; i < n; i++) used[on[i]->id] = true;
    for (int i = g->node.n - 1; i >= 0; i--) {
        const Node *x = g->node.v[i];
        for (int k = 0; used[i] && k < x->nin; k++) used[x->in[k]->id] = true;
    }
    for (int i = 0; i < g->state.n; i++) {
        State *s = g->state.v[i];
        bool read = s->kind != STATE_PARAM;
        for (int k = 0; k < g->node.n && !read; k++)
            read = used[k] && g->node.v[k]->nin == 0 && g->node.v[k]->state == s;
        if (!read) s->frozen = true;
    }
}

static void check_trained(const Spec *s, const Graph *g)
{
    int params = 0, trained = 0;
    for (int i = 0; i < g->state.n; i++) {
        params += g->state.v[i]->kind == STATE_PARAM;
        trained += g->state.v[i]->kind == STATE_PARAM && !g->state.v[i]->frozen;
    }
    if (!params || trained || !s->freeze.n) return;
    diag_error(s->freeze.v[0].loc, "S037", "every parameter is frozen: nothing is left to train");
    diag_help("except what is to be trained: [\"*\", \"!fc\"]");
}

/* All programs of an executable share one set of states: those of training, in its order. */
static void share_states(Graph *g, const Graph *training)
{
    VEC(State *) all = {0};
    for (int i = 0; i < training->state.n; i++) {
        const State *t = training->state.v[i];
        State *s = graph_find_state(g, t->name);
        if (!s) s = graph_state(g, t->name, t->kind, t->shape, t->init);
        s->view = t->view;
        s->dtype = t->dtype;
        s->loc = t->loc;
        s->frozen = t->frozen;
        vec_push(g->arena, &all, s);
    }
    for (int i = 0; i < g->state.n; i++) {
        if (graph_find_state(training, g->state.v[i]->name)) continue;
        diag_error(g->state.v[i]->loc, "S036",
                   "'%s' is not there in training, so nothing would ever train it",
                   g->state.v[i]->name);
    }
    for (int i = 0; i < all.n && all.n == g->state.n; i++) {
        g->state.v[i] = all.v[i];
        all.v[i]->id = i;
    }
}

/* ---- the whole ---- */

static Graph *build(Build *b)
{
    const Spec *s = b->spec;
    Graph *g = b->graph;
    Node *root[2 * MAX_OUTPUTS + 2], *main, *loss;
    int before = diag_errors(), nroot = 0;
    Node *input = build_input(g, s, b->batch);
    Node *last = input ? build_model(b, input) : NULL;
    bug_if(!last && diag_errors() == 0, "no output and no error");
    if (!last || diag_errors() > before) return NULL;
    if (!set_outputs(b, last, &main, root, &nroot)) return NULL;
    int on = nroot;
    nroot += loss_reads(b, main, root + nroot);
    if (diag_errors() > before) return NULL;
    check_reached(b, root, nroot);
    if (!loss_build(b, main, input, &loss)) return NULL;
    if (loss) freeze_unread(g, b->arena, root + on, nroot - on);
    if (loss) graph_output(g, "loss", loss);
    if (!set_features(b)) return NULL;
    return diag_errors() == before ? g : NULL;
}

static void set_loss(Graph *g, Node *loss)
{
    for (int i = 0; i < g->output.n; i++)
        if (strcmp(g->output.v[i].name, "loss") == 0) g->output.v[i].node = loss;
}

Graph *spec_graph_layers(Arena *a, const Spec *s, bool training, int64_t batch, LayerList *list)
{
    int before = diag_errors();
    Build b = {.arena = a, .spec = s, .graph = graph_new(a), .batch = batch, .list = list};
    b.graph->training = training;
    Graph *g = build(&b);
    if (g && b.differs) { /* some layers are there only in training */
        Build t = {.arena = a, .spec = s, .graph = graph_new(a), .batch = batch < 2 ? 2 : batch};
        t.graph->training = true;
        Graph *trained = build(&t);
        if (!trained) return NULL;
        share_states(g, trained);
    }
    if (g) weights_apply(s, g);
    if (g) g->exact = s->exact;
    Node *loss = g ? graph_find_output(g, "loss") : NULL;
    if (g) g->precision = s->precision;
    if (loss && training) {
        scaling_begin(s, g);
        check_trained(s, g);
        set_loss(g, loss_penalty(&b, loss));
    }
    return diag_errors() == before ? g : NULL;
}

Graph *spec_graph(Arena *a, const Spec *s, bool training, int64_t batch)
{
    return spec_graph_layers(a, s, training, batch, NULL);
}
