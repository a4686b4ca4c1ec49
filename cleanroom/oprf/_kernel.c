/* The OPRF kernel's Python face: ristretto255-SHA512 in batches over buffers, the interpreter's lock released.
 *
 * Every function takes the path's number (see paths()), buffers of rows and a writable buffer for the result, checks all
 * lengths, and works without touching a Python object. Elements and scalars are rows of 32 bytes; uniform bytes and
 * outputs of 64. Secret inputs (rows, scalars) reach neither branch nor index; scratch memory is wiped. Its only caller is
 * cleanroom/oprf/_native.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if !defined(__SIZEOF_INT128__)
#error "the kernel needs a compiler with 128-bit integers; the package works without it"
#endif

#include "_paths.h"

static const path *path_at(int number) {
    if (number < 0 || number >= path_count()) {
        PyErr_SetString(PyExc_ValueError, "this machine has no such path");
        return NULL;
    }
    return &PATHS[number];
}

/* Rows of `width` bytes, `count` of them; count < 0 takes any number and sets it. */
static int shape(const Py_buffer *b, Py_ssize_t width, Py_ssize_t *count) {
    if (*count < 0) *count = b->len / width;
    if (b->len == *count * width) return 1;
    PyErr_SetString(PyExc_ValueError, "a buffer has another length than its rows need");
    return 0;
}

/* One scalar for all rows, or one for each: sets the stride. */
static int scalar_shape(const Py_buffer *b, Py_ssize_t count, size_t *stride) {
    *stride = b->len == 32 ? 0 : 32;
    return *stride == 0 || shape(b, 32, &count);
}

static int rows_shape(const Py_buffer *offsets, const Py_buffer *data, rows *r) {
    const int64_t *at = offsets->buf;
    Py_ssize_t n = offsets->len / 8 - 1;
    int good = n >= 0 && offsets->len % 8 == 0 && (uintptr_t)at % 8 == 0 && at[0] >= 0 && at[n] <= data->len;
    for (Py_ssize_t i = 0; good && i < n; i++) good = at[i] <= at[i + 1] && at[i + 1] - at[i] <= 65535;
    if (!good) PyErr_SetString(PyExc_ValueError, "offsets do not ascend within the data");
    *r = (rows){at, data->buf, (size_t)(good ? n : 0)};
    return good;
}

static PyObject *finish(Py_buffer *buffers, int count, PyObject *result) {
    for (int i = 0; i < count; i++) PyBuffer_Release(&buffers[i]);
    return result;
}

#define FINISH(result) return finish(b, (int)(sizeof b / sizeof *b), result)
#define OPEN_SCRATCH(s, p)                          \
    if (!scratch_open(&s, p)) {                     \
        PyErr_NoMemory();                           \
        FINISH(NULL);                               \
    }

static PyObject *none(void) {
    Py_INCREF(Py_None);
    return Py_None;
}

/* hash_map(path, offsets, data, dst, scalars | b"", out): hash-to-group, times a scalar where there are any. */
static PyObject *py_hash_map(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[5];
    int number;
    rows in;
    scratch s;
    size_t stride = 0;
    if (!PyArg_ParseTuple(args, "iy*y*y*y*w*", &number, &b[0], &b[1], &b[2], &b[3], &b[4])) return NULL;
    const path *p = path_at(number);
    if (!p || !rows_shape(&b[0], &b[1], &in)) FINISH(NULL);
    Py_ssize_t n = (Py_ssize_t)in.n;
    if (!shape(&b[4], 32, &n) || (b[3].len && !scalar_shape(&b[3], n, &stride))) FINISH(NULL);
    if (b[2].len > 255) {
        PyErr_SetString(PyExc_ValueError, "a domain is at most 255 bytes");
        FINISH(NULL);
    }
    OPEN_SCRATCH(s, p)
    Py_BEGIN_ALLOW_THREADS
    run_hash_map(p, &s, &in, b[2].buf, (size_t)b[2].len, b[3].len ? b[3].buf : NULL, stride, b[4].buf);
    scratch_close(&s);
    Py_END_ALLOW_THREADS
    FINISH(none());
}

/* map_to_group(path, wide, out) */
static PyObject *py_map(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[2];
    int number;
    scratch s;
    Py_ssize_t n = -1;
    if (!PyArg_ParseTuple(args, "iy*w*", &number, &b[0], &b[1])) return NULL;
    const path *p = path_at(number);
    if (!p || !shape(&b[0], 64, &n) || !shape(&b[1], 32, &n)) FINISH(NULL);
    OPEN_SCRATCH(s, p)
    Py_BEGIN_ALLOW_THREADS
    run_map(p, &s, b[0].buf, (size_t)n, b[1].buf);
    scratch_close(&s);
    Py_END_ALLOW_THREADS
    FINISH(none());
}

/* scalar_mult(path, elements, scalars, out) -> first bad row or -1 */
static PyObject *py_mult(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[3];
    int number;
    scratch s;
    size_t stride;
    long bad;
    Py_ssize_t n = -1;
    if (!PyArg_ParseTuple(args, "iy*y*w*", &number, &b[0], &b[1], &b[2])) return NULL;
    const path *p = path_at(number);
    if (!p || !shape(&b[0], 32, &n) || !shape(&b[2], 32, &n) || !scalar_shape(&b[1], n, &stride)) FINISH(NULL);
    OPEN_SCRATCH(s, p)
    Py_BEGIN_ALLOW_THREADS
    bad = run_mult(p, &s, b[0].buf, (size_t)n, b[1].buf, stride, b[2].buf);
    scratch_close(&s);
    if (bad >= 0) wipe(b[2].buf, (size_t)b[2].len);
    Py_END_ALLOW_THREADS
    FINISH(PyLong_FromLong(bad));
}

/* base_mult(scalars, out) */
static PyObject *py_base(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[2];
    scratch s;
    Py_ssize_t n = -1;
    if (!PyArg_ParseTuple(args, "y*w*", &b[0], &b[1])) return NULL;
    if (!shape(&b[0], 32, &n) || !shape(&b[1], 32, &n)) FINISH(NULL);
    OPEN_SCRATCH(s, &PATHS[0])
    Py_BEGIN_ALLOW_THREADS
    for (size_t i = 0; i < (size_t)n; i += BATCH)
        base_mult(s.work, (uint8_t *)b[1].buf + 32 * i, (const uint8_t *)b[0].buf + 32 * i, batch_at(i, (size_t)n));
    scratch_close(&s);
    Py_END_ALLOW_THREADS
    FINISH(none());
}

/* check(path, elements) -> first bad row or -1 */
static PyObject *py_check(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[1];
    int number;
    scratch s;
    long bad;
    Py_ssize_t n = -1;
    if (!PyArg_ParseTuple(args, "iy*", &number, &b[0])) return NULL;
    const path *p = path_at(number);
    if (!p || !shape(&b[0], 32, &n)) FINISH(NULL);
    OPEN_SCRATCH(s, p)
    Py_BEGIN_ALLOW_THREADS
    bad = run_check(p, &s, b[0].buf, (size_t)n);
    scratch_close(&s);
    Py_END_ALLOW_THREADS
    FINISH(PyLong_FromLong(bad));
}

/* finalize(path, offsets, data, elements, out) */
static PyObject *py_finalize(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[4];
    int number;
    rows in;
    if (!PyArg_ParseTuple(args, "iy*y*y*w*", &number, &b[0], &b[1], &b[2], &b[3])) return NULL;
    const path *p = path_at(number);
    if (!p || !rows_shape(&b[0], &b[1], &in)) FINISH(NULL);
    Py_ssize_t n = (Py_ssize_t)in.n;
    if (!shape(&b[2], 32, &n) || !shape(&b[3], 64, &n)) FINISH(NULL);
    Py_BEGIN_ALLOW_THREADS
    run_finalize(p, &in, b[2].buf, b[3].buf);
    wipe_stack();
    Py_END_ALLOW_THREADS
    FINISH(none());
}

/* composite_weights(path, seed, blinded, evaluated, first, dst, out) */
static PyObject *py_weights(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[5];
    int number;
    Py_ssize_t n = -1, one = 1, first;
    if (!PyArg_ParseTuple(args, "iy*y*y*ny*w*", &number, &b[0], &b[1], &b[2], &first, &b[3], &b[4])) return NULL;
    const path *p = path_at(number);
    if (!p || !shape(&b[0], 64, &one) || !shape(&b[1], 32, &n) || !shape(&b[2], 32, &n) || !shape(&b[4], 32, &n))
        FINISH(NULL);
    if (b[3].len > 255 || first < 0 || first + n > 65536) {
        PyErr_SetString(PyExc_ValueError, "a domain is at most 255 bytes and a proof covers at most 65536 rows");
        FINISH(NULL);
    }
    Py_BEGIN_ALLOW_THREADS
    run_weights(p, b[0].buf, b[1].buf, b[2].buf, (size_t)n, (size_t)first, b[3].buf, (size_t)b[3].len, b[4].buf);
    Py_END_ALLOW_THREADS
    FINISH(none());
}

/* weighted_sum(path, elements, weights, out) -> first bad row or -1; public values only */
static PyObject *py_sum(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[3];
    int number;
    long bad;
    Py_ssize_t n = -1, one = 1;
    if (!PyArg_ParseTuple(args, "iy*y*w*", &number, &b[0], &b[1], &b[2])) return NULL;
    const path *p = path_at(number);
    if (!p || !shape(&b[0], 32, &n) || !shape(&b[1], 32, &n) || !shape(&b[2], 32, &one)) FINISH(NULL);
    Py_BEGIN_ALLOW_THREADS
    bad = p->sum(b[2].buf, b[0].buf, b[1].buf, (size_t)n);
    Py_END_ALLOW_THREADS
    FINISH(bad == -2 ? PyErr_NoMemory() : PyLong_FromLong(bad));
}

/* reduce(wide, out): uniform bytes modulo the order */
static PyObject *py_reduce(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[2];
    Py_ssize_t n = -1;
    if (!PyArg_ParseTuple(args, "y*w*", &b[0], &b[1])) return NULL;
    if (!shape(&b[0], 64, &n) || !shape(&b[1], 32, &n)) FINISH(NULL);
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < n; i++) {
        scalar k;
        scalar_reduce(&k, (const uint8_t *)b[0].buf + 64 * i);
        scalar_store((uint8_t *)b[1].buf + 32 * i, &k);
    }
    wipe_stack();
    Py_END_ALLOW_THREADS
    FINISH(none());
}

/* scalar_invert(scalars, out) -> first zero or -1 */
static PyObject *py_invert(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer b[2];
    long zero;
    Py_ssize_t n = -1;
    if (!PyArg_ParseTuple(args, "y*w*", &b[0], &b[1])) return NULL;
    if (!shape(&b[0], 32, &n) || !shape(&b[1], 32, &n)) FINISH(NULL);
    Py_BEGIN_ALLOW_THREADS
    zero = run_invert(b[0].buf, b[1].buf, (size_t)n);
    wipe_stack();
    Py_END_ALLOW_THREADS
    FINISH(PyLong_FromLong(zero));
}

/* scalar_mul(a, b, out), scalar_sub(a, b, out) */
static PyObject *scalar_pair(PyObject *args, void (*operation)(scalar *, const scalar *, const scalar *)) {
    Py_buffer b[3];
    Py_ssize_t one = 1;
    scalar x, y;
    if (!PyArg_ParseTuple(args, "y*y*w*", &b[0], &b[1], &b[2])) return NULL;
    if (!shape(&b[0], 32, &one) || !shape(&b[1], 32, &one) || !shape(&b[2], 32, &one)) FINISH(NULL);
    scalar_load(&x, b[0].buf);
    scalar_load(&y, b[1].buf);
    operation(&x, &x, &y);
    scalar_store(b[2].buf, &x);
    wipe(&x, sizeof x), wipe(&y, sizeof y), wipe_stack();
    FINISH(none());
}

static PyObject *py_scalar_mul(PyObject *self, PyObject *args) {
    (void)self;
    return scalar_pair(args, scalar_mul);
}

static PyObject *py_scalar_sub(PyObject *self, PyObject *args) {
    (void)self;
    return scalar_pair(args, scalar_sub);
}

/* paths() -> names, by number; the last is the fastest this machine has */
static PyObject *py_paths(PyObject *self, PyObject *args) {
    (void)self, (void)args;
    PyObject *names = PyTuple_New(path_count());
    for (int i = 0; names && i < path_count(); i++) PyTuple_SetItem(names, i, PyUnicode_FromString(PATHS[i].name));
    return names;
}

static PyMethodDef METHODS[] = {
    {"base_mult", py_base, METH_VARARGS, NULL},
    {"check", py_check, METH_VARARGS, NULL},
    {"composite_weights", py_weights, METH_VARARGS, NULL},
    {"finalize", py_finalize, METH_VARARGS, NULL},
    {"hash_map", py_hash_map, METH_VARARGS, NULL},
    {"map_to_group", py_map, METH_VARARGS, NULL},
    {"paths", py_paths, METH_NOARGS, NULL},
    {"reduce", py_reduce, METH_VARARGS, NULL},
    {"scalar_invert", py_invert, METH_VARARGS, NULL},
    {"scalar_mul", py_scalar_mul, METH_VARARGS, NULL},
    {"scalar_mult", py_mult, METH_VARARGS, NULL},
    {"scalar_sub", py_scalar_sub, METH_VARARGS, NULL},
    {"weighted_sum", py_sum, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_kernel", NULL, -1, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernel(void) {
    base_init();
    return PyModule_Create(&MODULE);
}
