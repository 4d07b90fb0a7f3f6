/* Class colours: Cityscapes' for its names and their kin, PASCAL VOC's for all others. */
#include "colours.h"
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    uint8_t rgb[3];
} streets[] = {{"road", {128, 64, 128}},
               {"sidewalk", {244, 35, 232}},
               {"building", {70, 70, 70}},
               {"wall", {102, 102, 156}},
               {"fence", {190, 153, 153}},
               {"pole", {153, 153, 153}},
               {"traffic light", {250, 170, 30}},
               {"traffic sign", {220, 220, 0}},
               {"sign", {220, 220, 0}},
               {"vegetation", {107, 142, 35}},
               {"tree", {107, 142, 35}},
               {"terrain", {152, 251, 152}},
               {"sky", {70, 130, 180}},
               {"person", {220, 20, 60}},
               {"rider", {255, 0, 0}},
               {"car", {0, 0, 142}},
               {"truck", {0, 0, 70}},
               {"bus", {0, 60, 100}},
               {"train", {0, 80, 100}},
               {"motorcycle", {0, 0, 230}},
               {"motorbike", {0, 0, 230}},
               {"bicycle", {119, 11, 32}}};
enum { NSTREETS = sizeof streets / sizeof *streets };

/* A set of classes that has a road is one of streets; VOC knows cars and persons, too. */
static bool is_street(char *const *names, int n)
{
    for (int i = 0; names && i < n; i++)
        if (!strcasecmp(names[i], "road")) return true;
    return false;
}

void rt_class_colours(char *const *names, int n, uint8_t *rgb)
{
    rt_voc_colours(rgb);
    for (int i = 0; i < n && i < 255 && is_street(names, n); i++)
        for (int k = 0; k < NSTREETS; k++)
            if (!strcasecmp(names[i], streets[k].name)) memcpy(rgb + 3 * i, streets[k].rgb, 3);
}

/* Does a pixel right of this one or below it belong to another class? */
static bool on_edge(const RtImage *p, const uint8_t *class, int y, int x)
{
    size_t i = (size_t)y * (size_t)p->w + (size_t)x;
    return (x + 1 < p->w && class[i + 1] != class[i]) ||
           (y + 1 < p->h && class[i + (size_t)p->w] != class[i]);
}

void rt_overlay(RtImage *p, const uint8_t *class, const uint8_t *rgb, double share, bool contour)
{
    for (int y = 0; y < p->h; y++)
        for (int x = 0; x < p->w; x++) {
            size_t i = (size_t)y * (size_t)p->w + (size_t)x;
            bool edge = on_edge(p, class, y, x);
            const uint8_t *c = rgb + 3 * class[i];
            bool clear = !(c[0] | c[1] | c[2]) && !edge;
            double by = edge && contour ? 1 : contour || clear ? 0 : share;
            for (int k = 0; k < 3; k++)
                p->px[3 * i + (size_t)k] =
                    (uint8_t)((1 - by) * p->px[3 * i + (size_t)k] + by * c[k] + 0.5);
        }
}
