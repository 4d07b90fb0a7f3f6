/* Where virtual registers lie in the register file of a warp. */
#include "ptx_module.h"

static const uint32_t class_bytes[REG_CLASSES] = {4, 4 * LANES, 8 * LANES};

static uint32_t take(uint32_t *end, RegClass class)
{
    uint32_t at = *end;
    *end += class_bytes[class];
    return at;
}

static uint32_t round_up(uint32_t n)
{
    return (n + 63) / 64 * 64;
}

void ptx_place_specials(PtxModule *m)
{
    static const uint8_t class[] = {
#define X(name, text, class) class,
        PTX_SPECIALS(X)
#undef X
    };
    for (int c = 0; c < REG_CLASSES; c++) {
        for (int i = 0; i < SPECIALS; i++)
            if (class[i] == c) m->special[i] = take(&m->file_bytes, (RegClass)c);
        m->file_bytes = round_up(m->file_bytes);
    }
}

static void patch(PtxModule *m, const Body *b)
{
    for (int i = 0; i < b->ref.n; i++) {
        const Ref *r = &b->ref.v[i];
        Inst *in = &m->code.v[r->inst];
        uint32_t *const field[] = {&in->d, &in->a, &in->b, &in->c, &in->guard};
        *(r->field ? r->field : field[r->which]) = b->reg.v[r->vreg].slot;
    }
}

void ptx_place_registers(PtxModule *m, Body *b)
{
    uint32_t end = m->file_bytes;
    for (int c = 0; c < REG_CLASSES; c++) {
        for (int i = 0; i < b->reg.n; i++) {
            VReg *v = &b->reg.v[i];
            if (v->class == c) v->slot = v->special ? m->special[v->value] : take(&end, (RegClass)c);
        }
        end = round_up(end);
    }
    patch(m, b);
    b->file_bytes = end;
    if (!b->entry) m->file_bytes = end; /* functions share the file with every kernel */
}
