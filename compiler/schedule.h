/* Schedule: every decision about how a group is executed, as data that can be printed. Made by
 * schedule.c and schedule_contract.c, read by plan.c, lower.c and the nests. */
#ifndef SCHEDULE_H
#define SCHEDULE_H
#include "../cuda/cudnn.h"
#include "backend.h"
#include "graph/layout.h"
#include "groups.h"
#include "stages.h"

enum { CON_MAX_LOOPS = 2 * CON_MAX_AXES };

/* One loop of a contraction nest. A contraction axis that is blocked in some operand is cut into
 * two loops: BLK (which block of 16) and LANE (which of the 16). */
typedef enum ConPart { PART_WHOLE, PART_BLK, PART_LANE } ConPart;
typedef enum ConRole {
    ROLE_OUTER, /* a loop over outputs, outside of the tile */
    ROLE_ROW,   /* cut into tiles; the tile's part is unrolled: rows of accumulators */
    ROLE_BLK,  /* blocks of the vector axis; the tile's part is unrolled: columns of accumulators */
    ROLE_LANE, /* lanes of the vector axis */
    ROLE_RED   /* summed over */
} ConRole;
typedef struct ConLoop {
    int axis; /* of the Contract */
    ConPart part;
    ConRole role;
    int64_t extent;     /* LANE: of a full block */
    int64_t last;       /* BLK: lanes of the last block if it is not full, else 0 */
    int64_t tile;       /* ROW, BLK: unrolled part */
    bool parallel;      /* the tasks run over it */
    int lap;            /* ROW: elements before the tile that it computes as well (Group.strip) */
    bool in_order;      /* ROW: one tile after the other, in one task (Group.strip) */
    bool band;          /* ROW: a task goes down `tile` rows, one by one (Group.band) */
    int64_t sa, sb, so; /* element strides in A, B (or packed B) and Out */
} ConLoop;

/* A contraction on the shared memory of a GPU: blocks of threads make tiles of bm rows by bn columns, their warps wm x
 * wn of them, from `stages` buffers of `step` blocks of 16 of the reduction (templates/kernels/contract.cu). */
typedef enum TileMath { TILE_SIMT, TILE_TF32, TILE_F16, TILE_BF16 } TileMath; /* the template's MATH */
typedef struct TileConfig {
    TileMath math;
    int bm, bn, wm, wn, stages, step;
    int rate; /* of the best configuration's speed on large tiles, in percent */
} TileConfig;

enum { TILE_LOOPS = 3 }; /* that rows, and the reduction, may count through */
typedef struct ConTile {
    const TileConfig *config; /* NULL: this phase runs as loops */
    const TileConfig *standard; /* what schedule_tile.c chose; config may have been tuned */
    TileMath math;
    bool a_columns;           /* lanes of A are rows (gradients of weights), else they are summed */
    int nrow, row[CON_MAX_LOOPS];  /* loops that make rows, in order */
    int64_t unit[CON_MAX_LOOPS];   /* of these: rows that stay together (a window of pooling; 16 lanes) */
    int nred, red[TILE_LOOPS];     /* loops of the reduction, outermost first; without lanes */
    int red_lane, blk, lane, batch; /* loops: summed lanes; blocks and lanes of columns; side by side. -1: none */
    int64_t rows, tiles_m, tiles_n, nz;
} ConTile;

typedef struct ConSchedule { /* of one phase of a contraction */
    Contract con;
    bool general;  /* no vector axis could be found: scalar loops with full index arithmetic */
    bool shared_a; /* the vectors that rows share come from A (else from B) */
    int nloop;
    ConLoop loop[CON_MAX_LOOPS]; /* order of the nest, outermost first; the reduction last */
    int64_t base_a, base_b, base_o;
    int lane_extent;   /* 16, or the plain vector axis' vector length */
    int unroll;        /* of the innermost reduction loop */
    int rows, cols;    /* accumulator tile: rows x cols*lane_extent */
    double efficiency; /* modelled fraction of the FMA peak */
    int64_t ntasks;
    ConTile tile;
} ConSchedule;

/* A contraction that cuDNN computes. Its tensors are used where they lie if they lie as cuDNN wants them, or copied. */
typedef struct LibraryTensor {
    const Node *value; /* NULL: the operation has no such tensor */
    bool copied;       /* dense, channels last, as the operation's type, at `offset` of the group's workspace (kept: of Plan.kept) */
    bool kept;         /* copied once after the weights changed */
    int64_t offset, count; /* bytes, elements */
} LibraryTensor;
typedef struct Library {
    CudnnConv conv;
    LibraryTensor tensor[CUDNN_MOST_TENSORS]; /* x, w, y, operands of the epilogues */
    const Node *result;  /* the last node that it computes; what follows is done when its copy is read */
    const char *plan;    /* cuDNN's JSON, or NULL */
    int64_t scratch, scratch_offset; /* bytes that cuDNN wants, and where in the workspace */
    const char *less;    /* why it takes no more of the group; NULL: it takes all */
} Library;

/* Winograd's algorithm F(m x m, 3 x 3) for a contraction (winograd.h): its axes, its tiles of n x n inputs, and how they
 * are cut into blocks, each of which is one task or, by output channels, `parts` of them. A gradient by weights is
 * F(3 x 3, m x m), summed over all tiles: a block is what is transformed and summed at a time; a task sums `cgroup` by
 * `group` blocks of channels over the blocks of one of GroupSchedule.split chunks. */
typedef struct Winograd {
    bool gradient; /* by weights */
    int m, r, n; /* n = m + r - 1 */
    int batch, k, c, row[2], tap[2]; /* axes of the Contract */
    bool backward[2];                /* the taps run against A's index */
    int64_t step;                    /* of the window: 1; or 2: its phases are channels, r the taps of one */
    bool few_channels;               /* so few that they lie plane by plane: vectors are made of them first (nests/winograd_phases.c) */
    int64_t vector;                  /* channels that are transformed side by side: BLOCK, or of few channels no more than there are */
    int64_t dilation[2];             /* d taps apart: the plane is d*d planes, each d-th place of it, with dense windows */
    int64_t tiles[2];                /* of the plane, all d of its parts together */
    int64_t block, blocks;           /* tiles of a block and how many blocks there are */
    int64_t group, groups;           /* blocks of output channels that are kept at a time, and how many times */
    int64_t parts;                   /* divides groups */
    bool shared;                     /* the parts of a block share its transformed inputs, which a kernel of their own makes */
    int64_t copies;                  /* of these, each for as many parts, in order: threads read what they made themselves; divides parts */
    int rows, cols;                  /* accumulators of the matrix product: at most rows tiles x cols*BLOCK channels, or cols products */
    int64_t stride;                  /* floats from one tile's transformed inputs to the next one's */
    int64_t kstride;                 /* gradient: the same of B's */
    int64_t cgroup;                  /* gradient: blocks of channels c of a task */
    int64_t chunk, chunks;           /* gradient: blocks of tiles of a task, and how many such chunks there are */
    int64_t weights;                 /* transformed weights, in floats: [n*n][k blocks][c][BLOCK] */
    bool prepared;                   /* they are made once after the weights changed, not at every run */
    int64_t depth;                   /* > 0: a task transforms its weights itself, of so many channels c at a time; then none are stored */
    int rows_at_once;                /* depth: of the n x n products, whose weights are transformed and used together; divides n */
    bool in_registers;               /* depth: these are not stored, but multiplied where they are made: one row, of n products */
} Winograd;

/* A contraction whose lanes are summed (schedule_dot.c). */
typedef struct Dot {
    int sum;       /* axis that lies in the lanes of both operands */
    int row, dim;  /* axis along which results lie side by side, and Out's dim */
    int shared;    /* the operand (0 A, 1 B) that has no such axis: its vectors serve all rows */
    int64_t step;  /* from one result of a phase to its next */
    int64_t lanes; /* of an accumulator */
    int64_t chunk; /* neighbours that are computed together: a multiple of step */
} Dot;

typedef struct GroupSchedule {
    const Group *group;
    bool rows_first; /* tasks are counted along rows of the plane, then blocks of channels (schedule_order.c) */
    /* contraction */
    int nphase;
    ConSchedule *con;
    bool pack_b;    /* B is first copied into a layout whose vector axis is innermost */
    bool pack_swap; /* with its first two axes exchanged */
    Layout packed;  /* that layout */
    LType packed_type;
    int split_axis; /* a reduction axis cut into `split` chunks with partial sums; -1: none */
    int64_t split, chunk;
    const Winograd *winograd; /* NULL: the sum as it stands */
    const Dot *dot;           /* NULL: lanes are results */
    double cycles[NALGORITHMS]; /* the model's time, of one core; 0: it was no candidate */
    /* reduction */
    int64_t red_split, red_chunk;    /* partial sums in all; length of the chunks of axis 0 */
    int64_t red_rows, red_row_chunk; /* axis 2 is cut into red_rows chunks of that length; 1: it is not */
    bool red_plain;               /* no axis is cut; the last one, which is summed, lies in vectors */
    int64_t workspace;            /* bytes of scratch in the slab: packed B, partial sums, copies for a library */
    /* sums that a contraction's tiles make (schedule_sums.c) */
    const Group *sums;      /* contraction: the reduction whose partial sums it leaves in that one's workspace */
    const Group *summed_by; /* reduction: that contraction */
    int64_t red_tiles;      /* reduction: partial sums of tiles, added up red_chunk at a time to red_split of them */
    int64_t partials_at;    /* where these lie in the workspace, in bytes: behind those of the tiles, or in their place */
    /* by a library */
    const Library *library;       /* NULL: kernels of ours */
    const char *refused;          /* why it is not a library's, where one was asked */
    int64_t kept;                 /* bytes that are made when the weights change, and stay */
    bool joined;                  /* its result's parts are written in place: there is nothing to compute */
} GroupSchedule;

typedef struct Schedule {
    const Groups *groups;
    const Machine *machine;
    Layout *value;        /* by node id (State nodes: the state's layout) */
    bool *clean;          /* by node id: its padding is stored as zeros, for sums over all gradients end to end */
    const Node **within;  /* by node id: the value whose storage it is part of (schedule_views.c); NULL: it has its own */
    LType *type;          /* by node id: what its elements are stored as; F16 or BF16 for some of DT_F32 */
    Layout *state;        /* by state id */
    GroupSchedule *group; /* by group id */
} Schedule;

/* cost.c: what the group's loops must do, counted from shapes: floating-point operations, and bytes
 * of the values that it loads and stores (each once). */
void group_cost(const Schedule *s, const Group *g, double *flops, double *bytes);
double node_bytes(const Schedule *s, const Node *n); /* of one value, as it is stored */
int groups_at_work(const Schedule *s); /* that have a kernel */

/* schedule.c: what a reduction over storage end to end reads: the layout of that; NULL: it is another reduction. Its
 * axis is cut into blocks of BLOCK elements. */
const Layout *schedule_flat(const Schedule *s, const Group *g);

/* schedule_storage.c: s->type. weight: by node id, whether it is laid out as parameters are, or flat. */
void schedule_storage(Arena *a, Schedule *s, const bool *weight);
/* schedule.c: what the group's contraction reads beyond the edges of its input becomes a halo of zeros. */
void schedule_halo(Schedule *s, const Group *g);
/* schedule_views.c: values within others; after halos, before what reads layouts. */
void schedule_views(Schedule *s);
/* schedule_library.c: gives groups to the machine's provider, as far as it takes them, and halos to the rest. */
void schedule_libraries(Arena *a, Schedule *s);
LType schedule_library_type(const Library *lib, int tensor); /* in memory */
/* schedule_epilogue.c: the group's contraction as an operation of cuDNN's, with tensors' values and dims, and all
 * elementwise nodes behind it that have a counterpart. chain[i] is computed by epilogue i. NULL, or why there is no
 * such operation; "": it is no convolution. */
const char *schedule_conv(const Schedule *s, const Group *g, Library *lib, const Node **chain);

/* schedule_contract.c */
void schedule_contract(Arena *a, const Schedule *s, GroupSchedule *gs);
/* schedule_tile.c: con[].tile of all phases, for machines that have tiles */
void schedule_tiles(const Schedule *s, GroupSchedule *gs);
const TileConfig *tile_configs(int *n); /* the table they are chosen from */
void tile_take(ConSchedule *s, const TileConfig *c); /* what follows from the configuration */
/* schedule_tune.c: the group's contraction gets the i-th tile of those that it may have, 0: the standard one. false: it
 * has no i-th, and keeps the standard one. */
bool schedule_take_tile(GroupSchedule *gs, int i);
void schedule_print_tile(Buf *b, const ConSchedule *c);
/* Offset of the packed B and of the partial sums in the group's workspace, in bytes. */
int64_t schedule_partial_offset(const GroupSchedule *gs);
/* Steps of the sum that makes one result. */
double schedule_reduction_length(const ConSchedule *s);

/* schedule_registers.c: the tile of accumulators; all tiles are passed `times` over. */
void schedule_registers(ConSchedule *s, const Machine *m, const Group *g, double times);
/* Registers that a tile of v vectors a row needs beside its accumulators. */
int schedule_registers_beside(int v, bool row_vectors);

/* schedule_band.c: bands of rows, after the tile. */
void schedule_band(ConSchedule *s, const Group *g);

/* schedule_order.c: rows_first of all groups; how the tasks of a phase are counted, slowest first: a number of `extent` times
 * `stride` adds to that of the loop's tile. */
typedef struct TaskLoop {
    int loop;
    int64_t extent, stride;
} TaskLoop;
void schedule_order(Schedule *s);
int schedule_rows(const ConSchedule *c); /* the loop along rows of the plane, or -1 */
int schedule_task_loops(const GroupSchedule *gs, const ConSchedule *c, TaskLoop loop[CON_MAX_LOOPS + 1]);

/* Tasks that keep a CPU's threads at work; of a contraction of so few cycles that more of them cost more than they share. */
enum { LEAST_TASKS = 8, LEAST_SHORT_TASKS = 4, SHORT_CYCLES = 1 << 19 };
/* schedule.c: how much longer all takes as threads have no task: fewer than `least`, or an odd one at the end of two. */
double schedule_idle_share(double tasks, double least);

/* schedule_dot.c: NULL where lanes of results serve better; the phases have their loops. */
const Dot *schedule_dot(Arena *a, const Schedule *s, const GroupSchedule *gs);

/* schedule_sums.c: sums that contractions make on the way; and how many sums a reduction makes. */
void schedule_sums(Schedule *s);
int schedule_columns(const ConSchedule *c);       /* the loop over blocks of columns, or -1 */
int64_t schedule_sum_count(const ConSchedule *c); /* partial sums that a phase leaves for every channel */
int schedule_anchors(const Schedule *s, const Group *g);

/* schedule_winograd.c: gs->winograd stays NULL where the direct sum is faster or wanted, or the only one that fits. */
void schedule_winograd(Arena *a, const Schedule *s, const Group *g, Algorithm by, GroupSchedule *gs);
Algorithm schedule_algorithm(const GroupSchedule *gs); /* not BY_MODEL */
int winograd_rows(const Winograd *w, Algorithm way); /* of a tile's results; NULL: of a window of 3x3 */
/* Transformed inputs of all blocks, in floats: where they are shared, behind weights that are not kept. */
int64_t winograd_inputs(const Winograd *w);
/* From one product's matrix of `floats` elements to the next one's: an odd number of lines, since what lies a multiple of
 * 64 apart shares a set of the first cache, and a transform touches all n*n. */
int64_t winograd_plane(int64_t floats);
/* A window of step 2 has 2 x 2 phases, else there is 1: rows, or columns, of one, halo included; floats of an image's, in
 * vectors of BLOCK; of all images', 0 where nothing is copied. */
int64_t winograd_phases(const Winograd *w);
int64_t winograd_phase_rows(const Winograd *w, int dim);
int64_t winograd_phase_plane(const Winograd *w);
int64_t winograd_phase_floats(const Winograd *w, const Contract *c);
enum { MEMORY_RATE = 4 }; /* bytes a cycle and core, of all that are at work */
/* The axes as far as whole tiles reach: what A's halo must cover. */
void winograd_widen(const Winograd *w, Contract *c);
/* The direct sum's loops, with the tiles that the epilogue sees. */
void winograd_loops(const Winograd *w, ConSchedule *s);
#endif
