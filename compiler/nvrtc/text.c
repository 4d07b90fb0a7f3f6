/* The files themselves, by the assembler; the Makefile knows that this object depends on them. */
#include "nvrtc/text.h"
#include "support/diag.h"
#include <stddef.h>
#include <string.h>

#define EMBED(symbol, file)                                                                                            \
    __asm__(".section .rodata\n" #symbol ": .global " #symbol "\n.incbin \"" file "\"\n.byte 0\n.previous");

EMBED(text_prelude, "cuda/prelude.cuh")
#define X(name)                                                                                                        \
    extern const char text_##name[];                                                                                   \
    EMBED(text_##name, "templates/kernels/" #name ".cu")
#include "nvrtc/templates.def"
#undef X

static const struct {
    const char *name, *text;
} templates[] = {
#define X(name) {#name, text_##name},
#include "nvrtc/templates.def"
#undef X
};

const char *text_template(const char *name)
{
    static const char include[] = "#include \"prelude.cuh\"\n";
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
        if (strcmp(templates[i].name, name) != 0) continue;
        const char *p = strstr(templates[i].text, include);
        return p ? p + sizeof include - 1 : templates[i].text;
    }
    bug_if(true, "no template '%s'", name);
}
