"""Campaigns on disk: advertisers, campaigns, pauses, reports; in the ledger's file, so that money and orders agree."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bidder.dsp._errors import CampaignExists, CampaignInvalid, CampaignUnknown
from bidder.dsp.campaign import NAME, Campaign, check
from bidder.dsp.ledger import balance, connect, open_pot, transaction

TABLES: Final = """
CREATE TABLE IF NOT EXISTS advertiser (name TEXT PRIMARY KEY, created_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS campaign (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, advertiser TEXT NOT NULL, definition BLOB NOT NULL,
    paused INTEGER NOT NULL, created_ms INTEGER NOT NULL);
"""
_decode: Final = msgspec.json.Decoder(Campaign).decode
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Listed:
    """A campaign and its number, which tokens and journals name it by."""

    number: int
    campaign: Campaign
    paused: bool


@dataclass(frozen=True, slots=True)
class StageMoney:
    """What a stage has, in nanos and heads; ``held`` is in workers' hands and still counts as spent."""

    name: str
    budget_nanos: int
    charged_nanos: int
    held_nanos: int
    heads: int
    heads_won: int


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One campaign's hour on one exchange."""

    hour: int
    exchange: str
    event: str
    number: int
    nanos: int


def parse(definition: bytes) -> Campaign:
    """A campaign from its JSON, checked. Raises: CampaignInvalid."""
    try:
        return check(_decode(definition))
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise CampaignInvalid(str(error)) from None


def definition(campaign: Campaign) -> bytes:
    """The JSON of a campaign, the same bytes for the same campaign."""
    return _encode(campaign)


class Catalog:
    """The campaigns in one SQLite file.

    Args: clock_ms: Unix time in milliseconds.
    """

    def __init__(self, path: Path, clock_ms: Callable[[], int]) -> None:
        self._con = connect(path)
        self._con.executescript(TABLES)
        self._clock_ms = clock_ms

    def close(self) -> None:
        self._con.close()

    def create_advertiser(self, name: str) -> None:
        """Add an advertiser; the same one again is no fault. Raises: CampaignInvalid."""
        if not NAME.fullmatch(name):
            raise CampaignInvalid("advertiser: 1 to 64 letters, digits, - or _, beginning with a letter or digit")
        self._con.execute("INSERT OR IGNORE INTO advertiser VALUES (?, ?)", (name, self._clock_ms()))

    def create(self, campaign: Campaign) -> int:
        """Add a campaign and fund its stages; the same one again gives the same number.

        Raises: CampaignInvalid, CampaignUnknown (no such advertiser), CampaignExists (other content).
        """
        check(campaign)
        stored = definition(campaign)
        with transaction(self._con) as steps:
            row = self._con.execute("SELECT id, definition FROM campaign WHERE name = ?", (campaign.name,)).fetchone()
            if row is not None:
                if row[1] != stored:
                    raise CampaignExists(f"campaign {campaign.name} exists with other content; choose another name")
                return int(row[0])
            if not self._con.execute("SELECT 1 FROM advertiser WHERE name = ?", (campaign.advertiser,)).fetchone():
                raise CampaignUnknown(f"no advertiser {campaign.advertiser}; create it first")
            cursor = self._con.execute(
                "INSERT INTO campaign (name, advertiser, definition, paused, created_ms) VALUES (?, ?, ?, 0, ?)",
                (campaign.name, campaign.advertiser, stored, self._clock_ms()),
            )
            for index, stage in enumerate(campaign.stages):
                pot = campaign.pot(index)
                open_pot(self._con, steps, pot, stage.budget, stage.heads_allowed, stage.start_ms, stage.end_ms)
            _bump(self._con)
        return int(cursor.lastrowid or 0)

    def pause(self, name: str, paused: bool) -> None:
        """Stop or resume bidding for a campaign, in every worker within a beat or two. Raises: CampaignUnknown."""
        with transaction(self._con):
            changed = self._con.execute("UPDATE campaign SET paused = ? WHERE name = ?", (int(paused), name)).rowcount
            if not changed:
                raise CampaignUnknown(f"no campaign {name}")
            _bump(self._con)

    def get(self, name: str) -> Listed:
        """Raises: CampaignUnknown."""
        row = self._con.execute("SELECT id, definition, paused FROM campaign WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise CampaignUnknown(f"no campaign {name}")
        return Listed(row[0], _decode(row[1]), bool(row[2]))

    def all(self) -> list[Listed]:
        """Every campaign, by number."""
        rows = self._con.execute("SELECT id, definition, paused FROM campaign ORDER BY id").fetchall()
        return [Listed(number, _decode(text), bool(paused)) for number, text, paused in rows]

    def version(self) -> int:
        """Changes whenever a campaign does."""
        row = self._con.execute("SELECT value FROM meta WHERE key = 'catalog'").fetchone()
        return int(row[0]) if row else 0

    def money(self, campaign: Campaign) -> list[StageMoney]:
        """What each stage has spent, by the ledger."""
        lines = []
        for index, stage in enumerate(campaign.stages):
            pot = campaign.pot(index)
            charged, won = balance(self._con, f"pot/{pot}/charged")
            held, _ = balance(self._con, f"pot/{pot}/leased")
            lines.append(StageMoney(stage.name, stage.budget, charged, held, stage.heads, won))
        return lines

    def report(self, name: str) -> list[ReportLine]:
        """Events by hour and exchange, oldest first. Raises: CampaignUnknown."""
        self.get(name)
        rows = self._con.execute(
            "SELECT hour, exchange, event, number, nanos FROM report WHERE campaign = ? ORDER BY 1, 2, 3", (name,)
        )
        return [ReportLine(*row) for row in rows]


def _bump(con: sqlite3.Connection) -> None:
    con.execute("INSERT INTO meta VALUES ('catalog', 1) ON CONFLICT DO UPDATE SET value = value + 1")
