/* The two paths of the kernel behind one table of functions, and the loops over rows that are the same for both. */
#ifndef SEALBID_PATHS_H
#define SEALBID_PATHS_H

#include "_sha512.h"
#include "_sum.h"

#if (defined(__x86_64__) && !defined(SEALBID_PORTABLE_ONLY)) || defined(SEALBID_EMULATED)
#define SEALBID_IFMA 1
#ifndef SEALBID_EMULATED
#include <cpuid.h>
#endif
#include "_ifma_batch.h"
#include "_ifma_sha512.h"
#include "_ifma_sum.h"
#endif

typedef struct {
    const char *name;
    size_t work_size;
    sha512_rows_fn sha512;
    long (*mult)(void *, uint8_t *, const uint8_t *, const uint8_t *, size_t, int);
    void (*map_mult)(void *, uint8_t *, const uint8_t (*)[64], const uint8_t *, size_t, int);
    void (*map)(void *, uint8_t *, const uint8_t (*)[64], int);
    long (*check)(void *, const uint8_t *, int);
    long (*sum)(uint8_t *, const uint8_t *, const uint8_t *, size_t);
} path;

static const path PATHS[] = {
    {"portable", sizeof(portable_work), sha512_rows_portable, portable_mult, portable_map_mult, portable_map,
     portable_check, portable_sum},
#ifdef SEALBID_IFMA
    {"ifma", sizeof(ifma_work), sha512_rows_ifma, ifma_mult, ifma_map_mult, ifma_map, ifma_check, ifma_sum},
#endif
};

#if defined(SEALBID_IFMA) && !defined(SEALBID_EMULATED)
/* Whether the processor has the instructions, and the system keeps their registers. */
static int have_ifma(void) {
    const unsigned wanted = 1u << 16 | 1u << 17 | 1u << 21 | 1u << 30 | 1u << 31; /* avx512 f, dq, ifma, bw, vl */
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0; /* osxsave */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 0xe6) != 0xe6) return 0; /* xmm, ymm, opmask, both halves of zmm */
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & wanted) == wanted;
}
#endif

static int path_count(void) {
#if defined(SEALBID_IFMA) && !defined(SEALBID_EMULATED)
    return have_ifma() ? 2 : 1;
#else
    return 1;
#endif
}

/* A call's scratch memory: aligned for vectors, wiped before it is given back. */
typedef struct {
    void *raw, *work;
    uint8_t (*wide)[64];
    size_t size;
} scratch;

static int scratch_open(scratch *s, const path *p) {
    size_t work_size = (p->work_size + 63) & ~(size_t)63;
    s->size = work_size + 64 * BATCH + 64;
    s->raw = malloc(s->size);
    s->work = (void *)(((uintptr_t)s->raw + 63) & ~(uintptr_t)63);
    s->wide = (uint8_t(*)[64])((uint8_t *)s->work + work_size);
    return s->raw != NULL;
}

/* Overwrite the part of the stack that the calls before it used. */
static __attribute__((noinline)) void wipe_stack(void) {
    uint8_t below[32768];
    wipe(below, sizeof below);
}

static void scratch_close(scratch *s) {
    if (s->raw) wipe(s->raw, s->size);
    free(s->raw);
    wipe_stack();
}

typedef struct { /* rows of bytes: data[offset[i] .. offset[i + 1]] */
    const int64_t *offset;
    const uint8_t *data;
    size_t n;
} rows;

PURE piece row(const rows *r, size_t i) {
    return (piece){r->data + r->offset[i], (size_t)(r->offset[i + 1] - r->offset[i])};
}

static void expand_batch(const expander *x, const rows *in, size_t start, int n, uint8_t (*wide)[64]) {
    piece body[LANES];
    for (int i = 0; i < n; i += LANES) {
        int m = n - i < LANES ? n - i : LANES;
        for (int j = 0; j < m; j++) body[j] = row(in, start + (size_t)(i + j));
        expand_rows(x, wide + i, body, m);
    }
}

PURE int batch_at(size_t start, size_t n) { return n - start < BATCH ? (int)(n - start) : BATCH; }

static void run_hash_map(const path *p, scratch *s, const rows *in, const uint8_t *dst, size_t dst_size,
                         const uint8_t *scalars, size_t stride, uint8_t *out) {
    expander x;
    expander_init(&x, p->sha512, dst, dst_size);
    for (size_t i = 0; i < in->n; i += BATCH) {
        int n = batch_at(i, in->n);
        expand_batch(&x, in, i, n, s->wide);
        if (scalars)
            p->map_mult(s->work, out + 32 * i, (const uint8_t(*)[64])s->wide, scalars + stride * i, stride, n);
        else
            p->map(s->work, out + 32 * i, (const uint8_t(*)[64])s->wide, n);
    }
}

static void run_map(const path *p, scratch *s, const uint8_t *wide, size_t count, uint8_t *out) {
    for (size_t i = 0; i < count; i += BATCH)
        p->map(s->work, out + 32 * i, (const uint8_t(*)[64])(wide + 64 * i), batch_at(i, count));
}

static long run_mult(const path *p, scratch *s, const uint8_t *elements, size_t count, const uint8_t *scalars,
                     size_t stride, uint8_t *out) {
    for (size_t i = 0; i < count; i += BATCH) {
        long bad = p->mult(s->work, out + 32 * i, elements + 32 * i, scalars + stride * i, stride, batch_at(i, count));
        if (bad >= 0) return (long)i + bad;
    }
    return -1;
}

static long run_check(const path *p, scratch *s, const uint8_t *elements, size_t count) {
    for (size_t i = 0; i < count; i += BATCH) {
        long bad = p->check(s->work, elements + 32 * i, batch_at(i, count));
        if (bad >= 0) return (long)i + bad;
    }
    return -1;
}

/* Hash(len || input || 0x0020 || element || "Finalize") (RFC 9497, 3.3.1). */
static void run_finalize(const path *p, const rows *in, const uint8_t *elements, uint8_t *out) {
    static const uint8_t end[] = "Finalize";
    uint8_t length[LANES][2], point_part[LANES][34];
    message m[LANES];
    for (size_t i = 0; i < in->n; i += LANES) {
        int n = in->n - i < LANES ? (int)(in->n - i) : LANES;
        for (int j = 0; j < n; j++) {
            piece input = row(in, i + (size_t)j);
            length[j][0] = (uint8_t)(input.size >> 8), length[j][1] = (uint8_t)input.size;
            point_part[j][0] = 0, point_part[j][1] = 32;
            memcpy(point_part[j] + 2, elements + 32 * (i + (size_t)j), 32);
            m[j] = (message){{{length[j], 2}, input, {point_part[j], 34}, {end, 8}}};
        }
        p->sha512((uint8_t(*)[64])(out + 64 * i), SHA_START, 0, m, n);
    }
    wipe(point_part, sizeof point_part);
}

/* The weights of a proof's composites (RFC 9497, 2.2.1); row i of this call has index first + i. */
static void run_weights(const path *p, const uint8_t *seed, const uint8_t *c, const uint8_t *d, size_t count,
                        size_t first, const uint8_t *dst, size_t dst_size, uint8_t *out) {
    enum { SIZE = 2 + 64 + 2 + 2 + 32 + 2 + 32 + 9 };
    uint8_t text[LANES][SIZE], wide[LANES][64];
    piece body[LANES];
    expander x;
    scalar k;
    expander_init(&x, p->sha512, dst, dst_size);
    for (size_t i = 0; i < count; i += LANES) {
        int n = count - i < LANES ? (int)(count - i) : LANES;
        for (int j = 0; j < n; j++) {
            size_t at = i + (size_t)j, index = first + at;
            uint8_t *t = text[j];
            t[0] = 0, t[1] = 64, t[66] = (uint8_t)(index >> 8), t[67] = (uint8_t)index;
            memcpy(t + 2, seed, 64);
            t[68] = t[102] = 0, t[69] = t[103] = 32;
            memcpy(t + 70, c + 32 * at, 32), memcpy(t + 104, d + 32 * at, 32), memcpy(t + 136, "Composite", 9);
            body[j] = (piece){t, SIZE};
        }
        expand_rows(&x, wide, body, n);
        for (int j = 0; j < n; j++) {
            scalar_reduce(&k, wide[j]);
            scalar_store(out + 32 * (i + (size_t)j), &k);
        }
    }
}

/* Inverses of n scalars with one exponentiation. Returns the first zero, or -1; a zero leaves `out` all zero. */
static long run_invert(const uint8_t *in, uint8_t *out, size_t n) {
    scalar run = {{1}}, a, t;
    for (size_t i = 0; i < n; i++) {
        uint64_t zero;
        scalar_load(&a, in + 32 * i);
        zero = scalar_is_zero(&a);
        PUBLIC_NOW(&zero, sizeof zero); /* that a scalar is zero is told to the caller */
        if (zero) {
            wipe(out, 32 * n);
            return (long)i;
        }
        scalar_store(out + 32 * i, &run);
        scalar_mul(&run, &run, &a);
    }
    scalar_invert(&run, &run);
    for (size_t i = n; i-- > 0;) {
        scalar_load(&t, out + 32 * i);
        scalar_mul(&t, &t, &run);
        scalar_store(out + 32 * i, &t);
        scalar_load(&a, in + 32 * i);
        scalar_mul(&run, &run, &a);
    }
    wipe(&run, sizeof run), wipe(&a, sizeof a), wipe(&t, sizeof t);
    return -1;
}

#endif
