/* A description as the other stages see it: read, checked, asked for its parts, printed.
 * In: a path and the values of --set. Out: Spec, or NULL after diag_errors.
 * Rule: errors of the blocks and of the model are reported together where that is possible. */
#include "spec/unit.h"
#include <stdlib.h>
#include <string.h>

/* The file's base name up to its first dot, made legal. */
static const char *default_name(Spec *s)
{
    const char *slash = strrchr(s->file, '/');
    const char *base = slash ? slash + 1 : s->file;
    char *name = arena_strndup(s->arena, base, strcspn(base, "."));
    for (char *c = name; *c; c++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", *c))
            *c = '_';
    return schema_name_ok(name, true) ? name : "model";
}

static void read_name(Spec *s)
{
    const Yaml *y = yaml_get(s->root, "name");
    s->name = default_name(s);
    if (!y) return;
    const char *v = schema_value(s->arena, schema_find("", "name"), y, NULL);
    if (v && schema_name_ok(v, true)) s->name = v;
    if (!v || schema_name_ok(v, true)) return;
    diag_error(y->loc, "S020", "'%s' cannot be the name of a model", yaml_show(s->arena, v));
    diag_help("names are [A-Za-z_][A-Za-z0-9_.-]{0,63}");
}

static void check_present(const Spec *s)
{
    static const char *const needed[] = {"input", "model", NULL};
    for (int i = 0; needed[i]; i++)
        if (!yaml_get(s->root, needed[i]))
            diag_error(s->root->loc, "S013", "the description needs '%s'", needed[i]);
}

static void read_outputs(Spec *s)
{
    const Yaml *y = yaml_get(s->root, "outputs");
    if (!y) return;
    if (y->kind == Y_MAP || (y->kind == Y_LIST && (!y->item.n || y->item.n > 16))) {
        diag_error(y->loc, "S014", "'outputs' must be a list of 1..16 modules");
        return;
    }
    if (y->kind == Y_SCALAR) vec_push(s->arena, &s->output, y);
    for (int i = 0; y->kind == Y_LIST && i < y->item.n; i++) {
        const Yaml *name = y->item.v[i];
        for (int k = 0; k < s->output.n && name->kind == Y_SCALAR; k++)
            if (strcmp(s->output.v[k]->text, name->text) == 0)
                diag_error(name->loc, "S011", "output '%s' given twice",
                           yaml_show(s->arena, name->text));
        if (name->kind == Y_SCALAR)
            vec_push(s->arena, &s->output, name);
        else
            diag_error(name->loc, "S014", "an output is the name of a module");
    }
}

static void read_algorithm(Spec *s)
{
    const Yaml *y = yaml_get(s->root, "algorithm");
    const char *word =
        y ? schema_value(s->arena, schema_find("", "algorithm"), y, s->scope) : NULL;
    s->exact = word && !strcmp(word, "exact");
}

Spec *spec_read(Arena *a, const char *path, const Setting *set, int nset)
{
    int before = diag_errors();
    Spec *s = NEW(a, Spec);
    *s = (Spec){.arena = a, .file = arena_strdup(a, path), .batch = 1};
    s->root = yaml_read(a, path, s->file);
    if (!s->root) return NULL;
    s->own = NEW(a, Unit);
    *s->own = (Unit){.shown = s->file, .root = s->root};
    s->declared = yaml_get(s->root, "params");
    schema_settings(s, set, nset);
    unit_check(s, s->own);
    read_name(s);
    check_present(s);
    unit_read(s);
    params_read(s);
    input_read(s);
    read_outputs(s);
    weights_read(s);
    precision_read(s);
    read_algorithm(s);
    options_read(s);
    if (diag_errors() == before) return s;
    if (s->input.rank && yaml_get(s->root, "model")) { /* the model's errors too, in one run */
        s->loss.n = 0;
        spec_graph(a, s, true, s->batch);
    }
    return NULL;
}

const char *spec_name(const Spec *s)
{
    return s->name;
}

const char *spec_file(const Spec *s, int i)
{
    return i < s->unit.n ? s->unit.v[i]->path : NULL;
}

int64_t spec_batch(const Spec *s)
{
    return s->batch;
}

const Setting *spec_options(const Spec *s, int *n)
{
    *n = s->option.n;
    return s->option.v;
}

void spec_texts(const Spec *s, const char **loss, const char **optimizer)
{
    *loss = s->loss_text;
    *optimizer = s->optimizer.text;
}

/* ---- text ---- */

static void print_tree(Buf *b, const Yaml *y, int indent)
{
    if (y->kind == Y_SCALAR) {
        buf_printf(b, " %s\n", y->text);
        return;
    }
    buf_putc(b, '\n');
    for (int i = 0; i < y->item.n; i++) {
        if (y->kind == Y_MAP)
            buf_printf(b, "%*s%s:", indent, "", y->key.v[i]->text);
        else
            buf_printf(b, "%*s%d:", indent, "", i);
        print_tree(b, y->item.v[i], indent + 2);
    }
}

void spec_print(Buf *b, const Spec *s)
{
    buf_printf(b, "spec %s\nparams\n", s->name);
    for (int i = 0; i < s->param.n; i++)
        buf_printf(b, "  %s = %s\n", s->param.v[i].name, val_text(s->arena, &s->param.v[i].val));
    buf_printf(b, "input %s\n", shape_str(s->arena, s->input));
    if (s->loss.n) buf_printf(b, "loss %s\n", s->loss_text);
    if (s->optimizer.op) buf_printf(b, "optimizer %s\n", s->optimizer.text);
    buf_puts(b, "options\n");
    for (int i = 0; i < s->option.n; i++)
        if (strcmp(s->option.v[i].key, "report.description") != 0)
            buf_printf(b, "  %s = %s\n", s->option.v[i].key, s->option.v[i].value);
    buf_puts(b, "model");
    print_tree(b, yaml_get(s->root, "model"), 2);
}
