/* Texts of templates/kernels and cuda that are part of the compiler. */
#ifndef NVRTC_TEXT_H
#define NVRTC_TEXT_H

extern const char text_prelude[]; /* cuda/prelude.cuh */
/* templates/kernels/NAME.cu, from the line behind its #include on; bug_if there is none. */
const char *text_template(const char *name);
#endif
