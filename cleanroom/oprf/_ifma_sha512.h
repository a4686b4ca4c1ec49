/* SHA-512 of eight rows at once, one row in each 64-bit lane. Rows of several lengths run to the longest; a lane that is
 * through keeps its state. Rows too long for the buffer take the plain code. */
#ifndef SEALBID_IFMA_SHA512_H
#define SEALBID_IFMA_SHA512_H

#include "_ifma_field.h"
#include "_sha512.h"

#define LANE_BLOCKS 4 /* 512 bytes a lane: every proof's composite and every id known to the house fits */

#define VXOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define VCHOOSE(e, f, g) _mm512_ternarylogic_epi64(e, f, g, 0xca)
#define VMAJORITY(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xe8)
#define VROR(x, n) _mm512_ror_epi64(x, n)

VPURE vec bytes_turned(vec x) {
    const vec order = _mm512_set_epi64(0x08090a0b0c0d0e0fLL, 0x0001020304050607LL, 0x08090a0b0c0d0e0fLL,
                                       0x0001020304050607LL, 0x08090a0b0c0d0e0fLL, 0x0001020304050607LL,
                                       0x08090a0b0c0d0e0fLL, 0x0001020304050607LL);
    return _mm512_shuffle_epi8(x, order);
}

/* One block of every lane in `live`; words[i][lane] is the lane's word i as it lies in memory. */
VFUNC void v_sha512_block(vec state[8], const uint64_t words[16][LANES], __mmask8 live) {
    vec w[16], a = state[0], b = state[1], c = state[2], d = state[3];
    vec e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 16; i++) w[i] = bytes_turned(_mm512_load_si512(words[i]));
    for (int r = 0; r < 80; r += 16) {
        for (int i = 0; i < 16; i++) {
            vec t1 = VADD(VADD(h, VXOR3(VROR(e, 14), VROR(e, 18), VROR(e, 41))), VADD(VCHOOSE(e, f, g), w[i]));
            t1 = VADD(t1, VSET(SHA_K[r + i]));
            vec t2 = VADD(VXOR3(VROR(a, 28), VROR(a, 34), VROR(a, 39)), VMAJORITY(a, b, c));
            h = g, g = f, f = e, e = VADD(d, t1), d = c, c = b, b = a, a = VADD(t1, t2);
            if (r < 64) { /* w[i] becomes the word sixteen rounds on */
                vec p = w[(i + 1) & 15], q = w[(i + 14) & 15];
                vec s0 = VXOR3(VROR(p, 1), VROR(p, 8), _mm512_srli_epi64(p, 7));
                vec s1 = VXOR3(VROR(q, 19), VROR(q, 61), _mm512_srli_epi64(q, 6));
                w[i] = VADD(VADD(w[i], w[(i + 9) & 15]), VADD(s0, s1));
            }
        }
    }
    const vec out[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) state[i] = _mm512_mask_add_epi64(state[i], live, state[i], out[i]);
}

/* The row with its padding, word by word into its lane. Returns its blocks. */
static int lane_fill(uint64_t words[LANE_BLOCKS][16][LANES], int lane, uint64_t before, const message *m) {
    uint8_t text[128 * LANE_BLOCKS];
    size_t size = 0;
    for (int i = 0; i < PIECES; i++) {
        if (m->part[i].size) memcpy(text + size, m->part[i].bytes, m->part[i].size);
        size += m->part[i].size;
    }
    int blocks = (int)((size + 17 + 127) / 128);
    memset(text + size, 0, (size_t)blocks * 128 - size);
    text[size] = 0x80;
    store64_be(text + 128 * blocks - 8, (before + size) * 8);
    for (int i = 0; i < 16 * blocks; i++) memcpy(&words[i / 16][i % 16][lane], text + 8 * i, 8);
    wipe(text, size);
    return blocks;
}

static IFMA_TARGET void sha512_rows_ifma(uint8_t (*out)[64], const uint64_t start[8], uint64_t before,
                                         const message *rows, int n) {
    uint64_t words[LANE_BLOCKS][16][LANES] __attribute__((aligned(64))), digest[8][LANES] __attribute__((aligned(64)));
    int blocks[LANES] = {0}, most = 0;
    vec state[8];
    for (int lane = 0; lane < n; lane++)
        if (message_size(&rows[lane]) + 17 > 128 * LANE_BLOCKS) {
            sha512_rows_portable(out, start, before, rows, n);
            return;
        }
    for (int lane = 0; lane < n; lane++) {
        blocks[lane] = lane_fill(words, lane, before, &rows[lane]);
        if (blocks[lane] > most) most = blocks[lane];
    }
    for (int i = 0; i < 8; i++) state[i] = VSET(start[i]);
    for (int k = 0; k < most; k++) {
        unsigned live = 0;
        for (int lane = 0; lane < n; lane++) live |= (unsigned)(k < blocks[lane]) << lane;
        v_sha512_block(state, (const uint64_t(*)[LANES])words[k], (__mmask8)live);
    }
    for (int i = 0; i < 8; i++) _mm512_store_si512(digest[i], bytes_turned(state[i]));
    for (int lane = 0; lane < n; lane++)
        for (int i = 0; i < 8; i++) memcpy(out[lane] + 8 * i, &digest[i][lane], 8);
    wipe(words, sizeof words);
}

#endif
