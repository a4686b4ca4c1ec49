/* SHA-512 (FIPS 180-4), and the one shape in which the OPRF hashes: rows made of pieces, after an optional first block.
 *
 * Time depends on the lengths of rows, never on their bytes. */
#ifndef SEALBID_SHA512_H
#define SEALBID_SHA512_H

#include "_field.h"

static const uint64_t SHA_K[80] = {
    0x428a2f98d728ae22ULL, 0x7137449123ef65cdULL, 0xb5c0fbcfec4d3b2fULL, 0xe9b5dba58189dbbcULL,
    0x3956c25bf348b538ULL, 0x59f111f1b605d019ULL, 0x923f82a4af194f9bULL, 0xab1c5ed5da6d8118ULL,
    0xd807aa98a3030242ULL, 0x12835b0145706fbeULL, 0x243185be4ee4b28cULL, 0x550c7dc3d5ffb4e2ULL,
    0x72be5d74f27b896fULL, 0x80deb1fe3b1696b1ULL, 0x9bdc06a725c71235ULL, 0xc19bf174cf692694ULL,
    0xe49b69c19ef14ad2ULL, 0xefbe4786384f25e3ULL, 0x0fc19dc68b8cd5b5ULL, 0x240ca1cc77ac9c65ULL,
    0x2de92c6f592b0275ULL, 0x4a7484aa6ea6e483ULL, 0x5cb0a9dcbd41fbd4ULL, 0x76f988da831153b5ULL,
    0x983e5152ee66dfabULL, 0xa831c66d2db43210ULL, 0xb00327c898fb213fULL, 0xbf597fc7beef0ee4ULL,
    0xc6e00bf33da88fc2ULL, 0xd5a79147930aa725ULL, 0x06ca6351e003826fULL, 0x142929670a0e6e70ULL,
    0x27b70a8546d22ffcULL, 0x2e1b21385c26c926ULL, 0x4d2c6dfc5ac42aedULL, 0x53380d139d95b3dfULL,
    0x650a73548baf63deULL, 0x766a0abb3c77b2a8ULL, 0x81c2c92e47edaee6ULL, 0x92722c851482353bULL,
    0xa2bfe8a14cf10364ULL, 0xa81a664bbc423001ULL, 0xc24b8b70d0f89791ULL, 0xc76c51a30654be30ULL,
    0xd192e819d6ef5218ULL, 0xd69906245565a910ULL, 0xf40e35855771202aULL, 0x106aa07032bbd1b8ULL,
    0x19a4c116b8d2d0c8ULL, 0x1e376c085141ab53ULL, 0x2748774cdf8eeb99ULL, 0x34b0bcb5e19b48a8ULL,
    0x391c0cb3c5c95a63ULL, 0x4ed8aa4ae3418acbULL, 0x5b9cca4f7763e373ULL, 0x682e6ff3d6b2b8a3ULL,
    0x748f82ee5defb2fcULL, 0x78a5636f43172f60ULL, 0x84c87814a1f0ab72ULL, 0x8cc702081a6439ecULL,
    0x90befffa23631e28ULL, 0xa4506cebde82bde9ULL, 0xbef9a3f7b2c67915ULL, 0xc67178f2e372532bULL,
    0xca273eceea26619cULL, 0xd186b8c721c0c207ULL, 0xeada7dd6cde0eb1eULL, 0xf57d4f7fee6ed178ULL,
    0x06f067aa72176fbaULL, 0x0a637dc5a2c898a6ULL, 0x113f9804bef90daeULL, 0x1b710b35131c471bULL,
    0x28db77f523047d84ULL, 0x32caab7b40c72493ULL, 0x3c9ebe0a15c9bebcULL, 0x431d67c49c100d4cULL,
    0x4cc5d4becb3e42b6ULL, 0x597f299cfc657e2aULL, 0x5fcb6fab3ad6faecULL, 0x6c44198c4a475817ULL,
};
static const uint64_t SHA_START[8] = {
    0x6a09e667f3bcc908ULL, 0xbb67ae8584caa73bULL, 0x3c6ef372fe94f82bULL, 0xa54ff53a5f1d36f1ULL,
    0x510e527fade682d1ULL, 0x9b05688c2b3e6c1fULL, 0x1f83d9abfb41bd6bULL, 0x5be0cd19137e2179ULL};

PURE uint64_t ror64(uint64_t x, int n) { return x >> n | x << (64 - n); }

PURE uint64_t load64_be(const uint8_t *b) {
    uint64_t x = 0;
    for (int i = 0; i < 8; i++) x = x << 8 | b[i];
    return x;
}

PURE void store64_be(uint8_t *b, uint64_t x) {
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)(x >> (56 - 8 * i));
}

static void sha512_block(uint64_t state[8], const uint8_t *block) {
    uint64_t w[16], a = state[0], b = state[1], c = state[2], d = state[3];
    uint64_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 16; i++) w[i] = load64_be(block + 8 * i);
    for (int i = 0; i < 80; i++) {
        uint64_t x = w[i & 15];
        if (i >= 16) {
            uint64_t p = w[(i + 1) & 15], q = w[(i + 14) & 15];
            x += (ror64(p, 1) ^ ror64(p, 8) ^ p >> 7) + w[(i + 9) & 15] + (ror64(q, 19) ^ ror64(q, 61) ^ q >> 6);
            w[i & 15] = x;
        }
        uint64_t t1 = h + (ror64(e, 14) ^ ror64(e, 18) ^ ror64(e, 41)) + ((e & f) ^ (~e & g)) + SHA_K[i] + x;
        uint64_t t2 = (ror64(a, 28) ^ ror64(a, 34) ^ ror64(a, 39)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

typedef struct {
    const uint8_t *bytes;
    size_t size;
} piece;
#define PIECES 4
typedef struct { /* the pieces of one row, hashed one after the other */
    piece part[PIECES];
} message;

PURE size_t message_size(const message *m) {
    size_t total = 0;
    for (int i = 0; i < PIECES; i++) total += m->part[i].size;
    return total;
}

/* Hash one row from `start`, a state in which `before` bytes (whole blocks) are hashed already. */
static void sha512_message(uint8_t out[64], const uint64_t start[8], uint64_t before, const message *m) {
    uint64_t state[8];
    uint8_t block[128];
    size_t fill = 0;
    memcpy(state, start, sizeof state);
    for (int i = 0; i < PIECES; i++) {
        const uint8_t *bytes = m->part[i].bytes;
        size_t left = m->part[i].size;
        while (left) {
            size_t take = left < 128 - fill ? left : 128 - fill;
            memcpy(block + fill, bytes, take);
            fill += take, bytes += take, left -= take;
            if (fill == 128) sha512_block(state, block), fill = 0;
        }
    }
    block[fill++] = 0x80;
    memset(block + fill, 0, 128 - fill);
    if (fill > 112) {
        sha512_block(state, block);
        memset(block, 0, 128);
    }
    store64_be(block + 120, (before + message_size(m)) * 8);
    sha512_block(state, block);
    for (int i = 0; i < 8; i++) store64_be(out + 8 * i, state[i]);
}

/* Up to eight rows at once; what the paths of the kernel differ in. */
#define LANES 8
typedef void (*sha512_rows_fn)(uint8_t (*out)[64], const uint64_t start[8], uint64_t before, const message *rows, int n);

static void sha512_rows_portable(uint8_t (*out)[64], const uint64_t start[8], uint64_t before, const message *rows,
                                 int n) {
    for (int i = 0; i < n; i++) sha512_message(out[i], start, before, &rows[i]);
}

/* expand_message_xmd to 64 bytes (RFC 9380, 5.3.1): b0 = H(zero block || msg || 0x0040 || 0 || dst'), out = H(b0 || 1 ||
 * dst'). `dst_prime` is the domain and its length byte. The state after the zero block is the same for all. */
typedef struct {
    uint64_t after_zeros[8];
    uint8_t tail0[3 + 256], tail1[1 + 256];
    size_t dst_size;
    sha512_rows_fn rows;
} expander;

static void expander_init(expander *x, sha512_rows_fn rows, const uint8_t *dst, size_t size) { /* size at most 255 */
    const uint8_t zeros[128] = {0};
    memcpy(x->after_zeros, SHA_START, sizeof SHA_START);
    sha512_block(x->after_zeros, zeros);
    x->rows = rows;
    x->dst_size = size + 1;
    x->tail0[0] = 0, x->tail0[1] = 64, x->tail0[2] = 0, x->tail1[0] = 1;
    memcpy(x->tail0 + 3, dst, size), memcpy(x->tail1 + 1, dst, size);
    x->tail0[3 + size] = x->tail1[1 + size] = (uint8_t)size;
}

static void expand_rows(const expander *x, uint8_t (*out)[64], const piece *body, int n) {
    uint8_t first[LANES][64];
    message rows[LANES] = {{{{NULL, 0}}}};
    for (int i = 0; i < n; i++)
        rows[i] = (message){{body[i], {x->tail0, 3 + x->dst_size}, {x->tail0, 0}, {x->tail0, 0}}};
    x->rows(first, x->after_zeros, 128, rows, n);
    for (int i = 0; i < n; i++)
        rows[i] = (message){{{first[i], 64}, {x->tail1, 1 + x->dst_size}, {x->tail1, 0}, {x->tail1, 0}}};
    x->rows(out, SHA_START, 0, rows, n);
}

#endif
