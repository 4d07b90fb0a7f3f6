/* `sinter bench --predict`: what the GPU's programs are predicted to need, fused beside unfused. */
#ifndef PREDICT_H
#define PREDICT_H
#include "manifest.h"

bool predict_has_board(const char *arch); /* is there a board in gpu/table.c that runs code of "sm_80"? */
/* One table for each board whose architecture, or an older one, is among the manifests (by rising architecture).
 * json: one object instead. */
void predict_print(Buf *out, Manifest *const *m, int n, bool json);
#endif
