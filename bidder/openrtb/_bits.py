"""Reading bit strings in base64url, as the consent specifications write them. Bounded: the input's length is the
work.
"""

from __future__ import annotations

from typing import Final

from bidder.openrtb.errors import ConsentInvalid

CHARS_MAX: Final = 16_384
"""A TCF string naming every vendor id one by one stays under it."""
_FIBONACCI_BITS_MAX: Final = 24
"""Section ids are below a hundred; a longer code is an attack on the reader's time."""
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_VALUE: Final = {c: i for i, c in enumerate(_ALPHABET)} | {"+": 62, "/": 63}
_TO_BITS: Final = {c: f"{i:06b}" for c, i in _VALUE.items()}


class Bits:
    """A cursor over the bits of base64url text; six bits a character, no padding needed."""

    def __init__(self, text: str, what: str) -> None:
        if len(text) > CHARS_MAX:
            raise ConsentInvalid(what, f"longer than {CHARS_MAX} characters")
        try:
            self._bits = "".join([_TO_BITS[c] for c in text.rstrip("=")])
        except KeyError:
            raise ConsentInvalid(what, "not base64url") from None
        self._what = what
        self._at = 0

    def take(self, count: int) -> str:
        """The next ``count`` bits as text. Raises: ConsentInvalid: cut short."""
        piece = self._bits[self._at : self._at + count]
        if len(piece) < count:
            raise ConsentInvalid(self._what, "cut short")
        self._at += count
        return piece

    def integer(self, count: int) -> int:
        """The next ``count`` bits as an unsigned integer."""
        return int(self.take(count), 2)

    def flag(self) -> bool:
        """The next bit."""
        return self.take(1) == "1"

    def ids(self, count: int) -> frozenset[int]:
        """A bit field of ``count`` bits as the ids (from 1) of its ones."""
        return frozenset(i for i, bit in enumerate(self.take(count), 1) if bit == "1")

    def fibonacci(self) -> int:
        """The next Fibonacci-coded integer (two ones end it)."""
        end = self._bits.find("11", self._at, self._at + _FIBONACCI_BITS_MAX)
        if end < 0:
            raise ConsentInvalid(self._what, "a Fibonacci number without end")
        code = self.take(end + 1 - self._at)
        self._at += 1
        low, high, total = 1, 2, 0
        for bit in code:
            if bit == "1":
                total += low
            low, high = high, low + high
        return total
