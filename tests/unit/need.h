/* Skips the test, with the reason, where something that it needs is missing; NULL: nothing is. After <cmocka.h>. */
#ifndef NEED_H
#define NEED_H
#include <stdio.h>

static inline void need(const char *why)
{
    if (!why) return;
    printf("%s\n", why);
    skip();
}
#endif
