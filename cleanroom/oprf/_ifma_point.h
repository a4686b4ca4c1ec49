/* Eight points at once: the formulas of _point.h with lazy carries. Doublings and additions hand over what the next one
 * takes: x, y, z to a doubling, y - x, y + x, z, t to an addition; the sums are then made before the carry and cost none. */
#ifndef SEALBID_IFMA_POINT_H
#define SEALBID_IFMA_POINT_H

#include "_ifma_field.h"
#include "_portable.h"

typedef struct {
    vfe x, y, z, t;
} vpoint;
typedef struct {
    vfe minus, plus, z, t;
} vsums;
typedef struct {
    vfe plus, minus, z2, t2d;
} vcached;
typedef struct { /* a result is (e f, g h, f g, e h) */
    vfe e, f, g, h;
} vquad;

/* In this order some thirty registers hold what is alive: a spilt vector costs more than an instruction. */
VPURE vquad quad_of_double(vfe x, vfe y, vfe z) {
    vquad q;
    wide xy = w_mul(x, y);
    q.e = v_carry(w_add(xy, xy));
    wide zz = w_sq_biased(z), xx = w_sq(x), yy = w_sq_biased(y);
    wide d = w_raw_sub(yy, xx);
    q.h = v_carry(w_add(xx, yy));
    q.g = v_carry(d);
    q.f = v_carry(w_raw_sub(w_add(zz, zz), d));
    return q;
}

VPURE void point_of_quad(vpoint *r, vquad q) {
    r->x = v_mul(q.e, q.f);
    r->y = v_mul(q.g, q.h);
    r->z = v_mul(q.f, q.g);
}

/* Three doublings without a store between them. */
VFUNC void v_double3(vpoint *r, const vpoint *a) {
    vpoint p = *a;
    for (int i = 0; i < 3; i++) point_of_quad(&p, quad_of_double(p.x, p.y, p.z));
    r->x = p.x, r->y = p.y, r->z = p.z;
}

VFUNC void v_double_t(vpoint *r, const vpoint *a) {
    vquad q = quad_of_double(a->x, a->y, a->z);
    point_of_quad(r, q);
    r->t = v_mul(q.e, q.h);
}

VFUNC void v_double_sums(vsums *r, const vpoint *a) {
    vquad q = quad_of_double(a->x, a->y, a->z);
    wide x = w_mul(q.e, q.f), y = w_mul_biased(q.g, q.h);
    r->minus = v_carry(w_raw_sub(y, x));
    r->plus = v_carry(w_add(y, x));
    r->z = v_mul(q.f, q.g);
    r->t = v_mul(q.e, q.h);
}

/* The lanes of `negative` subtract: their b has plus and minus changed over already, and f and g change over here. */
VPURE vquad quad_of_add(const vsums *a, const vcached *b, __mmask8 negative) {
    vquad q;
    wide ya = w_mul(a->minus, b->minus), yb = w_mul_biased(a->plus, b->plus);
    q.e = v_carry(w_raw_sub(yb, ya));
    q.h = v_carry(w_add(yb, ya));
    wide c = w_mul(a->t, b->t2d), d = w_mul_biased(a->z, b->z2);
    vfe less = v_carry(w_raw_sub(d, c)), more = v_carry(w_add(d, c));
    q.f = v_select(less, more, negative);
    q.g = v_select(more, less, negative);
    return q;
}

VFUNC void v_add_signed(vpoint *r, const vsums *a, const vcached *b, __mmask8 negative) {
    point_of_quad(r, quad_of_add(a, b, negative));
}

VFUNC void v_add_t(vpoint *r, const vsums *a, const vcached *b) {
    vquad q = quad_of_add(a, b, 0);
    point_of_quad(r, q);
    r->t = v_mul(q.e, q.h);
}

VPURE vsums sums_of(const vpoint *a) { return (vsums){v_sub(a->y, a->x), v_add(a->y, a->x), a->z, a->t}; }

VPURE vcached cached_of(const vpoint *a) {
    return (vcached){v_add(a->y, a->x), v_sub(a->y, a->x), v_add(a->z, a->z), v_mul(a->t, v_set(&FE_D2))};
}

VPURE vpoint v_identity(void) {
    const fe zero = {{0}};
    return (vpoint){v_set(&zero), v_set(&FE_ONE), v_set(&FE_ONE), v_set(&zero)};
}

/* Bits of the lanes whose rows are canonical. */
VPURE __mmask8 v_canonical(const uint8_t *rows, int at, int n) {
    unsigned mask = 0;
    for (int lane = 0; lane < 8; lane++) {
        int row = at + lane < n ? at + lane : n - 1;
        mask |= (unsigned)(encoding_is_canonical(rows + 32 * (size_t)row) & 1) << lane;
    }
    return (__mmask8)mask;
}

/* Decode sixteen rows from row `at` (RFC 9496, 4.3.1); good[i] has a bit for each valid lane. */
VFUNC void v_decode2(vpoint p[2], __mmask8 good[2], const uint8_t *rows, int at, int n) {
    const vfe one = v_set(&FE_ONE), d = v_set(&FE_D);
    vfe s[2], u1[2], u2[2], v[2], w[2], root[2], ones[2] = {one, one};
    for (int k = 0; k < 2; k++) {
        s[k] = v_load(rows, 32, at + 8 * k, n);
        vfe ss = v_sq(s[k]);
        u1[k] = v_sub(one, ss);
        u2[k] = v_add(one, ss);
        vfe u2s = v_sq(u2[k]);
        v[k] = v_neg(v_add(v_mul(v_sq(u1[k]), d), u2s));
        w[k] = v_mul(v[k], u2s);
    }
    v_sqrt_ratio2(root, good, ones, w);
    for (int k = 0; k < 2; k++) {
        vfe dx = v_mul(root[k], u2[k]), dy = v_mul(v_mul(root[k], dx), v[k]);
        p[k].x = v_abs(v_mul(v_add(s[k], s[k]), dx));
        p[k].y = v_mul(u1[k], dy);
        p[k].z = one;
        p[k].t = v_mul(p[k].x, p[k].y);
        __mmask8 bad = v_is_negative(p[k].t) | v_is_zero(p[k].y) | v_is_zero(s[k]);
        good[k] &= (__mmask8)~bad & v_canonical(rows, at + 8 * k, n);
    }
}

/* Encode (RFC 9496, 4.3.2) sixteen points to the rows from `at`. */
VFUNC void v_encode2(uint8_t *out, int at, int n, const vpoint p[2]) {
    const vfe i_root = v_set(&FE_SQRT_M1), one = v_set(&FE_ONE);
    vfe u1[2], u2[2], w[2], root[2], ones[2] = {one, one};
    __mmask8 was[2];
    for (int k = 0; k < 2; k++) {
        u1[k] = v_mul(v_add(p[k].z, p[k].y), v_sub(p[k].z, p[k].y));
        u2[k] = v_mul(p[k].x, p[k].y);
        w[k] = v_mul(v_sq(u2[k]), u1[k]);
    }
    v_sqrt_ratio2(root, was, ones, w);
    for (int k = 0; k < 2; k++) {
        vfe d1 = v_mul(root[k], u1[k]), d2 = v_mul(root[k], u2[k]), zinv = v_mul(v_mul(d1, d2), p[k].t);
        __mmask8 rotate = v_is_negative(v_mul(p[k].t, zinv));
        vfe x = v_select(p[k].x, v_mul(p[k].y, i_root), rotate);
        vfe y = v_select(p[k].y, v_mul(p[k].x, i_root), rotate);
        d2 = v_select(d2, v_mul(d1, v_set(&FE_INVSQRT_A_MINUS_D)), rotate);
        y = v_select(y, v_neg(y), v_is_negative(v_mul(x, zinv)));
        v_store(out, at + 8 * k, n, v_abs(v_mul(v_sub(p[k].z, y), d2)));
    }
}

/* The map of RFC 9496, 4.3.4, of eight rows of 64 bytes: both halves side by side, then their sum. */
VFUNC void v_map(vpoint *r, const uint8_t (*rows)[64], int at, int n) {
    const vfe one = v_set(&FE_ONE), d = v_set(&FE_D), minus_one = v_neg(one);
    vfe t[2], rr[2], u[2], v[2], s[2];
    vpoint p[2];
    __mmask8 was[2];
    for (int k = 0; k < 2; k++) {
        t[k] = v_load(rows[0] + 32 * k, 64, at, n);
        rr[k] = v_mul(v_sq(t[k]), v_set(&FE_SQRT_M1));
        u[k] = v_mul(v_add(rr[k], one), v_set(&FE_ONE_MINUS_D_SQ));
        v[k] = v_mul(v_sub(minus_one, v_mul(rr[k], d)), v_add(rr[k], d));
    }
    v_sqrt_ratio2(s, was, u, v);
    for (int k = 0; k < 2; k++) {
        __mmask8 not_square = (__mmask8)~was[k];
        vfe root = v_select(s[k], v_neg(v_abs(v_mul(s[k], t[k]))), not_square);
        vfe c = v_select(minus_one, rr[k], not_square);
        vfe nn = v_sub(v_mul(v_mul(c, v_sub(rr[k], one)), v_set(&FE_D_MINUS_ONE_SQ)), v[k]);
        vfe w0 = v_mul(v_add(root, root), v[k]), w1 = v_mul(nn, v_set(&FE_SQRT_AD_MINUS_ONE)), ss = v_sq(root);
        vfe w2 = v_sub(one, ss), w3 = v_add(one, ss);
        p[k] = (vpoint){v_mul(w0, w3), v_mul(w2, w1), v_mul(w1, w3), v_mul(w0, w2)};
    }
    vsums a = sums_of(&p[0]);
    vcached b = cached_of(&p[1]);
    v_add_t(r, &a, &b);
}

#endif
