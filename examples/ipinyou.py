"""A real world: the public iPinYou sample of campaign 2821 (one day, 10,000 impressions, 8,861 users).

The operator's people are the users who carry tags; their one id is of kind exchange_uid. Seeds are the users of tag
10110, and that tag is withheld from the features, with every other thing said of the users kept. The bid stream is
the log's impressions in time order; the market is the price each was paid (second price: the best rival's bid).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from examples.world import IdColumn, Truth, Visit, World

SEED_TAG: Final = "10110"
FEN_TO_CPM_MICROS: Final = 10_000  # prices in the log are fen per mille: 1 fen = 0.01 yuan = 10,000 micros
CLICK_CHANCE_UNKNOWN: Final = 0.0  # only the log's own clicks are counted: nobody invents one
EXCHANGE_CURRENCY: Final = "CNY"
_COLUMNS: Final = (
    "bidid", "timestamp", "logtype", "ipinyouid", "useragent", "ip", "region", "city", "adexchange", "domain", "url",
    "urlid", "slotid", "slotwidth", "slotheight", "visibility", "format", "slotprice", "creative", "bidprice",
    "payprice", "keypage", "advertiser", "usertags",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Impression:
    """One row of the log, the fields used here."""

    bidid: str
    timestamp: str
    user: str
    useragent: str
    ip: str
    region: str
    city: str
    exchange: str
    domain: str
    width: int
    height: int
    slot: str
    floor_fen: int
    paid_fen: int
    tags: frozenset[str]


def read(folder: Path) -> tuple[World, list[Visit]]:
    """Read ``folder``/ipinyou/raw. Raises: FileNotFoundError naming what is missing."""
    raw = folder / "ipinyou" / "raw"
    impressions = _impressions(raw / "imp.20131021.adv2821.limit1000.txt")
    clicked = {row[0] for row in _rows(raw / "clk.20131021.adv2821.txt")}
    names = dict(
        line.split("\t", 1)
        for line in (raw / "user.profile.tags.en.txt").read_text("utf-8").splitlines()
        if "\t" in line
    )
    return _world(impressions, names), [
        _visit(i, impression, len(impressions), clicked) for i, impression in enumerate(impressions)
    ]


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def _impressions(path: Path) -> list[Impression]:
    found = []
    for fields in _rows(path):
        row = dict(zip(_COLUMNS, fields, strict=True))
        tags = frozenset() if row["usertags"] == "null" else frozenset(row["usertags"].split(","))
        found.append(
            Impression(
                row["bidid"], row["timestamp"], row["ipinyouid"], row["useragent"], row["ip"], row["region"],
                row["city"], row["adexchange"], row["domain"], int(row["slotwidth"]), int(row["slotheight"]),
                row["slotid"], int(row["slotprice"]), int(row["payprice"]), tags,
            )
        )  # fmt: skip
    return sorted(found, key=lambda i: (i.timestamp, i.bidid))


def _world(impressions: list[Impression], names: dict[str, str]) -> World:
    """People who carry tags; a user's tags are the union over the log, its region the first seen."""
    tags: dict[str, set[str]] = {}
    region: dict[str, str] = {}
    for impression in impressions:
        if impression.tags:
            tags.setdefault(impression.user, set()).update(impression.tags)
            region.setdefault(impression.user, impression.region)
    users = sorted(tags)
    kinds = sorted({tag for mine in tags.values() for tag in mine} - {SEED_TAG})
    columns: dict[str, pa.Array] = {"person": pa.array(np.arange(len(users))), "exchange_uid": pa.array(users)}
    for tag in kinds:
        columns[f"tag_{tag}"] = pa.array(["yes" if tag in tags[u] else "no" for u in users])
    columns["region"] = pa.array([region[u] for u in users])
    customers = np.array([i for i, u in enumerate(users) if SEED_TAG in tags[u]], np.int64)
    truth = Truth(customers, np.zeros(len(users)), len(customers), len(customers))
    rows = tuple((users[int(i)],) for i in customers)
    features = tuple(name for name in columns if name not in ("person", "exchange_uid"))
    ids = (IdColumn("exchange_uid", "exchange_uid"),)
    labels = {f"tag_{tag}": names.get(tag, f"tag {tag}") for tag in kinds}
    return World("ipinyou-2821", pa.table(columns), ids, "exchange_uid", features, truth, rows, labels)


def _visit(number: int, row: Impression, count: int, clicked: set[str]) -> Visit:
    """The impression as the bid request it once was (docs/OPENRTB.md has the table of fields)."""
    request = {
        "id": row.bidid,
        "at": 2,
        "tmax": 100,
        "cur": [EXCHANGE_CURRENCY],
        "imp": [
            {
                "id": "1",
                "tagid": row.slot,
                "banner": {"w": row.width, "h": row.height},
                "bidfloor": row.floor_fen / 100,
                "bidfloorcur": EXCHANGE_CURRENCY,
            }
        ],
        "site": {"id": row.domain, "domain": row.domain, "publisher": {"id": f"exchange-{row.exchange}"}},
        "device": {
            "ua": row.useragent,
            "ip": row.ip.replace("*", "0"),
            "geo": {"country": "CHN", "region": row.region},
        },
        "user": {"id": row.user},
    }
    market = max(row.paid_fen, row.floor_fen) * FEN_TO_CPM_MICROS
    chance = 1.0 if row.bidid in clicked else CLICK_CHANCE_UNKNOWN
    return Visit(number / count, msgspec.json.encode(request), row.bidid, market, chance)
