/* The entry point of every built program. */
#include "verbs.h"

int main(int argc, char **argv)
{
    return rt_main(&rt_model, rt_kernels, rt_drivers, argc, argv);
}
