/* The closed list of what a pickle may name. Nothing else is constructed, and none of these is called:
 * pickle.c imitates them. */
#include "weights/pickle.h"
#include <string.h>

static const RtName names[] = {
    {"collections.OrderedDict", RT_CALL_ORDERED_DICT, NULL},
    {"torch._utils._rebuild_tensor_v2", RT_CALL_TENSOR_V2, NULL},
    {"torch._utils._rebuild_tensor", RT_CALL_TENSOR, NULL},
    {"torch._utils._rebuild_parameter", RT_CALL_PARAMETER, NULL},
    {"torch.FloatStorage", RT_CALL_NEVER, "F32"},
    {"torch.DoubleStorage", RT_CALL_NEVER, "F64"},
    {"torch.HalfStorage", RT_CALL_NEVER, "F16"},
    {"torch.BFloat16Storage", RT_CALL_NEVER, "BF16"},
    {"torch.LongStorage", RT_CALL_NEVER, "I64"},
    {"torch.IntStorage", RT_CALL_NEVER, "I32"},
    {"torch.ShortStorage", RT_CALL_NEVER, "I16"},
    {"torch.CharStorage", RT_CALL_NEVER, "I8"},
    {"torch.ByteStorage", RT_CALL_NEVER, "U8"},
    {"torch.BoolStorage", RT_CALL_NEVER, "BOOL"},
    /* the tar form names them; the storage tells the dtype */
    {"torch.FloatTensor", RT_CALL_NEVER, NULL},
    {"torch.DoubleTensor", RT_CALL_NEVER, NULL},
    {"torch.HalfTensor", RT_CALL_NEVER, NULL},
    {"torch.LongTensor", RT_CALL_NEVER, NULL},
    {"torch.IntTensor", RT_CALL_NEVER, NULL},
    {"torch.ShortTensor", RT_CALL_NEVER, NULL},
    {"torch.CharTensor", RT_CALL_NEVER, NULL},
    {"torch.ByteTensor", RT_CALL_NEVER, NULL},
};

const RtName *rt_pickle_name(const char *module, size_t m, const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *full = names[i].name;
        if (strlen(full) == m + 1 + n && !memcmp(full, module, m) && full[m] == '.' &&
            !memcmp(full + m + 1, name, n))
            return &names[i];
    }
    return NULL;
}

const char *rt_pickle_dtype(const RtValue *v)
{
    return v->kind == RT_P_GLOBAL ? v->name->dtype : NULL;
}
