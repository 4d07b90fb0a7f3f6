/* Colours of classes, and pictures of classes over pictures. */
#ifndef RUNTIME_COLOURS_H
#define RUNTIME_COLOURS_H
#include "image_write.h"

/* Streets' classes (road, car, person, ...) have the colours that are usual for them, the others VOC's of their number.
 * names may be NULL. rgb [256*3]; 255, which is no class, is VOC's border. */
void rt_class_colours(char *const *names, int n, uint8_t *rgb);

/* Lays the classes' colours over an RGB picture of the same size: `share` of colour; the edges between classes, and of
 * these alone if `contour`, in full colour. Class 0 of VOC's background stays clear: black is no colour to lay. */
void rt_overlay(RtImage *picture, const uint8_t *class, const uint8_t *rgb, double share,
                bool contour);
#endif
