"""Pacing in a whole bidder over virtual time: the five-stage plan is spent stage by stage, along its curve."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from bidder.dsp.board import make_board
from bidder.dsp.campaign import Campaign, Creative, Stage, Value, check
from bidder.dsp.catalog import Catalog
from bidder.dsp.config import Exchange
from bidder.dsp.decide import Decider
from bidder.dsp.frequency import Frequency
from bidder.dsp.ledger import Book, Commit, Kind, Master, Notice, Synced, audit, connect
from bidder.dsp.pacing import Curve
from bidder.dsp.tokens import Purpose, TokenSigner
from bidder.openrtb import decode_request

START_MS = 1_767_225_600_000
YUAN = 10**9
# name, heads, unit cost in yuan: 20,000 heads for 770,000 yuan, 38.5 each; the first stage has no cost and buys nothing
FIVE_STAGES = (
    ("warm-up", 1_000, 0),
    ("launch", 4_000, 20),
    ("peak", 8_000, 40),
    ("half-life", 5_000, 50),
    ("end", 2_000, 60),
)


def five_stages(stage_ms: int, scale: int = 1) -> tuple[Stage, ...]:
    """The plan, its money divided by ``scale``, each stage ``stage_ms`` long."""
    return tuple(
        Stage(
            name=name,
            start_ms=START_MS + i * stage_ms,
            end_ms=START_MS + (i + 1) * stage_ms,
            heads=heads,
            unit_cost_nanos=cost * YUAN,
            budget_nanos=heads * cost * YUAN // scale,
        )
        for i, (name, heads, cost) in enumerate(FIVE_STAGES)
    )


def campaign(stages: tuple[Stage, ...], name: str = "plan", base: int = 10_000_000) -> Campaign:
    creative = Creative(
        id="c", w=300, h=250, landing="https://b.example", image="https://b.example/i.png", adomain="b.example"
    )
    return check(
        Campaign(
            name=name,
            advertiser="brand",
            max_cpm_micros=200_000_000,
            value=Value(base_cpm_micros=base),
            creatives=(creative,),
            stages=stages,
        )
    )


def test_the_plan_closes_exactly_and_a_stage_without_cost_buys_nothing() -> None:
    stages = five_stages(1_000)
    assert sum(stage.budget for stage in stages) == 770_000 * YUAN
    assert sum(stage.heads for stage in stages) == 20_000
    assert sum(stage.budget for stage in stages) / 20_000 == 38.5 * YUAN
    assert stages[0].budget == 0


@dataclass
class World:
    """A market over virtual time; the exchange tells what happened ``delay_ms`` later."""

    folder: Path
    campaigns: list[Campaign]
    requests_a_second: float = 500.0
    beat_ms: int = 100
    delay_ms: int = 150
    seed: int = 1
    now_ms: int = START_MS - 500
    spent: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # by pot
    trail: list[tuple[int, dict[str, int]]] = field(default_factory=list)

    def run(self, until_ms: int) -> None:
        path = self.folder / "dsp.sqlite"
        catalog = Catalog(path, lambda: self.now_ms)
        catalog.create_advertiser("brand")
        for order in self.campaigns:
            catalog.create(order)
        self.con = connect(path)
        master = Master(self.con, lambda: self.now_ms, 20_000, 1)
        signer = TokenSigner(bytes(32))
        book = Book("w", 1)
        decider = Decider(book, Frequency(), signer, None, {}, None, lambda: self.now_ms)
        decider.board = make_board(catalog.all())
        terms = Exchange(notice_window_s=5, bid_expires_s=2)
        rng = random.Random(self.seed)
        template = decode_request(
            msgspec.json.encode({
                "id": "r", "at": 1, "cur": ["CNY"],
                "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 2.0, "bidfloorcur": "CNY"}],
            })
        )  # fmt: skip
        due: dict[int, list[Notice]] = defaultdict(list)
        for tick in range((until_ms - self.now_ms) // self.beat_ms):
            for _ in range(_poisson(rng, self.requests_a_second * self.beat_ms / 1000)):
                decision = decider.decide(template, "adx", terms, 1)
                for bid in decision.bids:
                    token = signer.open(bid.server_token, Purpose.SERVER, self.now_ms)
                    price = bid.price_cpm_micros
                    won = price > 8_000_000 * rng.lognormvariate(0, 0.5)
                    pot = decider.board.by_number[token.campaign].campaign.pot(token.stage)
                    kind = Kind.BILL if won else Kind.LOSS
                    notice = Notice(
                        kind,
                        token.lease,
                        token.seq,
                        price if won else 0,
                        token.reserved_nanos,
                        0,
                        token.hold_until_ms,
                        pot,
                        "adx",
                    )
                    due[tick + self.delay_ms // self.beat_ms].append(notice)
                    self.spent[pot] += notice.nanos
            closing = decider.board.stir(self.now_ms, book)
            _, synced = master.batch([Commit(due.pop(tick, [])), book.sync([], closing)])
            assert isinstance(synced, Synced)
            book.synced(synced)
            self.trail.append((self.now_ms, dict(self.spent)))
            self.now_ms += self.beat_ms


def _poisson(rng: random.Random, mean: float) -> int:
    count, left = 0, rng.expovariate(1.0)
    while left < mean:
        count += 1
        left += rng.expovariate(1.0)
    return count


@pytest.mark.parametrize("seed", [1, 2])
def test_the_five_stage_plan_is_spent_stage_by_stage_in_seconds(tmp_path: Path, seed: int) -> None:
    stages = five_stages(8_000, scale=25_000)
    world = World(tmp_path, [campaign(stages)], seed=seed)
    world.run(START_MS + 42_000)
    total = sum(stage.budget for stage in stages)
    spent = [world.spent[f"plan.{i}"] for i in range(5)]
    assert spent[0] == 0
    assert sum(spent) >= 0.93 * total
    for stage, money in zip(stages, spent, strict=True):
        assert money <= stage.budget
        assert money >= 0.88 * stage.budget
    assert audit(world.con) == []
    for at_ms, by_pot in world.trail:
        for i, stage in enumerate(stages):
            if stage.budget and stage.start_ms <= at_ms < stage.end_ms:
                wanted = Curve(stage.start_ms, stage.end_ms).share(at_ms) * stage.budget
                assert abs(by_pot.get(f"plan.{i}", 0) - wanted) < 0.2 * stage.budget


def test_a_small_campaign_paces_as_well_as_a_large_one_beside_it(tmp_path: Path) -> None:
    def flat(name: str, budget: int) -> Campaign:
        return campaign((Stage(name="all", start_ms=START_MS, end_ms=START_MS + 40_000, budget_nanos=budget),), name)

    world = World(tmp_path, [flat("large", 60 * YUAN), flat("small", 2 * YUAN)])
    world.run(START_MS + 40_500)
    for name, budget in (("large", 60 * YUAN), ("small", 2 * YUAN)):
        assert 0.9 * budget <= world.spent[f"{name}.0"] <= budget
        halfway = next(by_pot for at, by_pot in world.trail if at >= START_MS + 20_000)
        assert 0.35 * budget <= halfway.get(f"{name}.0", 0) <= 0.65 * budget


def test_the_curve_follows_the_forecast_by_hour() -> None:
    traffic = [0.0] * 24
    traffic[20] = 3.0
    traffic[21] = 1.0
    day = 86_400_000
    midnight = START_MS // day * day
    curve = Curve(midnight, midnight + day, traffic, 0)
    hour = 3_600_000
    assert curve.share(midnight + 20 * hour) == 0.0
    assert curve.share(midnight + 21 * hour) == pytest.approx(0.75)
    assert curve.share(midnight + 22 * hour) == pytest.approx(1.0)
    shifted = Curve(midnight, midnight + day, traffic, 480)
    assert shifted.share(midnight + 13 * hour) == pytest.approx(0.75)
