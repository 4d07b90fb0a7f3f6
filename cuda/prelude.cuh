/* What kernels stand on: 16-bit numbers, asynchronous copies into shared memory, matrix loads and matrix
 * multiplications, as functions with the names of what they do. All PTX of the project is in this file (source of the
 * semantics: NVIDIA, PTX ISA). It needs no header, so that NVRTC takes it as it is; the compiler puts it in front of
 * every program. Fragments: lane l of the warp has g = l / 4 and t = l % 4 (PTX ISA, "Matrix Fragments for mma").
 * Not here: the same functions for a host that executes kernels (tests/simt/twins.h). */
#ifndef CUDA_PRELUDE_CUH
#define CUDA_PRELUDE_CUH

#define DEVICE_MEMBER __device__ __forceinline__
#define DEVICE static __device__ __forceinline__

/* Lanes of a thread of a tail, side by side in memory. */
template <class T> struct alignas(4 * sizeof(T)) Four {
    T x[4];
};

/* ---- numbers of 16 bits, in memory ---- */

DEVICE float f32_of_f16(unsigned short h)
{
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
    return x;
}

DEVICE unsigned short f16_of_f32(float x)
{
    unsigned short h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
}

DEVICE float f32_of_bf16(unsigned short h)
{
    return __int_as_float((int)((unsigned)h << 16));
}

DEVICE unsigned short bf16_of_f32(float x)
{
    unsigned short h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
}

/* ---- tf32: an f32 whose low 13 bits are 0 ---- */

DEVICE float f32_of_tf32(float x)
{
    return x;
}

DEVICE float tf32_of_f32(float x)
{
    unsigned u;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(x));
    return __int_as_float((int)u);
}

/* ---- copies: global -> shared memory ---- */

DEVICE unsigned shared_address(const void *p)
{
    return (unsigned)__cvta_generic_to_shared(p);
}

/* Addresses made where they stand: else the compiler takes parts of them out of loops and adds what is constant first,
 * which costs registers, and two or three instructions for each. */
template <class T> DEVICE const T *element_at(const T *first, int i)
{
    asm volatile("" : "+l"(first), "+r"(i));
    const T *p = first + i;
    asm volatile("" : "+l"(p));
    return p;
}

DEVICE unsigned char *shared_at(unsigned char *first, int i)
{
    unsigned p = shared_address(first + i);
    asm volatile("" : "+r"(p));
    return (unsigned char *)__cvta_shared_to_generic(p);
}

/* 16 bytes, of which `bytes` are read; the rest becomes zero. Lands at a wait. */
DEVICE void copy_async(void *shared, const void *global, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
                 "r"(bytes)
                 : "memory");
}

DEVICE void copy_async(void *shared, const void *global)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
}

DEVICE void copy_commit() /* ends a group of copies */
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int LEFT> DEVICE void copy_wait() /* until at most LEFT groups are under way */
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

/* ---- matrices ---- */

/* Four 8x8 matrices of 16-bit elements; lane 8i+r points to row r (16 bytes) of matrix i. Lane l gets elements 2t and
 * 2t+1 of row g of matrix i in r[i]; of 32-bit elements, that is element t of the row. */
DEVICE void load_matrices(unsigned (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* The same of transposed matrices: elements 2t and 2t+1 of column g. */
DEVICE void load_transposed(unsigned (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* c += a * b, 16x8: c[0], c[1] row g, columns 2t, 2t+1; c[2], c[3] row g+8.
 * 16 bit: a[0] (g, 2t..), a[1] (g+8, 2t..), a[2] (g, 2t+8..), a[3] (g+8, 2t+8..); b[0] (2t.., g), b[1] (2t+8.., g). */
DEVICE void multiply_f16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

DEVICE void multiply_bf16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* tf32 (floats of which the low 13 bits are ignored): a[0] (g, t), a[1] (g+8, t), a[2] (g, t+4), a[3] (g+8, t+4); b[0] (t, g), b[1] (t+4, g). */
DEVICE void multiply_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif
