/* Sums of weight times element for public values (the composites of a batched proof): buckets after Pippenger.
 *
 * The time and the memory touched depend on weights and elements. Never use it with a secret. */
#ifndef SEALBID_SUM_H
#define SEALBID_SUM_H

#include <stdlib.h>

#include "_base.h"

#define WEIGHT_BITS 254 /* weights are below 2^253; one bit more for the carry of the signed digits */
#define WINDOW_BITS_MAX 12

typedef struct { /* an addend with z = 1 */
    fe plus, minus, t2d;
} affine;

/* r += b, or r -= b. */
PURE void point_add_affine(point *r, const affine *b, int negative) {
    cached c = {negative ? b->minus : b->plus, negative ? b->plus : b->minus, {{2}}, b->t2d};
    if (negative) fe_neg(&c.t2d, &b->t2d);
    point_add(r, r, &c);
}

/* The window of `bits` bits of a weight that starts at bit `at`, before the carry is taken in. */
PURE int weight_window(const scalar *k, int at, int bits) {
    uint64_t low = at < 256 ? k->v[at / 64] >> (at % 64) : 0;
    if (at % 64 + bits > 64 && at / 64 < 3) low |= k->v[at / 64 + 1] << (64 - at % 64);
    return (int)(low & ((1u << bits) - 1));
}

/* Signed digits of a weight, digit[i * stride] in -2^(bits-1) .. 2^(bits-1). */
PURE void weight_digits(int16_t *digit, size_t stride, const scalar *k, int bits, int windows) {
    int carry = 0;
    for (int i = 0; i < windows; i++) {
        int d = weight_window(k, i * bits, bits) + carry;
        carry = d > 1 << (bits - 1);
        digit[(size_t)i * stride] = (int16_t)(d - (carry << bits));
    }
}

/* Sum of j * bucket[j], j = 1..count. */
static void buckets_sum(point *r, const point *bucket, int count) {
    point run = POINT_IDENTITY;
    cached c;
    *r = POINT_IDENTITY;
    for (int j = count; j >= 1; j--) {
        point_cache(&c, &bucket[j]);
        point_add(&run, &run, &c);
        point_cache(&c, &run);
        point_add(r, r, &c);
    }
}

static int window_bits(size_t n) {
    int best = 2;
    size_t least = SIZE_MAX;
    for (int bits = 2; bits <= WINDOW_BITS_MAX; bits++) {
        size_t cost = (n + ((size_t)2 << bits)) * (size_t)((WEIGHT_BITS + bits - 1) / bits);
        if (cost < least) least = cost, best = bits;
    }
    return best;
}

static void sum_windows(point *total, const affine *addend, const int16_t *digit, size_t n, int bits, int windows,
                        point *bucket) {
    int count = 1 << (bits - 1);
    point part;
    cached c;
    *total = POINT_IDENTITY;
    for (int w = windows - 1; w >= 0; w--) {
        for (int d = 0; d < bits; d++) point_double(total, total, d == bits - 1);
        for (int j = 0; j <= count; j++) bucket[j] = POINT_IDENTITY;
        for (size_t i = 0; i < n; i++) {
            int d = digit[(size_t)w * n + i];
            if (d) point_add_affine(&bucket[d < 0 ? -d : d], &addend[i], d < 0);
        }
        buckets_sum(&part, bucket, count);
        point_cache(&c, &part);
        point_add(total, total, &c);
    }
}

/* out = sum of weights * elements. Returns the first bad row, -1 when all is well, -2 when memory is short. */
static long portable_sum(uint8_t *out, const uint8_t *elements, const uint8_t *weights, size_t n) {
    int bits = window_bits(n), windows = (WEIGHT_BITS + bits - 1) / bits;
    affine *addend = malloc(n * sizeof *addend);
    int16_t *digit = malloc(n * (size_t)windows * sizeof *digit);
    point *bucket = malloc((((size_t)1 << (bits - 1)) + 1) * sizeof *bucket), p;
    cached c;
    scalar k;
    long bad = addend && digit && bucket ? -1 : -2;
    for (size_t i = 0; i < n && bad == -1; i++) {
        if (!ristretto_decode(&p, elements + 32 * i)) bad = (long)i;
        point_cache(&c, &p);
        addend[i] = (affine){c.plus, c.minus, c.t2d};
        scalar_load(&k, weights + 32 * i);
        weight_digits(digit + i, n, &k, bits, windows);
    }
    if (bad == -1) {
        sum_windows(&p, addend, digit, n, bits, windows, bucket);
        ristretto_encode(out, &p);
    }
    free(addend), free(digit), free(bucket);
    return bad;
}

#endif
