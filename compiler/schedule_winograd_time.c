/* How long Winograd's algorithm would take with given sizes, and the sum as it stands: a roofline, of multiplications and
 * transforms against the bytes that every block of tiles streams. In: a choice (schedule_winograd.h). Out: multiply-adds of
 * one lane of one core. Sources of the figures: measured, where no other is named. */
#include "schedule_winograd.h"
#include <math.h>

enum { FLOAT_BYTES = 4 };

enum { L2_RATE = 64, L3_RATE = 16, L3_MOST = 16 << 20 /* of a shared one, what a core may count on */ }; /* bytes a cycle */

/* Multiply-adds while `bytes` come at `rate` bytes a cycle. */
static double pass_time(const Machine *m, double bytes, double rate)
{
    return bytes / rate * m->lanes * m->fma_ports;
}

/* Multiply-adds while `bytes` are read `times` over, of `among` that are in use meanwhile, from where these fit. */
static double stream_among(const Machine *m, double bytes, double times, double among)
{
    double l3 = m->l3 < L3_MOST ? (double)m->l3 : L3_MOST;
    double rate = among < (double)m->l2 / 2 ? L2_RATE : among < l3 / 2 ? L3_RATE : MEMORY_RATE;
    return pass_time(m, bytes * times, rate);
}

static double stream_time(const Machine *m, double bytes, double times)
{
    return stream_among(m, bytes, times, bytes);
}

static double roofline(double work, double stream)
{
    return fmax(work, stream) + 0.4 * stream; /* prefetching hides the rest */
}

double winograd_inputs_bytes(const Winograd *w)
{
    return (double)(w->n * w->n * w->block * w->stride) * FLOAT_BYTES;
}

double winograd_results_bytes(const Winograd *w)
{
    return (double)(w->n * w->n * w->block * w->group * BLOCK) * FLOAT_BYTES;
}

double winograd_panels_bytes(const Winograd *w)
{
    return w->in_registers ? 0 : (double)(w->rows_at_once * w->n * w->depth * w->cols * BLOCK) * FLOAT_BYTES;
}

/* Of a vector, in operations: two take the time of one store to L1; what L1 does not hold goes on to L2. */
static double store_time(const Machine *m, bool in_l1)
{
    return in_l1 ? 2 : fmax(2, (double)(m->lanes * FLOAT_BYTES * m->fma_ports) / m->l2_store);
}

static double plain_bytes(const Winograd *w, int64_t group)
{
    return (double)(WINOGRAD_TAPS * WINOGRAD_TAPS * w->depth * group * BLOCK) * FLOAT_BYTES;
}

/* Of a pair of channels: plain weights are loaded again for every rows_at_once. Transformed ones stay in L1 beside them, if
 * they are few. */
static double stored_filter_time(const WinogradChoice *q, const Winograd *w)
{
    bool in_l1 = winograd_panels_bytes(w) + plain_bytes(w, w->cols) < 0.75 * (double)q->s->machine->l1;
    return q->filter[w->rows_at_once] + w->n * w->n * store_time(q->s->machine, in_l1);
}

/* The same in registers, between loads that L1 gives if it holds weights, inputs and sums of `depth` channels. */
static double register_filter_time(const WinogradChoice *q, const Winograd *w)
{
    double sums = (double)(w->n * w->n * w->block) * FLOAT_BYTES, loads = w->n * WINOGRAD_TAPS * WINOGRAD_TAPS;
    bool in_l1 = plain_bytes(w, 1) + sums * (double)(w->depth + w->group * BLOCK) < 0.9 * (double)q->s->machine->l1;
    return q->filter[1] + (in_l1 ? 0 : loads);
}

/* What a task does that transforms its weights itself, and adds up the products of `depth` channels at a time. */
static double own_weights_time(const WinogradChoice *q, const Winograd *w)
{
    double sums = (double)(w->n * w->n * w->block) * q->k * q->channels / (double)w->depth;
    double filter = w->in_registers ? register_filter_time(q, w) : stored_filter_time(q, w);
    return (double)w->blocks * (q->k * q->channels * filter + 2 * sums);
}

/* Of a step of a product of `rows` tiles, in multiply-adds of a vector: it loads rows and cols, or all of one operand where
 * each product has its own, and few sums wait for each other. */
static double step_time(const Machine *m, const Winograd *w, int64_t rows)
{
    double cols = (double)(w->cols * winograd_up(BLOCK, m->lanes)), fmas = (double)rows * cols;
    double loads = (w->in_registers ? fmas : (double)rows + cols) * m->fma_ports / m->load_ports;
    return fmax(fmas, fmax(loads, m->fma_latency * m->fma_ports));
}

/* Of a block's n * n products with a pair of channels k and c. The rest of its tiles are a product, too. */
static double product_time(const Machine *m, const Winograd *w)
{
    const double gemm = 0.8;
    double cols = (double)(w->cols * winograd_up(BLOCK, m->lanes));
    int64_t whole = w->block / w->rows, rest = w->block % w->rows;
    double steps = (double)whole * step_time(m, w, w->rows) + (rest ? step_time(m, w, rest) : 0);
    return w->n * w->n * steps / cols / gemm;
}

/* Of a tile's inputs. Of vectors that are shorter than a block, a cycle takes three operations. */
static double inputs_time(const WinogradChoice *q, const Winograd *w)
{
    double least = w->vector < BLOCK ? q->s->machine->lanes * q->s->machine->fma_ports / 3.0 : 0;
    return q->in * fmax(q->channels, least);
}

/* What passes through L2 where that does not hold all of a block: inputs, which are written once and read for each group of
 * channels k, and the group's sums, which are written and read. Where only the group's stored weights do not fit beside
 * them, all but the first group find inputs and sums gone. Of products whose weights are transformed for `depth` channels
 * c, some rows and some columns at a time only inputs pass, if L2 holds what is at work; if not, they do for all columns in
 * turn. Stored weights are counted apart, and so are inputs that another kernel writes. */
static double scratch_stream(const WinogradChoice *q, const Winograd *w)
{
    const Machine *m = q->s->machine;
    double l2 = (double)m->l2 * 3 / 4, inputs = winograd_inputs_bytes(w), sums = winograd_results_bytes(w);
    double own = sums + winograd_panels_bytes(w), stored = w->depth ? 0 : (double)w->weights * FLOAT_BYTES / (double)w->groups;
    double blocks = (double)w->blocks, groups = (double)w->groups, made = w->shared ? 0 : inputs;
    if (inputs + own + stored <= l2) return 0;
    if (inputs + own <= l2) return stream_among(m, inputs + own, blocks * (groups - 1), inputs + own + stored);
    if (!w->depth) return stream_among(m, made + groups * (inputs + 2 * sums), blocks, inputs + own + stored);
    double rows = (double)w->rows_at_once / w->n, at_work = inputs * rows * (double)w->depth / q->channels;
    if (at_work + own <= l2) return stream_among(m, made + groups * inputs, blocks, inputs + own);
    double turns = w->in_registers ? 1 : (double)(w->group / w->cols), times = q->channels / (double)w->depth;
    return stream_among(m, made + groups * (inputs * turns + 2 * sums * times), blocks, inputs + own);
}

/* Weights, once for every block of tiles; stored ones from L2, if that holds all of them beside a block's inputs and sums. */
static double weights_stream(const WinogradChoice *q, const Winograd *w)
{
    const Machine *m = q->s->machine;
    double plain = WINOGRAD_TAPS * WINOGRAD_TAPS * q->k * q->channels * FLOAT_BYTES, stored = (double)w->weights * FLOAT_BYTES;
    if (w->depth) return stream_time(m, plain, (double)w->blocks);
    bool stay = stored + winograd_inputs_bytes(w) + winograd_results_bytes(w) < (double)m->l2;
    return stay ? pass_time(m, stored * (double)w->blocks, L2_RATE) : stream_time(m, stored, (double)w->blocks);
}

double winograd_time(const WinogradChoice *q, const Winograd *w)
{
    const Machine *m = q->s->machine;
    double products = w->n * w->n;
    double tiles = (double)(w->blocks * w->block), work = (double)w->blocks * product_time(m, w) * q->k * q->channels;
    work += tiles * (inputs_time(q, w) * (double)(w->shared ? w->copies : w->parts) + q->k * q->out);
    if (w->depth)
        work += own_weights_time(q, w);
    else if (!w->prepared)
        work += q->k * q->channels * (q->filter[w->n] + products * store_time(m, false));
    work += (double)winograd_phase_floats(w, q->c) * m->lanes * m->fma_ports; /* made vectors of: an element a cycle */
    double stream = weights_stream(q, w) + scratch_stream(q, w);
    if (w->shared) /* written once, read by every part, mostly from another core's cache */
        stream += stream_time(m, winograd_inputs_bytes(w) * (double)w->blocks, 1 + (double)w->parts);
    return roofline(work, stream) * schedule_idle_share((double)(w->blocks * w->parts), (double)q->tasks);
}

double winograd_direct_time(const WinogradChoice *q)
{
    const double share = 0.85;
    const Winograd *w = &q->plain;
    const Contract *c = q->c;
    double n = (double)(c->axis[w->batch].extent * c->axis[w->row[0]].extent * c->axis[w->row[1]].extent);
    double taps = (double)(c->axis[w->tap[0]].extent * c->axis[w->tap[1]].extent);
    double weights = taps * q->k * (double)c->axis[w->c].extent;
    return roofline(n * weights / share, stream_time(q->s->machine, weights * FLOAT_BYTES, 1));
}

/* ---- gradients by weights ---- */

double winograd_sums_bytes(const Winograd *w)
{
    return (double)(w->n * w->n * w->cgroup * BLOCK * w->group * BLOCK) * FLOAT_BYTES;
}

double winograd_operands_bytes(const Winograd *w)
{
    return (double)(w->n * w->n * w->block * (w->stride + w->kstride)) * FLOAT_BYTES;
}

/* Sums are read and written for every block of tiles; each group of channels transforms the other operand again. */
double winograd_gradient_time(const WinogradChoice *q, const Winograd *w)
{
    const double gemm = 0.8;
    const Machine *m = q->s->machine;
    double products = w->n * w->n, cgroups = ceil(q->channels / BLOCK) / (double)w->cgroup;
    double work = products * q->tiles * q->k * q->channels / gemm;
    work += q->tiles * (q->channels * q->in * (double)w->parts + q->k * q->out * cgroups);
    work += (double)w->chunks * q->k * q->channels * 4 * products;
    double scratch = winograd_sums_bytes(w) + winograd_operands_bytes(w), tasks = (double)(w->chunks * w->parts) * cgroups;
    double passes = (double)w->blocks * cgroups * (double)w->parts;
    const double share = 2.0 / 3; /* three quarters of L2 are theirs, not half */
    double stream = stream_time(m, scratch * share, 2 * passes / share);
    const double exposed = 2.5; /* loads and stores of sums take turns with few products: 26 bytes a cycle of L2's 64, on Zen 4 */
    return (work + exposed * stream) * fmax(1, (double)LEAST_TASKS / tasks);
}
