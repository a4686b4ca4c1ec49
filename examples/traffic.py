"""The synthetic bid stream: who visits when, what the market will bid, and how a person answers an ad."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
import numpy as np

from examples.world import Visit, World

UNKNOWN_SHARE: Final = 0.2  # visitors who are nobody's subscriber here
MARKET_MEDIAN_CPM_MICROS: Final = 8_000_000  # 8 yuan per mille
MARKET_SPREAD: Final = 0.5  # standard deviation of the log price
FLOOR_CPM: Final = 2.0
CLICK_BASE: Final = 0.004
CLICK_LIFT: Final = 0.05
SIZES: Final = ((300, 250), (320, 50), (728, 90), (640, 960))
APPS: Final = ("news", "video", "weather", "music", "maps", "game")


def make(world: World, requests: int, seed: int) -> list[Visit]:
    """Draw ``requests`` visits: heavy users come often, evenings are busier, prices are the market's."""
    rng = np.random.default_rng(seed)
    people = world.graph.num_rows
    activity = rng.pareto(1.8, people) + 0.2
    person = rng.choice(people, size=requests, p=activity / activity.sum())
    unknown = rng.random(requests) < UNKNOWN_SHARE
    at = np.sort(_day_curve(rng.random(requests)))
    market = MARKET_MEDIAN_CPM_MICROS * np.exp(MARKET_SPREAD * rng.standard_normal(requests))
    devices = world.graph.column(world.device).to_pylist()
    visits = []
    for i in range(requests):
        who = int(person[i])
        device = _stranger(seed, i) if unknown[i] else str(devices[who])
        leaning = 0.0 if unknown[i] else float(world.truth.affinity[who])
        request_id = f"{seed:x}-{i:06d}"
        request = _request(request_id, device, i, rng)
        visits.append(Visit(float(at[i]), request, request_id, int(market[i]), CLICK_BASE + CLICK_LIFT * leaning))
    return visits


def _day_curve(uniform: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Warp uniform times so that traffic rises to an evening peak; the inverse of its cumulative curve."""
    grid = np.linspace(0, 1, 513)
    rate = 1.0 + 0.6 * np.sin(2 * np.pi * (grid - 0.35))
    cumulative = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2)])
    return np.asarray(np.interp(uniform, cumulative / cumulative[-1], grid))


def _stranger(seed: int, number: int) -> str:
    h = hashlib.sha256(f"{seed}/stranger/{number}".encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:32]}"


def _request(request_id: str, device: str, number: int, rng: np.random.Generator) -> bytes:
    width, height = SIZES[int(rng.integers(len(SIZES)))]
    app = APPS[int(rng.integers(len(APPS)))]
    return msgspec.json.encode(
        {
            "id": request_id,
            "at": 1,
            "tmax": 120,
            "cur": ["CNY"],
            "imp": [
                {
                    "id": "1",
                    "tagid": f"{app}-{width}x{height}",
                    "banner": {"format": [{"w": width, "h": height}]},
                    "bidfloor": FLOOR_CPM,
                    "bidfloorcur": "CNY",
                }
            ],
            "app": {"id": app, "bundle": f"example.{app}", "name": app, "publisher": {"id": "pub-1"}},
            "device": {
                "ua": "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Mobile",
                "ip": f"203.0.113.{number % 254 + 1}",
                "os": "Android",
                "devicetype": 4,
                "ifa": device,
                "geo": {"country": "CHN"},
            },
            "user": {},
        }
    )
