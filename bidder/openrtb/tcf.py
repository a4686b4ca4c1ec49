"""IAB TCF v2 consent strings: the core segment (IAB Europe, Transparency and Consent String, version 2).

Other segments (vendors disclosed, publisher purposes) are not needed to decide whether a vendor may process data.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bidder.openrtb._bits import Bits
from bidder.openrtb.errors import ConsentInvalid

_VERSION: Final = 2
_BEFORE_POLICY_BITS: Final = 36 + 36 + 12 + 12 + 6 + 12 + 12  # created .. vendor list version
_PURPOSES: Final = 24
_SPECIAL_FEATURES: Final = 12
_LEGITIMATE_INTEREST: Final = frozenset({2, 7, 8, 9, 10, 11})
"""Purposes for which legitimate interest may be the basis since TCF 2.2; 1, 3, 4, 5, 6 need consent."""


class Restriction(IntEnum):
    """What a publisher imposes on a vendor for a purpose."""

    NOT_ALLOWED = 0
    REQUIRE_CONSENT = 1
    REQUIRE_LEGITIMATE_INTEREST = 2


@dataclass(frozen=True, slots=True)
class Vendors:
    """A set of vendor ids as the string has it: a bit field or ranges, both ends inclusive."""

    field: str = ""
    ranges: tuple[tuple[int, int], ...] = ()

    def __contains__(self, vendor: int) -> bool:
        if self.field:
            return 1 <= vendor <= len(self.field) and self.field[vendor - 1] == "1"
        return any(low <= vendor <= high for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class TcfConsent:
    """A decoded core segment."""

    policy_version: int
    purposes: frozenset[int]
    legitimate_interests: frozenset[int]
    special_features: frozenset[int]
    vendors: Vendors
    vendors_legitimate_interest: Vendors
    restrictions: tuple[tuple[int, Restriction, Vendors], ...]

    def allows(self, vendor: int, purpose: int) -> bool:
        """Whether ``vendor`` has a legal basis for ``purpose``: consent, or legitimate interest where that may be
        one.
        """
        imposed = {kind for number, kind, who in self.restrictions if number == purpose and vendor in who}
        if Restriction.NOT_ALLOWED in imposed:
            return False
        consent = purpose in self.purposes and vendor in self.vendors
        interest = (
            purpose in _LEGITIMATE_INTEREST
            and purpose in self.legitimate_interests
            and vendor in self.vendors_legitimate_interest
        )
        if Restriction.REQUIRE_CONSENT in imposed:
            return consent
        if Restriction.REQUIRE_LEGITIMATE_INTEREST in imposed:
            return interest
        return consent or interest


def decode_tcf(text: str) -> TcfConsent:
    """The core segment of ``text``. Raises: ConsentInvalid: not TCF v2, cut short, or not base64url."""
    bits = Bits(text.partition(".")[0], "tcf")
    if bits.integer(6) != _VERSION:
        raise ConsentInvalid("tcf", "not version 2")
    bits.take(_BEFORE_POLICY_BITS)
    policy = bits.integer(6)
    bits.take(2)  # service specific, non-standard texts
    special = bits.ids(_SPECIAL_FEATURES)
    purposes = bits.ids(_PURPOSES)
    interests = bits.ids(_PURPOSES)
    bits.take(1 + 12)  # purpose one treatment, publisher's country
    vendors = _vendors(bits)
    vendors_interest = _vendors(bits)
    restrictions = tuple(
        (bits.integer(6), _restriction(bits.integer(2)), Vendors(ranges=_ranges(bits))) for _ in range(bits.integer(12))
    )
    return TcfConsent(policy, purposes, interests, special, vendors, vendors_interest, restrictions)


def _restriction(kind: int) -> Restriction:
    try:
        return Restriction(kind)
    except ValueError:
        return Restriction.NOT_ALLOWED  # 3 is undefined: the narrowest reading


def _vendors(bits: Bits) -> Vendors:
    vendor_max = bits.integer(16)
    if bits.flag():
        return Vendors(ranges=_ranges(bits))
    return Vendors(field=bits.take(vendor_max))


def _ranges(bits: Bits) -> tuple[tuple[int, int], ...]:
    out = []
    for _ in range(bits.integer(12)):
        is_range = bits.flag()
        low = bits.integer(16)
        high = bits.integer(16) if is_range else low
        if high < low:
            raise ConsentInvalid("tcf", "a vendor range that ends before it begins")
        out.append((low, high))
    return tuple(out)
