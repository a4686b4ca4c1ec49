"""The exchange's counters, by name; label values are the exchange's own words and bidder names, never ids of people."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """One set, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter("adx_requests", "Requests of sellers by end", ["end"], registry=r)
        self.calls = Counter("adx_calls", "Calls to bidders by result", ["bidder", "result"], registry=r)
        self.shaped = Counter(
            "adx_shaped", "Requests not sent to a bidder, by reason", ["bidder", "reason"], registry=r
        )
        self.bids = Counter("adx_bids", "Bids by loss reason, 0 won", ["bidder", "reason"], registry=r)
        self.notices = Counter("adx_notices", "Notices by kind and result", ["kind", "bidder", "result"], registry=r)
        self.impressions = Counter("adx_impressions", "Impression reports by verdict", ["verdict"], registry=r)
        self.billed = Counter("adx_billed_nanos", "Nanos billed", ["bidder", "currency"], registry=r)
        self.share = Gauge(
            "adx_bidder_share", "Share of its traffic a bidder gets for its health", ["bidder"], registry=r
        )
        self._kept: dict[tuple[Counter, tuple[str, ...]], int] = {}
        self.seconds = Histogram(
            "adx_auction_seconds",
            "From a request's first byte to its answer",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
            registry=r,
        )

    def count(self, counter: Counter, *labels: str) -> None:
        """Add one; kept in a plain dictionary until ``export``, since a counter with its lock costs ten times more."""
        key = (counter, labels)
        self._kept[key] = self._kept.get(key, 0) + 1

    def export(self) -> bytes:
        """Everything in Prometheus' text form."""
        kept, self._kept = self._kept, {}
        for (counter, labels), number in kept.items():
            counter.labels(*labels).inc(number)
        return generate_latest(self.registry)
