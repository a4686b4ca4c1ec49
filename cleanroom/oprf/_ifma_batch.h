/* The IFMA path in batches: 32 vectors of eight rows, one shared inversion. See _portable.h for the same in plain code. */
#ifndef SEALBID_IFMA_BATCH_H
#define SEALBID_IFMA_BATCH_H

#include "_ifma_point.h"

#define VECTORS (BATCH / 8)

typedef struct {
    vfe e, f, g, h, eg, fh;
} vdoubling;

typedef struct { /* everything secret a batch leaves in memory; wiped by the caller */
    vdoubling pending[VECTORS];
    vfe product[VECTORS], prefix[VECTORS];
    vcached table[8];
    vpoint p[2], m[9], q;
    vsums sums;
    vcached entry;
    int64_t digit[DIGITS][8];
    int8_t lane_digit[DIGITS];
    scalar k;
} ifma_work;

VPURE void v_table_fill(ifma_work *w, const vpoint *p) {
    w->m[1] = *p;
    w->table[0] = cached_of(p);
    for (int j = 2; j <= 8; j++) {
        if (j % 2) {
            const vcached *c = &w->table[j - 2];
            vsums a = {c->minus, c->plus, w->m[j - 1].z, w->m[j - 1].t};
            v_add_t(&w->m[j], &a, &w->table[0]);
        } else {
            v_double_t(&w->m[j], &w->m[j / 2]);
        }
        w->table[j - 1] = cached_of(&w->m[j]);
    }
}

/* Each lane's own entry by masked moves: every entry is read, whatever the digits. Plus and minus change over in the
 * lanes whose digit is negative, which are returned. */
VFUNC __mmask8 v_look_up(vcached *r, const vcached table[8], vec digit) {
    const vec one = VSET(1), zero = _mm512_setzero_si512();
    const __mmask8 negative = _mm512_movepi64_mask(digit);
    const vec size = _mm512_abs_epi64(digit);
    __mmask8 here[8];
    for (int j = 0; j < 8; j++) here[j] = _mm512_cmpeq_epi64_mask(size, VSET(j + 1));
    for (int i = 0; i < 5; i++) {
        vec plus = i ? zero : one, minus = plus, z2 = i ? zero : VSET(2), t2d = zero;
        for (int j = 0; j < 8; j++) {
            plus = _mm512_mask_mov_epi64(plus, here[j], table[j].plus.v[i]);
            minus = _mm512_mask_mov_epi64(minus, here[j], table[j].minus.v[i]);
            z2 = _mm512_mask_mov_epi64(z2, here[j], table[j].z2.v[i]);
            t2d = _mm512_mask_mov_epi64(t2d, here[j], table[j].t2d.v[i]);
        }
        r->plus.v[i] = _mm512_mask_mov_epi64(plus, negative, minus);
        r->minus.v[i] = _mm512_mask_mov_epi64(minus, negative, plus);
        r->z2.v[i] = z2;
        r->t2d.v[i] = t2d;
    }
    return negative;
}

/* w->q = p times the scalars whose digits are in w->digit. */
VFUNC void v_point_mult(ifma_work *w, const vpoint *p) {
    v_table_fill(w, p);
    vpoint identity = v_identity();
    w->sums = sums_of(&identity);
    for (int i = DIGITS - 1; i >= 0; i--) {
        if (i < DIGITS - 1) {
            v_double3(&w->q, &w->q);
            v_double_sums(&w->sums, &w->q);
        }
        __mmask8 negative = v_look_up(&w->entry, w->table, _mm512_loadu_si512(w->digit[i]));
        if (i)
            v_add_signed(&w->q, &w->sums, &w->entry, negative);
    }
    vquad q = quad_of_add(&w->sums, &w->entry, _mm512_movepi64_mask(_mm512_loadu_si512(w->digit[0])));
    point_of_quad(&w->q, q);
    w->q.t = v_mul(q.e, q.h);
}

VPURE void v_digits(ifma_work *w, const uint8_t *scalars, size_t stride, int at, int n) {
    for (int lane = 0; lane < 8; lane++) {
        if (lane == 0 || stride) {
            int row = at + lane < n ? at + lane : n - 1;
            scalar_load(&w->k, scalars + stride * (size_t)row);
            scalar_half(&w->k);
            scalar_digits(w->lane_digit, &w->k);
        }
        for (int i = 0; i < DIGITS; i++) w->digit[i][lane] = w->lane_digit[i];
    }
}

VFUNC void v_doubling_start(ifma_work *w, int slot) {
    vdoubling *d = &w->pending[slot];
    const vpoint *q = &w->q;
    wide yy = w_sq(q->y), xx = w_sq(q->x), zz = w_sq(q->z), xy = w_mul(q->x, q->y);
    wide dtt = w_mul(v_sq(q->t), v_set(&FE_D));
    d->e = v_carry(w_add(xy, xy));
    d->f = v_carry(w_add(zz, dtt));
    d->g = v_carry(w_add(yy, xx));
    d->h = v_carry(w_bias(w_raw_sub(zz, dtt)));
    d->eg = v_mul(d->e, d->g);
    d->fh = v_mul(d->f, d->h);
    w->product[slot] = v_mul(d->eg, d->fh);
}

VFUNC void v_doubling_encode(uint8_t *out, int at, int n, const vdoubling *d, const vfe *inverse) {
    const vfe i_root = v_set(&FE_SQRT_M1);
    vfe zinv = v_mul(d->eg, *inverse), tinv = v_mul(d->fh, *inverse);
    __mmask8 rotate = v_is_negative(v_mul(d->eg, zinv));
    vfe e = v_select(d->e, d->g, rotate), g = v_select(d->g, v_neg(d->e), rotate);
    vfe h = v_select(d->h, v_mul(d->f, i_root), rotate);
    vfe magic = v_select(v_set(&FE_INVSQRT_A_MINUS_D), i_root, rotate);
    g = v_select(g, v_neg(g), v_is_negative(v_mul(v_mul(h, e), zinv)));
    v_store(out, at, n, v_abs(v_mul(v_mul(v_mul(v_sub(h, g), magic), g), tinv)));
}

/* Encode twice the points pending in the first vectors, with one inversion for all. */
VFUNC void v_encode_doubled(ifma_work *w, uint8_t *out, int n) {
    const fe zero = {{0}};
    const int count = (n + 7) / 8;
    const vfe one = v_set(&FE_ONE);
    vfe run = one;
    for (int i = 0; i < count; i++) {
        w->prefix[i] = run;
        run = v_mul(run, v_select(w->product[i], one, v_is_zero(w->product[i])));
    }
    run = v_invert(run);
    for (int i = count - 1; i >= 0; i--) {
        __mmask8 none = v_is_zero(w->product[i]);
        vfe inverse = v_select(v_mul(run, w->prefix[i]), v_set(&zero), none);
        run = v_mul(run, v_select(w->product[i], one, none));
        v_doubling_encode(out, 8 * i, n, &w->pending[i], &inverse);
    }
}

PURE long first_bad(const __mmask8 good[2], int at, int n) {
    unsigned bad = ~((unsigned)good[0] | (unsigned)good[1] << 8) & 0xffffu;
    int row = bad ? at + __builtin_ctz(bad) : n;
    return row < n ? row : -1;
}

static IFMA_TARGET long ifma_mult(void *work, uint8_t *out, const uint8_t *elements, const uint8_t *scalars,
                                  size_t stride, int n) {
    ifma_work *w = work;
    __mmask8 good[2];
    if (!stride) v_digits(w, scalars, 0, 0, n);
    for (int at = 0; at < n; at += 16) {
        v_decode2(w->p, good, elements, at, n);
        long bad = first_bad(good, at, n);
        if (bad >= 0) return bad;
        for (int k = 0; k < 2 && at + 8 * k < n; k++) {
            if (stride) v_digits(w, scalars, stride, at + 8 * k, n);
            v_point_mult(w, &w->p[k]);
            v_doubling_start(w, at / 8 + k);
        }
    }
    v_encode_doubled(w, out, n);
    return -1;
}

static IFMA_TARGET void ifma_map_mult(void *work, uint8_t *out, const uint8_t (*wide)[64], const uint8_t *scalars,
                                      size_t stride, int n) {
    ifma_work *w = work;
    if (!stride) v_digits(w, scalars, 0, 0, n);
    for (int at = 0; at < n; at += 8) {
        v_map(&w->p[0], wide, at, n);
        if (stride) v_digits(w, scalars, stride, at, n);
        v_point_mult(w, &w->p[0]);
        v_doubling_start(w, at / 8);
    }
    v_encode_doubled(w, out, n);
}

static IFMA_TARGET void ifma_map(void *work, uint8_t *out, const uint8_t (*wide)[64], int n) {
    ifma_work *w = work;
    for (int at = 0; at < n; at += 16) {
        v_map(&w->p[0], wide, at, n);
        v_map(&w->p[1], wide, at + 8 < n ? at + 8 : at, n);
        v_encode2(out, at, n, w->p);
    }
}

static IFMA_TARGET long ifma_check(void *work, const uint8_t *elements, int n) {
    ifma_work *w = work;
    __mmask8 good[2];
    for (int at = 0; at < n; at += 16) {
        v_decode2(w->p, good, elements, at, n);
        long bad = first_bad(good, at, n);
        if (bad >= 0) return bad;
    }
    return -1;
}

#endif
