"""How an exchange writes the price of a win into a notice: plain decimal CPM, Google's scheme, or sealed to the bid.

A plain price can be changed by whoever relays the notice from a browser; an encrypted one cannot, and a sealed one
cannot be moved to another bid either. An exchange that agreed on encryption is not believed in plain text.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final, Protocol

from bidder.dsp.config import PriceScheme
from keys.errors import PriceInvalid
from keys.price import GooglePriceKeys, PriceKey

PRICE_CPM_MAX: Final = Decimal(1_000_000)
MICROS: Final = 1_000_000
KEY_BYTES: Final = 32
KEY_KINDS: Final = {PriceScheme.GOOGLE: "price-google", PriceScheme.SEALED: "price-sealed"}


class PriceReader(Protocol):
    """Reads the price of one exchange's notices."""

    def micros(self, text: str, bid_id: str) -> int | None:
        """Micros CPM, or None where the text is no price of this exchange for this bid."""
        ...


class PlainPrice:
    """Currency units per mille, in decimal."""

    def micros(self, text: str, bid_id: str) -> int | None:
        try:
            price = Decimal(text)
        except InvalidOperation:
            return None
        if not (price.is_finite() and 0 <= price <= PRICE_CPM_MAX):
            return None
        return int((price * MICROS).to_integral_value())


class GooglePrice:
    """Google's scheme; ``key`` is the encryption key and the integrity key, 32 bytes each."""

    def __init__(self, key: bytes) -> None:
        self._keys = GooglePriceKeys(key[:KEY_BYTES], key[KEY_BYTES:])

    def micros(self, text: str, bid_id: str) -> int | None:
        try:
            return _bounded(self._keys.decrypt(text))
        except PriceInvalid:
            return None


class SealedPrice:
    """AES-256-GCM with the bid's id as context."""

    def __init__(self, key: bytes) -> None:
        self._key = PriceKey(key)

    def micros(self, text: str, bid_id: str) -> int | None:
        try:
            return _bounded(self._key.decrypt(text, bid_id.encode()))
        except PriceInvalid:
            return None


def _bounded(micros: int) -> int | None:
    return micros if micros <= PRICE_CPM_MAX * MICROS else None


def reader_of(scheme: PriceScheme, key: bytes) -> PriceReader:
    """The reader of an exchange's prices. Raises: KeyInvalid."""
    if scheme is PriceScheme.GOOGLE:
        return GooglePrice(key)
    return SealedPrice(key) if scheme is PriceScheme.SEALED else PlainPrice()
