"""Every strategy by name, set from the training histogram and the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bidder.replay.errors import StrategyInvalid
from bidder.replay.harness import Bidder, Rule
from bidder.replay.histogram import PriceHistogram
from bidder.replay.plan import Plan
from bidder.replay.strategies.dual import DualPacer
from bidder.replay.strategies.pid import Pid
from bidder.replay.strategies.rlb import Rlb, ValueTable
from bidder.replay.strategies.simple import Const, Lin, Mcpc, Random, even_bid, even_top, fit_ortb

OURS: Final = "dual"
SEED: Final = 20_131_021

# Lin's b0 in the code published with the RLB paper, found there on the training logs themselves: by campaign (its
# training impressions, cost and clicks) and budget share
LIN_PUBLISHED: Final[dict[tuple[int, int, int], dict[float, int]]] = {
    (312_437, 19_689_072, 1_386): {1 / 32: 10, 1 / 16: 15, 1 / 8: 20, 1 / 4: 85, 1 / 2: 130},
}


class Catalogue:
    """Makes strategies for one campaign. Args: budget_max: the largest episode budget RLB's table must hold."""

    def __init__(self, histogram: PriceHistogram, auctions: int, budget_max: int, seed: int = SEED) -> None:
        self._histogram = histogram
        self._auctions = auctions
        self._budget_max = budget_max
        self._seed = seed
        self._table: ValueTable | None = None
        self._makers: dict[str, Callable[[Plan], Rule | Bidder]] = {
            "const": lambda plan: Const(even_bid(histogram, self._spend(plan))),
            "random": lambda plan: Random(even_top(histogram, self._spend(plan)), seed),
            "mcpc": lambda plan: Mcpc(histogram.cost / histogram.clicks),
            "lin": lambda plan: Lin(self.lin_base(plan), histogram.ctr),
            "ortb": lambda plan: fit_ortb(histogram, self._spend(plan)),
            "pid": lambda plan: Pid(histogram),
            "rlb": lambda plan: Rlb(self.table()),
            OURS: lambda plan: DualPacer(histogram, plan.pricing),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """All strategies, simple ones first."""
        return tuple(self._makers)

    def make(self, name: str, plan: Plan) -> Rule | Bidder:
        """A fresh strategy. Raises: StrategyInvalid: there is none of this name."""
        maker = self._makers.get(name)
        if maker is None:
            raise StrategyInvalid(f"no strategy {name!r}; there are {', '.join(self.names)}")
        return maker(plan)

    def lin_base(self, plan: Plan) -> int:
        """Lin's b0: the published one where there is one, else the even bid that spends the budget."""
        h = self._histogram
        published = LIN_PUBLISHED.get((h.impressions, h.cost, h.clicks), {})
        for share, base in published.items():
            if plan.budget == int(h.cpm * share * plan.auctions):
                return base
        return even_bid(h, self._spend(plan))

    def table(self) -> ValueTable:
        """RLB's table, made once, at its first use."""
        if self._table is None:
            self._table = ValueTable(self._histogram, self._auctions, self._budget_max)
        return self._table

    @staticmethod
    def _spend(plan: Plan) -> float:
        return plan.budget / plan.auctions
