/* Runs a path of the kernel under valgrind with every secret marked undefined: memcheck then reports each branch and each
 * address that depends on one. Public: rows' lengths, elements that came from outside, counts. Built with
 * SEALBID_PORTABLE_ONLY it runs the portable path as it is shipped, with SEALBID_EMULATED the vector path's source over
 * instructions in plain C. With an argument it branches on a scalar on purpose, so that the test can see that it would be
 * seen. Prints a digest of all results, which the test compares between the paths. */
#include <stdio.h>
#include <valgrind/memcheck.h>

#define PUBLIC_NOW(bytes, size) VALGRIND_MAKE_MEM_DEFINED(bytes, size)
#ifdef SEALBID_EMULATED
#include "oprf_emulated_avx512.h"
#endif
#include "../../cleanroom/oprf/_paths.h"

#define SECRET(x) VALGRIND_MAKE_MEM_UNDEFINED(&(x), sizeof(x))
enum { N = 2 };

static uint8_t data[N * 40], scalars[N * 32], wide_bytes[N * 64], elements[N * 32];
static uint8_t out[6][N * 32], hash[N * 64];

static void scalars_run(uint8_t *result) {
    for (int i = 0; i < N; i++) {
        scalar k, l;
        scalar_reduce(&k, wide_bytes + 64 * i);
        scalar_load(&l, scalars + 32 * i);
        scalar_mul(&k, &k, &l);
        scalar_sub(&k, &k, &l);
        scalar_store(result + 32 * i, &k);
    }
}

int main(int count, char **arguments) {
    (void)arguments;
    const int64_t offsets[N + 1] = {0, 11, 80};
    const rows in = {offsets, data, N};
    const path *p = &PATHS[sizeof PATHS / sizeof *PATHS - 1];
    const uint8_t *domain = (const uint8_t *)"domain";
    scratch s;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof wide_bytes; i++) wide_bytes[i] = (uint8_t)(i * 31 + 5);
    for (size_t i = 0; i < sizeof scalars; i++) scalars[i] = (uint8_t)(i % 32 == 31 ? 3 : i * 13 + 1);
    for (int i = 0; i < N; i++) memcpy(elements + 32 * i, BASE_BYTES, 32);
    if (!scratch_open(&s, p)) return 2;
    SECRET(data), SECRET(scalars), SECRET(wide_bytes);
    if (count > 1 && scalars[0] & 1) return puts("leaked") < 0;
    run_hash_map(p, &s, &in, domain, 6, scalars, 32, out[0]);            /* Client.blind, Server.evaluate */
    run_hash_map(p, &s, &in, domain, 6, NULL, 0, out[1]);                /* hash to group */
    if (run_mult(p, &s, elements, N, scalars, 0, out[2]) != -1) return 3; /* Server.blind_evaluate, Client.finalize */
    run_finalize(p, &in, out[0], hash);
    scalars_run(out[3]);
    if (run_invert(scalars, out[4], N) != -1) return 4;
#ifdef SEALBID_PORTABLE_ONLY
    base_init();
    base_mult(s.work, out[5], scalars, N);
#endif
    scratch_close(&s);
    PUBLIC_NOW(out, sizeof out), PUBLIC_NOW(hash, sizeof hash);
    for (size_t i = 0; i < 5 * sizeof out[0]; i++) printf("%02x", out[i / sizeof out[0]][i % sizeof out[0]]);
    for (size_t i = 0; i < sizeof hash; i++) printf("%02x", hash[i]);
    return puts("") < 0;
}
