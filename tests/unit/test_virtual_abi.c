/* The virtual device's prototypes, types and numbers against NVIDIA's cuda.h, where the toolkit is: the compiler checks
 * them, so this program cannot be built when one differs. */
/* clang-format off: cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>

#if __has_include(<cuda.h>)
#define __CUDA_API_VERSION_INTERNAL /* names with their versions, no macros */
#include <cuda.h>
#define FOUND 1

#define X(symbol, base, since, params)                                                             \
    _Static_assert(__builtin_types_compatible_p(__typeof__(symbol), CUresult params),              \
                   #symbol ": other parameters");
#include "cuda/virtual/api.def"
#undef X

#define SAME(name, number)    _Static_assert((int)(name) == (number), #name ": another number");
#define E(name, number, text) SAME(name, number)
#include "cuda/virtual/errors.def"
#define A(name, number, value) SAME(name, number)
#include "cuda/virtual/attributes.def"

#define H(name, tag)                                                                               \
    _Static_assert(__builtin_types_compatible_p(name, struct tag *), #name ": another struct");
#define T(name, type)   _Static_assert(sizeof(name) == sizeof(type), #name ": another size");
#define V(name, number) SAME(name, number)
#include "cuda/virtual/types.def"
#else
#define FOUND 0
#endif

static void the_interface_is_nvidia_s(void **state)
{
    (void)state;
    if (FOUND) return;
    printf("cuda.h is not installed (package cuda-cudart-dev of the CUDA toolkit)\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_interface_is_nvidia_s)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
