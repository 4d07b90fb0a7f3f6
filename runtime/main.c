/* The entry point of every built program. */
#include "parts.h"
#include "verbs.h"

int main(int argc, char **argv)
{
    const RtDriver *const drivers[] = {rt_part("target", "cuda", NULL), NULL};
    return rt_main(&rt_model, rt_kernels, drivers, argc, argv);
}
