/* Arithmetic modulo p = 2^255 - 19 on five limbs of 51 bits, portable 64-bit code (RFC 9496, section 4).
 *
 * Bounds. "Reduced" limbs are below 2^51 + 2^14: every product, square and carry leaves them so. fe_add takes reduced
 * limbs and leaves limbs below 2^52.1; fe_sub takes a subtrahend with limbs up to 2^53 - 76 and adds 4p. Products and
 * squares take limbs below 2^54: the sums stay below 2^114.4, their carries and 19 times the last below 2^64.
 * Nothing here branches or indexes on values. */
#ifndef SEALBID_FIELD_H
#define SEALBID_FIELD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef unsigned __int128 u128;
typedef struct {
    uint64_t v[5];
} fe;

#define MASK51 0x7ffffffffffffULL
#ifdef SEALBID_EMULATED /* the constant-time test of the vector path, compiled in seconds rather than minutes */
#define PURE static __attribute__((unused))
#else
#define PURE static inline __attribute__((always_inline))
#endif

static const fe FE_ONE = {{1}};
static const fe FE_D = {{0x34dca135978a3ULL, 0x1a8283b156ebdULL, 0x5e7a26001c029ULL, 0x739c663a03cbbULL, 0x52036cee2b6ffULL}};
static const fe FE_D2 = {{0x69b9426b2f159ULL, 0x35050762add7aULL, 0x3cf44c0038052ULL, 0x6738cc7407977ULL, 0x2406d9dc56dffULL}};
static const fe FE_SQRT_M1 = {{0x61b274a0ea0b0ULL, 0xd5a5fc8f189dULL, 0x7ef5e9cbd0c60ULL, 0x78595a6804c9eULL, 0x2b8324804fc1dULL}};
static const fe FE_SQRT_AD_MINUS_ONE = {{0x7f6a0497b2e1bULL, 0x1836f0a97afd2ULL, 0x7d747f6be7638ULL, 0x456079e7e6498ULL, 0x376931bf2b834ULL}};
static const fe FE_INVSQRT_A_MINUS_D = {{0xfdaa805d40eaULL, 0x2eb482e57d339ULL, 0x7610274bc58ULL, 0x6510b613dc8ffULL, 0x786c8905cfaffULL}};
static const fe FE_ONE_MINUS_D_SQ = {{0x409c1945fc176ULL, 0x719abc6a1fc4fULL, 0x1c37f90b20684ULL, 0x6bccca55eedfULL, 0x29072a8b2b3eULL}};
static const fe FE_D_MINUS_ONE_SQ = {{0x55aaa44ed4d20ULL, 0x59603c3332635ULL, 0x26d3baf4a7928ULL, 0x120a66e6997a9ULL, 0x5968b37af66c2ULL}};

#ifndef PUBLIC_NOW /* a value that a secret went into and that is told all the same; the constant-time test defines it */
#define PUBLIC_NOW(bytes, size) ((void)0)
#endif

/* Hide a mask from the optimiser, so that it stays arithmetic and never becomes a branch. */
PURE uint64_t veil(uint64_t x) {
    __asm__("" : "+r"(x));
    return x;
}

PURE uint64_t load64(const uint8_t *b) {
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--) x = x << 8 | b[i];
    return x;
}

PURE void store64(uint8_t *b, uint64_t x) {
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)(x >> (8 * i));
}

static inline void wipe(void *bytes, size_t size) {
    memset(bytes, 0, size);
    __asm__ volatile("" : : "r"(bytes) : "memory"); /* the stores above are seen, so they stay */
}

PURE void fe_carry(fe *r) {
    uint64_t c0 = r->v[0] >> 51, c1 = r->v[1] >> 51, c2 = r->v[2] >> 51, c3 = r->v[3] >> 51, c4 = r->v[4] >> 51;
    r->v[0] = (r->v[0] & MASK51) + 19 * c4;
    r->v[1] = (r->v[1] & MASK51) + c0;
    r->v[2] = (r->v[2] & MASK51) + c1;
    r->v[3] = (r->v[3] & MASK51) + c2;
    r->v[4] = (r->v[4] & MASK51) + c3;
}

PURE void fe_add(fe *r, const fe *a, const fe *b) {
    for (int i = 0; i < 5; i++) r->v[i] = a->v[i] + b->v[i];
}

PURE void fe_sub(fe *r, const fe *a, const fe *b) {
    r->v[0] = a->v[0] + 4 * (MASK51 - 18) - b->v[0];
    for (int i = 1; i < 5; i++) r->v[i] = a->v[i] + 4 * MASK51 - b->v[i];
}

PURE void fe_neg(fe *r, const fe *a) {
    const fe zero = {{0}};
    fe_sub(r, &zero, a);
    fe_carry(r);
}

/* r = b where mask is all ones, r where it is zero. */
PURE void fe_select(fe *r, const fe *b, uint64_t mask) {
    mask = veil(mask);
    for (int i = 0; i < 5; i++) r->v[i] ^= mask & (r->v[i] ^ b->v[i]);
}

PURE void fe_fold(fe *r, u128 t0, u128 t1, u128 t2, u128 t3, u128 t4) {
    t1 += (uint64_t)(t0 >> 51);
    t2 += (uint64_t)(t1 >> 51);
    t3 += (uint64_t)(t2 >> 51);
    t4 += (uint64_t)(t3 >> 51);
    uint64_t low = (uint64_t)(t4 >> 51) * 19 + ((uint64_t)t0 & MASK51);
    r->v[0] = low & MASK51;
    r->v[1] = ((uint64_t)t1 & MASK51) + (low >> 51);
    r->v[2] = (uint64_t)t2 & MASK51;
    r->v[3] = (uint64_t)t3 & MASK51;
    r->v[4] = (uint64_t)t4 & MASK51;
}

PURE void fe_mul(fe *r, const fe *x, const fe *y) {
    const uint64_t a0 = x->v[0], a1 = x->v[1], a2 = x->v[2], a3 = x->v[3], a4 = x->v[4];
    const uint64_t b0 = y->v[0], b1 = y->v[1], b2 = y->v[2], b3 = y->v[3], b4 = y->v[4];
    const uint64_t c1 = 19 * b1, c2 = 19 * b2, c3 = 19 * b3, c4 = 19 * b4;
    fe_fold(r, (u128)a0 * b0 + (u128)a1 * c4 + (u128)a2 * c3 + (u128)a3 * c2 + (u128)a4 * c1,
            (u128)a0 * b1 + (u128)a1 * b0 + (u128)a2 * c4 + (u128)a3 * c3 + (u128)a4 * c2,
            (u128)a0 * b2 + (u128)a1 * b1 + (u128)a2 * b0 + (u128)a3 * c4 + (u128)a4 * c3,
            (u128)a0 * b3 + (u128)a1 * b2 + (u128)a2 * b1 + (u128)a3 * b0 + (u128)a4 * c4,
            (u128)a0 * b4 + (u128)a1 * b3 + (u128)a2 * b2 + (u128)a3 * b1 + (u128)a4 * b0);
}

PURE void fe_sq(fe *r, const fe *x) {
    const uint64_t a0 = x->v[0], a1 = x->v[1], a2 = x->v[2], a3 = x->v[3], a4 = x->v[4];
    const uint64_t d0 = 2 * a0, d1 = 2 * a1, d2 = 2 * a2, e3 = 19 * a3, e4 = 19 * a4;
    fe_fold(r, (u128)a0 * a0 + (u128)d1 * e4 + (u128)d2 * e3, (u128)d0 * a1 + (u128)d2 * e4 + (u128)a3 * e3,
            (u128)d0 * a2 + (u128)a1 * a1 + (u128)(2 * a3) * e4, (u128)d0 * a3 + (u128)d1 * a2 + (u128)a4 * e4,
            (u128)d0 * a4 + (u128)d1 * a3 + (u128)a2 * a2);
}

static void fe_sqn(fe *r, const fe *a, int n) {
    fe_sq(r, a);
    while (--n > 0) fe_sq(r, r);
}

/* The value in full, limbs of 51 bits, below p. */
PURE fe fe_freeze(fe r) {
    fe_carry(&r);
    fe_carry(&r);
    uint64_t q = (r.v[0] + 19) >> 51;
    for (int i = 1; i < 5; i++) q = (r.v[i] + q) >> 51;
    r.v[0] += 19 * q;
    for (int i = 0; i < 4; i++) {
        r.v[i + 1] += r.v[i] >> 51;
        r.v[i] &= MASK51;
    }
    r.v[4] &= MASK51;
    return r;
}

PURE void fe_load(fe *r, const uint8_t *b) { /* the top bit is ignored, as the map of RFC 9496 does */
    uint64_t w0 = load64(b), w1 = load64(b + 8), w2 = load64(b + 16), w3 = load64(b + 24);
    r->v[0] = w0 & MASK51;
    r->v[1] = (w0 >> 51 | w1 << 13) & MASK51;
    r->v[2] = (w1 >> 38 | w2 << 26) & MASK51;
    r->v[3] = (w2 >> 25 | w3 << 39) & MASK51;
    r->v[4] = w3 >> 12 & MASK51;
}

PURE void fe_store(uint8_t *b, const fe *a) {
    fe t = fe_freeze(*a);
    store64(b, t.v[0] | t.v[1] << 51);
    store64(b + 8, t.v[1] >> 13 | t.v[2] << 38);
    store64(b + 16, t.v[2] >> 26 | t.v[3] << 25);
    store64(b + 24, t.v[3] >> 39 | t.v[4] << 12);
}

/* All ones where the canonical value is odd, which RFC 9496 calls negative. */
PURE uint64_t fe_is_negative(const fe *a) { return veil(0 - (fe_freeze(*a).v[0] & 1)); }

PURE uint64_t fe_is_zero(const fe *a) {
    fe t = fe_freeze(*a);
    uint64_t any = t.v[0] | t.v[1] | t.v[2] | t.v[3] | t.v[4];
    return veil(((any | (0 - any)) >> 63) - 1);
}

PURE uint64_t fe_equal(const fe *a, const fe *b) {
    fe t;
    fe_sub(&t, a, b);
    return fe_is_zero(&t);
}

PURE void fe_abs(fe *r) {
    fe minus;
    fe_neg(&minus, r);
    fe_select(r, &minus, fe_is_negative(r));
}

/* a^(2^252 - 3), the exponent (p - 5) / 8; and a^11 and a^(2^250 - 1) on the way. */
static void fe_pow22523(fe *r, const fe *a) {
    fe t0, t1, t2, a2;
    fe_sq(&a2, a);
    fe_sqn(&t0, &a2, 2);
    fe_mul(&t0, &t0, a);   /* 9 */
    fe_mul(&t1, &t0, &a2); /* 11 */
    fe_sq(&t1, &t1);
    fe_mul(&t0, &t1, &t0); /* 2^5 - 1 */
    fe_sqn(&t1, &t0, 5);
    fe_mul(&t0, &t1, &t0); /* 2^10 - 1 */
    fe_sqn(&t1, &t0, 10);
    fe_mul(&t1, &t1, &t0); /* 2^20 - 1 */
    fe_sqn(&t2, &t1, 20);
    fe_mul(&t1, &t2, &t1); /* 2^40 - 1 */
    fe_sqn(&t1, &t1, 10);
    fe_mul(&t0, &t1, &t0); /* 2^50 - 1 */
    fe_sqn(&t1, &t0, 50);
    fe_mul(&t1, &t1, &t0); /* 2^100 - 1 */
    fe_sqn(&t2, &t1, 100);
    fe_mul(&t1, &t2, &t1); /* 2^200 - 1 */
    fe_sqn(&t1, &t1, 50);
    fe_mul(&t0, &t1, &t0); /* 2^250 - 1 */
    fe_sqn(&t0, &t0, 2);
    fe_mul(r, &t0, a);
}

/* a^(p - 2): the inverse, and zero for zero. 2^255 - 21 = 8 (2^252 - 3) + 3. */
static void fe_invert(fe *r, const fe *a) {
    fe t, cube;
    fe_pow22523(&t, a);
    fe_sqn(&t, &t, 3);
    fe_sq(&cube, a);
    fe_mul(&cube, &cube, a);
    fe_mul(r, &t, &cube);
}

/* SQRT_RATIO_M1 (RFC 9496, 4.2): all ones and the non-negative root of u/v, or zero and that of i*u/v. */
static uint64_t fe_sqrt_ratio(fe *r, const fe *u, const fe *v) {
    fe v3, v7, t, check, minus_u, minus_iu, rotated;
    fe_sq(&v3, v);
    fe_mul(&v3, &v3, v);
    fe_sq(&v7, &v3);
    fe_mul(&v7, &v7, v);
    fe_mul(&t, u, &v7);
    fe_pow22523(&t, &t);
    fe_mul(&t, &t, &v3);
    fe_mul(&t, &t, u);
    fe_sq(&check, &t);
    fe_mul(&check, &check, v);
    fe_neg(&minus_u, u);
    fe_mul(&minus_iu, &minus_u, &FE_SQRT_M1);
    uint64_t correct = fe_equal(&check, u), flipped = fe_equal(&check, &minus_u);
    uint64_t flipped_i = fe_equal(&check, &minus_iu);
    fe_mul(&rotated, &t, &FE_SQRT_M1);
    fe_select(&t, &rotated, flipped | flipped_i);
    fe_abs(&t);
    *r = t;
    return correct | flipped;
}

#endif
