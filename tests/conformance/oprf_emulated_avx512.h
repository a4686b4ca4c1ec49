/* The AVX-512 instructions that the OPRF kernel uses, in plain C, one lane after the other and without a branch on a
 * value: so that valgrind, which knows no AVX-512, can watch the very source of the vector path, on any processor. */
#ifndef OPRF_EMULATED_AVX512_H
#define OPRF_EMULATED_AVX512_H

#include <stdint.h>
#include <string.h>

typedef struct {
    uint64_t lane[8];
} __m512i;
typedef uint8_t __mmask8;
enum { _MM_HINT_T0 };

#define EACH for (int i = 0; i < 8; i++)
#define EMULATED static inline __m512i
#define LANES_OF(name, parameters, expression) \
    EMULATED name parameters {                 \
        __m512i r;                             \
        EACH r.lane[i] = (expression);         \
        return r;                              \
    }
#define MASK_OF(name, parameters, expression)                                                   \
    static inline __mmask8 name parameters {                                                    \
        unsigned r = 0;                                                                         \
        EACH {                                                                                  \
            uint64_t bits = (expression);                                                       \
            r |= (unsigned)((bits | (0 - bits)) >> 63) << i; /* one where any bit is set */     \
        }                                                                                       \
        return (__mmask8)r;                                                                     \
    }
#define PICK(mask, a, b) ((a) ^ ((0 - (uint64_t)((mask) >> i & 1)) & ((a) ^ (b))))
#define LOW52(x) ((x) & 0xfffffffffffffULL)
#define PRODUCT52(a, b) ((unsigned __int128)LOW52(a) * LOW52(b))

LANES_OF(_mm512_setzero_si512, (void), 0)
LANES_OF(_mm512_set1_epi64, (long long a), (uint64_t)a)
LANES_OF(_mm512_add_epi64, (__m512i a, __m512i b), a.lane[i] + b.lane[i])
LANES_OF(_mm512_sub_epi64, (__m512i a, __m512i b), a.lane[i] - b.lane[i])
LANES_OF(_mm512_mullo_epi64, (__m512i a, __m512i b), a.lane[i] * b.lane[i])
LANES_OF(_mm512_and_si512, (__m512i a, __m512i b), a.lane[i] & b.lane[i])
LANES_OF(_mm512_or_si512, (__m512i a, __m512i b), a.lane[i] | b.lane[i])
LANES_OF(_mm512_srli_epi64, (__m512i a, int n), a.lane[i] >> n)
LANES_OF(_mm512_slli_epi64, (__m512i a, int n), a.lane[i] << n)
LANES_OF(_mm512_ror_epi64, (__m512i a, int n), a.lane[i] >> n | a.lane[i] << (64 - n))
LANES_OF(_mm512_abs_epi64, (__m512i a), (a.lane[i] ^ (0 - (a.lane[i] >> 63))) + (a.lane[i] >> 63))
LANES_OF(_mm512_madd52lo_epu64, (__m512i c, __m512i a, __m512i b), c.lane[i] + LOW52((uint64_t)PRODUCT52(a.lane[i], b.lane[i])))
LANES_OF(_mm512_madd52hi_epu64, (__m512i c, __m512i a, __m512i b), c.lane[i] + (uint64_t)(PRODUCT52(a.lane[i], b.lane[i]) >> 52))
LANES_OF(_mm512_mask_blend_epi64, (__mmask8 k, __m512i a, __m512i b), PICK(k, a.lane[i], b.lane[i]))
LANES_OF(_mm512_mask_mov_epi64, (__m512i a, __mmask8 k, __m512i b), PICK(k, a.lane[i], b.lane[i]))
LANES_OF(_mm512_mask_add_epi64, (__m512i w, __mmask8 k, __m512i a, __m512i b), PICK(k, w.lane[i], a.lane[i] + b.lane[i]))
LANES_OF(_mm512_unpacklo_epi64, (__m512i a, __m512i b), i % 2 ? b.lane[i - 1] : a.lane[i])
LANES_OF(_mm512_unpackhi_epi64, (__m512i a, __m512i b), i % 2 ? b.lane[i] : a.lane[i + 1])
LANES_OF(_mm512_shuffle_i64x2, (__m512i a, __m512i b, int n), (i < 4 ? a : b).lane[2 * (n >> (i & ~1) & 3) + i % 2])
MASK_OF(_mm512_test_epi64_mask, (__m512i a, __m512i b), a.lane[i] & b.lane[i])
MASK_OF(_mm512_movepi64_mask, (__m512i a), a.lane[i] >> 63)
MASK_OF(unequal, (__m512i a, __m512i b), a.lane[i] ^ b.lane[i])

static inline __mmask8 _mm512_cmpeq_epi64_mask(__m512i a, __m512i b) { return (__mmask8)~unequal(a, b); }
static inline __mmask8 _mm512_testn_epi64_mask(__m512i a, __m512i b) { return (__mmask8)~_mm512_test_epi64_mask(a, b); }

EMULATED _mm512_ternarylogic_epi64(__m512i a, __m512i b, __m512i c, int table) {
    __m512i r = _mm512_setzero_si512();
    for (int n = 0; n < 8; n++)
        if (table >> n & 1)
            EACH r.lane[i] |= (n & 4 ? a.lane[i] : ~a.lane[i]) & (n & 2 ? b.lane[i] : ~b.lane[i]) &
                              (n & 1 ? c.lane[i] : ~c.lane[i]);
    return r;
}

EMULATED _mm512_set_epi64(long long h, long long g, long long f, long long e, long long d, long long c, long long b,
                          long long a) {
    return (__m512i){{(uint64_t)a, (uint64_t)b, (uint64_t)c, (uint64_t)d, (uint64_t)e, (uint64_t)f, (uint64_t)g,
                      (uint64_t)h}};
}

EMULATED _mm512_shuffle_epi8(__m512i a, __m512i order) { /* within sixteen bytes; no order here has its top bit set */
    uint8_t from[64], at[64], to[64];
    __m512i r;
    memcpy(from, &a, 64), memcpy(at, &order, 64);
    for (int i = 0; i < 64; i++) to[i] = from[(i & ~15) + (at[i] & 15)];
    memcpy(&r, to, 64);
    return r;
}

EMULATED _mm512_load_si512(const void *from) {
    __m512i r;
    memcpy(&r, from, 64);
    return r;
}

static inline void _mm512_store_si512(void *to, __m512i a) { memcpy(to, &a, 64); }
static inline void _mm_prefetch(const char *at, int hint) { (void)at, (void)hint; }
#define _mm512_loadu_si512 _mm512_load_si512
#define _mm512_storeu_si512 _mm512_store_si512

#endif
