"""The seventeen industry models: inputs, method and output of each (industry.toml), and how one is run.

Features come from events and from the base table; a method (methods.py) turns them into a score or a label a person;
scores become algorithm tags by threshold, labels one tag each: ``<model>=<label>``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from dmp.rules.engine import RuleEngine
from dmp.rules.model import Event, Filter, Near
from dmp.taxonomy import methods
from dmp.taxonomy._errors import TagInvalid

INDUSTRIES: Final = ("finance", "automotive", "insurance", "education", "real-estate")


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one feature is: a column of the base table, or events counted or summed over ``days``."""

    column: str = ""
    event: Event | None = None
    subject: str | None = None
    match: Literal["equals", "contains", "domain"] = "equals"
    direction: Literal["out", "in", "any"] = "any"
    pattern: str | None = None
    near: Near | None = None
    province: str | None = None
    measure: Literal["count", "amount"] = "count"
    days: int = 0

    def __post_init__(self) -> None:
        if bool(self.column) == (self.event is not None):
            raise ValueError("a feature is a column or an event")
        if self.event is not None and not 1 <= self.days <= 400:
            raise ValueError("a feature of events has 1 to 400 days")

    def filter(self) -> Filter | None:
        """The event filter, for features of events."""
        if self.event is None:
            return None
        return Filter(self.event, self.subject, self.match, self.direction, self.pattern, self.near, self.province)


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model. Fields after ``features`` are parameters of its method."""

    id: str
    industry: Literal["finance", "automotive", "insurance", "education", "real-estate"]
    name: str
    method: Literal[
        "cluster", "trained", "neural", "weighted", "product", "prefilter", "top", "attention", "presence", "tiered"
    ]
    features: dict[str, Feature]
    labels: tuple[str, ...] = ()
    axis: str = ""
    label: str = ""
    weights: dict[str, float] = {}
    caps: dict[str, float] = {}
    willing: dict[str, float] = {}
    able: dict[str, float] = {}
    within: dict[str, tuple[float, float]] = {}
    use: str = ""
    at_least: float = 0.0
    groups: dict[str, str] = {}
    loyal_share: float = 0.0
    visits: tuple[float, ...] = ()
    views: str = ""
    listings: str = ""
    night: str = ""
    day: str = ""
    site: str = ""
    often: float = 0.0
    tier: str = ""
    keep: dict[str, float] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    model: list[Model]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model says: of each person a score (0..100, or a weighted count), or a label; "" says nothing."""

    people: Any
    scores: Any | None = None
    labels: Sequence[str] | None = None

    def tags(self, model: str, threshold: float = 60.0) -> dict[str, BitMap]:
        """Algorithm tags: each label's people, or those whose score is above ``threshold`` (strict)."""
        if self.labels is not None:
            found: dict[str, list[int]] = {}
            for person, label in zip(self.people.tolist(), self.labels, strict=True):
                if label:
                    found.setdefault(f"{model}={label}", []).append(person)
            return {tag: BitMap(people) for tag, people in found.items()}
        if self.scores is None:
            raise TagInvalid(f"{model} has neither scores nor labels")
        return {f"{model}>{threshold:g}": BitMap(self.people[self.scores > threshold])}


def load_models(path: Path | None = None) -> dict[str, Model]:
    """The models by id (default: the file beside this module). Raises: TagInvalid."""
    path = path or Path(__file__).with_name("industry.toml")
    try:
        found = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File).model
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TagInvalid(f"{path.name}: {error}") from None
    return {model.id: model for model in found}


def features(engine: RuleEngine, model: Model, base: pa.Table, day: date) -> pa.Table:
    """A row for each person of ``base`` (column person): the model's features. Raises: TagInvalid: a missing column."""
    people = base.column("person").cast(pa.uint32()).to_numpy()
    columns: dict[str, Any] = {"person": people}
    wanted = {}
    for name, feature in model.features.items():
        chosen = feature.filter()
        if chosen is not None:
            wanted[name] = (chosen, feature.measure, feature.days)
        elif feature.column not in base.column_names:
            raise TagInvalid(f"{model.id}: the base table has no column {feature.column!r}")
        else:
            columns[name] = base.column(feature.column)
    columns |= engine.measure(wanted, day, people)
    return pa.table(columns)


def run(model: Model, table: pa.Table, *, seed: int) -> Outcome:
    """Scores or labels of every person of a feature table. Raises: TagInvalid."""
    people = table.column("person").to_numpy()
    names = list(model.features)
    make = _RUNNERS.get(model.method)
    if make is None:
        raise TagInvalid(f"{model.id}: no method {model.method!r}")
    made = make(model, table, names, seed)
    return Outcome(people, labels=made) if isinstance(made, list) else Outcome(people, scores=np.asarray(made))


def _tiered(model: Model, table: pa.Table, _names: list[str], _seed: int) -> Any:
    score = methods.attention(table, model.views, model.listings)
    return methods.tiered(table, score, model.tier, {int(k): share for k, share in model.keep.items()})


_RUNNERS: Final[Mapping[str, methods.Method]] = {
    "cluster": lambda m, t, names, seed: methods.cluster(t, names, m.labels, m.axis, seed),
    "trained": lambda m, t, names, seed: methods.trained(t, names, m.label, seed),
    "neural": lambda m, t, names, seed: methods.trained(t, names, m.label, seed, neural=True),
    "weighted": lambda m, t, _names, _seed: methods.weighted(t, m.weights, m.caps or None),
    "product": lambda m, t, _names, _seed: methods.product(t, m.willing, m.able),
    "prefilter": lambda m, t, _names, _seed: methods.prefilter(t, m.within, m.use, m.at_least),
    "top": lambda m, t, _names, _seed: methods.top(t, m.groups, loyal_share=m.loyal_share, visits=m.visits),
    "attention": lambda m, t, _names, _seed: methods.attention(t, m.views, m.listings),
    "presence": lambda m, t, _names, _seed: methods.presence(t, m.night, m.day, m.site, often=m.often),
    "tiered": _tiered,
}
