"""The auction against its JSON cases, and against properties that hold for every auction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.adx import auction
from bidder.adx.errors import RatesInvalid
from bidder.adx.model import Answer, Fault, Rules
from bidder.adx.rates import Rates, RateTable
from bidder.openrtb import Bid, BidResponse, Loss, SeatBid, cpm_micros, decode_request, decode_response

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted((Path(__file__).parent / "adx_cases").glob("*.json"))
    for case in json.loads(path.read_text())
]
NOW_MS = 1_780_000_000_000


def rules_of(values: dict[str, Any]) -> Rules:
    values = dict(values)
    tables = [RateTable.parse(t["date"], t["base"], t["per_base"]) for t in values.pop("rates", [])]
    for name in ("disapproved", "approved"):
        if name in values:
            values[name] = frozenset(tuple(pair) for pair in values[name])
    return Rules(rates=Rates(tables), **values)


def answer_of(values: dict[str, Any]) -> Answer:
    if "fault" in values:
        return Answer(values["bidder"], None, Fault[values["fault"]])
    return Answer(values["bidder"], decode_response(json.dumps(values["response"]).encode()))


@pytest.mark.parametrize("case", CASES)
def test_case(case: dict[str, Any]) -> None:
    request = decode_request(json.dumps(case["request"]).encode())
    answers = [answer_of(a) for a in case["answers"]]
    outcome = auction.run(request, answers, rules_of(case.get("rules", {})), case.get("now_ms", NOW_MS))
    winners = [
        {
            "bid": w.placed.bid.id,
            "imp": w.placed.bid.impid,
            "price_micros": w.price_micros,
            "min_to_win_micros": w.min_to_win_micros,
        }
        for w in outcome.winners
    ]
    losers = [
        {
            "bid": loser.placed.bid.id,
            "reason": int(loser.reason),
            "price_micros": loser.price_micros,
            "min_to_win_micros": loser.min_to_win_micros,
        }
        for loser in outcome.losers
    ]
    assert winners == case["winners"]
    assert sorted(losers, key=str) == sorted(case["losers"], key=str)
    if "silent" in case:
        assert [[bidder, fault.value] for bidder, fault in outcome.silent] == case["silent"]


prices = st.integers(1, 30).map(lambda tenths: tenths / 10)


@st.composite
def auctions(draw: st.DrawFn) -> tuple[Any, list[Answer]]:
    imps = [
        {
            "id": str(i),
            "banner": {"w": 1, "h": 1},
            "bidfloor": draw(prices),
            "pmp": {"deals": [{"id": "d", "bidfloor": draw(prices), "at": draw(st.sampled_from([1, 2, 3]))}]},
        }
        for i in range(draw(st.integers(1, 3)))
    ]
    request = decode_request(msgspec.json.encode({"id": "r", "imp": imps, "at": draw(st.sampled_from([1, 2]))}))
    answers = []
    for bidder in range(draw(st.integers(0, 4))):
        seats = []
        for seat in range(draw(st.integers(1, 2))):
            bids = tuple(
                Bid(
                    id=f"{bidder}-{seat}-{n}",
                    impid=str(draw(st.integers(0, 3))),
                    price=draw(prices),
                    adm="x",
                    dealid=draw(st.sampled_from([None, None, "d", "x"])),
                )
                for n in range(draw(st.integers(1, 3)))
            )
            seats.append(SeatBid(seat=str(seat), bid=bids, group=draw(st.sampled_from([0, 0, 1]))))
        answers.append(Answer(str(bidder), BidResponse(id="r", seatbid=tuple(seats))))
    return request, answers


@settings(max_examples=200, deadline=None, derandomize=True)
@given(auctions(), st.randoms(use_true_random=False))
def test_what_holds_for_every_auction(made: tuple[Any, list[Answer]], shuffler: Any) -> None:
    request, answers = made
    outcome = auction.run(request, answers, Rules(), NOW_MS)
    bids = [b.id for a in answers for s in (a.response.seatbid if a.response else ()) for b in s.bid]
    seen = [w.placed.bid.id for w in outcome.winners] + [x.placed.bid.id for x in outcome.losers]
    assert sorted(seen) == sorted(bids)  # every bid has exactly one fate
    assert len({w.placed.bid.impid for w in outcome.winners}) == len(outcome.winners)
    floors = {i.id: cpm_micros(i.bidfloor) for i in request.imp}
    deals = {i.id: cpm_micros(i.pmp.deals[0].bidfloor) for i in request.imp}
    won = {w.placed.bid.id for w in outcome.winners}
    for winner in outcome.winners:
        bid = winner.placed.bid
        floor = (deals if bid.dealid else floors)[bid.impid]
        assert floor <= winner.price_micros <= cpm_micros(bid.price)
        assert floor <= winner.min_to_win_micros <= cpm_micros(bid.price)
    for answer in answers:
        for seatbid in answer.response.seatbid if answer.response else ():
            if seatbid.group:
                assert len({b.id in won for b in seatbid.bid}) == 1  # whole or not at all
    for loser in outcome.losers:
        assert loser.reason is not Loss.WON
    shuffled = answers[:]
    shuffler.shuffle(shuffled)
    again = auction.run(request, shuffled, Rules(), NOW_MS)
    assert again.winners == outcome.winners  # the order of arrival decides nothing


def test_ties_are_shared_fairly_and_repeatably() -> None:
    wins = {"a": 0, "b": 0}
    for n in range(400):
        request = decode_request(msgspec.json.encode({"id": f"r{n}", "imp": [{"id": "1", "banner": {}}]}))
        answers = [
            Answer(
                name,
                BidResponse(
                    id=f"r{n}", seatbid=(SeatBid(seat="s", bid=(Bid(id="1", impid="1", price=1.0, adm="x"),)),)
                ),
            )
            for name in wins
        ]
        first = auction.run(request, answers, Rules(), NOW_MS).winners[0]
        assert auction.run(request, answers[::-1], Rules(), NOW_MS).winners[0] == first
        wins[first.placed.bidder] += 1
    assert 150 < wins["a"] < 250


def test_rates_round_once_half_to_even() -> None:
    rates = Rates([RateTable.parse("2026-01-01", "USD", {"CNY": "7.25", "HLF": "0.5"})])
    assert rates.convert(1_000_000, "USD", "CNY", NOW_MS) == 7_250_000
    assert [rates.convert(n, "USD", "HLF", NOW_MS) for n in (1, 3, 5)] == [0, 2, 2]
    assert rates.convert(7_250_000, "CNY", "USD", NOW_MS) == 1_000_000
    assert rates.convert(1, "USD", "EUR", NOW_MS) is None
    assert rates.convert(5, "EUR", "EUR", 0) == 5


@pytest.mark.parametrize(
    ("day", "rate"), [("22.11.2026", "1"), ("2026-01-01", "0"), ("2026-01-01", "-2"), ("2026-01-01", "x")]
)
def test_bad_rates_are_refused(day: str, rate: str) -> None:
    with pytest.raises(RatesInvalid):
        RateTable.parse(day, "USD", {"CNY": rate})
