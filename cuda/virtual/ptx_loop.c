/* The main loop of each kernel, for counts of its own: of the loops that hold no other one, the one with the most
 * floating-point operations. A loop is what lies between a branch backwards and where it goes to. */
#include "ptx_module.h"

/* The instruction that i goes back to; UINT32_MAX: it does not. */
static uint32_t loop_begin(const PtxModule *m, const Body *b, uint32_t i)
{
    const Inst *in = &m->code.v[i];
    bool back = in->flow == FLOW_JUMP && in->imm >= b->first && in->imm <= i;
    return back ? (uint32_t)in->imm : UINT32_MAX;
}

/* Of a lane, in one turn; 0: it holds another loop. */
static unsigned flops_of(const PtxModule *m, const Body *b, uint32_t begin, uint32_t end)
{
    unsigned n = 0;
    for (uint32_t i = begin; i <= end; i++) {
        if (i < end && loop_begin(m, b, i) != UINT32_MAX) return 0;
        n += m->code.v[i].flops + ptx_matrix_flops(&m->code.v[i]);
    }
    return n;
}

void ptx_mark_loop(PtxModule *m, const Body *b)
{
    uint32_t first = 0, end = 0;
    unsigned most = 0;
    for (uint32_t i = b->first; i < b->last; i++) {
        uint32_t begin = loop_begin(m, b, i);
        unsigned n = begin == UINT32_MAX ? 0 : flops_of(m, b, begin, i);
        if (n > most) most = n, first = begin, end = i + 1;
    }
    for (uint32_t i = first; i < end; i++) m->code.v[i].main = true;
}
