"""What bench_bid bids on: campaigns, profiles, a model and request bodies, made from a seed and the real requests.

Bodies are the real Google AdX app requests mapped to OpenRTB, or, where that data is absent, requests of the same
shape; each gets a device id (a share of them in the profile store), a price floor and the blocks real exchanges send,
up to 2-4 KB.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import catboost
import msgspec
import numpy as np
import pyarrow as pa

from bidder.dsp import scoring
from bidder.dsp.campaign import Campaign, Creative, Stage, Target, Value, check
from bidder.dsp.scoring import Column, Model
from bidder.openrtb import JSON, encode_request
from bidder.openrtb.google import decode_google
from dmp.profile import PROFILE_SCHEMA, ProfileWriter, profile_key

SIZES: Final = ((300, 250), (320, 50), (728, 90), (320, 480), (160, 600), (300, 600), (970, 250), (468, 60))
OS: Final = ("android", "ios")
COUNTRIES: Final = ("CHN", "USA", "GBR", "DEU")
AUDIENCES: Final = 40
HIT_SHARE: Final = 0.8
GOOGLE: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "openrtb" / "google_adx_300.jsonl"
FLIGHT_MS: Final = 6 * 3_600_000


def device_of(number: int) -> str:
    """The device id of profile ``number``."""
    return str(uuid.UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << 128)))


def campaigns(count: int, eligible: int, now_ms: int, seed: int) -> list[Campaign]:
    """``count`` campaigns of which about ``eligible`` suit a request, whatever ``count`` is.

    The share that bids is set by audiences and operating systems; the others ask for places the requests are not in.
    """
    rng = random.Random(seed)
    made = []
    in_play = min(count, eligible * 5 // 2)
    for i in range(count):
        near = i < in_play
        target = Target(
            include=tuple(sorted(rng.sample(range(1, AUDIENCES), 3))) if i % 3 == 0 else (),
            exclude=(AUDIENCES,) if i % 7 == 0 else (),
            os=(rng.choice(OS),) if i % 2 else (),
            countries=() if near else (f"{chr(65 + i % 26)}Z{chr(65 + i // 26 % 26)}",),
            hours=tuple(range(24)) if i % 5 == 0 else (),
            block_categories=("IAB25", "IAB26"),
        )
        audience = rng.randint(1, AUDIENCES)
        value = Value(
            click_micros=rng.randint(20_000, 80_000), audience=audience, multipliers=(0.8, 1.0, 1.3), base_cpm_micros=0
        )
        made.append(
            check(
                Campaign(
                    name=f"c{i}",
                    advertiser=f"a{i % 200}",
                    max_cpm_micros=30_000_000,
                    value=value,
                    target=target,
                    creatives=tuple(
                        Creative(
                            id=f"s{w}x{h}",
                            w=w,
                            h=h,
                            landing=f"https://a{i % 200}.example/{i}",
                            image=f"https://cdn.example/{i}-{w}x{h}.jpg",
                            adomain=f"a{i % 200}.example",
                            cat=("IAB19",),
                        )
                        for w, h in rng.sample(SIZES, 5)
                    ),
                    stages=(
                        Stage(name="all", start_ms=now_ms - 60_000, end_ms=now_ms + FLIGHT_MS, budget_nanos=10**15),
                    ),
                )
            )
        )
    return made


def write_profiles(folder: Path, count: int, secret: bytes, seed: int) -> None:
    """A store of ``count`` profiles with audiences and scores."""
    rng = np.random.default_rng(seed)
    keys = sorted((profile_key("idfa", "raw", device_of(i), secret), i) for i in range(count))
    with ProfileWriter.open(folder) as writer:
        for audience in range(1, AUDIENCES + 1):
            writer.set_audience(audience, 2**52)
        writer.build(_batches(keys, rng))


def _batches(keys: list[tuple[bytes, int]], rng: np.random.Generator) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(keys), 50_000):
        part = keys[start : start + 50_000]
        counts = rng.integers(1, 7, len(part))
        lists = [np.sort(rng.choice(AUDIENCES, int(k), replace=False) + 1).tolist() for k in counts]
        values = [rng.integers(0, 3, len(ids)).astype(float).tolist() for ids in lists]
        yield pa.record_batch(
            [[k for k, _ in part], lists, [[] for _ in part], lists, values, [True] * len(part)], schema=PROFILE_SCHEMA
        )


def train(trees: int, seed: int, scratch: Path, campaign_count: int) -> Model:
    """A click model of ``trees`` trees over context and campaign, fitted to a made-up law of clicks."""
    rng = np.random.default_rng(seed)
    rows = 20_000
    apps = [f"example.app{i}" for i in range(200)]
    app_rates = rng.beta(2, 60, len(apps))
    campaign_rates = rng.beta(2, 60, campaign_count)
    hour, os, app, campaign, floor = (
        rng.integers(0, 24, rows),
        rng.integers(0, 2, rows),
        rng.integers(0, len(apps), rows),
        rng.integers(0, campaign_count, rows),
        rng.random(rows) * 5,
    )
    size = rng.integers(0, len(SIZES), rows)
    columns = [
        Column(field="hour", kind="number"),
        *(Column(field="os", kind="onehot", value=name) for name in OS),
        *(Column(field="size", kind="onehot", value=f"{w}x{h}") for w, h in SIZES),
        Column(field="app", kind="target", table=dict(zip(apps, app_rates.tolist(), strict=True)), prior=0.03),
        Column(field="floor", kind="number"),
        Column(
            field="campaign", kind="target", table={f"c{i}": float(r) for i, r in enumerate(campaign_rates)}, prior=0.03
        ),
    ]
    features = np.stack(
        [
            hour,
            *(os == i for i in range(2)),
            *(size == i for i in range(len(SIZES))),
            app_rates[app],
            floor,
            campaign_rates[campaign],
        ],
        axis=1,
    ).astype(np.float32)
    law = -5 + 0.05 * hour + 0.6 * os + 20 * app_rates[app] + 25 * campaign_rates[campaign] + 0.2 * size + 0.1 * floor
    clicked = rng.random(rows) < 1 / (1 + np.exp(-law))
    model = catboost.CatBoostClassifier(
        iterations=trees, depth=6, random_seed=seed, verbose=False, thread_count=2, allow_writing_files=False
    )
    model.fit(features, clicked)
    return scoring.from_catboost(model, columns, len(columns) - 1, scratch, name=f"bench-{trees}")


def bodies(count: int, profiles: int, seed: int) -> list[bytes]:
    """``count`` request bodies in JSON."""
    rng = random.Random(seed)
    real = [decode_google(line) for line in GOOGLE.read_bytes().splitlines()] if GOOGLE.exists() else []
    templates = [msgspec.json.decode(encode_request(r, JSON)) for r in real] or [_template(rng) for _ in range(300)]
    return [_body(rng, rng.choice(templates), i, profiles) for i in range(count)]


def _template(rng: random.Random) -> dict[str, Any]:
    w, h = rng.choice(SIZES)
    return {
        "imp": [{"id": "1", "banner": {"w": w, "h": h}}],
        "app": {"id": str(rng.randrange(10_000)), "name": "app"},
        "device": {"ua": "Mozilla/5.0 (Linux; Android 14)", "ip": "203.0.113.9", "os": rng.choice(("iOS", "Android"))},
    }


def _body(rng: random.Random, template: dict[str, Any], number: int, profiles: int) -> bytes:
    request = msgspec.json.decode(msgspec.json.encode(template))
    request["id"] = f"{number:032x}"
    request |= {
        "at": 1,
        "tmax": 120,
        "cur": ["CNY"],
        "bcat": [f"IAB{i}-{j}" for i in (7, 8, 9, 14, 23) for j in range(1, 9)],
        "badv": [f"competitor{i}.example" for i in rng.sample(range(500), 40)],
    }
    imp = request["imp"][0]
    imp |= {
        "bidfloor": round(rng.random(), 2),
        "bidfloorcur": "CNY",
        "secure": 1,
        "tagid": f"slot-{rng.randrange(1000)}",
    }
    banner = imp.setdefault("banner", {})
    banner.setdefault("format", [{"w": w, "h": h} for w, h in rng.sample(SIZES, 2)])
    banner |= {
        "battr": [1, 3, 8, 9, 10, 13, 14],
        "mimes": ["text/html", "image/jpeg", "image/png"],
        "api": [3, 5, 6, 7],
    }
    app = request.setdefault("app", {})
    app |= {
        "bundle": f"example.app{rng.randrange(200)}",
        "cat": ["IAB1", "IAB9-30"],
        "ver": "9.1.2",
        "publisher": {"id": f"pub-{rng.randrange(2000)}", "name": "publisher"},
        "keywords": "news,sports,weather,video,music,travel,food",
    }
    known = rng.random() < HIT_SHARE
    device = request.setdefault("device", {})
    device |= {
        "os": rng.choice(("iOS", "Android")) if not known else "iOS" if rng.random() < 0.5 else "Android",
        "ifa": device_of(rng.randrange(profiles)) if known else str(uuid.UUID(int=rng.getrandbits(128))),
        "geo": {
            "country": rng.choice(COUNTRIES),
            "region": "31",
            "city": "city",
            "type": 2,
            "lat": 31.23,
            "lon": 121.47,
        },
        "lmt": 0,
        "connectiontype": 2,
        "language": "zh",
        "hwv": "14,2",
        "ppi": 460,
        "js": 1,
    }
    request["user"] = {
        "id": f"{rng.getrandbits(64):016x}",
        "data": [
            {"id": f"d{k}", "name": "provider", "segment": [{"id": str(rng.randrange(10**6))} for _ in range(8)]}
            for k in range(3)
        ],
    }
    request["source"] = {
        "tid": str(uuid.UUID(int=rng.getrandbits(128))),
        "schain": {
            "complete": 1,
            "ver": "1.0",
            "nodes": [{"asi": "exchange.example", "sid": f"{rng.randrange(10**6)}", "hp": 1}],
        },
    }
    return msgspec.json.encode(request)
