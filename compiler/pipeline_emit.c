/* From the blob and its kernels to files and objects: images of GPUs, what is written beside OUT, objects of the CPU. */
#include "../runtime/abi.h"
#include "pipeline_report.h"
#include "pipeline_work.h"
#include "predict.h"
#include "support/file.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *const emit_names[] = {"exe", "cuda", "ptx", "cubin", "manifest", NULL};

const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void print_text(Buf *b, const void *x)
{
    buf_puts(b, ((const Buf *)x)->s ? ((const Buf *)x)->s : "");
}

static void write_beside(const Pipeline *p, const char *suffix, const void *data, size_t n)
{
    const char *path = arena_printf(p->perm, "%s.%s", p->o->out, suffix);
    if (!file_write_atomic(path, data, n, 0644)) fatal(EXIT_WRITE, "cannot write '%s':", path);
}

/* Kernels for GPUs, as far as they were asked for, beside OUT. */
static void write_kernels(const Pipeline *p, const Images *images)
{
    unsigned emit = p->o->emit;
    if (emit & EMIT_CUDA) write_beside(p, "cu", images->source.s, images->source.n);
    for (int i = 0; i < images->n; i++) {
        const Image *x = &images->v[i];
        const char *arch = x->machine->cpu;
        if (emit & EMIT_PTX)
            write_beside(p, arena_printf(p->perm, "%s.ptx", arch), x->ptx.data, x->ptx.size - 1);
        if (emit & EMIT_CUBIN)
            write_beside(p, arena_printf(p->perm, "%s.cubin", arch), x->cubin.data, x->cubin.size);
    }
}

static CodegenOptions codegen_options(const Pipeline *p)
{
    CodegenOptions c = {.threads = (int)sysconf(_SC_NPROCESSORS_ONLN),
                        .source = base_name(p->o->spec),
                        .no_cache = p->o->no_cache};
    c.want_ir = wants_dump(p, "llvm");
    c.want_asm = wants_dump(p, "asm");
    return c;
}

/* Counts of the kernels: of the image that holds them; without one they are compiled apart. */
static const CudaStats *count_kernels(Pipeline *p, const Blob *blob, const Images *images, int arch, int *n)
{
    const Image *x = &images->v[arch];
    *n = blob->kernel[RT_CUDA].n;
    if (images->n) return cuda_stats(p->perm, &x->cubin, x->log.data, n);
    return cuda_probe(p->perm, blob->kernel[RT_CUDA].v, *n, p->gpu[arch]->cpu, !p->o->no_cache);
}

/* What is known of the launches, where it was asked for: the manifest beside OUT, a prediction. */
static void write_counts(Pipeline *p, const Blob *blob, const BlobProgram *prog, int n, const Images *images)
{
    Manifest *m[MOST_ARCHS];
    Buf text = {0};
    int narch = p->o->narch, nstats;
    if (!(p->o->emit & EMIT_MANIFEST) && !p->o->predict) return;
    for (int i = 0; i < narch; i++) {
        const CudaStats *stats = count_kernels(p, blob, images, i, &nstats);
        m[i] = manifest_build(p->perm, spec_name(p->spec), p->gpu[i]->cpu, blob, prog, n, stats, nstats);
    }
    if (p->o->predict) {
        predict_print(&text, m, narch, p->o->json);
        fputs(text.s, stdout);
    } else {
        manifest_print(&text, m, narch);
        write_beside(p, "manifest.json", text.s, text.n);
    }
    buf_free(&text);
}

/* Modules of kernels, or only counts of each kernel? */
static bool wants_images(const Pipeline *p)
{
    const CompileOptions *o = p->o;
    unsigned files = EMIT_CUDA | EMIT_PTX | EMIT_CUBIN;
    return o->narch && (wants_exe(o) || o->emit & files || wants_dump(p, "cuda") || wants_dump(p, "ptx"));
}

bool emit_images(Pipeline *p, Blob *blob, const BlobProgram *prog, int n)
{
    Images images = {0};
    CodegenOptions c = codegen_options(p);
    p->program = NULL;
    if (wants_images(p)) {
        images_compile(&images, blob->kernel[RT_CUDA].v, blob->kernel[RT_CUDA].n, p->gpu,
                       p->o->narch, &c);
        blob_add_images(blob, &images);
    }
    Buf none = {0}, ptx = {images.v[0].ptx.data, 0, 0};
    bool stop = after(p, "cuda", print_text, images.n ? &images.source : &none);
    stop = after(p, "ptx", print_text, &ptx) || stop;
    if (!stop) write_kernels(p, &images);
    if (!stop) write_counts(p, blob, prog, n, &images);
    images_free(&images);
    return !stop;
}

bool emit_objects(Pipeline *p, Blob *blob, Object **obj, int *nobj)
{
    Buf ir = {0}, as = {0};
    CodegenOptions c = codegen_options(p);
    p->program = NULL;
    *nobj = backend_find(p->cpu->backend)
                ->compile(blob->kernel[RT_CPU].v, blob->kernel[RT_CPU].n, blob->data.s,
                          blob->data.n, p->cpu, &c, obj, &ir, &as);
    bool stop = after(p, "llvm", print_text, &ir);
    stop = after(p, "asm", print_text, &as) || stop;
    buf_free(&ir);
    buf_free(&as);
    return !stop;
}

void emit_ptx(Pipeline *p, const Blob *blob, Compiled *out)
{
    Images images;
    CodegenOptions c = codegen_options(p);
    Machine m = *p->gpu[0];
    m.cpu = arena_printf(p->perm, "compute_%s", m.cpu + strlen("sm_"));
    p->program = NULL;
    images_compile(&images, out->func, blob->kernel[RT_CUDA].n, (const Machine *[]){&m}, 1, &c);
    out->ptx = images.v[0].ptx;
    after(p, "cuda", print_text, &images.source);
    after(p, "ptx", print_text, &(Buf){out->ptx.data, 0, 0});
    images.v[0].ptx.data = NULL;
    images_free(&images);
}
