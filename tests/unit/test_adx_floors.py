"""Floors the exchange learns: where they settle, what they are learned from, who is spared."""

from __future__ import annotations

import random

from bidder.adx import Answer, Rules, auction
from bidder.adx.floors import PLACEMENTS_MAX, SEEN_MIN, FloorBook, explored
from bidder.openrtb import Banner, Bid, BidRequest, BidResponse, Imp, SeatBid, Site


def request(number: int, tag: str = "top") -> BidRequest:
    return BidRequest(id=f"r{number}", at=1, site=Site(id="s"), imp=(Imp(id="1", tagid=tag, banner=Banner()),))


def hold(book: FloorBook, number: int, price: float, tag: str = "top") -> dict[str, int]:
    asked = request(number, tag)
    floors = book.floors(asked)
    if explored(asked.id):  # the others are not learned from
        answer = Answer(
            "d", BidResponse(id=asked.id, seatbid=(SeatBid(bid=(Bid(id="b", impid="1", price=price, adm="x"),)),))
        )
        book.learn(asked, auction.run(asked, [answer], Rules(floors_micros=floors), 0))
    return floors


def test_a_floor_settles_below_what_most_bids_are_worth() -> None:
    rng, book = random.Random(1), FloorBook()
    for number in range(20_000):
        hold(book, number, rng.uniform(1.0, 2.0))
    floors = [hold(book, 30_000 + n, 1.5).get("1", 0) for n in range(200)]
    given = [f for f in floors if f]
    assert 150 < len(given) < 200  # the explored tenth is spared
    assert all(700_000 <= f <= 1_150_000 for f in given)  # about 0.8 of the 20th percentile, 1.2


def test_floors_do_not_climb_on_their_own() -> None:
    rng, book = random.Random(2), FloorBook()
    early: list[int] = []
    late: list[int] = []
    for number in range(30_000):
        floor = hold(book, number, rng.uniform(1.0, 2.0)).get("1", 0)
        (early if 5_000 < number < 10_000 else late if number > 25_000 else []).append(floor)
    assert abs(sum(early) / len(early) - sum(late) / len(late)) < 100_000


def test_nothing_is_asked_before_enough_was_seen() -> None:
    book = FloorBook()
    seen = 0
    for number in range(100_000):
        if seen >= SEEN_MIN:
            break
        assert hold(book, number, 1.0) == {}
        seen += explored(f"r{number}")
    assert any(hold(book, 200_000 + n, 1.0) for n in range(20))
    assert not any(hold(book, 300_000 + n, 1.0, tag="other") for n in range(20))


def test_only_explored_auctions_teach() -> None:
    book = FloorBook()
    asked = next(request(n) for n in range(100) if not explored(f"r{n}"))
    bid = Bid(id="b", impid="1", price=9.0, adm="x")
    answer = Answer("d", BidResponse(id=asked.id, seatbid=(SeatBid(bid=(bid,)),)))
    book.learn(asked, auction.run(asked, [answer], Rules(), 0))
    assert not book._known


def test_memory_is_bounded_by_placements() -> None:
    book = FloorBook()
    for number in range(PLACEMENTS_MAX + 10):
        book._take(("p", str(number)), 1_000_000)
    assert len(book._known) == PLACEMENTS_MAX
