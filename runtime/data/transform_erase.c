/* RandomErasing: a rectangle of the normalised image becomes a value, or normal noise. */
#include "transform.h"

#include <math.h>

typedef struct Box {
    int top, left, h, w;
} Box;

/* torchvision: ten draws; if none lies inside of the image nothing is erased. */
static bool draw(RtDice *dice, const double *scale, const double *ratio, int h, int w, Box *b)
{
    for (int i = 0; i < 10; i++) {
        double area = (double)h * w * rt_dice_between(dice, scale[0], scale[1]);
        double r = exp(rt_dice_between(dice, log(ratio[0]), log(ratio[1])));
        b->h = (int)nearbyint(sqrt(area * r));
        b->w = (int)nearbyint(sqrt(area / r));
        if (b->h >= h || b->w >= w) continue;
        b->top = rt_dice_below(dice, h - b->h + 1);
        b->left = rt_dice_below(dice, w - b->w + 1);
        return true;
    }
    return false;
}

bool rt_tf_random_erasing(RtCanvas *v, const RtTransform *t, RtDice *dice)
{
    enum { P, SCALE, RATIO, VALUE };
    Box b;
    if (rt_dice_unit(dice) >= t->v[P][0] || !draw(dice, t->v[SCALE], t->v[RATIO], v->h, v->w, &b))
        return true;
    for (int ch = 0; ch < v->channels; ch++) {
        float value = (float)t->v[VALUE][t->n[VALUE] == 3 && ch < 3 ? ch : 0];
        for (int y = b.top; y < b.top + b.h; y++) {
            float *row = v->floats + ((size_t)ch * (size_t)v->h + (size_t)y) * (size_t)v->w;
            for (int x = b.left; x < b.left + b.w; x++)
                row[x] = t->n[VALUE] ? value : (float)rt_dice_normal(dice);
        }
    }
    return true;
}
