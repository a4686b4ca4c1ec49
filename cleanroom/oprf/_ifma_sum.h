/* The sum of weight times element with eight windows of the weights at once: a lane is a window and has its own buckets.
 *
 * A bucket is one row of 24 words (y - x, y + x, z, t of five limbs each, and padding), so that eight lanes load and store
 * theirs whole and an 8 by 8 transposition puts limb beside limb. Public values only, as in _sum.h. */
#ifndef SEALBID_IFMA_SUM_H
#define SEALBID_IFMA_SUM_H

#include "_ifma_point.h"
#include "_sha512.h"
#include "_sum.h"

#define BUCKET_WORDS 24
#define ADDEND_WORDS 16 /* plus, minus, 2dt of an element with z = 1 */
#define IFMA_SUM_LEAST 64 /* rows below which the portable sum is as fast */

typedef struct {
    int bits, groups, count; /* bits a window, groups of eight windows, buckets a window beside the zeroth */
} sum_plan;

static sum_plan plan_sum(size_t n) {
    static const int BITS[] = {4, 6, 8, 11};
    sum_plan best = {0, 0, 0};
    size_t least = SIZE_MAX;
    for (int i = 0; i < 4; i++) {
        int groups = ((WEIGHT_BITS + BITS[i] - 1) / BITS[i] + 7) / 8;
        size_t cost = (size_t)groups * (n + ((size_t)3 << (BITS[i] - 1)));
        if (cost < least) least = cost, best = (sum_plan){BITS[i], groups, 1 << (BITS[i] - 1)};
    }
    return best;
}

VPURE void transpose8(vec r[8]) {
    vec a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + j] = _mm512_shuffle_i64x2(a[i + j], a[i + j + 2], 0x88);
            b[i + j + 2] = _mm512_shuffle_i64x2(a[i + j], a[i + j + 2], 0xdd);
        }
    for (int j = 0; j < 4; j++) {
        r[j] = _mm512_shuffle_i64x2(b[j], b[j + 4], 0x88);
        r[j + 4] = _mm512_shuffle_i64x2(b[j], b[j + 4], 0xdd);
    }
}

VPURE void buckets_load(vec limb[24], uint64_t *const at[8]) {
    for (int part = 0; part < 3; part++) {
        for (int lane = 0; lane < 8; lane++) limb[8 * part + lane] = _mm512_load_si512(at[lane] + 8 * part);
        transpose8(limb + 8 * part);
    }
}

VPURE void buckets_store(uint64_t *const at[8], vec limb[24]) {
    for (int part = 0; part < 3; part++) {
        transpose8(limb + 8 * part);
        for (int lane = 0; lane < 8; lane++) _mm512_store_si512(at[lane] + 8 * part, limb[8 * part + lane]);
    }
}

VPURE vsums sums_of_quad(vquad q) {
    vsums r;
    wide x = w_mul(q.e, q.f), y = w_mul(q.g, q.h);
    r.minus = v_carry(w_bias(w_raw_sub(y, x)));
    r.plus = v_carry(w_add(y, x));
    r.z = v_mul(q.f, q.g);
    r.t = v_mul(q.e, q.h);
    return r;
}

VPURE vsums sums_from(const vec limb[24]) {
    vsums a;
    for (int i = 0; i < 5; i++) {
        a.minus.v[i] = limb[i];
        a.plus.v[i] = limb[5 + i];
        a.z.v[i] = limb[10 + i];
        a.t.v[i] = limb[15 + i];
    }
    return a;
}

VPURE vfe broadcast(const uint64_t *words) {
    vfe r;
    for (int i = 0; i < 5; i++) r.v[i] = VSET(words[i]);
    return r;
}

/* Each lane adds the element to its bucket, or subtracts it. */
VFUNC void buckets_add(uint64_t *const at[8], const uint64_t *addend, __mmask8 negative) {
    vec limb[24];
    vquad q;
    buckets_load(limb, at);
    vsums a = sums_from(limb);
    vfe plus = broadcast(addend), minus = broadcast(addend + 5);
    wide ya = w_mul(a.minus, v_select(minus, plus, negative)), yb = w_mul(a.plus, v_select(plus, minus, negative));
    q.e = v_carry(w_bias(w_raw_sub(yb, ya)));
    q.h = v_carry(w_add(yb, ya));
    wide c = w_mul(a.t, broadcast(addend + 10)), d = w_add(w_of(a.z), w_of(a.z));
    vfe less = v_carry(w_bias(w_raw_sub(d, c))), more = v_carry(w_add(d, c));
    q.f = v_select(less, more, negative);
    q.g = v_select(more, less, negative);
    a = sums_of_quad(q);
    for (int i = 0; i < 5; i++) {
        limb[i] = a.minus.v[i];
        limb[5 + i] = a.plus.v[i];
        limb[10 + i] = a.z.v[i];
        limb[15 + i] = a.t.v[i];
    }
    for (int i = 20; i < 24; i++) limb[i] = _mm512_setzero_si512();
    buckets_store(at, limb);
}

VPURE vcached cached_of_sums(const vsums *a) {
    return (vcached){a->plus, a->minus, v_add(a->z, a->z), v_mul(a->t, v_set(&FE_D2))};
}

VFUNC void sums_add(vsums *r, const vsums *b) {
    vcached c = cached_of_sums(b);
    *r = sums_of_quad(quad_of_add(r, &c, 0));
}

VPURE uint64_t *bucket_at(uint64_t *bucket, int count, int lane, int j) {
    return bucket + BUCKET_WORDS * ((size_t)lane * (size_t)(count + 1) + (size_t)j);
}

/* Lane by lane, the sum of j * bucket[j]. */
VFUNC void v_buckets_sum(vsums *total, uint64_t *bucket, int count) {
    const vpoint identity = v_identity();
    vsums run = sums_of(&identity), here;
    uint64_t *at[8];
    vec limb[24];
    *total = run;
    for (int j = count; j >= 1; j--) {
        for (int lane = 0; lane < 8; lane++) at[lane] = bucket_at(bucket, count, lane, j);
        buckets_load(limb, at);
        here = sums_from(limb);
        sums_add(&run, &here);
        sums_add(total, &run);
    }
}

VPURE void lanes_of(uint64_t words[5][LANES], vfe a) {
    for (int i = 0; i < 5; i++) _mm512_storeu_si512(words[i], a.v[i]);
}

/* The eight windows of one group, as plain points: x = plus - minus, y = plus + minus, 2z, 2t. */
static IFMA_TARGET void group_sum(point window[8], const uint64_t *addend, const int16_t *digit, size_t n,
                                  sum_plan plan, uint64_t *bucket) {
    static const uint64_t IDENTITY[BUCKET_WORDS] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    vsums total;
    for (int i = 0; i < 8 * (plan.count + 1); i++) memcpy(bucket + BUCKET_WORDS * i, IDENTITY, sizeof IDENTITY);
    uint64_t *at[2][8];
    unsigned negative[2] = {0, 0};
    for (size_t i = 0; i <= n; i++) { /* find and fetch the buckets of row i, then work on row i - 1 */
        if (i < n) {
            const int16_t *d = digit + i * (size_t)plan.groups * 8;
            negative[i & 1] = 0;
            for (int lane = 0; lane < 8; lane++) {
                at[i & 1][lane] = bucket_at(bucket, plan.count, lane, d[lane] < 0 ? -d[lane] : d[lane]);
                negative[i & 1] |= (unsigned)(d[lane] < 0) << lane;
                for (int part = 0; part < 3; part++)
                    _mm_prefetch((const char *)(at[i & 1][lane] + 8 * part), _MM_HINT_T0);
            }
        }
        if (i) buckets_add(at[(i - 1) & 1], addend + ADDEND_WORDS * (i - 1), (__mmask8)negative[(i - 1) & 1]);
    }
    v_buckets_sum(&total, bucket, plan.count);
    uint64_t x[5][LANES], y[5][LANES], z[5][LANES], t[5][LANES];
    lanes_of(x, v_sub(total.plus, total.minus));
    lanes_of(y, v_add(total.plus, total.minus));
    lanes_of(z, v_add(total.z, total.z));
    lanes_of(t, v_add(total.t, total.t));
    for (int lane = 0; lane < 8; lane++)
        for (int i = 0; i < 5; i++) {
            window[lane].x.v[i] = x[i][lane], window[lane].y.v[i] = y[i][lane];
            window[lane].z.v[i] = z[i][lane], window[lane].t.v[i] = t[i][lane];
        }
}

/* Decode n elements to addends. Returns the first bad row or -1. */
static IFMA_TARGET long addends_fill(uint64_t *addend, const uint8_t *elements, size_t n) {
    vpoint p[2];
    __mmask8 good[2];
    uint64_t words[15][LANES];
    for (size_t i = 0; i < n; i += 16) {
        int some = n - i < 16 ? (int)(n - i) : 16;
        v_decode2(p, good, elements + 32 * i, 0, some);
        unsigned bad = ~((unsigned)good[0] | (unsigned)good[1] << 8) & 0xffffu;
        if (bad && __builtin_ctz(bad) < some) return (long)i + __builtin_ctz(bad);
        for (int half = 0; 8 * half < some; half++) {
            vcached c = cached_of(&p[half]);
            lanes_of(words, c.plus), lanes_of(words + 5, c.minus), lanes_of(words + 10, c.t2d);
            for (int row = 8 * half; row < some && row < 8 * half + 8; row++)
                for (int w = 0; w < 15; w++)
                    addend[ADDEND_WORDS * (i + (size_t)row) + (size_t)w] = words[w][row % 8];
        }
    }
    return -1;
}

static void windows_join(point *total, const point *window, int count, int bits) {
    cached c;
    *total = POINT_IDENTITY;
    for (int w = count - 1; w >= 0; w--) {
        for (int d = 0; d < bits; d++) point_double(total, total, d == bits - 1);
        point_cache(&c, &window[w]);
        point_add(total, total, &c);
    }
}

/* out = sum of weights * elements. Returns the first bad row, -1 when all is well, -2 when memory is short. */
static long ifma_sum(uint8_t *out, const uint8_t *elements, const uint8_t *weights, size_t n) {
    if (n < IFMA_SUM_LEAST) return portable_sum(out, elements, weights, n);
    sum_plan plan = plan_sum(n);
    size_t windows = 8 * (size_t)plan.groups, bucket_count = 8 * ((size_t)plan.count + 1);
    uint64_t *addend = aligned_alloc(64, n * ADDEND_WORDS * 8);
    uint64_t *bucket = aligned_alloc(64, bucket_count * BUCKET_WORDS * 8);
    int16_t *digit = malloc(n * windows * sizeof *digit);
    point window[64], total;
    scalar k;
    long bad = addend && bucket && digit ? -1 : -2;
    if (bad == -1) bad = addends_fill(addend, elements, n);
    if (bad == -1) {
        for (size_t i = 0; i < n; i++) {
            scalar_load(&k, weights + 32 * i);
            weight_digits(digit + i * windows, 1, &k, plan.bits, (int)windows);
        }
        for (int g = 0; g < plan.groups; g++) group_sum(window + 8 * g, addend, digit + 8 * g, n, plan, bucket);
        windows_join(&total, window, (int)windows, plan.bits);
        ristretto_encode(out, &total);
    }
    free(addend), free(bucket), free(digit);
    return bad;
}

#endif
