#include "mutants.h"
#include "loop/stored.h"
#include "nvrtc/text.h"
#include "support/diag.h"
#include "support/file.h"
#include <math.h>
#include <string.h>

/* ---- numbers ---- */

static float noise(int i)
{
    unsigned x = (unsigned)i * 2654435761u;
    x ^= x >> 15, x *= 2246822519u, x ^= x >> 13;
    return (float)(x >> 8) / (float)(1 << 24) - 0.5f;
}

/* Far from whatever else there is. */
static void *lonely(Arena *a, size_t bytes)
{
    enum { GUARD = 64 << 10 };
    return (char *)arena_alloc(a, bytes + 2 * GUARD) + GUARD;
}

static SimtArg floats(Arena *a, int n, bool filled)
{
    float *x = lonely(a, sizeof *x * (size_t)n);
    for (int i = 0; i < n; i++) x[i] = filled ? noise(i) : NAN;
    return (SimtArg){x, sizeof *x * (size_t)n, true, true};
}

static SimtArg halves(Arena *a, int n, int first)
{
    uint16_t *x = lonely(a, sizeof *x * (size_t)n);
    for (int i = 0; i < n; i++) x[i] = stored_from_f32(LT_F16, noise(first + i));
    return (SimtArg){x, sizeof *x * (size_t)n, true, false};
}

static SimtArg integer(Arena *a, int value)
{
    int *x = NEW(a, int);
    *x = value;
    return (SimtArg){x, sizeof *x, false, false};
}

static void worse(double *worst, double x, double want)
{
    double d = fabs(x - want) / fmax(1, fabs(want));
    if (!(d <= *worst)) *worst = d;
}

/* ---- transpose: of two tiles by three, the last ones cut ---- */
enum { ROWS = 70, COLUMNS = 45 };

static void make_transpose(Arena *a, Work *w)
{
    *w = (Work){{2, 3, 1}, {32, 8, 1}, 0, {{0}}, 4};
    w->arg[0] = floats(a, ROWS * COLUMNS, false);
    w->arg[1] = floats(a, ROWS * COLUMNS, true);
    w->arg[2] = integer(a, ROWS);
    w->arg[3] = integer(a, COLUMNS);
}

static double error_transpose(const Work *w)
{
    const float *out = w->arg[0].p, *in = w->arg[1].p;
    double worst = 0;
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < COLUMNS; k++) worse(&worst, out[k * ROWS + i], in[i * COLUMNS + k]);
    return worst;
}

/* ---- sums ---- */
enum { SUMS = 5, TERMS = 300 };

static void make_sums(Arena *a, Work *w)
{
    *w = (Work){{SUMS, 1, 1}, {128, 1, 1}, 0, {{0}}, 4};
    w->arg[0] = floats(a, SUMS, false);
    w->arg[1] = floats(a, 1, false);
    w->arg[2] = floats(a, SUMS * TERMS, true);
    w->arg[3] = integer(a, TERMS);
    *(float *)w->arg[1].p = 0;
}

static double error_sums(const Work *w)
{
    const float *sum = w->arg[0].p, *total = w->arg[1].p, *in = w->arg[2].p;
    double worst = 0, all = 0;
    for (int i = 0; i < SUMS; i++) {
        double s = 0;
        for (int k = 0; k < TERMS; k++) s += (double)in[i * TERMS + k];
        worse(&worst, sum[i], s);
        all += s;
    }
    worse(&worst, *total, all);
    return worst;
}

/* ---- stream ---- */
enum { SIDE = 32, DEPTH = 160, STAGES = 3, STEP = 32 };

static void make_stream(Arena *a, Work *w)
{
    *w = (Work){{1, 1, 1}, {64, 1, 1}, STAGES * 2 * SIDE * STEP * 2, {{0}}, 4};
    w->arg[0] = floats(a, SIDE * SIDE, false);
    w->arg[1] = halves(a, SIDE * DEPTH, 0);
    w->arg[2] = halves(a, SIDE * DEPTH, SIDE * DEPTH);
    w->arg[3] = integer(a, DEPTH);
}

static double error_stream(const Work *w)
{
    const float *out = w->arg[0].p;
    const uint16_t *a = w->arg[1].p, *b = w->arg[2].p;
    double worst = 0;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            double s = 0;
            for (int k = 0; k < DEPTH; k++)
                s += (double)stored_to_f32(LT_F16, a[i * DEPTH + k]) * (double)stored_to_f32(LT_F16, b[j * DEPTH + k]);
            worse(&worst, out[i * SIDE + j], s);
        }
    return worst;
}

/* ---- contract: 64 x 64 x 64, in blocks of 16 columns; a second block of threads has nothing to do ---- */
enum { TILE = 64, LANES = 16, TILE_SHARED = 3 * (TILE + TILE) * LANES * 4 + TILE * 16 };

static void make_contract(Arena *a, Work *w)
{
    *w = (Work){{2, 1, 1}, {128, 1, 1}, TILE_SHARED, {{0}}, 3};
    w->arg[0] = floats(a, TILE * TILE, true);
    w->arg[1] = floats(a, TILE * TILE, true);
    w->arg[2] = floats(a, TILE * TILE, false);
}

static double error_contract(const Work *w)
{
    const float *a = w->arg[0].p, *b = w->arg[1].p, *out = w->arg[2].p;
    double worst = 0;
    for (int i = 0; i < TILE; i++)
        for (int j = 0; j < TILE; j++) {
            double s = 0;
            for (int k = 0; k < TILE; k++)
                s += (double)a[i * TILE + k] * (double)b[(j / LANES * TILE + k) * LANES + j % LANES];
            worse(&worst, out[i * TILE + j], s);
        }
    return worst;
}

const WorkDef work_defs[] = {{"transpose", false, make_transpose, error_transpose, 0},
                             {"sums", false, make_sums, error_sums, 1e-5},
                             {"stream", false, make_stream, error_stream, 1e-5},
                             {"contract", true, make_contract, error_contract, 1e-5},
                             {NULL, false, NULL, NULL, 0}};

/* ---- bugs ---- */

#define RACE SIMT_RACE, "race:"
#define UNSEEN SIMT_RACE, "race:|uninitialised:" /* who comes first reads what is not there yet */
#define LOAD SIMT_LOAD_BOUNDS, "outside of all memory"
#define STORE SIMT_STORE_BOUNDS, "outside of all memory"
#define UNWRITTEN SIMT_UNWRITTEN, "uninitialised:"
#define IN_FLIGHT SIMT_IN_FLIGHT, "has not been waited for"
#define DIVERGENT SIMT_DIVERGENT, "come here together|wait at different|waits for ever|needs all 32|takes no part|exited"
#define SLOW SIMT_OK, NULL

const Mutant mutants[] = {
    {"a barrier removed", "transpose", "    __syncthreads();\n", "", UNSEEN, 0},
    {"a wait one stage too lax", "stream", "copy_wait<STAGES - 2>", "copy_wait<STAGES - 1>", IN_FLIGHT, 0},
    {"no bound on a load", "transpose", "y + i < rows && x < columns ? in", "x < columns ? in", LOAD, 0},
    {"no bound on a store", "transpose", "x < rows && y + i < columns) out", "x < rows) out", STORE, 0},
    {"a barrier dropped in a reduction", "sums", "        __syncthreads();\n", "", UNSEEN, 0},
    {"shared memory half written", "transpose", "i += 8)\n        tile", "i += 16)\n        tile", UNWRITTEN, 0},
    {"a shuffle in a divergent branch", "sums", "x += __shfl", "if (t % 32 < 16) x += __shfl", DIVERGENT, 0},
    {"a barrier in a divergent branch", "sums", "        __syncthreads();\n        if (t < n) part[t] +=",
     "        if (t < n) __syncthreads(), part[t] +=", DIVERGENT, 0},
    {"a non-atomic accumulation", "sums", "atomicAdd(total, x)", "*total += x", RACE, 0},
    {"padding removed", "transpose", "[32 + 1]", "[32]", SLOW, 4},
    {"swizzle removed", "stream", "(piece ^ row / 2 % PIECES)", "piece", SLOW, 2.5}, /* loads 4, copies 1 */
    {"a product in a divergent branch", "stream", "multiply_f16(c[2 * j], x", "if (lane < 16) multiply_f16(c[2 * j], x",
     DIVERGENT, 0},
    {"a template's barrier removed", "contract", "__syncthreads(); /* this stage has landed", "/* this stage has landed",
     UNSEEN, 0},
    {"a template's wait one stage too lax", "contract", "copy_wait<STAGES - 2>", "copy_wait<STAGES - 1>", IN_FLIGHT, 0},
    {"a template's rows without a bound", "contract", "group < GROUPS ? group : GROUPS - 1", "group", LOAD, 0},
    {"a template's results without a bound", "contract", "if (valid) tail(ARGUMENTS, sum, places + first * 4, where, task)",
     "tail(ARGUMENTS, sum, places + first * 4, where, task)", STORE, 0},
    {"a template's barrier dropped before the results", "contract",
     "if (wm == pass) tile.store(sum + wn * WN);\n        __syncthreads();", "if (wm == pass) tile.store(sum + wn * WN);",
     RACE, 0},
    {"a template's places half written", "contract", "i < TILE_GROUPS; i", "i < TILE_GROUPS / 2; i", UNWRITTEN, 0},
    {"a template's barrier in a divergent branch", "contract", "        __syncthreads();\n        if (wm == pass) tile",
     "        if (wm == pass) __syncthreads(), tile", DIVERGENT, 0},
    {NULL, NULL, NULL, NULL, SLOW, 0}};

/* ---- texts ---- */

const WorkDef *work_find(const char *file)
{
    const WorkDef *d = work_defs;
    while (d->file && strcmp(d->file, file) != 0) d++;
    bug_if(!d->file, "no kernel %s", file);
    return d;
}

char *work_source(Arena *a, const WorkDef *d)
{
    const char *why;
    size_t n;
    if (d->template) return arena_strdup(a, text_template(d->file));
    char *path = arena_printf(a, "tests/simt/%s.cu", d->file), *text = file_read(a, path, 1 << 20, &n, &why);
    if (!text) fatal(EXIT_CHECK, "%s: %s", path, why);
    return text;
}

char *mutant_source(Arena *a, const Mutant *m)
{
    const char *text = work_source(a, work_find(m->file)), *at = strstr(text, m->from);
    bug_if(!at, "%s.cu: '%s' is not there", m->file, m->from);
    bug_if(strstr(at + 1, m->from), "%s.cu: '%s' is there twice", m->file, m->from);
    return arena_printf(a, "%.*s%s%s", (int)(at - text), text, m->to, at + strlen(m->from));
}
