/* The words that the tables of transforms.def are written in. The compiler reads the same tables,
 * so nothing here depends on the rest of the runtime. */
#ifndef RUNTIME_DATA_ATTR_H
#define RUNTIME_DATA_ATTR_H

/* How many numbers an argument may have: RT_ONE 28, RT_TWO (28, 32), ... */
enum { RT_ONE = 1 << 1, RT_TWO = 1 << 2, RT_THREE = 1 << 3, RT_FOUR = 1 << 4 };

/* What else holds of them. */
enum {
    RT_WHOLE = 1,
    RT_ODD = 2,
    RT_ORDERED = 4, /* of each two the first is not above the second */
    RT_SPAN = 8,    /* one number x >= 0 stands for (-x, x) */
    RT_AROUND = 16, /* one number x >= 0 stands for (max(0, 1-x), 1+x) */
    RT_TWICE = 32,  /* one number x stands for (x, x) */
    RT_RANDOM = 64, /* the word `random` is allowed as well */
};

/* What a transform does to the size of an image. */
enum {
    RT_SIZE_SAME,
    RT_SIZE_SET,    /* it becomes `size` */
    RT_SIZE_SHORT,  /* `size`; one number: the shorter side becomes that long */
    RT_SIZE_CROP,   /* `size`, and after `padding` it must not be below that, but for pad_if_needed */
    RT_SIZE_GROW,   /* by `padding` */
    RT_SIZE_FLOATS, /* the same; it works on normalised values, so that no other kind may follow */
};
#endif
