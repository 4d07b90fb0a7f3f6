/* Random legal descriptions: layers in a row, with branches that are added to it again. */
#ifndef RANDOM_NET_H
#define RANDOM_NET_H
#include "support/buf.h"
#include <stdbool.h>
#include <stdint.h>

enum { NET_INPUT = -1, NET_LAYERS = 32 };

typedef struct NetLayer {
    char call[112];
    int from[2], nfrom; /* layers, NET_INPUT */
} NetLayer;

typedef struct Net {
    int64_t image[3]; /* channels, height, width */
    int64_t batch;
    int n;
    NetLayer layer[NET_LAYERS];
    const char *loss, *optimizer; /* NULL: none */
} Net;

/* whole: only layers that map whole numbers to whole numbers; no loss. */
void net_random(Net *net, uint64_t seed, bool whole);
void net_yaml(Buf *b, const Net *net);
/* Without layer i: who read it reads what it read. The rest may have become illegal. */
void net_drop(Net *net, int i);
#endif
