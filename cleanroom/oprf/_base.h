/* Multiples of the generator: a table made once, 32 rows of 1..8 times 256^i * G, and no doubling but four. */
#ifndef SEALBID_BASE_H
#define SEALBID_BASE_H

#include "_portable.h"

static cached BASE_TABLE[32][8];
static const uint8_t BASE_BYTES[32] = {0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9,
                                       0x61, 0xc5, 0x00, 0x51, 0x5f, 0x58, 0xe3, 0x0b, 0x6a, 0xa5, 0x82,
                                       0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d, 0x2d, 0x76};

/* Called once, when the module is loaded, before any other thread can see it. */
static void base_init(void) {
    point p;
    ristretto_decode(&p, BASE_BYTES);
    for (int i = 0; i < 32; i++) {
        table_fill(BASE_TABLE[i], &p);
        for (int d = 0; d < 8; d++) point_double(&p, &p, d == 7);
    }
}

/* w->q = k * G: the digits of odd place first, times 16, then those of even place. */
static void base_point_mult(portable_work *w) {
    cached entry;
    scalar_digits(w->digit, &w->k);
    w->q = POINT_IDENTITY;
    for (int odd = 1; odd >= 0; odd--) {
        for (int i = 0; i < 32; i++) {
            table_look_up(&entry, BASE_TABLE[i], w->digit[2 * i + odd]);
            point_add(&w->q, &w->q, &entry);
        }
        if (odd)
            for (int d = 0; d < 4; d++) point_double(&w->q, &w->q, d == 3);
    }
}

static void base_mult(portable_work *w, uint8_t *out, const uint8_t *scalars, int n) {
    for (int i = 0; i < n; i++) {
        portable_halved(w, scalars, 32, i);
        base_point_mult(w);
        doubling_start(&w->pending[i], &w->product[i], &w->q);
    }
    portable_encode_doubled(w, out, n);
}

#endif
