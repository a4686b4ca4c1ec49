"""Currency conversion by dated rates, exact up to one rounding.

Rates are decimals (units of a currency for one unit of the base) that hold from a date (UTC) until the next table's. An
amount is converted as a fraction and rounded once, half to even, to the micro.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import lru_cache

from bidder.adx.errors import RatesInvalid


@dataclass(frozen=True, slots=True)
class RateTable:
    """Rates that hold from ``from_ms`` (Unix time, milliseconds) on; the base has 1."""

    from_ms: int
    per_base: Mapping[str, Fraction]

    @staticmethod
    def parse(day: str, base: str, values: Mapping[str, str]) -> RateTable:
        """From a configuration's words. Raises: RatesInvalid: no ISO date, or a rate that is no positive decimal."""
        try:
            midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
        except ValueError:
            raise RatesInvalid(f"rates: {day!r} is no date; write 2026-11-22") from None
        rates = {base: Fraction(1)}
        for currency, text in values.items():
            try:
                rates[currency] = Fraction(text)
            except (ValueError, ZeroDivisionError):
                raise RatesInvalid(f"rates of {day}: {currency} is no decimal") from None
            if rates[currency] <= 0:
                raise RatesInvalid(f"rates of {day}: {currency} must be above zero")
        return RateTable(int(midnight.timestamp() * 1000), rates)


class Rates:
    """Tables in order of their dates. Without any, only equal currencies convert."""

    def __init__(self, tables: Sequence[RateTable] = ()) -> None:
        self._tables = tuple(sorted(tables, key=lambda table: table.from_ms))
        self._starts = [table.from_ms for table in self._tables]
        self._factor = lru_cache(maxsize=1024)(self._factor_uncached)

    def convert(self, micros: int, source: str, target: str, now_ms: int) -> int | None:
        """``micros`` of ``source`` in ``target`` by the table that holds at ``now_ms``; None: no rate."""
        if source == target:
            return micros
        index = bisect_right(self._starts, now_ms) - 1
        factor = self._factor(index, source, target) if index >= 0 else None
        return None if factor is None else round(micros * factor)  # a Fraction rounds half to even

    def _factor_uncached(self, index: int, source: str, target: str) -> Fraction | None:
        rates = self._tables[index].per_base
        if source not in rates or target not in rates:
            return None
        return rates[target] / rates[source]
