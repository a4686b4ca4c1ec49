"""The best offers among the eligible: value x chance x pace, capped, dearest first; by the C kernel or its NumPy twin.

What a campaign is worth is laid out once, when campaigns are read, as arrays by position; a request brings three short
byte strings: the bitmap of the eligible, the bytes of its features, and the person's quality bin in each audience that
any campaign values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from bidder.dsp import scoring
from bidder.dsp._errors import ModelInvalid
from bidder.dsp.campaign import VALUE_BINS_MAX, Campaign
from bidder.dsp.facts import Facts
from bidder.dsp.scoring import Field, Model

try:
    from bidder.dsp import _score
except ImportError:  # built without a compiler
    _score = None  # type: ignore[assignment]

OUTSIDE: Final = 255  # quality bin of a person outside the audience
BIN_MAX: Final = 254
OFFERS_MAX: Final = 64  # the kernel's limit of offers asked for at once
NUMBERS: Final = frozenset({"hour", "floor"})  # what a request has as a number; the rest are words
Offers = list[tuple[int, int]]
"""(position, price in micros CPM), dearest first, lower positions first among equals."""


class Engine(Protocol):
    """What prices the eligible."""

    def pace(self, multipliers: Sequence[float]) -> None:
        """Take new pacing multipliers, one a campaign."""
        ...

    def pick(self, left: int, shared: bytes, quality: bytes, share: float, cap: float, most: int) -> Offers:
        """The ``most`` dearest offers of the campaigns in ``left``; ``share`` multiplies values, ``cap`` bounds all."""
        ...


class Chooser:
    """Prepared values of ``campaigns``; positions are theirs.

    Args: model: for campaigns valued by clicks; without one those are worth nothing. native: False forces NumPy.
    """

    def __init__(self, campaigns: Sequence[Campaign], model: Model | None, *, native: bool = True) -> None:
        self._slots: dict[int, int] = {}
        for campaign in campaigns:
            if campaign.value.audience:
                self._slots.setdefault(campaign.value.audience, len(self._slots))
        self._nobody = bytes([OUTSIDE]) * len(self._slots)
        self._shared = scoring.fields_of(model, shared=True) if model is not None else []
        numbers = [field for field in self._shared if field.columns[0].kind == "number"]
        for field in numbers:
            if field.name not in NUMBERS:
                raise ModelInvalid(f"field {field.name} of a request is no number")
        self._hours = [field.bins(hour) for field in numbers if field.name == "hour" for hour in range(24)]
        self._lookups = [(f.name, f.known, f.other, f if f in numbers else None) for f in self._shared]
        arrays = _Arrays(campaigns, self._slots, model)
        self.engine: Engine = _Native(arrays, model) if native and _score is not None else _Numpy(arrays, model)

    def quality(self, audiences: Iterable[int], scores: Mapping[int, float]) -> bytes:
        """The person's quality bin by slot: the score of an audience, 0 inside one without a score, else outside."""
        slots = self._slots
        if not slots:
            return b""
        bins = None
        for audience in audiences:
            slot = slots.get(audience)
            if slot is not None:
                if bins is None:
                    bins = bytearray(self._nobody)
                bins[slot] = max(0, min(BIN_MAX, int(scores.get(audience, 0.0))))
        return self._nobody if bins is None else bytes(bins)

    def shared(self, facts: Facts, hour: int, size: str, floor: float) -> bytes:
        """Bytes of the request's features for the model; empty without one."""
        if not self._shared:
            return b""
        parts = []
        for name, known, other, field in self._lookups:
            if name == "hour":
                parts.append(self._hours[hour])
            elif field is not None:
                parts.append(field.bins(floor))
            else:
                parts.append(known.get(size if name == "size" else getattr(facts, name), other))
        return b"".join(parts)


class _Arrays:
    """Columns by position."""

    def __init__(self, campaigns: Sequence[Campaign], slots: Mapping[int, int], model: Model | None) -> None:
        n = len(campaigns)
        self.by_click = np.array([c.value.click_micros > 0 for c in campaigns], np.uint8)
        self.base = np.array([c.value.click_micros or c.value.base_cpm_micros for c in campaigns], np.float64)
        self.cap = np.array([c.max_cpm_micros for c in campaigns], np.float64)
        self.outside = np.array([c.value.outside for c in campaigns], np.float64)
        self.steps = np.array([len(c.value.multipliers) for c in campaigns], np.uint8)
        self.slot = np.array([slots.get(c.value.audience, 0) for c in campaigns], np.uint16)
        self.multiplier = np.zeros((n, VALUE_BINS_MAX), np.float64)
        for i, campaign in enumerate(campaigns):
            self.multiplier[i, : len(campaign.value.multipliers)] = campaign.value.multipliers
        fields = scoring.fields_of(model, shared=False) if model is not None else []
        rows = [b"".join(field.bins(_candidate(campaign, field)) for field in fields) for campaign in campaigns]
        self.bins = np.frombuffer(b"".join(rows), np.uint8).reshape(n, sum(len(f.columns) for f in fields))


def _candidate(campaign: Campaign, field: Field) -> Any:
    """A campaign's value of a candidate field."""
    return {"campaign": campaign.name, "advertiser": campaign.advertiser, "creatives": len(campaign.creatives)}[
        field.name
    ]


class _Native:
    """The C kernel."""

    def __init__(self, arrays: _Arrays, model: Model | None) -> None:
        self._model = None
        if model is not None:
            self._model = _score.model_load(
                model.trees, model.depth, len(model.columns), model.shared, model.scale, model.bias,
                model.feature, model.threshold, model.leaf,
            )  # fmt: skip
        a = arrays
        self._table = _score.table_load(
            a.base.size, a.bins.shape[1], a.bins.tobytes(), a.by_click.tobytes(), a.steps.tobytes(), a.slot.tobytes(),
            a.base.tobytes(), a.cap.tobytes(), a.outside.tobytes(), a.multiplier.tobytes(),
        )  # fmt: skip
        self._bytes = (a.base.size + 7) // 8

    def pace(self, multipliers: Sequence[float]) -> None:
        _score.table_pace(self._table, np.asarray(multipliers, np.float64).tobytes())

    def pick(self, left: int, shared: bytes, quality: bytes, share: float, cap: float, most: int) -> Offers:
        return _score.pick(
            self._model, self._table, left.to_bytes(self._bytes, "little"), shared, quality, share, cap, most
        )


class _Numpy:
    """The same in NumPy: slower, and equal to the last micro."""

    def __init__(self, arrays: _Arrays, model: Model | None) -> None:
        self._a = arrays
        self._model = model
        self._pace: npt.NDArray[np.float64] = np.zeros(arrays.base.size)

    def pace(self, multipliers: Sequence[float]) -> None:
        self._pace = np.asarray(multipliers, np.float64)

    def pick(self, left: int, shared: bytes, quality: bytes, share: float, cap: float, most: int) -> Offers:
        a = self._a
        raw = np.frombuffer(left.to_bytes((a.base.size + 7) // 8, "little"), np.uint8)
        rows = np.flatnonzero(np.unpackbits(raw, bitorder="little"))
        value = a.base[rows] * self._pace[rows]
        by_click = a.by_click[rows].astype(bool)
        value[by_click] *= 1000.0 * self._chance(rows, shared)[by_click]
        if quality:
            bins = np.frombuffer(quality, np.uint8)[a.slot[rows]]
            inside = a.multiplier[rows, np.minimum(bins, np.maximum(a.steps[rows].astype(int) - 1, 0))]
            factor = np.where(bins == OUTSIDE, a.outside[rows], inside)
            value = np.where(a.steps[rows] > 0, value * factor, value)
        micros = np.minimum(value * share, np.minimum(a.cap[rows], cap)).astype(np.int64)
        order = np.argsort(-micros, kind="stable")[:most]
        return [(int(rows[i]), int(micros[i])) for i in order if micros[i] >= 1]

    def _chance(self, rows: npt.NDArray[np.intp], shared: bytes) -> npt.NDArray[np.float64]:
        if self._model is None or not rows.size:
            return np.zeros(rows.size)
        request = np.broadcast_to(np.frombuffer(shared, np.uint8), (rows.size, len(shared)))
        bins = np.concatenate([request, self._a.bins[rows]], axis=1)
        return 1.0 / (1.0 + np.exp(-scoring.predict_numpy(self._model, bins)))
