/* The portable path in batches: what the kernel calls, for up to BATCH rows at a time.
 *
 * Scalar multiplication: signed windows of four bits, a table of eight multiples read in full for each digit. The scalar is
 * halved first, so that a whole batch is doubled and encoded with one shared inversion. */
#ifndef SEALBID_PORTABLE_H
#define SEALBID_PORTABLE_H

#include "_point.h"
#include "_scalar.h"

#define BATCH 256

typedef struct { /* everything secret a batch leaves in memory; wiped by the caller */
    doubling pending[BATCH];
    fe product[BATCH], prefix[BATCH];
    point p, q;
    cached table[8];
    scalar k;
    int8_t digit[DIGITS];
} portable_work;

/* table[|digit| - 1], negated for a negative digit, the identity for zero; every entry is read. */
PURE void table_look_up(cached *r, const cached table[8], int digit) {
    uint64_t negative = veil(0 - (uint64_t)((uint32_t)digit >> 31));
    uint64_t size = ((uint64_t)(int64_t)digit ^ negative) - negative;
    fe minus;
    *r = (cached){{{1}}, {{1}}, {{2}}, {{0}}};
    for (uint64_t j = 1; j <= 8; j++) {
        uint64_t here = veil(0 - (((size ^ j) - 1) >> 63));
        fe_select(&r->plus, &table[j - 1].plus, here);
        fe_select(&r->minus, &table[j - 1].minus, here);
        fe_select(&r->z2, &table[j - 1].z2, here);
        fe_select(&r->t2d, &table[j - 1].t2d, here);
    }
    fe swap = r->plus;
    fe_select(&r->plus, &r->minus, negative);
    fe_select(&r->minus, &swap, negative);
    fe_neg(&minus, &r->t2d);
    fe_select(&r->t2d, &minus, negative);
}

static void table_fill(cached table[8], const point *p) {
    point m[9];
    m[1] = *p;
    point_cache(&table[0], p);
    for (int j = 2; j <= 8; j++) {
        if (j % 2)
            point_add(&m[j], &m[j - 1], &table[0]);
        else
            point_double(&m[j], &m[j / 2], 1);
        point_cache(&table[j - 1], &m[j]);
    }
}

/* w->q = k * w->p */
static void portable_point_mult(portable_work *w) {
    cached entry;
    table_fill(w->table, &w->p);
    scalar_digits(w->digit, &w->k);
    w->q = POINT_IDENTITY;
    for (int i = DIGITS - 1; i >= 0; i--) {
        if (i < DIGITS - 1)
            for (int d = 0; d < 4; d++) point_double(&w->q, &w->q, d == 3);
        table_look_up(&entry, w->table, w->digit[i]);
        point_add(&w->q, &w->q, &entry);
    }
}

/* Encode twice the n points whose doublings are pending. Where a product is zero, one stands in and its inverse is zero. */
static void portable_encode_doubled(portable_work *w, uint8_t *out, int n) {
    const fe zero = {{0}};
    fe run = FE_ONE, inverse, t;
    for (int i = 0; i < n; i++) {
        w->prefix[i] = run;
        t = w->product[i];
        fe_select(&t, &FE_ONE, fe_is_zero(&w->product[i]));
        fe_mul(&run, &run, &t);
    }
    fe_invert(&run, &run);
    for (int i = n - 1; i >= 0; i--) {
        uint64_t none = fe_is_zero(&w->product[i]);
        fe_mul(&inverse, &run, &w->prefix[i]);
        fe_select(&inverse, &zero, none);
        t = w->product[i];
        fe_select(&t, &FE_ONE, none);
        fe_mul(&run, &run, &t);
        doubling_encode(out + 32 * i, &w->pending[i], &inverse);
    }
}

PURE void portable_halved(portable_work *w, const uint8_t *scalars, size_t stride, int i) {
    scalar_load(&w->k, scalars + stride * (size_t)i);
    scalar_half(&w->k);
}

/* out = scalar * element, n rows; stride is 0 for one scalar or 32. Returns the first bad row, or -1. */
static long portable_mult(void *work, uint8_t *out, const uint8_t *elements, const uint8_t *scalars, size_t stride,
                          int n) {
    portable_work *w = work;
    long bad = -1;
    for (int i = 0; i < n; i++) {
        if (!ristretto_decode(&w->p, elements + 32 * i) && bad < 0) bad = i;
        portable_halved(w, scalars, stride, i);
        portable_point_mult(w);
        doubling_start(&w->pending[i], &w->product[i], &w->q);
    }
    portable_encode_doubled(w, out, n);
    return bad;
}

/* out = scalar * map(wide), n rows. */
static void portable_map_mult(void *work, uint8_t *out, const uint8_t (*wide)[64], const uint8_t *scalars,
                              size_t stride, int n) {
    portable_work *w = work;
    for (int i = 0; i < n; i++) {
        ristretto_map(&w->p, wide[i]);
        portable_halved(w, scalars, stride, i);
        portable_point_mult(w);
        doubling_start(&w->pending[i], &w->product[i], &w->q);
    }
    portable_encode_doubled(w, out, n);
}

static void portable_map(void *work, uint8_t *out, const uint8_t (*wide)[64], int n) {
    portable_work *w = work;
    for (int i = 0; i < n; i++) {
        ristretto_map(&w->p, wide[i]);
        ristretto_encode(out + 32 * i, &w->p);
    }
}

static long portable_check(void *work, const uint8_t *elements, int n) {
    portable_work *w = work;
    for (int i = 0; i < n; i++)
        if (!ristretto_decode(&w->p, elements + 32 * i)) return i;
    return -1;
}

#endif
