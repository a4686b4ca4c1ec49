"""Strong consent: evidence for every row, committed to with the list, opened by lot.

    leaf data   salt (32) || token (16) || evidence hash (32) || class (1) || expiry (8, ms) || SHA-256(purpose) (32)
    tree        one leaf a row, in the list's order; its root stands in the signed declaration
    challenge   an auditor commits to a nonce; the log's root is taken; then the nonce is shown
    rows        drawn by SHA-256(log root, nonce, evidence root, number of rows, counter), without repetition
    opening     the drawn rows' leaf data, proofs, and the evidence itself, which the verifier looks at

Neither side chooses the rows: the sender is bound by its root before the nonce is known, the auditor by its
commitment before the log's root is. A list of which a share p of rows has no evidence passes with probability (1 -
p)^n at most. The salt hides rows that are not opened; an opened row shows its token and its evidence to the auditor,
nothing else. What it does not do: judge whether evidence is good. A verifier passes in what it accepts as evidence.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cleanroom.contract.errors import ConsentInvalid
from cleanroom.contract.terms import Consent, ConsentClass
from cleanroom.dataset.merkle import Proof, ProofInvalid, TreeBuilder, leaf_hash, verify

SALT_BYTES = 32
TOKEN_BYTES = 16
NONCE_BYTES = 32
PPM = 1_000_000
EVIDENCE_BYTES_MAX = 1_048_576
"""A signed form, scanned, fits; a film does not."""
_NONCE_DOMAIN = b"sealbid/challenge-nonce\0"
_ROWS_DOMAIN = b"sealbid/challenge-rows\0"
_CLASS = {ConsentClass.ORDINARY: b"\x01", ConsentClass.STRONG: b"\x02"}


@dataclass(frozen=True, slots=True)
class RowConsent:
    """The consent behind one row. ``salt`` is fresh for every row and list."""

    salt: bytes = field(repr=False)
    token: bytes = field(repr=False)
    evidence_hash: bytes
    klass: ConsentClass
    purpose: str
    expires_ms: int

    def leaf(self) -> bytes:
        """The row's leaf hash, 32 bytes. Raises: ConsentInvalid: a field of another length."""
        if (len(self.salt), len(self.token), len(self.evidence_hash)) != (SALT_BYTES, TOKEN_BYTES, 32):
            raise ConsentInvalid("evidence: salt 32, token 16 and hash 32 bytes")
        if not 0 <= self.expires_ms < 2**63:
            raise ConsentInvalid("evidence: expires_ms out of range")
        purpose = hashlib.sha256(self.purpose.encode()).digest()
        expiry = self.expires_ms.to_bytes(8, "big")
        return leaf_hash(self.salt, self.token, self.evidence_hash, _CLASS[self.klass], expiry, purpose)


@dataclass(frozen=True, slots=True)
class OpenedRow:
    """One drawn row, opened: its consent, the evidence itself, and its place in the tree."""

    consent: RowConsent
    evidence: bytes = field(repr=False)
    proof: Proof


@dataclass(frozen=True, slots=True)
class Challenge:
    """What was drawn against: all of it public once the nonce is shown."""

    log_size: int
    log_root: bytes
    nonce_commitment: bytes
    nonce: bytes
    evidence_root: bytes
    rows: int

    def drawn(self, terms: Consent) -> list[int]:
        """Positions of the rows to open, ascending. Raises: ConsentInvalid: the nonce is not the one committed to."""
        if not hmac.compare_digest(commit_nonce(self.nonce), self.nonce_commitment):
            raise ConsentInvalid("challenge: the nonce is not the one committed to")
        return draw_rows(self.log_root, self.nonce, self.evidence_root, self.rows, sample_size(terms))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a challenge ended: rows drawn, and what was wrong with those that failed, by position."""

    drawn: int
    faults: dict[int, str]

    @property
    def verdict(self) -> str:
        """``pass`` or ``fail``, as the log says it."""
        return "fail" if self.faults else "pass"


def evidence_root(rows: Iterable[RowConsent]) -> bytes:
    """The root over a list's rows, in its order. Run by: the sender. Memory does not grow with the rows."""
    root, _ = _build(rows, ())
    return root


def open_rows(
    rows: Iterable[RowConsent], drawn: Sequence[int], evidence: Callable[[int], bytes]
) -> tuple[bytes, list[OpenedRow]]:
    """Open the drawn rows in one pass over the list. Run by: the sender.

    Args: evidence: the evidence of a row by its position; called for drawn rows only.
    Returns: the root, which must be the one declared, and the openings in the order of ``drawn``.
    """
    kept: dict[int, RowConsent] = {}
    wanted = set(drawn)

    def noted() -> Iterable[RowConsent]:
        for position, row in enumerate(rows):
            if position in wanted:
                kept[position] = row
            yield row

    root, proofs = _build(noted(), drawn)
    return root, [OpenedRow(kept[one], evidence(one), proofs[one]) for one in drawn]


def _build(rows: Iterable[RowConsent], wanted: Iterable[int]) -> tuple[bytes, dict[int, Proof]]:
    tree = TreeBuilder(wanted)
    for row in rows:
        tree.add(row.leaf())
    try:
        return tree.finish()
    except ValueError as error:
        raise ConsentInvalid(f"evidence: {error}") from None


def sample_size(terms: Consent) -> int:
    """Rows to open so that a share bad_ppm of bad rows is missed with a chance of miss_ppm at most.

    n = ceil(ln(miss) / ln(1 - bad)); 1% bad, 5% missed: 299.
    """
    return math.ceil(math.log(terms.miss_ppm / PPM) / math.log1p(-terms.bad_ppm / PPM))


def commit_nonce(nonce: bytes) -> bytes:
    """What an auditor sends before the log's root is taken, 32 bytes. Raises: ConsentInvalid: a nonce of another
    length.
    """
    if len(nonce) != NONCE_BYTES:
        raise ConsentInvalid(f"challenge: a nonce has {NONCE_BYTES} bytes")
    return hashlib.sha256(_NONCE_DOMAIN + nonce).digest()


def draw_rows(log_root: bytes, nonce: bytes, root: bytes, rows: int, count: int) -> list[int]:
    """``count`` distinct positions below ``rows``, ascending, uniform; all of them where there are no more.

    Values at or above the largest multiple of ``rows`` below 2^64 are thrown away, so none is likelier than another.
    """
    if count >= rows:
        return list(range(rows))
    seed = hashlib.sha256(_ROWS_DOMAIN + log_root + nonce + root + rows.to_bytes(8, "big")).digest()
    limit = 2**64 // rows * rows
    chosen: set[int] = set()
    counter = 0
    while len(chosen) < count:
        value = int.from_bytes(hashlib.sha256(seed + counter.to_bytes(8, "big")).digest()[:8], "big")
        if value < limit:
            chosen.add(value % rows)
        counter += 1
    return sorted(chosen)


def verify_rows(
    challenge: Challenge,
    terms: Consent,
    purpose: str,
    now_ms: int,
    opened: Sequence[OpenedRow],
    accepts: Callable[[OpenedRow], bool],
) -> Outcome:
    """Judge the openings of exactly the drawn rows. Run by: the auditor, or the room with the auditor watching.

    Args: purpose: what the list was used for; a row's consent must name it. accepts: whether evidence, whose hash is
        already known to match, is evidence of that row's consent.
    Returns: the outcome; a missing row is a failed row.
    Raises: ConsentInvalid: rows that were not drawn, or a row opened twice.
    """
    drawn = challenge.drawn(terms)
    by_position = {one.proof.index: one for one in opened}
    if len(by_position) != len(opened) or not set(by_position) <= set(drawn):
        raise ConsentInvalid("challenge: open exactly the drawn rows, each once")
    faults = {}
    for position in drawn:
        row = by_position.get(position)
        fault = "not opened" if row is None else _fault(row, challenge, purpose, now_ms, accepts)
        if fault:
            faults[position] = fault
    return Outcome(len(drawn), faults)


def _fault(
    row: OpenedRow, challenge: Challenge, purpose: str, now_ms: int, accepts: Callable[[OpenedRow], bool]
) -> str:
    consent = row.consent
    try:
        verify(challenge.evidence_root, challenge.rows, consent.leaf(), row.proof)
    except (ProofInvalid, ConsentInvalid):
        return "not the row committed to"
    if len(row.evidence) > EVIDENCE_BYTES_MAX or hashlib.sha256(row.evidence).digest() != consent.evidence_hash:
        return "not the evidence committed to"
    if consent.klass is not ConsentClass.STRONG:
        return "not strong"
    if consent.purpose != purpose:
        return "for another purpose"
    if consent.expires_ms <= now_ms:
        return "expired"
    return "" if accepts(row) else "not accepted as evidence"
