/* Runs the kernel's portable path under valgrind with every secret marked undefined: memcheck then reports each branch and
 * each address that depends on one. Public: rows' lengths, elements that came from outside, counts. With LEAK defined it
 * branches on a scalar on purpose, so that the test can see that it would be seen. Prints "ran" at its end. */
#define SEALBID_PORTABLE_ONLY
#include <stdio.h>
#include <valgrind/memcheck.h>

#define PUBLIC_NOW(bytes, size) VALGRIND_MAKE_MEM_DEFINED(bytes, size)
#include "../../cleanroom/oprf/_paths.h"

#define SECRET(x) VALGRIND_MAKE_MEM_UNDEFINED(&(x), sizeof(x))
enum { N = 2 };

int main(void) {
    static uint8_t data[N * 40], scalars[N * 32], wide[N * 64], out[N * 32], hash[N * 64], elements[N * 32];
    const int64_t offsets[N + 1] = {0, 11, 80};
    const rows in = {offsets, data, N};
    const path *p = &PATHS[0];
    scratch s;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof wide; i++) wide[i] = (uint8_t)(i * 31 + 5);
    for (size_t i = 0; i < sizeof scalars; i++) scalars[i] = (uint8_t)(i % 32 == 31 ? 3 : i * 13 + 1);
    for (int i = 0; i < N; i++) memcpy(elements + 32 * i, BASE_BYTES, 32);
    base_init();
    if (!scratch_open(&s, p)) return 2;
    SECRET(data), SECRET(scalars), SECRET(wide);
#ifdef LEAK
    if (scalars[0] & 1) return puts("leaked") < 0;
#endif
    run_hash_map(p, &s, &in, (const uint8_t *)"domain", 6, scalars, 32, out);    /* Client.blind */
    run_hash_map(p, &s, &in, (const uint8_t *)"domain", 6, scalars, 0, out);     /* Server.evaluate */
    run_hash_map(p, &s, &in, (const uint8_t *)"domain", 6, NULL, 0, out);        /* hash to group */
    run_mult(p, &s, elements, N, scalars, 0, out);                               /* Server.blind_evaluate */
    if (run_mult(p, &s, elements, N, scalars, 32, out) != -1) return 3;          /* Client.finalize */
    run_finalize(p, &in, out, hash);
    base_mult(s.work, out, scalars, N);
    for (int i = 0; i < N; i++) {
        scalar k, l;
        scalar_reduce(&k, wide + 64 * i);
        scalar_load(&l, scalars + 32 * i);
        scalar_mul(&k, &k, &l);
        scalar_sub(&k, &k, &l);
        scalar_store(out + 32 * i, &k);
    }
    if (run_invert(scalars, out, N) != -1) return 4;
    scratch_close(&s);
    puts("ran");
    return 0;
}
