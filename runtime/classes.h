/* Class names, from a weights file. */
#ifndef RUNTIME_CLASSES_H
#define RUNTIME_CLASSES_H
#include "safetensors.h"

/* n names in one list from malloc, ended by NULL: those of the file's metadata if there are n of
 * them, else numbers. file may be NULL. */
char **rt_classes(const RtSt *file, int n);
void rt_classes_free(char **names);
#endif
