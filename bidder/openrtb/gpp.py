"""IAB Global Privacy Platform strings: the header's section ids and, of the US sections, what was opted out of.

``header~section~section``; the header is type 3, version 1, and the section ids in Fibonacci-coded ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bidder.openrtb._bits import Bits
from bidder.openrtb.errors import ConsentInvalid

TCF_EU: Final = 2
US_PRIVACY: Final = 6
US_NATIONAL: Final = 7
US_CALIFORNIA: Final = 8
US_UTAH: Final = 11
US_LAST: Final = 23
"""Sections 9 to 23 but Utah's have the notices and opt-outs at the same places."""

_TYPE: Final = 3
_VERSION: Final = 1
_OPTED_OUT: Final = 1
_SECTIONS_MAX: Final = 64
_OPT_OUT_BITS: Final = {
    US_NATIONAL: (18, 20, 22),  # sale, sharing, targeted advertising
    US_CALIFORNIA: (12, 14),  # sale, sharing
    US_UTAH: (14, 16),  # sale, targeted advertising
}
"""First bits of the opt-outs, two bits each: 0 not applicable, 1 opted out, 2 not opted out."""
_OPT_OUT_BITS_OF_STATES: Final = (12, 14)  # sale, targeted advertising


@dataclass(frozen=True, slots=True)
class Gpp:
    """Section id -> the section's text."""

    sections: dict[int, str]


def decode_gpp(text: str) -> Gpp:
    """The sections of ``text``. Raises: ConsentInvalid: no GPP string, or not as many sections as it says."""
    header, *sections = text.split("~")
    bits = Bits(header, "gpp")
    if bits.integer(6) != _TYPE or bits.integer(6) != _VERSION:
        raise ConsentInvalid("gpp", "the header is not of type 3, version 1")
    ids = _ids(bits)
    if not ids or len(ids) != len(sections):
        raise ConsentInvalid("gpp", "the header names another number of sections than follow")
    return Gpp(dict(zip(ids, sections, strict=True)))


def _ids(bits: Bits) -> list[int]:
    ids: list[int] = []
    last = 0
    for _ in range(bits.integer(12)):
        is_range = bits.flag()
        low = last + bits.fibonacci()
        high = low + bits.fibonacci() if is_range else low
        if len(ids) + high - low + 1 > _SECTIONS_MAX:
            raise ConsentInvalid("gpp", f"more than {_SECTIONS_MAX} sections")
        ids.extend(range(low, high + 1))
        last = high
    return ids


def us_opted_out(section: int, text: str) -> bool:
    """Whether a US section says the person opted out of sale, sharing or targeted advertising, or sends the GPC signal.

    Raises: ConsentInvalid: cut short or not base64url.
    """
    core, *segments = text.split(".")
    places = _OPT_OUT_BITS.get(section, _OPT_OUT_BITS_OF_STATES)
    bits = Bits(core, "gpp").take(max(places) + 2)
    if any(int(bits[p : p + 2], 2) == _OPTED_OUT for p in places):
        return True
    return any(_is_gpc(segment) for segment in segments)


def _is_gpc(segment: str) -> bool:
    bits = Bits(segment, "gpp")
    return bits.integer(2) == 1 and bits.flag()
