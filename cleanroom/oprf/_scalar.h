/* Scalars modulo the order of the group, four limbs of 64 bits: Barrett reduction, no branch on values.
 *
 * Wide values are below 2^512. The quotient estimate is short by at most two (Handbook of Applied Cryptography,
 * algorithm 14.42), so two masked subtractions end it. */
#ifndef SEALBID_SCALAR_H
#define SEALBID_SCALAR_H

#include "_field.h"

typedef struct {
    uint64_t v[4];
} scalar;

static const uint64_t ORDER[5] = {0x5812631a5cf5d3edULL, 0x14def9dea2f79cd6ULL, 0, 0x1000000000000000ULL, 0};
static const uint64_t ORDER_MU[5] = {0xed9ce5a30a2c131bULL, 0x2106215d086329a7ULL, 0xffffffffffffffebULL,
                                     0xffffffffffffffffULL, 0xf};

/* r = x - ORDER where that is not negative; x has five limbs. */
PURE void order_subtract(uint64_t *x) {
    uint64_t t[5], borrow = 0;
    for (int i = 0; i < 5; i++) {
        u128 d = (u128)x[i] - ORDER[i] - borrow;
        t[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    uint64_t keep = veil(0 - borrow);
    for (int i = 0; i < 5; i++) x[i] = (x[i] & keep) | (t[i] & ~keep);
}

PURE void mul_words(uint64_t *r, const uint64_t *a, int na, const uint64_t *b, int nb) {
    for (int i = 0; i < na + nb; i++) r[i] = 0;
    for (int i = 0; i < na; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < nb; j++) {
            u128 t = (u128)a[i] * b[j] + r[i + j] + carry;
            r[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        r[i + nb] = carry;
    }
}

static void scalar_reduce_words(scalar *r, const uint64_t x[8]) {
    uint64_t q[10], p[10], y[5], borrow = 0;
    mul_words(q, x + 3, 5, ORDER_MU, 5);
    mul_words(p, q + 5, 5, ORDER, 5);
    for (int i = 0; i < 5; i++) {
        u128 d = (u128)x[i] - p[i] - borrow;
        y[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    order_subtract(y);
    order_subtract(y);
    memcpy(r->v, y, sizeof r->v);
}

static void scalar_reduce(scalar *r, const uint8_t *wide) {
    uint64_t x[8];
    for (int i = 0; i < 8; i++) x[i] = load64(wide + 8 * i);
    scalar_reduce_words(r, x);
}

/* Any 32 bytes, taken modulo the order. */
static void scalar_load(scalar *r, const uint8_t *b) {
    uint64_t x[8] = {0};
    for (int i = 0; i < 4; i++) x[i] = load64(b + 8 * i);
    scalar_reduce_words(r, x);
}

PURE void scalar_store(uint8_t *b, const scalar *a) {
    for (int i = 0; i < 4; i++) store64(b + 8 * i, a->v[i]);
}

static void scalar_mul(scalar *r, const scalar *a, const scalar *b) {
    uint64_t x[8];
    mul_words(x, a->v, 4, b->v, 4);
    scalar_reduce_words(r, x);
}

/* a - b, both reduced. */
static void scalar_sub(scalar *r, const scalar *a, const scalar *b) {
    uint64_t y[5] = {0}, borrow = 0, carry = 0;
    for (int i = 0; i < 4; i++) { /* y = a + ORDER - b, never negative */
        u128 s = (u128)a->v[i] + ORDER[i] + carry;
        u128 d = (u128)(uint64_t)s - b->v[i] - borrow;
        carry = (uint64_t)(s >> 64);
        borrow = (uint64_t)(d >> 64) & 1;
        y[i] = (uint64_t)d;
    }
    order_subtract(y);
    memcpy(r->v, y, sizeof r->v);
}

PURE uint64_t scalar_is_zero(const scalar *a) {
    uint64_t any = a->v[0] | a->v[1] | a->v[2] | a->v[3];
    return veil(((any | (0 - any)) >> 63) - 1);
}

/* a / 2 modulo the order: (a + ORDER) / 2 where a is odd. */
PURE void scalar_half(scalar *a) {
    uint64_t odd = veil(0 - (a->v[0] & 1)), carry = 0;
    for (int i = 0; i < 4; i++) {
        u128 s = (u128)a->v[i] + (ORDER[i] & odd) + carry;
        a->v[i] = (uint64_t)s;
        carry = (uint64_t)(s >> 64);
    }
    for (int i = 0; i < 3; i++) a->v[i] = a->v[i] >> 1 | a->v[i + 1] << 63;
    a->v[3] >>= 1;
}

/* a^(order - 2): the inverse. The exponent is public. */
static void scalar_invert(scalar *r, const scalar *a) {
    const uint64_t e[4] = {ORDER[0] - 2, ORDER[1], ORDER[2], ORDER[3]};
    scalar t = *a;
    for (int bit = 251; bit >= 0; bit--) { /* bit 252 is the leading one */
        scalar_mul(&t, &t, &t);
        if (e[bit / 64] >> (bit % 64) & 1) scalar_mul(&t, &t, a);
    }
    *r = t;
}

#define DIGITS 64 /* signed digits of four bits: the value is the sum of digit[i] * 16^i, digits in -8..8 */

/* Recode a scalar below 2^253. */
PURE void scalar_digits(int8_t digit[DIGITS], const scalar *a) {
    int carry = 0;
    for (int i = 0; i < DIGITS; i++) {
        int d = (int)(a->v[i / 16] >> (4 * (i % 16)) & 15) + carry;
        carry = (d + 8) >> 4;
        digit[i] = (int8_t)(d - (carry << 4));
    }
}

#endif
