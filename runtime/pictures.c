/* predict's answers that are pictures: a class for each pixel, or the image again (autoencoders).
 *
 * out: the shares of the classes and a legend of their colours; --save-mask: a palette PNG whose numbers are the classes;
 * --overlay: the classes over the image. Of autoencoders PSNR and SSIM; --save-output: the image and what came back
 * rule: masks and overlays have the size of the image's file, unless transforms crop it: then the model's; a folder that
 * is not there is made; two images of one name do not overwrite each other */
#include "colours.h"
#include "data/folder.h"
#include "predict.h"
#include "quality.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const double blend = 0.5;

/* ---- files ---- */

static void make_dir(const Predict *x, const char *key)
{
    const char *dir = rt_option_str(&x->s.opt, key, NULL);
    if (dir && mkdir(dir, 0777) != 0 && errno != EEXIST)
        rt_fail(RT_EXIT_WRITE, "C005", "cannot create '%s': %s", rt_esc(dir), strerror(errno));
}

static bool is_taken(const Predict *x, const char *name)
{
    for (int i = 0; i < x->nwritten; i++)
        if (!strcmp(x->written[i], name)) return true;
    return false;
}

/* "b/a.jpg" -> "a", or "a-2" when another image was an "a". The caller does not free it. */
static const char *stem(Predict *x, const char *path)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path,
               *dot = strrchr(base, '.');
    int n = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
    char *name = rt_format("%.*s", n, base);
    for (char *c = name; *c; c++)
        if (*c == ':') *c = '-'; /* items of IDX files: "t10k:17" */
    for (int k = 2; is_taken(x, name); k++) {
        free(name);
        name = rt_format("%.*s-%d", n, base, k);
    }
    char **grown = realloc(x->written, (size_t)(x->nwritten + 1) * sizeof *grown);
    if (!grown) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate memory for a name");
    x->written = grown;
    return grown[x->nwritten++] = name;
}

static void save(const Predict *x, const char *key, const char *name, const RtImage *img,
                 const RtPalette *palette)
{
    char *path = rt_format("%s/%s.png", rt_option_str(&x->s.opt, key, NULL), name);
    rt_png_save(path, img, palette);
    free(path);
}

/* ---- images ---- */

static RtImage new_image(int c, int h, int w)
{
    return (RtImage){rt_alloc((size_t)h * (size_t)w, (size_t)c, "a picture"), c, h, w};
}

/* What the model saw or made, [c,h,w], as pixels: mean and std taken off. */
static RtImage pixels(const Predict *x, const float *chw)
{
    const RtDataConfig *c = &x->config;
    RtImage img = new_image(c->channels, c->height, c->width);
    int area = c->height * c->width;
    for (int k = 0; k < c->channels; k++)
        for (int i = 0; i < area; i++) {
            double v = (chw[k * area + i] * c->std[k] + c->mean[k]) * 255;
            img.px[i * c->channels + k] =
                (uint8_t)(v > 0 ? v < 255 ? v + 0.5 : 255 : 0); /* NaN is black */
        }
    return img;
}

static RtImage as_rgb(RtImage img)
{
    if (img.c == 3) return img;
    RtImage out = new_image(3, img.h, img.w);
    for (int i = 0; i < img.h * img.w; i++)
        for (int k = 0; k < 3; k++) out.px[3 * i + k] = img.px[i * img.c + (img.c > 3 ? k : 0)];
    free(img.px);
    return out;
}

static bool crops(const Predict *x)
{
    return x->config.eval_transforms && strstr(x->config.eval_transforms, "Crop");
}

/* The image in RGB, from its file if the answer covers all of that. */
static RtImage picture(const Predict *x, const char *path)
{
    RtImage img;
    RtImageInfo info;
    RtError e;
    uint8_t *bytes = NULL;
    size_t n;
    bool ok = path && !crops(x) && rt_image_read(path, path, &bytes, &n, &e) &&
              rt_image_check(bytes, n, path, &info, &e) &&
              rt_image_decode(bytes, n, &info, 3, path, &img, &e);
    free(bytes);
    return ok ? img : as_rgb(pixels(x, x->chw));
}

/* ---- masks ---- */

static void show_shares(Predict *x, const char *name, const uint8_t *class, int area)
{
    int64_t count[256] = {0}, k = rt_option_int(&x->s.opt, "run.topk", 5);
    for (int i = 0; i < area; i++) count[class[i]]++;
    if (x->as_text) printf("%s", rt_esc(name));
    rt_json_object(&x->json, NULL);
    rt_json_str(&x->json, "file", name);
    rt_json_array(&x->json, "pixels");
    for (; k > 0; k--) {
        int best = 0;
        for (int i = 1; i < x->feed.classes && i < 256; i++)
            if (count[i] > count[best]) best = i;
        if (count[best] <= 0) break;
        if (x->as_text)
            printf("  %s %.1f%%", rt_esc(x->names[best]), 100.0 * (double)count[best] / area);
        rt_json_object(&x->json, NULL);
        rt_json_str(&x->json, "class", x->names[best]);
        rt_json_num(&x->json, "share", (double)count[best] / area);
        rt_json_end_object(&x->json);
        count[best] = 0;
    }
    rt_json_end_array(&x->json);
}

static void show_mask(Predict *x, const char *name, const char *path)
{
    int h = x->config.height, w = x->config.width;
    const int32_t *found = rt_feed_classes(&x->feed, x->feed.output);
    RtImage small = new_image(1, h, w), mask;
    for (int i = 0; i < h * w; i++) small.px[i] = (uint8_t)found[i];
    show_shares(x, name, small.px, h * w);
    bool masks = rt_option_known(&x->s.opt, "run.save_mask"),
         overlays = rt_option_known(&x->s.opt, "run.overlay");
    if (masks || overlays) {
        uint8_t rgb[256 * 3];
        RtImage img = picture(x, path);
        const char *as = stem(x, name);
        rt_class_colours(x->names, x->feed.classes, rgb);
        if (!rt_image_resize_nearest(&small, img.h, img.w, &mask))
            rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate memory for a mask");
        if (masks) save(x, "run.save_mask", as, &mask, &(RtPalette){rgb, 256});
        if (overlays) {
            rt_overlay(&img, mask.px, rgb, blend, rt_option_bool(&x->s.opt, "run.contour", false));
            save(x, "run.overlay", as, &img, NULL);
        }
        rt_json_str(&x->json, "saved", as);
        if (x->as_text) printf("  -> %s.png", rt_esc(as));
        free(img.px);
        free(mask.px);
    }
    rt_json_end_object(&x->json);
    if (x->as_text) putchar('\n');
    free(small.px);
}

static void show_legend(Predict *x)
{
    uint8_t rgb[256 * 3];
    rt_class_colours(x->names, x->feed.classes, rgb);
    if (x->as_text) printf("legend:");
    rt_json_array(&x->json, "legend");
    for (int i = 0; i < x->feed.classes; i++) {
        char hex[8];
        snprintf(hex, sizeof hex, "#%02x%02x%02x", rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
        if (x->as_text) printf("  %d %s %s", i, rt_esc(x->names[i]), hex);
        rt_json_object(&x->json, NULL);
        rt_json_str(&x->json, "class", x->names[i]);
        rt_json_str(&x->json, "colour", hex);
        rt_json_end_object(&x->json);
    }
    rt_json_end_array(&x->json);
    if (x->as_text) putchar('\n');
}

/* ---- reconstructions ---- */

static void to_unit(const Predict *x, const float *chw, float *out)
{
    const RtDataConfig *c = &x->config;
    int area = c->height * c->width;
    for (int k = 0; k < c->channels; k++)
        for (int i = 0; i < area; i++)
            out[k * area + i] = (float)(chw[k * area + i] * c->std[k] + c->mean[k]);
}

static void show_again(Predict *x, const char *name)
{
    const RtDataConfig *c = &x->config;
    float *both = rt_alloc(2 * (size_t)x->feed.input_size, sizeof *both, "pictures"),
          *again = both + x->feed.input_size;
    to_unit(x, x->chw, both);
    to_unit(x, x->feed.output, again);
    double psnr = rt_psnr(both, again, c->channels, c->height, c->width),
           ssim = rt_ssim(both, again, c->channels, c->height, c->width);
    if (x->as_text) printf("%s  PSNR %.2f dB", rt_esc(name), psnr);
    if (x->as_text && isfinite(ssim)) printf("  SSIM %.4f", ssim);
    rt_json_object(&x->json, NULL);
    rt_json_str(&x->json, "file", name);
    rt_json_num(&x->json, "psnr", psnr);
    rt_json_num(&x->json, "ssim", ssim);
    if (rt_option_known(&x->s.opt, "run.save_output")) {
        RtImage left = as_rgb(pixels(x, x->chw)), right = as_rgb(pixels(x, x->feed.output)),
                img = new_image(3, left.h, 2 * left.w + 2);
        for (int y = 0; y < left.h; y++) {
            uint8_t *row = img.px + 3 * y * img.w;
            memset(row, 255, 3 * (size_t)img.w);
            memcpy(row, left.px + 3 * y * left.w, 3 * (size_t)left.w);
            memcpy(row + 3 * (left.w + 2), right.px + 3 * y * left.w, 3 * (size_t)left.w);
        }
        const char *as = stem(x, name);
        save(x, "run.save_output", as, &img, NULL);
        rt_json_str(&x->json, "saved", as);
        if (x->as_text) printf("  -> %s.png", rt_esc(as));
        free(left.px);
        free(right.px);
        free(img.px);
    }
    rt_json_end_object(&x->json);
    if (x->as_text) putchar('\n');
    free(both);
}

/* ---- the part ---- */

/* By what lies there, however it is written. */
static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return a && b && !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void open(Predict *x)
{
    bool mask = x->feed.target != RT_TARGET_INPUT;
    const char *other[] = {mask ? "run.save_output" : "run.save_mask",
                           mask ? "run.save_output" : "run.overlay"};
    for (int i = 0; i < 2; i++)
        if (rt_option_given(&x->s.opt, other[i]))
            rt_fail(RT_EXIT_USAGE, "C003",
                    mask ? "--save-output is for autoencoders; this model gives masks: "
                           "--save-mask, --overlay"
                         : "--save-mask and --overlay are for masks; this model gives images: "
                           "--save-output");
    if (mask && (x->feed.classes < 1 || x->feed.classes > 255 ||
                 x->feed.label_size != (int64_t)x->config.height * x->config.width))
        rt_fail(RT_EXIT_USAGE, "C003",
                "this model's output is no mask of the input's size\n`run` gives its raw output");
    if (!mask && x->feed.output_size != x->feed.input_size)
        rt_fail(RT_EXIT_USAGE, "C003",
                "this model's output is no image of the input's size\n`run` gives its raw output");
    make_dir(x, "run.save_mask");
    make_dir(x, "run.overlay");
    make_dir(x, "run.save_output");
    if (same_folder(rt_option_str(&x->s.opt, "run.save_mask", NULL), rt_option_str(&x->s.opt, "run.overlay", NULL)))
        rt_fail(RT_EXIT_USAGE, "C003", "--save-mask and --overlay are one folder: the pictures have the same names");
}

static void show(Predict *x, const char *name, const char *path)
{
    if (x->feed.target == RT_TARGET_INPUT)
        show_again(x, name);
    else
        show_mask(x, name, path);
}

static void finish(Predict *x)
{
    if (x->feed.target != RT_TARGET_INPUT) show_legend(x);
    for (int i = 0; i < x->nwritten; i++) free(x->written[i]);
    free(x->written);
}

const RtPicturesPart rt_part_pictures = {open, show, finish};
