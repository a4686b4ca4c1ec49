/* Points of edwards25519 in extended coordinates, and ristretto255 upon them (RFC 9496, section 4.3), portable path.
 *
 * Addition is complete: no case is special. Look-ups read the whole table. Decoding tells only whether all was well. */
#ifndef SEALBID_POINT_H
#define SEALBID_POINT_H

#include "_field.h"

typedef struct {
    fe x, y, z, t;
} point;
typedef struct { /* y + x, y - x, 2z, 2dt: what an addition takes */
    fe plus, minus, z2, t2d;
} cached;

static const point POINT_IDENTITY = {{{0}}, {{1}}, {{1}}, {{0}}};

/* 2a. The t of a result is only needed before an addition. */
PURE void point_double(point *r, const point *a, int want_t) {
    fe xx, yy, zz, e, f, g, h;
    fe_sq(&xx, &a->x);
    fe_sq(&yy, &a->y);
    fe_sq(&zz, &a->z);
    fe_add(&e, &a->x, &a->y);
    fe_sq(&e, &e);
    fe_add(&h, &xx, &yy);
    fe_sub(&e, &e, &h);
    fe_sub(&g, &yy, &xx);
    fe_add(&zz, &zz, &zz);
    fe_add(&zz, &zz, &xx);
    fe_sub(&f, &zz, &yy);
    fe_mul(&r->x, &e, &f);
    fe_mul(&r->y, &g, &h);
    fe_mul(&r->z, &f, &g);
    if (want_t) fe_mul(&r->t, &e, &h);
}

PURE void point_cache(cached *r, const point *a) {
    fe_add(&r->plus, &a->y, &a->x);
    fe_sub(&r->minus, &a->y, &a->x);
    fe_carry(&r->plus);
    fe_carry(&r->minus);
    fe_add(&r->z2, &a->z, &a->z);
    fe_carry(&r->z2);
    fe_mul(&r->t2d, &a->t, &FE_D2);
}

PURE void point_add(point *r, const point *a, const cached *b) {
    fe ya, yb, c, d, e, f, g, h;
    fe_sub(&ya, &a->y, &a->x);
    fe_mul(&ya, &ya, &b->minus);
    fe_add(&yb, &a->y, &a->x);
    fe_mul(&yb, &yb, &b->plus);
    fe_mul(&c, &a->t, &b->t2d);
    fe_mul(&d, &a->z, &b->z2);
    fe_sub(&e, &yb, &ya);
    fe_sub(&f, &d, &c);
    fe_add(&g, &d, &c);
    fe_add(&h, &yb, &ya);
    fe_mul(&r->x, &e, &f);
    fe_mul(&r->y, &g, &h);
    fe_mul(&r->z, &f, &g);
    fe_mul(&r->t, &e, &h);
}

/* All ones where the 32 bytes are below p and even. */
PURE uint64_t encoding_is_canonical(const uint8_t *b) {
    uint64_t w[4], borrow = 0;
    const uint64_t p[4] = {0xffffffffffffffedULL, ~0ULL, ~0ULL, 0x7fffffffffffffffULL};
    for (int i = 0; i < 4; i++) {
        w[i] = load64(b + 8 * i);
        borrow = (uint64_t)(((u128)w[i] - p[i] - borrow) >> 64) & 1;
    }
    return veil((0 - borrow) & ((w[0] & 1) - 1));
}

/* Decode (RFC 9496, 4.3.1): all ones where valid and not the identity; elsewhere the point means nothing. */
static uint64_t ristretto_decode(point *r, const uint8_t *bytes) {
    fe s, ss, u1, u2, u2s, v, w, root, dx, dy;
    fe_load(&s, bytes);
    fe_sq(&ss, &s);
    fe_sub(&u1, &FE_ONE, &ss);
    fe_add(&u2, &FE_ONE, &ss);
    fe_sq(&u2s, &u2);
    fe_sq(&v, &u1);
    fe_mul(&v, &v, &FE_D);
    fe_add(&v, &v, &u2s);
    fe_neg(&v, &v);
    fe_mul(&w, &v, &u2s);
    uint64_t square = fe_sqrt_ratio(&root, &FE_ONE, &w);
    fe_mul(&dx, &root, &u2);
    fe_mul(&dy, &root, &dx);
    fe_mul(&dy, &dy, &v);
    fe_add(&r->x, &s, &s);
    fe_mul(&r->x, &r->x, &dx);
    fe_abs(&r->x);
    fe_mul(&r->y, &u1, &dy);
    r->z = FE_ONE;
    fe_mul(&r->t, &r->x, &r->y);
    return square & ~fe_is_negative(&r->t) & ~fe_is_zero(&r->y) & ~fe_is_zero(&s) & encoding_is_canonical(bytes);
}

/* Encode (RFC 9496, 4.3.2). */
static void ristretto_encode(uint8_t *out, const point *p) {
    fe u1, u2, t, root, d1, d2, zinv, ix, iy, enchanted, x, y, minus;
    fe_add(&u1, &p->z, &p->y);
    fe_sub(&t, &p->z, &p->y);
    fe_mul(&u1, &u1, &t);
    fe_mul(&u2, &p->x, &p->y);
    fe_sq(&t, &u2);
    fe_mul(&t, &t, &u1);
    fe_sqrt_ratio(&root, &FE_ONE, &t);
    fe_mul(&d1, &root, &u1);
    fe_mul(&d2, &root, &u2);
    fe_mul(&zinv, &d1, &d2);
    fe_mul(&zinv, &zinv, &p->t);
    fe_mul(&ix, &p->x, &FE_SQRT_M1);
    fe_mul(&iy, &p->y, &FE_SQRT_M1);
    fe_mul(&enchanted, &d1, &FE_INVSQRT_A_MINUS_D);
    fe_mul(&t, &p->t, &zinv);
    uint64_t rotate = fe_is_negative(&t);
    x = p->x, y = p->y;
    fe_select(&x, &iy, rotate);
    fe_select(&y, &ix, rotate);
    fe_select(&d2, &enchanted, rotate);
    fe_mul(&t, &x, &zinv);
    fe_neg(&minus, &y);
    fe_select(&y, &minus, fe_is_negative(&t));
    fe_sub(&t, &p->z, &y);
    fe_mul(&t, &t, &d2);
    fe_abs(&t);
    fe_store(out, &t);
}

/* One half of the map from uniform bytes (RFC 9496, 4.3.4, MAP). */
static void ristretto_map_half(point *p, const uint8_t *bytes) {
    fe t, r, u, v, s, sp, c, n, w0, w1, w2, w3;
    fe_load(&t, bytes);
    fe_sq(&r, &t);
    fe_mul(&r, &r, &FE_SQRT_M1);
    fe_add(&u, &r, &FE_ONE);
    fe_mul(&u, &u, &FE_ONE_MINUS_D_SQ);
    fe_mul(&c, &r, &FE_D);
    fe_add(&c, &c, &FE_ONE);
    fe_neg(&c, &c);
    fe_add(&v, &r, &FE_D);
    fe_mul(&v, &v, &c);
    uint64_t square = fe_sqrt_ratio(&s, &u, &v);
    fe_mul(&sp, &s, &t);
    fe_abs(&sp);
    fe_neg(&sp, &sp);
    fe_select(&s, &sp, ~square);
    fe_neg(&c, &FE_ONE);
    fe_select(&c, &r, ~square);
    fe_sub(&n, &r, &FE_ONE);
    fe_mul(&n, &n, &c);
    fe_mul(&n, &n, &FE_D_MINUS_ONE_SQ);
    fe_sub(&n, &n, &v);
    fe_add(&w0, &s, &s);
    fe_mul(&w0, &w0, &v);
    fe_mul(&w1, &n, &FE_SQRT_AD_MINUS_ONE);
    fe_sq(&s, &s);
    fe_sub(&w2, &FE_ONE, &s);
    fe_add(&w3, &FE_ONE, &s);
    fe_mul(&p->x, &w0, &w3);
    fe_mul(&p->y, &w2, &w1);
    fe_mul(&p->z, &w1, &w3);
    fe_mul(&p->t, &w0, &w2);
}

/* The map of 64 uniform bytes (RFC 9496, 4.3.4). */
static void ristretto_map(point *r, const uint8_t *wide) {
    point a, b;
    cached c;
    ristretto_map_half(&a, wide);
    ristretto_map_half(&b, wide + 32);
    point_cache(&c, &b);
    point_add(r, &a, &c);
}

/* What remains of a point q while the inverses of a batch are found together: the encoding of 2q needs no root then. */
typedef struct {
    fe e, f, g, h, eg, fh;
} doubling;

PURE void doubling_start(doubling *d, fe *product, const point *q) {
    fe xx, yy, zz, dtt;
    fe_sq(&xx, &q->x);
    fe_sq(&yy, &q->y);
    fe_sq(&zz, &q->z);
    fe_sq(&dtt, &q->t);
    fe_mul(&dtt, &dtt, &FE_D);
    fe_add(&d->e, &q->x, &q->x);
    fe_mul(&d->e, &d->e, &q->y);
    fe_add(&d->f, &zz, &dtt);
    fe_add(&d->g, &yy, &xx);
    fe_sub(&d->h, &zz, &dtt);
    fe_carry(&d->f);
    fe_carry(&d->g);
    fe_carry(&d->h);
    fe_mul(&d->eg, &d->e, &d->g);
    fe_mul(&d->fh, &d->f, &d->h);
    fe_mul(product, &d->eg, &d->fh);
}

/* Encode 2q from its doubling and the inverse of its product (zero where that is zero: 2q is the identity then). */
PURE void doubling_encode(uint8_t *out, const doubling *d, const fe *inverse) {
    fe zinv, tinv, t, minus, f, e = d->e, g = d->g, h = d->h, magic = FE_INVSQRT_A_MINUS_D;
    fe_mul(&zinv, &d->eg, inverse);
    fe_mul(&tinv, &d->fh, inverse);
    fe_mul(&t, &d->eg, &zinv);
    uint64_t rotate = fe_is_negative(&t);
    fe_neg(&minus, &d->e);
    fe_mul(&f, &d->f, &FE_SQRT_M1);
    fe_select(&e, &d->g, rotate);
    fe_select(&g, &minus, rotate);
    fe_select(&h, &f, rotate);
    fe_select(&magic, &FE_SQRT_M1, rotate);
    fe_mul(&t, &h, &e);
    fe_mul(&t, &t, &zinv);
    fe_neg(&minus, &g);
    fe_select(&g, &minus, fe_is_negative(&t));
    fe_sub(&t, &h, &g);
    fe_mul(&t, &t, &magic);
    fe_mul(&t, &t, &g);
    fe_mul(&t, &t, &tinv);
    fe_abs(&t);
    fe_store(out, &t);
}

#endif
