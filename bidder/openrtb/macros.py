"""Substitution macros of OpenRTB 2.6, section 4.4: ``${AUCTION_PRICE}`` and its kin in notice URLs and markup.

A known macro without a value becomes the empty string; an unknown one stays. A suffix names an encoding:
``${AUCTION_PRICE:B64}`` is standard base64 of the text; any other suffix asks for an encoding agreed out of band (an
encrypted price), from ``encoders``, and without one becomes empty: a price must not go out in the clear where it was
asked for encrypted.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

AUDIT: Final = "AUDIT"
"""Value of every macro when markup is rendered for review; such a notice never bills."""

NAMES: Final = frozenset({
    "AUCTION_ID", "AUCTION_BID_ID", "AUCTION_IMP_ID", "AUCTION_SEAT_ID", "AUCTION_AD_ID", "AUCTION_PRICE",
    "AUCTION_CURRENCY", "AUCTION_MBR", "AUCTION_LOSS", "AUCTION_MIN_TO_WIN", "AUCTION_MULTIPLIER", "AUCTION_IMP_TS",
    "AUCTION_DISCOUNT_PCT", "AUCTION_DISCOUNT_CPM",
})  # fmt: skip
_PATTERN: Final = re.compile(r"\$\{(AUCTION_[A-Z_]{1,24})(?::([A-Za-z0-9_]{1,16}))?\}")
_MARK: Final = "${AUCTION_"

Encoders = Mapping[str, Callable[[str], str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MacroValues:
    """The values of one auction's result; empty means not known. Prices are decimal text in ``currency``, CPM."""

    auction_id: str = ""
    bid_id: str = ""
    imp_id: str = ""
    seat_id: str = ""
    ad_id: str = ""
    price: str = ""
    currency: str = ""
    mbr: str = ""
    loss: str = ""
    min_to_win: str = ""
    multiplier: str = ""
    imp_ts: str = ""
    discount_pct: str = ""
    discount_cpm: str = ""

    def get(self, name: str) -> str:
        """The value of the macro ``name`` (``AUCTION_PRICE``)."""
        text: str = getattr(self, "auction_id" if name == "AUCTION_ID" else name.removeprefix("AUCTION_").lower())
        return text


def expand(text: str, values: MacroValues, *, url: bool, encoders: Encoders | None = None) -> str:
    """``text`` with its macros replaced.

    Args: url: whether ``text`` is a URL, so that values are percent-encoded and cannot add parameters of their own;
        encoders: suffix -> encoding of the value.
    """
    if _MARK not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        name, suffix = match.groups()
        if name not in NAMES:
            return match.group(0)
        value = values.get(name)
        if suffix is not None and value != AUDIT:
            value = _encoded(value, suffix, encoders or {})
        return quote(value, safe="") if url else value

    return _PATTERN.sub(replace, text)


def _encoded(value: str, suffix: str, encoders: Encoders) -> str:
    if not value:
        return ""
    if suffix in encoders:
        return encoders[suffix](value)
    return base64.b64encode(value.encode()).decode() if suffix == "B64" else ""


def is_audit(text: str) -> bool:
    """Whether a macro's value says that nothing was sold."""
    return text == AUDIT
