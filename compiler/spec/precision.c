/* `precision: fp16`, or `precision: {type: fp16, loss_scale: 1024}`: how activations and their gradients are stored.
 * In: the tree. Out: s->precision, s->loss_scale (0: it finds its own), the option "model.precision".
 * Not here: what that means for a value (schedule_storage.c) and for a step (scaling.c). */
#include "spec/spec.h"
#include <stdlib.h>
#include <string.h>

static void read_scale(Spec *s, const Yaml *y)
{
    const KeyDef *d = schema_find("precision", "loss_scale");
    if (s->precision != PRECISION_FP16) {
        diag_error(y->loc, "S012", "'loss_scale' is for fp16, not for %s", precision_names[s->precision]);
        diag_help("leave it out: small gradients are lost in fp16 alone");
        return;
    }
    const char *v = schema_value(s->arena, d, y, s->scope);
    if (v) s->loss_scale = strtod(v, NULL);
}

void precision_read(Spec *s)
{
    const Yaml *y = yaml_get(s->root, "precision"), *type = y, *scale = NULL;
    const KeyDef *d = schema_find("", "precision");
    if (y && y->kind == Y_MAP) {
        if (!schema_check_keys(s->arena, y, "precision")) return;
        d = schema_find("precision", "type");
        type = yaml_get(y, "type");
        scale = yaml_get(y, "loss_scale");
        if (!type) diag_error(y->loc, "S013", "'precision' needs 'type': fp32, tf32, fp16 or bf16");
    }
    const char *word = type ? schema_value(s->arena, d, type, NULL) : NULL;
    for (int i = 0; word && precision_names[i]; i++)
        if (!strcmp(word, precision_names[i])) s->precision = (Precision)i;
    if (word && scale) read_scale(s, scale);
    options_add(s, "model.precision", precision_names[s->precision]);
}
