/* A contraction kernel under construction; shared by contract.c (loops and tile) and
 * contract_tail.c (what becomes of accumulators). */
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
    int64_t lane_limit[CON_MAX_AXES]; /* lanes of the current block of an axis; 0: all */
    int cols, lanes;                  /* of this tile */
    Expr *chunk;                      /* chunk of the split reduction; NULL: not split */
} Con;

int64_t con_rows(const Con *c);
int con_open_rows(Con *c, Expr **r);
Expr *con_row_number(Con *c, Expr *const *r);
int con_open_cols(Con *c, Expr **j, Expr **v);
Expr *con_acc(Con *c, Expr *row, Expr *j, Expr *v);

/* contract_tail.c */
void con_epilogue(Con *c); /* accumulators -> group's outputs */
void con_store_partial(
    Con *c, Expr *base); /* accumulators -> this chunk's partial sums, at Out's address */
void con_combine(Arena *a, Loops *out,
                 const Group *g); /* kernel: partial sums -> group's outputs */
int64_t con_general(Con *c);      /* scalar loops with full index arithmetic; -> tasks */
#endif
