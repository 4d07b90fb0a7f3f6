/* A stack of one's own. On x86-64 a switch is a dozen instructions; elsewhere it is the C library's. */
#include "internal.h"
#include "support/diag.h"
#include <stdlib.h>

#ifdef __x86_64__
/* Saves what a call must preserve on the stack that is left, and takes it from the one that is entered. */
__asm__(".text\n"
        ".globl simt_fiber_switch\n"
        ".type simt_fiber_switch, @function\n"
        "simt_fiber_switch:\n"
        "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
        "    ret\n"
        ".size simt_fiber_switch, .-simt_fiber_switch\n");

void *simt_fiber_new(char *stack, size_t bytes, void (*run)(void))
{
    enum { SAVED = 6 };
    void **top = (void **)(stack + bytes) - 2; /* at its entry a function finds the stack 8 off a multiple of 16 */
    *--top = NULL;                             /* where run would return to */
    *--top = (void *)run;
    for (int i = 0; i < SAVED; i++) *--top = NULL;
    return top;
}
#else
#include <ucontext.h>

void simt_fiber_switch(void **from, void *to)
{
    ucontext_t here;
    *from = &here;
    swapcontext(&here, to);
}

void *simt_fiber_new(char *stack, size_t bytes, void (*run)(void))
{
    ucontext_t *c = (ucontext_t *)stack; /* the other end of the stack */
    getcontext(c);
    c->uc_stack.ss_sp = stack + sizeof *c;
    c->uc_stack.ss_size = bytes - sizeof *c;
    c->uc_link = NULL;
    makecontext(c, run, 0);
    return c;
}
#endif
