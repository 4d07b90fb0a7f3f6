/* What the kernels of Winograd's algorithm share: the tiles of a plane, their transforms, the matrix products. */
#ifndef NESTS_WINO_H
#define NESTS_WINO_H
#include "nests/contract.h"
#include "winograd.h"

typedef struct Wino {
    Con c;
    const Winograd *w;
    WinogradMatrices x;
    int64_t tiles;              /* of all images */
    int64_t part[2];            /* tile rows and columns of a part of the plane: all of it, but with dilation */
    int64_t channels, kblocks;  /* C, of all phases, and blocks of K */
    struct {
        int64_t image, at[2], block, base; /* strides of the inputs: rows, columns, blocks of channels; the first one */
    } in;
    int batch, row[2], tap[2];  /* loops of c.s */
    LBuf *v;                    /* transformed inputs [n*n][tile][stride] */
} Wino;

void wino_begin(Wino *w, Arena *a, Loops *out, const Group *g, const char *nest);
/* winograd_phases.c */
int64_t wino_inputs_at(const Wino *w); /* bytes of the workspace in front of transformed inputs that are shared */
LBuf *wino_phases_buffer(Wino *w);
void nest_winograd_phases(Arena *a, Loops *out, const Group *g);

/* winograd_weights.c */
LBuf *wino_weights_buffer(Wino *w); /* U */
/* Address of the first of the weights, of channel c and of 16 channels k, block kb. */
Expr *wino_weights_at(Wino *w, Expr *kb, Expr *c);
typedef struct WinoWeights { /* which of them are transformed */
    Expr *kb, *c;    /* 16 channels k, and channel c */
    int phase;       /* of channel c */
    int first, some; /* rows of products; some = 0: all */
} WinoWeights;
/* Product (i, j)'s to to[y + (i - first)*ys[0] + j*ys[1]]. */
void wino_weights(Wino *w, const WinoWeights *which, LBuf *to, Expr *y, const int64_t ys[2]);
int wino_loop(const Wino *w, int axis, ConPart part); /* its number in c.s */

/* ---- tiles ---- */
enum { WINO_AHEAD = 4 }; /* tiles that are transformed while one comes from memory */
typedef struct TilePlace {
    Expr *image, *at[2]; /* at: tile row and column, in its part of the plane */
    Expr *first[2];      /* row and column of its first result */
} TilePlace;
TilePlace wino_place(Wino *w, Expr *number);
/* Address of a tile's first element in operand 0 (A) or 1 (B), of block c of its channels. */
Expr *wino_address(Wino *w, const TilePlace *p, int operand, Expr *c);
/* Prefetches the n x n elements, vectors of 16 channels, of tile `number` or of the last one before `end`, block `c` of an
 * operand: rows of a plane lie too far apart for what hardware prefetches. */
void wino_prefetch(Wino *w, Expr *number, Expr *end, Expr *c, int operand, LBuf *buf, int n);
/* Strides of an operand along a tile's rows and columns. */
void wino_strides(const Wino *w, int operand, int64_t stride[2]);

/* ---- transforms of 16 channels at a time: Y = M X M^T ---- */
typedef struct Transform {
    const double (*matrix)[WINOGRAD_MOST];
    int rows, cols; /* of the matrix: X is cols x cols, Y rows x rows */
    LBuf *from, *to;
    Expr *x, *y;             /* addresses of the first elements */
    int64_t xs[2], ys[2];    /* strides along the rows and columns of X and Y */
    int64_t lanes;           /* that there are; 0: BLOCK */
    int first, some;         /* the rows of Y that are made, y is where the first of them begins; some = 0: all */
    /* where X is not simply loaded: element (i, j), lane by lane; NULL: from[x + i*xs[0] + j*xs[1] + lane] */
    Expr *(*load)(void *of, int i, int j, Expr *lane);
    void *of;
} Transform;
/* The whole transform as straight-line code round a vector loop. */
void wino_transform(Nest *n, const Transform *t);

/* ---- products: m[r][j] (+)= sum over s of v[s][r][j] * u[s][j], r < rows, j < cols vectors ---- */
typedef struct Product {
    LBuf *ubuf, *vbuf, *mbuf;
    Expr *u, *v, *m;       /* addresses of the first elements */
    int64_t steps, u_step, v_step;
    Expr *count;           /* of steps, where it is not `steps` every time; or NULL */
    int64_t u_col, v_row;  /* from one vector, one row to the next */
    int64_t v_col;         /* 0: all vectors share a row's v */
    /* u[s], where it is not loaded, to[0 .. cols * BLOCK); NULL: it is */
    void (*make)(void *of, Expr *s, LBuf *to);
    void *of;
    int64_t m_row, m_col;
    int rows, cols;
    bool add;              /* to what m holds */
    LBuf *nextbuf;         /* what is prefetched meanwhile, or NULL */
    Expr *next;            /* from there on, ... */
    int64_t lines;         /* ... so many lines of BLOCK floats in all */
} Product;
void wino_product(Nest *n, const Product *p);
void wino_clear(Nest *n, LBuf *m, int64_t floats); /* zeros, for products to be added to */
#endif
