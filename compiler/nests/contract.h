/* A contraction kernel under construction; shared by contract.c (loops over tiles), contract_reduce.c (a tile's sums),
 * contract_tail.c (what becomes of accumulators) and contract_tile.c (the same on shared memory). */
#ifndef NESTS_CONTRACT_H
#define NESTS_CONTRACT_H
#include "nests/nest.h"

typedef struct Con {
    Nest n;
    const ConSchedule *s;
    LBuf *abuf, *bbuf, *acc, *vec;
    Expr *par[CON_MAX_LOOPS];    /* task coordinates of parallel loops */
    Expr *tile[CON_MAX_LOOPS];   /* tile number along a loop; start = tile * loop's tile size */
    Expr *start[CON_MAX_LOOPS];  /* first element of the tile along a loop; NULL: not a loop of this
                                    tile */
    int64_t size[CON_MAX_LOOPS]; /* elements of this tile along a loop */
    int64_t step[CON_MAX_LOOPS]; /* from one row of the tile to the next; 0: side by side */
    int64_t lane_limit[CON_MAX_AXES]; /* lanes of the current block of an axis; 0: all */
    int cols, lanes;                  /* of this tile */
    LBuf *half;                       /* sums of the last column, where half of its lanes are no channels; NULL: they are */
    Expr *chunk;                      /* chunk of the split reduction; NULL: not split */
    Expr *acc_base; /* skeletons: acc is a tile of sums, which begins here; NULL: acc is this tile's own */
    int64_t acc_row;
    LBuf *carry;      /* of a strip: what the next row's windows need of this one */
    LBuf *ring;       /* of a band: rows that windows read */
    Expr *ring_row;   /* where the row at work begins */
    LBuf *sums;       /* where the task adds up what is summed over channels: for each sum, columns of lanes */
    int64_t sums_row; /* from one sum to the next */
    int serial;       /* loops over tiles that are open */
} Con;

/* Of operand 0 A, 1 B, 2 Out at the tile's first element. */
Expr *con_address(Con *c, int operand);
int64_t con_extent(const Con *c, int k); /* of loop k; along lanes, those that the block at work has */
int64_t con_rows(const Con *c);
int con_open_rows(Con *c, Expr **r);
Expr *con_row_number(Con *c, Expr *const *r);
int con_open_cols(Con *c, Expr **j, Expr **v);
Expr *con_acc(Con *c, Expr *row, Expr *j, Expr *v);

/* contract_reduce.c */
void con_sum(Con *c); /* the tile's sums, in registers */

/* contract_tail.c */
void con_epilogue(Con *c); /* accumulators -> group's outputs */
void con_store_partial(
    Con *c, Expr *base); /* accumulators -> this chunk's partial sums, at Out's address */
void con_combine(Arena *a, Loops *out,
                 const Group *g); /* kernel: partial sums -> group's outputs */
Coord con_coord(Con *c, Expr *const *r, Expr *j, Expr *v); /* of a row, column and lane, in the contraction's result */
void con_set_anchor(Con *c, Expr *const *r, Expr *j, Expr *v); /* the point and its sum, of a row, column and lane */
/* contract_strip.c: before the loop along rows, and what becomes of a tile */
void con_begin_strip(Con *c);
void con_strip_epilogue(Con *c);
/* contract_band.c: the loop k along a band's rows, `tiles` those behind it; and what becomes of a tile */
void con_band(Con *c, int k, void (*tiles)(Con *, int));
void con_band_epilogue(Con *c);
/* contract_sums.c: nothing where no reduction is fed */
LBuf *con_tile_sums(Nest *n);          /* the array of all tiles' sums */
int64_t con_first_tile(const Con *c);  /* of this phase */
void con_begin_sums(Con *c);           /* around the loops of a task */
void con_end_sums(Con *c);
void con_add_sums(Con *c, Expr *j, Expr *v); /* a vector of results, where the nest is */
/* What is summed between the two is summed apart, `columns` of lanes for each sum, and then added to what was there, from
 * float `at` of its row on: sums of a tile in registers, and no long chains of additions in float32. */
typedef struct SumsRun {
    LBuf *around; /* what it is added to */
    int64_t row;
} SumsRun;
SumsRun con_begin_run(Con *c, int64_t columns);
void con_end_run(Con *c, SumsRun run, Expr *at);
/* For those that have loops of their own: sums of `blocks` blocks of columns, in memory; and column j of them, which is
 * block number `block` of the channels, as those of tile number `tile`. */
void con_begin_blocks(Con *c, int64_t blocks);
void con_store_block(Con *c, Expr *j, Expr *block, Expr *tile);
/* contract_tile.c */
void con_skeleton(Con *c); /* gives the kernel its skeleton, if the schedule has a tile for it */
int64_t con_general(Con *c);      /* scalar loops with full index arithmetic; -> tasks */
#endif
