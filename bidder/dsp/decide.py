"""One request, one decision: consent, profile, eligibility, value, price, pace, money, answer.

The steps run from cheap to dear, and each that leaves nobody gives the reason the request is counted under. Money is
set aside last, for the best bid of each impression, so a rejected candidate never holds any. The profile look-up is
the only IO.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from bidder.dsp.board import Board, Line, Ready
from bidder.dsp.campaign import Format, HeadEvent
from bidder.dsp.choose import Offers
from bidder.dsp.config import Exchange
from bidder.dsp.eligibility import HOUR_MS
from bidder.dsp.facts import Facts, facts_of
from bidder.dsp.frequency import Frequency
from bidder.dsp.ledger import Book
from bidder.dsp.render import Made
from bidder.dsp.tokens import Token, TokenSigner
from bidder.openrtb import (
    At,
    BidRequest,
    CpmMicros,
    Imp,
    cpm_micros,
    impression_nanos,
)
from bidder.openrtb.consent import decide as decide_consent
from bidder.openrtb.ids import request_ids
from dmp.profile.layout import CONSENT_GIVEN, CONSENT_KNOWN, OPTED_OUT

TEST: Final = 1  # flag of a token whose request said test: nothing is reserved, nothing bills
WAITING: Final = frozenset({"no-money", "paced"})  # nothing changes before the next beat: not asked again until then
CANDIDATES_MAX: Final = 32  # of one impression, best first; beyond them nobody gets further
NOBODY: Final[frozenset[int]] = frozenset()


class Profiled(Protocol):
    """What a profile tells (dmp.profile.Profile)."""

    @property
    def audiences(self) -> tuple[int, ...]: ...
    @property
    def scores(self) -> dict[int, float]: ...
    @property
    def flags(self) -> int: ...


class ProfileSource(Protocol):
    """The DMP's store (dmp.profile.ProfileReader)."""

    def key(self, kind: str, encoding: str, value: str | bytes) -> bytes: ...
    def get(self, key: bytes) -> Profiled | None: ...


class Person(NamedTuple):
    """Whom the request is about, as far as may be known; ``number`` 0: unknown."""

    number: int
    audiences: Iterable[int]
    scores: dict[int, float]


UNKNOWN: Final = Person(0, (), {})


class BidEvent(msgspec.Struct, array_like=True, gc=False, tag="bid"):
    """A bid that was made, for the journal."""

    lease: int
    seq: int
    campaign: int
    stage: int
    creative: int
    exchange: str
    price_cpm_micros: int
    person: int
    at_ms: int


class Decision(NamedTuple):
    """The bids made, or none and why."""

    bids: tuple[Made, ...]
    reason: str


class Decider:
    """Decides requests of one worker.

    Args: kinds: what an id of a request may be in the profile store.
    """

    def __init__(
        self,
        book: Book,
        frequency: Frequency,
        signer: TokenSigner,
        profiles: ProfileSource | None,
        kinds: dict[str, tuple[str, ...]],
        vendor_id: int | None,
        clock_ms: Callable[[], int],
    ) -> None:
        self.book = book
        self.board = Board()
        self.frequency = frequency
        self.events: list[BidEvent] = []
        self.counts: Counter[tuple[str, str]] = Counter()  # (campaign, exchange) -> bids since the last beat
        self._signer = signer
        self._profiles = profiles
        self._kinds = kinds
        self._vendor_id = vendor_id
        self._clock_ms = clock_ms

    def decide(self, request: BidRequest, exchange: str, terms: Exchange, exchange_id: int) -> Decision:
        """The decision on one request."""
        now_ms = self._clock_ms()
        if (request.wseat and terms.seat not in request.wseat) or terms.seat in request.bseat:
            return Decision((), "seat-not-wanted")
        consent = decide_consent(request, self._vendor_id)
        if not consent.basic:
            return Decision((), "no-consent")
        person = self._person(request) if consent.personal else UNKNOWN
        board = self.board
        facts = facts_of(request, exchange)
        left, reason = board.index.narrow(facts, board.alive & ~board.waiting, now_ms, person.audiences)
        if not left:
            return Decision((), reason)
        left &= ~board.index.blocked_by(request.badv, request.bcat, request.cur)
        if not left:
            return Decision((), "blocked-by-request")
        bids: list[Made] = []
        quality = board.chooser.quality(person.audiences, person.scores)
        asked = _Asked(request, exchange, terms, exchange_id, person, facts, quality, now_ms)
        for imp in request.imp:
            made, reason = self._impression(asked, imp, left)
            if made is not None:
                bids.append(made)
                if len(request.imp) > 1:
                    left &= board.index.currencies.get(made.line.campaign.currency, 0)  # an answer has one currency
        return Decision(tuple(bids), "bid") if bids else Decision((), reason)

    # -- the person

    def _person(self, request: BidRequest) -> Person:
        """The first of the request's ids that has a profile; the device's advertising id is tried before the others."""
        profiles = self._profiles
        if profiles is None:
            return UNKNOWN
        first = 0
        device = request.device
        if device is not None and device.ifa:
            apple = (device.os or "").lower() == "ios"
            kind = "idfa" if apple else "gaid"
            for alias in self._kinds.get(kind, (kind,)):
                key = profiles.key(alias, "raw", device.ifa)
                profile = profiles.get(key)
                if profile is not None:
                    return _known(key, profile)
                first = first or int.from_bytes(key[:8], "little")
        for found in request_ids(request):
            for kind in self._kinds.get(found.kind, (found.kind,)):
                key = profiles.key(kind, found.encoding, found.value)
                profile = profiles.get(key)
                if profile is not None:
                    return _known(key, profile)
                first = first or int.from_bytes(key[:8], "little")
        return Person(first, (), {})

    # -- one impression

    def _impression(self, asked: _Asked, imp: Imp, left: int) -> tuple[Made | None, str]:
        index = self.board.index
        slots = slots_of(imp)
        fits = 0
        for slot in slots:
            fits |= index.slots.get(slot, 0)
        left &= fits
        if not left:
            return None, "size-or-format"
        deals = {deal.id: deal for deal in imp.pmp.deals} if imp.pmp is not None else {}
        dealt = 0
        for deal in deals:
            dealt |= index.deals.get(deal, 0)
        private = imp.pmp is not None and imp.pmp.private_auction == 1
        left &= dealt if private else dealt | index.no_deals
        if not left:
            return None, "deal"
        reason = "no-value"
        for position, micros in self._offers(asked, imp, left, slots):
            line = self.board.lines[position]
            made, reason = self._offer(asked, imp, line, micros, slots)
            if made is not None:
                return made, "bid"
            if reason in WAITING:
                self.board.waiting |= 1 << position
        return None, reason

    def _offers(self, asked: _Asked, imp: Imp, left: int, slots: Sequence[tuple[Format, int, int]]) -> Offers:
        """What the eligible would bid before floors, dearest first."""
        chooser = self.board.chooser
        _, w, h = slots[0]
        shared = chooser.shared(asked.facts, asked.now_ms // HOUR_MS % 24, f"{w}x{h}", imp.bidfloor)
        share = asked.terms.first_price_share if asked.request.at == At.FIRST_PRICE else 1.0
        cap = float(asked.terms.max_cpm_micros)
        return chooser.engine.pick(left, shared, asked.quality, share, cap, CANDIDATES_MAX)

    def _offer(
        self, asked: _Asked, imp: Imp, line: Line, micros: int, slots: Sequence[tuple[Format, int, int]]
    ) -> tuple[Made | None, str]:
        ready = choose_creative(line, slots, asked.request, imp)
        if ready is None:
            return None, "creative"
        deal = next((d for d in imp.pmp.deals if d.id in line.campaign.target.deals), None) if imp.pmp else None
        floor, currency = (deal.bidfloor, deal.bidfloorcur) if deal is not None else (imp.bidfloor, imp.bidfloorcur)
        if floor > 0:
            if currency != line.campaign.currency:
                return None, "floor-currency"
            if micros < cpm_micros(floor):
                return None, "below-floor"
        multiplier = imp.qty.multiplier if imp.qty is not None else 1.0
        nanos = int(impression_nanos(CpmMicros(micros), multiplier))
        pacer = line.pacer
        if pacer is None or asked.now_ms >= pacer.stage.end_ms:
            return None, "not-running"
        if self.book.expected_nanos(line.pot) + nanos > pacer.allowance_nanos:
            return None, "paced"
        campaign = line.campaign
        if campaign.caps and asked.person.number:
            if not self.frequency.allows(asked.person.number, line.number, campaign.caps, asked.now_ms):
                return None, "frequency"
        elif campaign.caps:
            return None, "frequency-unknown-person"
        return self._commit(asked, imp, line, ready, micros, nanos, deal.id if deal is not None else None)

    def _commit(
        self, asked: _Asked, imp: Imp, line: Line, ready: Ready, micros: int, nanos: int, deal_id: str | None
    ) -> tuple[Made | None, str]:
        terms, now_ms, person = asked.terms, asked.now_ms, asked.person.number
        until = now_ms + int(1000 * (terms.bid_expires_s + terms.notice_window_s))
        test = asked.request.test == 1
        head = line.campaign.head_event is HeadEvent.IMPRESSION
        held = (0, 0) if test else self.book.reserve(line.pot, nanos, int(head), until)
        if held is None:
            return None, "no-money"
        lease, seq = held
        if line.campaign.caps and not test:
            self.frequency.bid(person, line.number, bid_key(lease, seq), until)
        token = Token(
            lease, seq, nanos, until, now_ms, line.number, ready.number, line.stage, asked.exchange_id, int(head),
            TEST if test else 0, person,
        )  # fmt: skip
        if not test:
            self.counts[line.campaign.name, asked.exchange] += 1
            self.events.append(
                BidEvent(lease, seq, line.number, line.stage, ready.number, asked.exchange, micros, person, now_ms)
            )
        server, browser = self._signer.pair(token)
        return Made(line, ready, imp.id, micros, lease, seq, server, browser, deal_id), "bid"


class _Asked(NamedTuple):
    """A request with what is known of it."""

    request: BidRequest
    exchange: str
    terms: Exchange
    exchange_id: int
    person: Person
    facts: Facts
    quality: bytes
    now_ms: int


def _known(key: bytes, profile: Profiled) -> Person:
    """The person of a profile; one who opted out or refused is unknown."""
    flags = profile.flags
    if flags & OPTED_OUT or flags & (CONSENT_KNOWN | CONSENT_GIVEN) == CONSENT_KNOWN:
        return UNKNOWN
    return Person(int.from_bytes(key[:8], "little"), profile.audiences, profile.scores)


def bid_key(lease: int, seq: int) -> int:
    """One number for one bid; leases and sequences stay far below 2**40."""
    return lease << 40 | seq


def slots_of(imp: Imp) -> list[tuple[Format, int, int]]:
    """What creatives the impression takes."""
    slots: list[tuple[Format, int, int]] = []
    banner = imp.banner
    if banner is not None:
        slots += [(Format.BANNER, f.w, f.h) for f in banner.format if f.w and f.h]
        if not slots and banner.w and banner.h:
            slots.append((Format.BANNER, banner.w, banner.h))
    if imp.video is not None:
        slots.append((Format.VIDEO, 0, 0))
    if imp.audio is not None:
        slots.append((Format.AUDIO, 0, 0))
    if imp.native is not None:
        slots.append((Format.NATIVE, 0, 0))
    return slots


def choose_creative(
    line: Line, slots: Sequence[tuple[Format, int, int]], request: BidRequest, imp: Imp
) -> Ready | None:
    """The next creative in rotation that the impression and the request's lists allow."""
    found = [ready for slot in slots for ready in line.ready.get(slot, ())]
    if not found:
        return None
    line.turn += 1
    for offset in range(len(found)):
        ready = found[(line.turn + offset) % len(found)]
        if _allowed(ready, request, imp):
            return ready
    return None


def _allowed(ready: Ready, request: BidRequest, imp: Imp) -> bool:
    creative = ready.creative
    if creative.adomain in request.badv or any(cat in request.bcat for cat in creative.cat):
        return False
    if request.acat and creative.cat and not any(cat in request.acat for cat in creative.cat):
        return False
    if imp.secure == 1 and creative.image.startswith("http://"):
        return False
    place = imp.banner if creative.format is Format.BANNER else None
    video = imp.video if creative.format is Format.VIDEO else imp.audio if creative.format is Format.AUDIO else None
    if place is not None and any(attr in place.battr for attr in creative.attr):
        return False
    if video is not None:
        longest = video.maxduration if video.maxduration is not None else creative.duration_s
        if not video.minduration <= creative.duration_s <= longest:
            return False
        if (video.mimes and creative.mime not in video.mimes) or any(attr in video.battr for attr in creative.attr):
            return False
    return True
