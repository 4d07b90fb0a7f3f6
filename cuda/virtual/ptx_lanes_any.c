/* Opcodes that compute lane by lane, for any host. */
#define PTX_OPS ptx_ops_any
#include "ptx_lanes.h"
