"""pCTR models as flat arrays: exported from CatBoost, quantised to bytes, evaluated by the C kernel or its NumPy twin.

A model's features are columns of fields. A field is something a request (shared) or a campaign (candidate) has; each of
its columns is a number, a one-hot flag, or a target encoding (a click rate learned for a value, with a prior for
others). Since a tree only compares, a column is replaced by the count of the model's borders below it: one byte. For a
categorical field the bytes of all its columns are looked up by value at once: one dictionary look-up a field.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from bidder.dsp._errors import ModelInvalid

DEPTH_MAX: Final = 8
BORDERS_MAX: Final = 254
NEVER: Final = 255  # a threshold no byte is above: pads shallow trees
FEATURES_MAX: Final = 256
_SINGLE: Final = Struct("<f")


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One feature. ``kind`` number: the field's value; onehot: 1 where it is ``value``; target: ``table`` of it."""

    field: str
    kind: str
    value: str = ""
    table: dict[str, float] = {}
    prior: float = 0.0

    def of(self, value: Any) -> float:
        """The column for a field's value, in the float32 the model was trained on."""
        if self.kind == "number":
            return _single(value)
        if self.kind == "onehot":
            return 1.0 if str(value) == self.value else 0.0
        return _single(self.table.get(str(value), self.prior))


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A published model. Columns of shared fields come first; arrays are little-endian bytes.

    feature: uint16[trees, depth]; threshold: uint8[trees, depth]; leaf: float32[trees, 2**depth], summed in float64.
    """

    columns: tuple[Column, ...]
    shared: int
    borders: tuple[tuple[float, ...], ...]
    trees: int
    depth: int
    scale: float
    bias: float
    feature: bytes
    threshold: bytes
    leaf: bytes
    name: str = ""

    def __post_init__(self) -> None:
        splits = self.trees * self.depth
        sizes = (len(self.feature), len(self.threshold), len(self.leaf))
        if not 1 <= self.depth <= DEPTH_MAX or sizes != (2 * splits, splits, 4 * (self.trees << self.depth)):
            raise ValueError("arrays do not fit the number and depth of trees")
        if not 0 < len(self.columns) <= FEATURES_MAX or len(self.borders) != len(self.columns):
            raise ValueError("1 to 256 columns, each with its borders")
        if any(len(b) > BORDERS_MAX or list(b) != sorted(b) for b in self.borders):
            raise ValueError("a column has more than 254 borders, or unsorted ones")
        if not 0 <= self.shared <= len(self.columns) or self.interleaved():
            raise ValueError("columns of one field stand together, those of shared fields first")

    def interleaved(self) -> bool:
        names = [column.field for column in self.columns]
        runs = [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
        return len(runs) != len(set(runs)) or bool(set(names[: self.shared]) & set(names[self.shared :]))


def from_catboost(
    model: Any, columns: Sequence[Column], shared: int, scratch: Path, *, name: str = "", calibration: float = 0.0
) -> Model:
    """Export a CatBoost classifier of oblivious trees over float features.

    Args: columns: what its features are, in its order; scratch: folder for CatBoost's own export; calibration: added to
        the log-odds. Raises: ModelInvalid: other kinds of splits or trees, too many borders.
    """
    path = scratch / "model.json"
    model.save_model(str(path), format="json")
    raw = json.loads(path.read_text())
    path.unlink()
    scale, biases = raw["scale_and_bias"]
    infos = {f["flat_feature_index"]: f for f in raw["features_info"].get("float_features", [])}
    if raw["features_info"].get("categorical_features") or "oblivious_trees" not in raw:
        raise ModelInvalid("only oblivious trees over float features are taken; encode categories as columns")
    borders = tuple(tuple(_single(b) for b in infos.get(i, {}).get("borders") or ()) for i in range(len(columns)))
    trees = raw["oblivious_trees"]
    depth = max(1, *(len(tree.get("splits") or ()) for tree in trees))
    feature = np.zeros((len(trees), depth), "<u2")
    threshold = np.full((len(trees), depth), NEVER, "u1")
    leaf = np.zeros((len(trees), 1 << depth), "<f4")
    for i, tree in enumerate(trees):
        for d, split in enumerate(tree.get("splits") or ()):
            if split["split_type"] != "FloatFeature":
                raise ModelInvalid(f"a split of type {split['split_type']}")
            column = split["float_feature_index"]
            feature[i, d] = column
            threshold[i, d] = bisect_left(borders[column], _single(split["border"]))
        leaf[i, : len(tree["leaf_values"])] = tree["leaf_values"]
    try:
        return Model(
            columns=tuple(columns), shared=shared, borders=borders, trees=len(trees), depth=depth, scale=float(scale),
            bias=float(biases[0]) + calibration, feature=feature.tobytes(), threshold=threshold.tobytes(),
            leaf=leaf.tobytes(), name=name,
        )  # fmt: skip
    except ValueError as error:
        raise ModelInvalid(str(error)) from None


def _single(number: float) -> float:
    """As CatBoost compares it: rounded to a float32."""
    (single,) = _SINGLE.unpack(_SINGLE.pack(number))
    return float(single)


def save(model: Model, path: Path) -> None:
    """Write a model file, whole or not at all."""
    scratch = path.with_suffix(".tmp")
    scratch.write_bytes(msgspec.msgpack.encode(model))
    scratch.replace(path)


def load(path: Path) -> Model:
    """Raises: ModelInvalid."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Model)
    except FileNotFoundError:
        raise ModelInvalid(f"{path}: no such model") from None
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise ModelInvalid(f"{path}: {error}") from None


def predict_numpy(model: Model, bins: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Log-odds of rows of bins, uint8[n, columns]. The kernel's twin: same sums in the same order."""
    feature = np.frombuffer(model.feature, "<u2").reshape(model.trees, model.depth)
    threshold = np.frombuffer(model.threshold, "u1").reshape(model.trees, model.depth)
    leaf = np.frombuffer(model.leaf, "<f4").reshape(model.trees, -1)
    weights = (1 << np.arange(model.depth)).astype(np.int64)
    index = (bins[:, feature] > threshold) @ weights  # n, trees
    picked = leaf[np.arange(model.trees), index].astype(np.float64)
    return model.scale * np.add.accumulate(picked, axis=1)[:, -1] + model.bias


@dataclass(frozen=True, slots=True)
class Field:
    """The columns of one field, ready to be looked up."""

    name: str
    columns: tuple[Column, ...]
    borders: tuple[tuple[float, ...], ...]
    known: Mapping[str, bytes]
    other: bytes

    def bins(self, value: Any) -> bytes:
        """One byte a column."""
        if self.columns[0].kind != "number":
            return self.known.get(value if isinstance(value, str) else str(value), self.other)
        return bytes([bisect_left(b, column.of(value)) for column, b in zip(self.columns, self.borders, strict=True)])


def fields_of(model: Model, *, shared: bool) -> list[Field]:
    """The shared or the candidate fields of ``model``, in the order of its columns."""
    chosen = range(model.shared) if shared else range(model.shared, len(model.columns))
    names = dict.fromkeys(model.columns[i].field for i in chosen)
    made = []
    for name in names:
        where = [i for i in chosen if model.columns[i].field == name]
        columns = tuple(model.columns[i] for i in where)
        borders = tuple(model.borders[i] for i in where)
        if any(c.kind == "number" for c in columns) and not all(c.kind == "number" for c in columns):
            raise ModelInvalid(f"field {name}: a number cannot also be a category")
        values = {c.value for c in columns if c.kind == "onehot"}.union(*(c.table for c in columns))
        known = {v: _bins(columns, borders, v) for v in values}
        made.append(Field(name, columns, borders, known, _bins(columns, borders, "\x00none")))
    return made


def _bins(columns: Sequence[Column], borders: Sequence[Sequence[float]], value: str) -> bytes:
    if columns[0].kind == "number":
        return bytes(len(columns))
    return bytes([bisect_left(b, c.of(value)) for c, b in zip(columns, borders, strict=True)])


def sigmoid(log_odds: float) -> float:
    """Chance of log-odds."""
    return 1.0 / (1.0 + math.exp(-log_odds))
