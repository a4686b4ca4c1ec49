/* Eight field elements at once: limbs of 51 bits in the 64-bit lanes of AVX-512, multiplied by vpmadd52.
 *
 * Bounds. A "reduced" vector (vfe) has limbs below 2^51 + 2^17; only such vectors are multiplied, for vpmadd52 reads 52
 * bits. A product before its carries ("wide") has limbs below 2^59: at most five low halves below 2^52 and five high
 * halves below 2^50.1, these counted twice (their weight is 2^52, a limb's is 2^51), and what passes 2^255 comes back
 * times 19. Sums and differences of wide values are carried once (lazy carries). A difference needs 512p added, whose
 * limbs lie between 2^60 - 2^14 and 2^60; a "biased" product has it in from the start. One parallel carry takes any limbs
 * below 2^63 back to reduced ones. No lane branches or indexes on values: conditions are lane masks. */
#ifndef SEALBID_IFMA_FIELD_H
#define SEALBID_IFMA_FIELD_H

#include "_field.h"

#ifdef SEALBID_EMULATED /* the constant-time test brings the instructions in plain C */
#define IFMA_TARGET
#define VPURE static __attribute__((unused))
#else
#include <immintrin.h>
#define IFMA_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512ifma")))
#define VPURE static inline IFMA_TARGET __attribute__((always_inline))
#endif
#define VFUNC static IFMA_TARGET __attribute__((noinline))

typedef __m512i vec;
typedef struct {
    vec v[5];
} vfe;
typedef struct {
    vec v[5];
} wide;

#define VADD(a, b) _mm512_add_epi64(a, b)
#define VSUB(a, b) _mm512_sub_epi64(a, b)
#define VSET(x) _mm512_set1_epi64((long long)(x))
#define LO(acc, a, b) acc = _mm512_madd52lo_epu64(acc, a, b)
#define HI(acc, a, b) acc = _mm512_madd52hi_epu64(acc, a, b)

VPURE vfe v_set(const fe *a) {
    vfe r;
    for (int i = 0; i < 5; i++) r.v[i] = VSET(a->v[i]);
    return r;
}

VPURE vfe v_carry(wide a) {
    const vec mask = VSET(MASK51);
    vfe r;
    r.v[0] = _mm512_madd52lo_epu64(_mm512_and_si512(a.v[0], mask), _mm512_srli_epi64(a.v[4], 51), VSET(19));
    for (int i = 1; i < 5; i++)
        r.v[i] = VADD(_mm512_and_si512(a.v[i], mask), _mm512_srli_epi64(a.v[i - 1], 51));
    return r;
}

/* Fold ten limbs into five: 2^255 = 19. The compiler is kept from making four operations of each product. */
VPURE wide v_fold(const vec t[10]) {
    vec nineteen = VSET(19);
#ifndef SEALBID_EMULATED
    __asm__("" : "+v"(nineteen));
#endif
    wide r;
    for (int i = 0; i < 5; i++) r.v[i] = VADD(t[i], _mm512_mullo_epi64(t[i + 5], nineteen));
    return r;
}

/* What accumulators start from, so that a product comes out with WIDE_BIAS added and costs nothing more for it. `shift`
 * says how often the limb is doubled on the way. */
VPURE vec bias_at(int limb, int shift, int biased) {
    const uint64_t full = 512 * (limb ? MASK51 : MASK51 - 18);
    return biased && limb < 5 ? VSET(full >> shift) : _mm512_setzero_si512();
}

/* The high halves first: doubled in place, they become the accumulators of the low halves. */
VPURE wide w_mul_from(vfe a, vfe b, int biased) {
    vec t[10];
    for (int i = 0; i < 10; i++) t[i] = bias_at(i, i > 0, biased);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) HI(t[i + j + 1], a.v[i], b.v[j]);
    for (int i = 1; i < 10; i++) t[i] = VADD(t[i], t[i]);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) LO(t[i + j], a.v[i], b.v[j]);
    return v_fold(t);
}

/* low squares + 2 (low cross products + high squares + 2 high cross products) */
VPURE wide w_sq_from(vfe a, int biased) {
    vec t[10];
    for (int i = 0; i < 10; i++) t[i] = bias_at(i, (i > 0) + (i > 1), biased);
    for (int i = 0; i < 5; i++)
        for (int j = i + 1; j < 5; j++) HI(t[i + j + 1], a.v[i], a.v[j]);
    for (int i = 2; i < 9; i++) t[i] = VADD(t[i], t[i]);
    for (int i = 0; i < 5; i++) HI(t[2 * i + 1], a.v[i], a.v[i]);
    for (int i = 0; i < 5; i++)
        for (int j = i + 1; j < 5; j++) LO(t[i + j], a.v[i], a.v[j]);
    for (int i = 1; i < 10; i++) t[i] = VADD(t[i], t[i]);
    for (int i = 0; i < 5; i++) LO(t[2 * i], a.v[i], a.v[i]);
    return v_fold(t);
}

VPURE wide w_mul(vfe a, vfe b) { return w_mul_from(a, b, 0); }
VPURE wide w_sq(vfe a) { return w_sq_from(a, 0); }
VPURE wide w_mul_biased(vfe a, vfe b) { return w_mul_from(a, b, 1); }
VPURE wide w_sq_biased(vfe a) { return w_sq_from(a, 1); }

VPURE wide w_add(wide a, wide b) {
    for (int i = 0; i < 5; i++) a.v[i] = VADD(a.v[i], b.v[i]);
    return a;
}

VPURE wide w_raw_sub(wide a, wide b) {
    for (int i = 0; i < 5; i++) a.v[i] = VSUB(a.v[i], b.v[i]);
    return a;
}

VPURE wide w_bias(wide a) {
    a.v[0] = VADD(a.v[0], VSET(512 * (MASK51 - 18)));
    for (int i = 1; i < 5; i++) a.v[i] = VADD(a.v[i], VSET(512 * MASK51));
    return a;
}

VPURE wide w_of(vfe a) {
    wide r;
    for (int i = 0; i < 5; i++) r.v[i] = a.v[i];
    return r;
}

VPURE vfe v_mul(vfe a, vfe b) { return v_carry(w_mul(a, b)); }
VPURE vfe v_sq(vfe a) { return v_carry(w_sq(a)); }
VPURE vfe v_add(vfe a, vfe b) { return v_carry(w_add(w_of(a), w_of(b))); }
VPURE vfe v_sub(vfe a, vfe b) { return v_carry(w_bias(w_raw_sub(w_of(a), w_of(b)))); }
VPURE vfe v_neg(vfe a) {
    const fe zero = {{0}};
    return v_sub(v_set(&zero), a);
}

/* b where the mask's bit is set, a elsewhere. */
VPURE vfe v_select(vfe a, vfe b, __mmask8 mask) {
    for (int i = 0; i < 5; i++) a.v[i] = _mm512_mask_blend_epi64(mask, a.v[i], b.v[i]);
    return a;
}

VPURE vfe v_freeze(vfe a) {
    const vec mask = VSET(MASK51);
    a = v_carry(w_of(a));
    vec q = _mm512_srli_epi64(VADD(a.v[0], VSET(19)), 51);
    for (int i = 1; i < 5; i++) q = _mm512_srli_epi64(VADD(a.v[i], q), 51);
    a.v[0] = _mm512_madd52lo_epu64(a.v[0], q, VSET(19));
    for (int i = 0; i < 4; i++) {
        a.v[i + 1] = VADD(a.v[i + 1], _mm512_srli_epi64(a.v[i], 51));
        a.v[i] = _mm512_and_si512(a.v[i], mask);
    }
    a.v[4] = _mm512_and_si512(a.v[4], mask);
    return a;
}

VPURE __mmask8 v_is_negative(vfe a) { return _mm512_test_epi64_mask(v_freeze(a).v[0], VSET(1)); }

VPURE __mmask8 v_is_zero(vfe a) {
    a = v_freeze(a);
    vec any = a.v[0];
    for (int i = 1; i < 5; i++) any = _mm512_or_si512(any, a.v[i]);
    return _mm512_testn_epi64_mask(any, any);
}

VPURE __mmask8 v_equal(vfe a, vfe b) { return v_is_zero(v_sub(a, b)); }
VPURE vfe v_abs(vfe a) { return v_select(a, v_neg(a), v_is_negative(a)); }

/* Two chains of squarings side by side, so that each hides the other's latency. */
VPURE void v_sqn2(vfe r[2], const vfe a[2], int n) {
    vfe x = a[0], y = a[1];
    for (int i = 0; i < n; i++) {
        x = v_sq(x);
        y = v_sq(y);
    }
    r[0] = x, r[1] = y;
}

VPURE void v_mul2(vfe r[2], const vfe a[2], const vfe b[2]) {
    r[0] = v_mul(a[0], b[0]);
    r[1] = v_mul(a[1], b[1]);
}

/* a^(2^252 - 3) for two vectors; the chain of fe_pow22523. */
VFUNC void v_pow22523_2(vfe r[2], const vfe a[2]) {
    vfe t0[2], t1[2], t2[2], a2[2];
    v_sqn2(a2, a, 1);
    v_sqn2(t0, a2, 2);
    v_mul2(t0, t0, a);
    v_mul2(t1, t0, a2);
    v_sqn2(t1, t1, 1);
    v_mul2(t0, t1, t0);
    v_sqn2(t1, t0, 5);
    v_mul2(t0, t1, t0);
    v_sqn2(t1, t0, 10);
    v_mul2(t1, t1, t0);
    v_sqn2(t2, t1, 20);
    v_mul2(t1, t2, t1);
    v_sqn2(t1, t1, 10);
    v_mul2(t0, t1, t0);
    v_sqn2(t1, t0, 50);
    v_mul2(t1, t1, t0);
    v_sqn2(t2, t1, 100);
    v_mul2(t1, t2, t1);
    v_sqn2(t1, t1, 50);
    v_mul2(t0, t1, t0);
    v_sqn2(t0, t0, 2);
    v_mul2(r, t0, a);
}

/* The inverse, and zero for zero. */
VFUNC vfe v_invert(vfe a) {
    vfe in[2] = {a, a}, t[2];
    v_pow22523_2(t, in);
    for (int i = 0; i < 3; i++) t[0] = v_sq(t[0]);
    return v_mul(t[0], v_mul(v_sq(a), a));
}

/* SQRT_RATIO_M1 (RFC 9496, 4.2) for two vectors; was[i] has a bit for each lane whose u/v is a square. */
VFUNC void v_sqrt_ratio2(vfe r[2], __mmask8 was[2], const vfe u[2], const vfe v[2]) {
    const vfe i_root = v_set(&FE_SQRT_M1);
    vfe v3[2], t[2];
    for (int k = 0; k < 2; k++) {
        v3[k] = v_mul(v_sq(v[k]), v[k]);
        t[k] = v_mul(u[k], v_mul(v_sq(v3[k]), v[k]));
    }
    v_pow22523_2(t, t);
    for (int k = 0; k < 2; k++) {
        t[k] = v_mul(v_mul(t[k], v3[k]), u[k]);
        vfe check = v_mul(v_sq(t[k]), v[k]), minus_u = v_neg(u[k]);
        __mmask8 correct = v_equal(check, u[k]), flipped = v_equal(check, minus_u);
        __mmask8 flipped_i = v_equal(check, v_mul(minus_u, i_root));
        r[k] = v_abs(v_select(t[k], v_mul(t[k], i_root), flipped | flipped_i));
        was[k] = correct | flipped;
    }
}

/* Eight rows of 32 bytes, `stride` bytes apart, from row `at`; rows past the last repeat it. The top bit is ignored. */
VPURE vfe v_load(const uint8_t *rows, size_t stride, int at, int n) {
    uint64_t w[4][8] __attribute__((aligned(64)));
    const vec mask = VSET(MASK51);
    vfe r;
    for (int lane = 0; lane < 8; lane++) {
        const uint8_t *row = rows + stride * (size_t)(at + lane < n ? at + lane : n - 1);
        for (int i = 0; i < 4; i++) memcpy(&w[i][lane], row + 8 * i, 8);
    }
    vec w0 = _mm512_load_si512(w[0]), w1 = _mm512_load_si512(w[1]);
    vec w2 = _mm512_load_si512(w[2]), w3 = _mm512_load_si512(w[3]);
    r.v[0] = _mm512_and_si512(w0, mask);
    r.v[1] = _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64(w0, 51), _mm512_slli_epi64(w1, 13)), mask);
    r.v[2] = _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64(w1, 38), _mm512_slli_epi64(w2, 26)), mask);
    r.v[3] = _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64(w2, 25), _mm512_slli_epi64(w3, 39)), mask);
    r.v[4] = _mm512_and_si512(_mm512_srli_epi64(w3, 12), mask);
    return r;
}

/* Canonical bytes of the lanes that stand for rows before n. */
VPURE void v_store(uint8_t *rows, int at, int n, vfe a) {
    uint64_t w[4][8] __attribute__((aligned(64)));
    a = v_freeze(a);
    _mm512_store_si512(w[0], _mm512_or_si512(a.v[0], _mm512_slli_epi64(a.v[1], 51)));
    _mm512_store_si512(w[1], _mm512_or_si512(_mm512_srli_epi64(a.v[1], 13), _mm512_slli_epi64(a.v[2], 38)));
    _mm512_store_si512(w[2], _mm512_or_si512(_mm512_srli_epi64(a.v[2], 26), _mm512_slli_epi64(a.v[3], 25)));
    _mm512_store_si512(w[3], _mm512_or_si512(_mm512_srli_epi64(a.v[3], 39), _mm512_slli_epi64(a.v[4], 12)));
    for (int lane = 0; lane < 8 && at + lane < n; lane++)
        for (int i = 0; i < 4; i++) memcpy(rows + 32 * (size_t)(at + lane) + 8 * i, &w[i][lane], 8);
}

#endif
