/* The bid path's arithmetic: oblivious trees over flat arrays, value and price of every candidate, the best few; CRC32C.
 *
 * A model is T trees of depth D over features quantised to bytes: bit d of a tree's leaf is bins[feature] > threshold.
 * Candidates are taken in blocks of LANES; within a block each split is one pass over LANES bytes, a few vector
 * instructions. Leaf values, single floats, are summed in doubles in tree order, as the NumPy twin in scoring.py does.
 * Nothing here keeps state between calls but what the capsules hold; no call is long enough to be worth releasing the GIL.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 32
#define DEPTH_MAX 8
#define FEATURES_MAX 256
#define BINS_OF_VALUE 16 /* multipliers of one campaign's audience */
#define OUTSIDE 255      /* quality bin of a person outside the audience */
#define TOP_MAX 64

#if defined(__GNUC__)
typedef uint8_t Bytes __attribute__((vector_size(LANES), aligned(1)));
#endif

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif

static const char *MODEL = "bidder.dsp._score.model";
static const char *TABLE = "bidder.dsp._score.table";

typedef struct {
    uint32_t trees, depth, features, shared;
    double scale, bias;
    uint16_t *feature; /* trees x depth */
    uint8_t *threshold;
    float *leaf; /* trees x 2^depth; singles, so that more of a model stays in the first cache; sums are doubles */
} Model;

typedef struct {
    uint32_t rows, features; /* candidate features of each row */
    uint8_t *bins;           /* rows x features */
    uint8_t *by_click;       /* value is base x pCTR */
    uint8_t *steps;          /* number of multipliers */
    uint16_t *slot;          /* which of the request's quality bins */
    double *base, *cap, *pace, *outside;
    double *multiplier; /* rows x BINS_OF_VALUE */
} Table;

static void model_free(PyObject *capsule) {
    Model *m = PyCapsule_GetPointer(capsule, MODEL);
    if (m != NULL) {
        free(m->feature);
        free(m->threshold);
        free(m->leaf);
        free(m);
    }
}

static void table_free(PyObject *capsule) {
    Table *t = PyCapsule_GetPointer(capsule, TABLE);
    if (t != NULL) {
        free(t->bins);
        free(t->by_click);
        free(t->steps);
        free(t->slot);
        free(t->base);
        free(t->cap);
        free(t->pace);
        free(t->outside);
        free(t->multiplier);
        free(t);
    }
}

/* A private copy of `bytes`, which must have exactly `size` bytes. */
static void *copy_of(PyObject *bytes, size_t size, const char *what) {
    char *data;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(bytes, &data, &length) < 0)
        return NULL;
    if ((size_t)length != size) {
        PyErr_Format(PyExc_ValueError, "%s has %zd bytes, not %zu", what, length, size);
        return NULL;
    }
    void *copy = malloc(size ? size : 1);
    if (copy == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(copy, data, size);
    return copy;
}

static PyObject *model_load(PyObject *self, PyObject *args) {
    PyObject *feature, *threshold, *leaf;
    unsigned int trees, depth, features, shared;
    double scale, bias;
    if (!PyArg_ParseTuple(args, "IIIIddSSS", &trees, &depth, &features, &shared, &scale, &bias, &feature, &threshold, &leaf))
        return NULL;
    if (depth < 1 || depth > DEPTH_MAX || features < 1 || features > FEATURES_MAX || shared > features || trees > 100000) {
        PyErr_SetString(PyExc_ValueError, "a model has 1..100000 trees of depth 1..8 over 1..256 features");
        return NULL;
    }
    Model *m = calloc(1, sizeof(Model));
    if (m == NULL)
        return PyErr_NoMemory();
    m->trees = trees, m->depth = depth, m->features = features, m->shared = shared, m->scale = scale, m->bias = bias;
    PyObject *capsule = PyCapsule_New(m, MODEL, model_free);
    if (capsule == NULL) {
        free(m);
        return NULL;
    }
    size_t splits = (size_t)trees * depth;
    if ((m->feature = copy_of(feature, splits * 2, "feature")) == NULL ||
        (m->threshold = copy_of(threshold, splits, "threshold")) == NULL ||
        (m->leaf = copy_of(leaf, ((size_t)trees << depth) * sizeof(float), "leaf")) == NULL) {
        Py_DECREF(capsule);
        return NULL;
    }
    for (size_t i = 0; i < splits; i++)
        if (m->feature[i] >= features) {
            Py_DECREF(capsule);
            PyErr_SetString(PyExc_ValueError, "a split names a feature the model does not have");
            return NULL;
        }
    return capsule;
}

static PyObject *table_load(PyObject *self, PyObject *args) {
    PyObject *bins, *by_click, *steps, *slot, *base, *cap, *outside, *multiplier;
    unsigned int rows, features;
    if (!PyArg_ParseTuple(args, "IISSSSSSSS", &rows, &features, &bins, &by_click, &steps, &slot, &base, &cap, &outside,
                          &multiplier))
        return NULL;
    if (features > FEATURES_MAX) {
        PyErr_SetString(PyExc_ValueError, "a candidate has at most 256 features");
        return NULL;
    }
    Table *t = calloc(1, sizeof(Table));
    if (t == NULL)
        return PyErr_NoMemory();
    t->rows = rows, t->features = features;
    PyObject *capsule = PyCapsule_New(t, TABLE, table_free);
    if (capsule == NULL) {
        free(t);
        return NULL;
    }
    size_t n = rows;
    if ((t->bins = copy_of(bins, n * features, "bins")) == NULL || (t->by_click = copy_of(by_click, n, "by_click")) == NULL ||
        (t->steps = copy_of(steps, n, "steps")) == NULL || (t->slot = copy_of(slot, n * 2, "slot")) == NULL ||
        (t->base = copy_of(base, n * 8, "base")) == NULL || (t->cap = copy_of(cap, n * 8, "cap")) == NULL ||
        (t->outside = copy_of(outside, n * 8, "outside")) == NULL ||
        (t->multiplier = copy_of(multiplier, n * BINS_OF_VALUE * 8, "multiplier")) == NULL) {
        Py_DECREF(capsule);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        if (t->steps[i] > BINS_OF_VALUE) {
            Py_DECREF(capsule);
            PyErr_SetString(PyExc_ValueError, "a campaign has more multipliers than bins");
            return NULL;
        }
    t->pace = calloc(n ? n : 1, sizeof(double));
    if (t->pace == NULL) {
        Py_DECREF(capsule);
        return PyErr_NoMemory();
    }
    return capsule;
}

static PyObject *table_pace(PyObject *self, PyObject *args) {
    PyObject *capsule, *pace;
    if (!PyArg_ParseTuple(args, "OS", &capsule, &pace))
        return NULL;
    Table *t = PyCapsule_GetPointer(capsule, TABLE);
    if (t == NULL)
        return NULL;
    double *fresh = copy_of(pace, (size_t)t->rows * sizeof(double), "pace");
    if (fresh == NULL)
        return NULL;
    free(t->pace);
    t->pace = fresh;
    Py_RETURN_NONE;
}

/* Raw sums of `n` candidates (n <= LANES) whose bins lie feature by feature, LANES bytes each. */
CLONES static void sums(const Model *m, const uint8_t *bins, unsigned int n, double *out) {
    const uint32_t depth = m->depth, leaves = 1u << depth;
    for (unsigned int j = 0; j < LANES; j++)
        out[j] = 0.0;
    for (uint32_t tree = 0; tree < m->trees; tree++) {
        const uint16_t *feature = m->feature + (size_t)tree * depth;
        const uint8_t *threshold = m->threshold + (size_t)tree * depth;
        const float *leaf = m->leaf + (size_t)tree * leaves;
        uint8_t index[LANES];
#if defined(__GNUC__)
        Bytes found = {0};
        for (uint32_t d = 0; d < depth; d++) {
            const Bytes row = *(const Bytes *)(bins + (size_t)feature[d] * LANES);
            found |= (Bytes)(row > threshold[d]) & (uint8_t)(1u << d);
        }
        memcpy(index, &found, LANES);
#else
        memset(index, 0, LANES);
        for (uint32_t d = 0; d < depth; d++) {
            const uint8_t *row = bins + (size_t)feature[d] * LANES;
            for (unsigned int j = 0; j < LANES; j++)
                index[j] |= row[j] > threshold[d] ? (uint8_t)(1u << d) : 0;
        }
#endif
        for (unsigned int j = 0; j < n; j++)
            out[j] += (double)leaf[index[j]];
    }
}

typedef struct {
    int64_t micros;
    uint32_t row;
} Offer;

/* Keep the best `most` offers, dearest first, the lower row first among equals. */
static unsigned int keep(Offer *top, unsigned int have, unsigned int most, int64_t micros, uint32_t row) {
    if (have == most && micros <= top[have - 1].micros)
        return have;
    unsigned int at = have < most ? have++ : have - 1;
    while (at > 0 && top[at - 1].micros < micros) {
        top[at] = top[at - 1];
        at--;
    }
    top[at].micros = micros;
    top[at].row = row;
    return have;
}

static double worth(const Table *t, uint32_t row, const uint8_t *quality, Py_ssize_t slots, double chance) {
    double value = t->base[row] * t->pace[row];
    if (t->by_click[row])
        value *= 1000.0 * chance;
    if (t->steps[row]) {
        uint8_t bin = t->slot[row] < slots ? quality[t->slot[row]] : OUTSIDE;
        if (bin == OUTSIDE)
            value *= t->outside[row];
        else
            value *= t->multiplier[(size_t)row * BINS_OF_VALUE + (bin < t->steps[row] ? bin : t->steps[row] - 1)];
    }
    return value;
}

typedef struct {
    const Table *table;
    const Model *model; /* or NULL */
    const uint8_t *quality;
    Py_ssize_t slots;
    double share, cap;
    unsigned int most, have, n;
    uint32_t rows[LANES];
    Offer top[TOP_MAX];
    uint8_t bins[FEATURES_MAX * LANES];
} Choice;

/* Price the rows gathered so far and keep the best. */
static void settle(Choice *c) {
    const Table *t = c->table;
    const Model *m = c->model;
    double raw[LANES];
    if (m != NULL && c->n) {
        for (uint32_t f = 0; f < t->features; f++)
            for (unsigned int j = 0; j < c->n; j++)
                c->bins[(size_t)(m->shared + f) * LANES + j] = t->bins[(size_t)c->rows[j] * t->features + f];
        sums(m, c->bins, c->n, raw);
    }
    for (unsigned int j = 0; j < c->n; j++) {
        uint32_t row = c->rows[j];
        double chance = m != NULL ? 1.0 / (1.0 + exp(-(m->scale * raw[j] + m->bias))) : 0.0;
        double value = worth(t, row, c->quality, c->slots, chance) * c->share;
        double limit = t->cap[row] < c->cap ? t->cap[row] : c->cap;
        if (value > limit)
            value = limit;
        if (value >= 1.0)
            c->have = keep(c->top, c->have, c->most, (int64_t)value, row);
    }
    c->n = 0;
}

/* pick(model | None, table, bitmap, shared, quality, share, cap, most) -> [(row, micros), ...] dearest first */
static PyObject *pick(PyObject *self, PyObject *args) {
    PyObject *model_capsule, *table_capsule;
    const char *bitmap, *shared, *quality;
    Py_ssize_t bitmap_size, shared_size, quality_size;
    Choice c;
    c.have = c.n = 0;
    c.model = NULL;
    if (!PyArg_ParseTuple(args, "OOy#y#y#ddI", &model_capsule, &table_capsule, &bitmap, &bitmap_size, &shared, &shared_size,
                          &quality, &quality_size, &c.share, &c.cap, &c.most))
        return NULL;
    if ((c.table = PyCapsule_GetPointer(table_capsule, TABLE)) == NULL)
        return NULL;
    if (model_capsule != Py_None && (c.model = PyCapsule_GetPointer(model_capsule, MODEL)) == NULL)
        return NULL;
    if (c.model != NULL &&
        ((uint32_t)shared_size != c.model->shared || c.model->features - c.model->shared != c.table->features)) {
        PyErr_SetString(PyExc_ValueError, "the request's or the table's features are not the model's");
        return NULL;
    }
    if (c.most < 1 || c.most > TOP_MAX) {
        PyErr_SetString(PyExc_ValueError, "1 to 64 offers may be asked for");
        return NULL;
    }
    c.quality = (const uint8_t *)quality;
    c.slots = quality_size;
    if (c.model != NULL)
        for (uint32_t f = 0; f < c.model->shared; f++)
            memset(c.bins + (size_t)f * LANES, (uint8_t)shared[f], LANES);
    for (Py_ssize_t byte = 0; byte < bitmap_size; byte++)
        for (unsigned int bits = (uint8_t)bitmap[byte]; bits; bits &= bits - 1) {
            uint32_t row = (uint32_t)(byte * 8 + __builtin_ctz(bits));
            if (row >= c.table->rows) {
                PyErr_SetString(PyExc_ValueError, "the bitmap names a row the table does not have");
                return NULL;
            }
            c.rows[c.n++] = row;
            if (c.n == LANES)
                settle(&c);
        }
    settle(&c);
    PyObject *list = PyList_New(c.have);
    for (unsigned int i = 0; list != NULL && i < c.have; i++) {
        PyObject *pair = Py_BuildValue("(IL)", c.top[i].row, (long long)c.top[i].micros);
        if (pair == NULL || PyList_SetItem(list, i, pair) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

/* predict(model, bins: rows x features) -> bytes of rows doubles, scale and bias applied */
static PyObject *predict(PyObject *self, PyObject *args) {
    PyObject *capsule;
    const char *data;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "Oy#", &capsule, &data, &size))
        return NULL;
    Model *m = PyCapsule_GetPointer(capsule, MODEL);
    if (m == NULL)
        return NULL;
    if (size % m->features) {
        PyErr_SetString(PyExc_ValueError, "bins are not whole rows");
        return NULL;
    }
    Py_ssize_t rows = size / m->features;
    PyObject *result = PyBytes_FromStringAndSize(NULL, rows * (Py_ssize_t)sizeof(double));
    if (result == NULL)
        return NULL;
    char *out = PyBytes_AsString(result);
    uint8_t bins[FEATURES_MAX * LANES];
    double raw[LANES];
    memset(bins, 0, sizeof bins);
    for (Py_ssize_t start = 0; start < rows; start += LANES) {
        unsigned int n = (unsigned int)(rows - start < LANES ? rows - start : LANES);
        for (uint32_t f = 0; f < m->features; f++)
            for (unsigned int j = 0; j < n; j++)
                bins[(size_t)f * LANES + j] = (uint8_t)data[(start + j) * (Py_ssize_t)m->features + f];
        sums(m, bins, n, raw);
        for (unsigned int j = 0; j < n; j++)
            raw[j] = m->scale * raw[j] + m->bias;
        memcpy(out + start * (Py_ssize_t)sizeof(double), raw, n * sizeof(double));
    }
    return result;
}

static uint32_t crc_table[8][256];

static void crc_prepare(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
        crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            crc_table[k][i] = crc_table[k - 1][i] >> 8 ^ crc_table[0][crc_table[k - 1][i] & 0xFF];
}

static PyObject *crc32c(PyObject *self, PyObject *args) {
    const char *data;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y#", &data, &size))
        return NULL;
    const uint8_t *p = (const uint8_t *)data;
    uint32_t crc = 0xFFFFFFFFu;
    while (size >= 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = crc_table[7][low & 0xFF] ^ crc_table[6][low >> 8 & 0xFF] ^ crc_table[5][low >> 16 & 0xFF] ^
              crc_table[4][low >> 24] ^ crc_table[3][p[4]] ^ crc_table[2][p[5]] ^ crc_table[1][p[6]] ^ crc_table[0][p[7]];
        p += 8;
        size -= 8;
    }
    while (size-- > 0)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *p++) & 0xFF];
    return PyLong_FromUnsignedLong(crc ^ 0xFFFFFFFFu);
}

static PyMethodDef methods[] = {
    {"model_load", model_load, METH_VARARGS, "A model from flat arrays."},
    {"table_load", table_load, METH_VARARGS, "The campaigns' values and features."},
    {"table_pace", table_pace, METH_VARARGS, "New pacing multipliers."},
    {"pick", pick, METH_VARARGS, "The best offers among the rows of a bitmap."},
    {"predict", predict, METH_VARARGS, "Raw predictions of rows of bins."},
    {"crc32c", crc32c, METH_VARARGS, "CRC32C (Castagnoli) of bytes."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_score", "The bid path's arithmetic.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__score(void) {
    crc_prepare();
    return PyModule_Create(&module);
}
