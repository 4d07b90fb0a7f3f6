/* Operations of a stream or a node of a graph: copies, fills, launches, functions of the host, whole graphs. Copies
 * read and write the host's memory when they run, not when they are queued. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which sides of a copy are memory of the device. */
static const struct {
    bool to, from;
} on_device[] = {[HOST_TO_DEVICE] = {true, false},
                 [DEVICE_TO_HOST] = {false, true},
                 [DEVICE_TO_DEVICE] = {true, true}};

static bool side_ok(const Context *c, const void *p, size_t bytes, bool on_device_side)
{
    return on_device_side ? memory_holds(c, p, bytes) : p && !memory_is_device(c, p, bytes);
}

CUresult op_check(const Context *c, const Op *op)
{
    bool ok = true;
    if (op->kind == OP_COPY)
        ok = side_ok(c, op->to, op->bytes, on_device[op->direction].to) &&
             side_ok(c, op->from, op->bytes, on_device[op->direction].from);
    if (op->kind == OP_FILL)
        ok = memory_holds(c, op->to, op->bytes) && (uintptr_t)op->to % op->width == 0;
    return ok ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static void fill(const Op *op)
{
    if (op->width == 1) {
        memset(op->to, (int)op->value, op->bytes);
        return;
    }
    for (size_t i = 0; i < op->bytes / 4; i++) memcpy((char *)op->to + 4 * i, &op->value, 4);
}

static void copy(const Op *op)
{
    memmove(op->to, op->from, op->bytes);
    profile_copy(op->direction, op->bytes);
}

void op_run(Context *c, const Op *op)
{
    char what[160];
    if (c->error) return;
    if (op_check(c, op)) {
        snprintf(what, sizeof what,
                 "%s of %zu bytes to %p: the device's memory was freed after the call was queued",
                 op->kind == OP_COPY ? "copy" : "fill", op->bytes, op->to);
        context_fail(c, CUDA_ERROR_ILLEGAL_ADDRESS, what);
    } else if (op->kind == OP_COPY) {
        copy(op);
    } else if (op->kind == OP_FILL) {
        fill(op);
    } else if (op->kind == OP_LAUNCH) {
        launch_run(c, &op->launch);
    } else if (op->kind == OP_HOST) {
        op->host(op->data);
    } else if (op->kind == OP_GRAPH) {
        exec_run(c, op->exec);
    }
}

Op op_clone(const Op *op)
{
    Op copy = *op;
    if (op->kind == OP_LAUNCH) {
        copy.launch.params = must_alloc(1, op->launch.param_bytes);
        memcpy(copy.launch.params, op->launch.params, op->launch.param_bytes);
    }
    if (op->kind == OP_GRAPH) op->exec->refs++;
    return copy;
}

void op_free(Op *op)
{
    if (op->kind == OP_LAUNCH) free(op->launch.params);
    if (op->kind == OP_GRAPH) exec_unref(op->exec);
    *op = (Op){0};
}
