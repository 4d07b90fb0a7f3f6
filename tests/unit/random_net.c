/* Draws layers whose shapes fit, within a budget of multiplications, and keeps the shapes along. */
#include "random_net.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_WORK = 300 * 1000, MOST_CHANNELS = 40, MOST_FEATURES = 64, MOST_PLANES = 8000 };

typedef struct Dims { /* of a layer's output; h == 0: features */
    int64_t c, h, w;
} Dims;

typedef struct Draw {
    Net *net;
    uint64_t state;
    bool whole;
    int64_t work; /* multiplications left */
    Dims dims[NET_LAYERS + 1];
    int last; /* the layer that the next one reads */
} Draw;

static int64_t draw(Draw *d, int64_t n) /* 0 .. n-1 */
{
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = d->state ^ (d->state >> 33);
    x *= 0xff51afd7ed558ccdu;
    return (int64_t)((x >> 33) % (uint64_t)n);
}

static int64_t between(Draw *d, int64_t lo, int64_t hi)
{
    return lo + draw(d, hi - lo + 1);
}

static bool chance(Draw *d, int percent)
{
    return draw(d, 100) < percent;
}

static Dims dims_of(const Draw *d, int layer)
{
    return d->dims[layer + 1];
}

__attribute__((format(printf, 3, 4))) static void add(Draw *d, Dims out, const char *fmt, ...)
{
    if (d->net->n == NET_LAYERS) return;
    NetLayer *l = &d->net->layer[d->net->n];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(l->call, sizeof l->call, fmt, ap);
    va_end(ap);
    l->from[0] = d->last;
    l->nfrom = 1;
    d->last = d->net->n++;
    d->dims[d->net->n] = out;
}

/* ---- convolutions ---- */

/* One that most schedules have something to say about: full blocks, a rest, a few. */
static int64_t channels(Draw *d)
{
    static const int64_t usual[] = {16, 32, 8, 17, 3, 24};
    return chance(d, 40) ? usual[draw(d, 6)] : between(d, 1, MOST_CHANNELS);
}

static int64_t divisor(Draw *d, int64_t n)
{
    int64_t k = chance(d, 30) ? n : between(d, 1, n);
    while (n % k) k--;
    return k;
}

typedef struct Slide {
    int64_t k, stride, pad, dil;
} Slide;

/* Windows along n elements; false if there is none. */
static bool slide(Draw *d, int64_t n, Slide *s, int64_t *out)
{
    s->k = chance(d, 60) ? 3 : between(d, 1, 5);
    s->stride = chance(d, 60) ? 1 : between(d, 1, 3);
    s->pad = chance(d, 50) ? s->k / 2 : between(d, 0, 3);
    s->dil = chance(d, 85) ? 1 : 2;
    int64_t span = (s->k - 1) * s->dil + 1;
    *out = n + 2 * s->pad < span ? 0 : (n + 2 * s->pad - span) / s->stride + 1;
    return *out > 0;
}

static void conv(Draw *d)
{
    Dims x = dims_of(d, d->last), y;
    Slide a, b;
    bool one = chance(d, 20);
    if (!slide(d, x.h, &a, &y.h) || !slide(d, x.w, &b, &y.w)) return;
    if (one) a = b = (Slide){1, 1, 0, 1}, y.h = x.h, y.w = x.w;
    int64_t groups = chance(d, 25) ? divisor(d, x.c) : 1;
    y.c = groups * (groups > 1 ? between(d, 1, groups > 8 ? 2 : 8) : channels(d));
    int64_t work = d->net->batch * y.c * y.h * y.w * x.c / groups * a.k * b.k;
    if (work > d->work || y.c > 2 * MOST_CHANNELS) return;
    d->work -= work;
    add(d, y,
        "Conv2d(_, %lld, (%lld, %lld), stride=(%lld, %lld), padding=(%lld, %lld), dilation=(%lld, "
        "%lld), groups=%lld%s)",
        (long long)y.c, (long long)a.k, (long long)b.k, (long long)a.stride, (long long)b.stride,
        (long long)a.pad, (long long)b.pad, (long long)a.dil, (long long)b.dil, (long long)groups,
        chance(d, 40) ? ", bias=false" : "");
}

/* ---- pooling ---- */

static int64_t pooled(int64_t n, int64_t k, int64_t stride, int64_t pad, bool ceil_mode)
{
    int64_t room = n + 2 * pad - k;
    if (room < 0) return 0;
    int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    if (ceil_mode && (out - 1) * stride >= n + pad) out--;
    return out;
}

static void pool(Draw *d)
{
    Dims x = dims_of(d, d->last), y = x;
    bool max = d->whole || chance(d, 60), ceil_mode = chance(d, 25);
    int64_t k = chance(d, 70) ? 2 : 3, stride = chance(d, 70) ? k : between(d, 1, 3);
    int64_t pad = chance(d, 70) ? 0 : 1;
    y.h = pooled(x.h, k, stride, pad, ceil_mode);
    y.w = pooled(x.w, k, stride, pad, ceil_mode);
    if (y.h < 1 || y.w < 1) return;
    add(d, y, "%sPool2d(%lld, stride=%lld, padding=%lld, ceil_mode=%s%s)", max ? "Max" : "Avg",
        (long long)k, (long long)stride, (long long)pad, ceil_mode ? "true" : "false",
        max || chance(d, 50) ? "" : ", count_include_pad=false");
}

static void adaptive_pool(Draw *d)
{
    Dims x = dims_of(d, d->last);
    int64_t n = chance(d, 60) ? 1 : between(d, 1, 4);
    bool max = d->whole || chance(d, 30);
    if (max && (x.h % n || x.w % n)) return;
    x.h = x.w = n;
    add(d, x, "Adaptive%sPool2d(%lld)", max ? "Max" : "Avg", (long long)n);
}

/* ---- other planes ---- */

static void pad(Draw *d)
{
    static const char *const kind[] = {"Zero", "Reflection", "Replication"};
    Dims x = dims_of(d, d->last), y = x;
    int64_t p[4], k = draw(d, 3), most_h = k == 1 ? x.h - 1 : 2, most_w = k == 1 ? x.w - 1 : 2;
    for (int i = 0; i < 4; i++) p[i] = draw(d, 3);
    if (p[0] > most_w || p[1] > most_w || p[2] > most_h || p[3] > most_h) return;
    y.w += p[0] + p[1];
    y.h += p[2] + p[3];
    if (y.c * y.h * y.w > MOST_PLANES) return;
    add(d, y, "%sPad2d((%lld, %lld, %lld, %lld))", kind[k], (long long)p[0], (long long)p[1],
        (long long)p[2], (long long)p[3]);
}

static void upsample(Draw *d)
{
    Dims x = dims_of(d, d->last);
    bool linear = !d->whole && chance(d, 50);
    if (chance(d, 50)) {
        x.h *= 2;
        x.w *= 2;
    } else {
        x.h = between(d, 1, 12);
        x.w = between(d, 1, 12);
    }
    if (x.c * x.h * x.w > MOST_PLANES) return;
    add(d, x, "Upsample(size=(%lld, %lld)%s)", (long long)x.h, (long long)x.w,
        !linear         ? ""
        : chance(d, 50) ? ", mode=bilinear, align_corners=true"
                        : ", mode=bilinear");
}

static void transposed_conv(Draw *d)
{
    Dims x = dims_of(d, d->last), y = {.c = between(d, 1, MOST_CHANNELS)};
    int64_t k = between(d, 1, 4), stride = between(d, 1, 3), p = draw(d, k < 3 ? k : 3);
    int64_t groups = chance(d, 20) ? divisor(d, x.c) : 1;
    if (groups > 1) y.c = groups * between(d, 1, groups > 8 ? 2 : 4);
    y.h = (x.h - 1) * stride - 2 * p + k;
    y.w = (x.w - 1) * stride - 2 * p + k;
    int64_t work = d->net->batch * x.c * x.h * x.w * y.c / groups * k * k;
    if (y.h < 1 || y.w < 1 || work > d->work || y.c * y.h * y.w > MOST_PLANES) return;
    d->work -= work;
    add(d, y, "ConvTranspose2d(_, %lld, %lld, stride=%lld, padding=%lld, groups=%lld%s)",
        (long long)y.c, (long long)k, (long long)stride, (long long)p, (long long)groups,
        chance(d, 50) ? "" : ", bias=false");
}

/* ---- elementwise ---- */

static void activation(Draw *d)
{
    static const char *const whole[] = {"ReLU()", "ReLU()", "Hardtanh(-2, 3)", "ReLU6()"};
    static const char *const any[] = {
        "LeakyReLU(0.1)", "Sigmoid()",    "Tanh()", "Dropout(0.3)", "ELU()",
        "Softplus()",     "GELU()",       "SiLU()", "Mish()",       "Hardswish()",
        "Hardsigmoid()",  "LogSigmoid()", "PReLU()"};
    add(d, dims_of(d, d->last), "%s",
        d->whole        ? whole[draw(d, 4)]
        : chance(d, 50) ? "ReLU()"
                        : any[draw(d, sizeof any / sizeof any[0])]);
}

/* Over enough values: of two or three, little is left but the error of rounding. */
static void normalise(Draw *d)
{
    enum { ENOUGH = 16 };
    Dims x = dims_of(d, d->last);
    int64_t plane = x.h ? x.h * x.w : 1, groups = divisor(d, x.c);
    int64_t what = x.h ? draw(d, 10) : chance(d, 70) ? 0 : 9;
    if (what < 6 && d->net->batch * plane >= (x.h ? ENOUGH : 4))
        add(d, x, "BatchNorm%dd(_%s)", x.h ? 2 : 1, chance(d, 20) ? ", affine=false" : "");
    else if (what == 6 && plane >= ENOUGH)
        add(d, x, "InstanceNorm2d(_%s)", chance(d, 50) ? ", affine=true" : "");
    else if (what < 9 && x.c / groups * plane >= ENOUGH && x.h)
        add(d, x, "GroupNorm(%lld, _)", (long long)groups);
    else if (x.c * plane >= ENOUGH && x.h)
        add(d, x, "LayerNorm([%lld, %lld, %lld])", (long long)x.c, (long long)x.h, (long long)x.w);
    else if (x.c >= ENOUGH && !x.h)
        add(d, x, "LayerNorm(%lld)", (long long)x.c);
}

static void join(Draw *d, int a, int b)
{
    Dims x = dims_of(d, a);
    d->last = a;
    bool concat = x.h && chance(d, 30) && 2 * x.c <= 2 * MOST_CHANNELS;
    if (concat) x.c += dims_of(d, b).c;
    add(d, x, "%s",
        concat          ? "Concat()"
        : chance(d, 80) ? "Add()"
        : chance(d, 50) ? "Sub()"
                        : "Mul()");
    NetLayer *l = &d->net->layer[d->net->n - 1];
    l->from[1] = b;
    l->nfrom = 2;
}

/* From an earlier layer a way of its own to the shape of the last one. */
static void branch(Draw *d)
{
    int main_end = d->last, start = (int)between(d, NET_INPUT, d->net->n - 1);
    Dims y = dims_of(d, main_end), x = dims_of(d, start);
    if (y.h != x.h || y.w != x.w || d->net->n + 3 > NET_LAYERS) return;
    int64_t work = d->net->batch * y.c * x.c * (y.h ? y.h * y.w : 1);
    if (work > d->work) return;
    d->last = start;
    if (y.c != x.c || chance(d, 30)) {
        d->work -= work;
        if (y.h)
            add(d, y, "Conv2d(_, %lld, 1)", (long long)y.c);
        else
            add(d, y, "Linear(_, %lld)", (long long)y.c);
    } else if (start == main_end) {
        activation(d);
    }
    if (chance(d, 30) && d->last != start && !d->whole) normalise(d);
    join(d, main_end, d->last);
}

static void linear(Draw *d)
{
    Dims x = dims_of(d, d->last), y = {0};
    if (x.h) {
        x.c *= x.h * x.w;
        x.h = x.w = 0;
        add(d, x, "Flatten()");
    }
    y.c = between(d, 1, MOST_FEATURES);
    if (d->net->batch * x.c * y.c > d->work) return;
    d->work -= d->net->batch * x.c * y.c;
    add(d, y, "Linear(_, %lld%s)", (long long)y.c, chance(d, 30) ? ", bias=false" : "");
}

static void image_layer(Draw *d)
{
    int64_t what = draw(d, 100);
    if (what < 36)
        conv(d);
    else if (what < 52)
        activation(d);
    else if (what < 66)
        pool(d);
    else if (what < 78)
        branch(d);
    else if (what < 88 && !d->whole)
        normalise(d);
    else if (what < 91)
        pad(d);
    else if (what < 94)
        upsample(d);
    else if (what < 97)
        transposed_conv(d);
    else
        adaptive_pool(d);
}

static void feature_layer(Draw *d)
{
    int64_t what = draw(d, 100), c = dims_of(d, d->last).c;
    if (what < 40)
        linear(d);
    else if (what < 70)
        activation(d);
    else if (what < 80)
        branch(d);
    else if (what < 95 && !d->whole)
        normalise(d);
    else if (!d->whole && c > 1 && c <= MOST_FEATURES)
        add(d, dims_of(d, d->last), chance(d, 50) ? "Softmax()" : "LogSoftmax()");
}

static void losses(Draw *d)
{
    static const char *const loss[] = {
        "CrossEntropyLoss()",  "CrossEntropyLoss(label_smoothing=0.1)",
        "MSELoss()",           "MSELoss(reduction=sum)",
        "BCEWithLogitsLoss()", "SmoothL1Loss()",
        "HuberLoss(delta=0.5)"};
    static const char *const optimizer[] = {
        "SGD(lr=0.05)",     "SGD(lr=0.05, momentum=0.9, weight_decay=0.001)",
        "Adam(lr=0.01)",    "AdamW(lr=0.01)",
        "RMSprop(lr=0.01)", "Adagrad(lr=0.01)"};
    d->net->loss = loss[draw(d, sizeof loss / sizeof loss[0])];
    d->net->optimizer = optimizer[draw(d, sizeof optimizer / sizeof optimizer[0])];
}

void net_random(Net *net, uint64_t seed, bool whole)
{
    memset(net, 0, sizeof *net);
    Draw d = {.net = net, .state = seed, .whole = whole, .work = MOST_WORK, .last = NET_INPUT};
    for (int i = 0; i < 4; i++) draw(&d, 2);
    net->batch = between(&d, 1, 5);
    net->image[0] = chance(&d, 50) ? 3 : channels(&d);
    net->image[1] = between(&d, 1, 17);
    net->image[2] = chance(&d, 50) ? net->image[1] : between(&d, 1, 17);
    d.dims[0] = (Dims){net->image[0], net->image[1], net->image[2]};
    for (int64_t i = between(&d, 1, 12); i > 0; i--) image_layer(&d);
    if (chance(&d, 70)) linear(&d);
    if (!dims_of(&d, d.last).h)
        for (int64_t i = between(&d, 0, 5); i > 0; i--) feature_layer(&d);
    if (!whole) {
        linear(&d);
        losses(&d);
    }
    if (!net->n) activation(&d);
}

/* ---- text ---- */

static void put_name(Buf *b, int layer)
{
    if (layer == NET_INPUT)
        buf_puts(b, "in");
    else
        buf_printf(b, "l%d", layer);
}

void net_yaml(Buf *b, const Net *net)
{
    buf_printf(b, "spec: 1\nname: random\ninput: {image: [%lld, %lld, %lld]}\nmodel:\n",
               (long long)net->image[0], (long long)net->image[1], (long long)net->image[2]);
    for (int i = 0; i < net->n; i++) {
        const NetLayer *l = &net->layer[i];
        if (l->nfrom == 1 && l->from[0] == i - 1) {
            buf_printf(b, "  l%d: %s\n", i, l->call);
            continue;
        }
        buf_printf(b, "  l%d: {do: '%s', from: [", i, l->call);
        for (int k = 0; k < l->nfrom; k++) {
            buf_puts(b, k ? ", " : "");
            put_name(b, l->from[k]);
        }
        buf_puts(b, "]}\n");
    }
    if (net->loss)
        buf_printf(b, "train:\n  loss: %s\n  optimizer: %s\n  batch_size: %lld\n", net->loss,
                   net->optimizer, (long long)net->batch);
}

void net_drop(Net *net, int i)
{
    int from = net->layer[i].from[0];
    net->n--;
    for (int k = i; k < net->n; k++) net->layer[k] = net->layer[k + 1];
    for (int k = i; k < net->n; k++)
        for (int j = 0; j < net->layer[k].nfrom; j++) {
            int *f = &net->layer[k].from[j];
            if (*f == i) *f = from;
            if (*f > i) --*f;
        }
}
