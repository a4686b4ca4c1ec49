"""Eligibility, markup, journal, frequency, catalogue: each alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bidder.dsp import journal
from bidder.dsp._errors import CampaignExists, CampaignInvalid, CampaignUnknown, JournalCorrupt
from bidder.dsp.campaign import Campaign, Cap, Creative, Format, Stage, Target, Value, check
from bidder.dsp.catalog import Catalog, definition, parse
from bidder.dsp.compact import compact
from bidder.dsp.decide import BidEvent
from bidder.dsp.eligibility import bits, build
from bidder.dsp.facts import NO_OFFSET, Facts
from bidder.dsp.frequency import Frequency
from bidder.dsp.markup import fill, prepare

HERE = Facts("adx", "CHN", "31", "shanghai", "android", 4, 2, "zh", "46000", "com.app", "", ("IAB1",), NO_OFFSET)
HOUR = 3_600_000


def order(name: str = "c", **more: Any) -> Campaign:
    creative = Creative(
        id="a", w=300, h=250, landing="https://b.example", image="https://b.example/i", adomain="b.example"
    )
    parts: dict[str, Any] = {
        "advertiser": "a",
        "max_cpm_micros": 10**7,
        "value": Value(base_cpm_micros=10**6),
        "creatives": (creative,),
        "stages": (Stage(name="s", start_ms=0, end_ms=10**9, heads=10, unit_cost_nanos=100),),
    }
    return Campaign(name=name, **(parts | more))


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target(), ""),
        (Target(countries=("USA",)), "country"),
        (Target(countries=("USA", "CHN"), os=("android",)), ""),
        (Target(os=("ios",)), "os"),
        (Target(regions=("44",)), "region"),
        (Target(cities=("beijing",)), "city"),
        (Target(device_types=(1,)), "device-type"),
        (Target(connections=(6,)), "connection"),
        (Target(languages=("en",)), "language"),
        (Target(carriers=("46001",)), "carrier"),
        (Target(exchanges=("other",)), "exchange"),
        (Target(apps=("com.app",)), ""),
        (Target(sites=("news.example",)), "app-or-site"),
        (Target(block_apps=("com.app",)), "blocked-page"),
        (Target(block_categories=("IAB1",)), "blocked-page"),
        (Target(include=(7,)), ""),
        (Target(include=(8,)), "audience"),
        (Target(exclude=(7,)), "excluded-audience"),
        (Target(exclude=(8,)), ""),
        (Target(hours=(8,)), ""),  # 00:00 UTC is 08:00 in the campaign's zone
        (Target(hours=(0,)), "hour"),
    ],
)
def test_each_target_lets_in_and_keeps_out(target: Target, reason: str) -> None:
    beside = order("other", target=Target(countries=("FRA",)))  # a neighbour must not change the answer
    index = build([check(order(target=target)), check(beside)])
    assert index.narrow(HERE, 1, 0, (7,)) == (0 if reason else 1, reason)


def test_hours_follow_the_users_zone_where_it_is_known() -> None:
    index = build([order(target=Target(hours=(8,)))])
    assert index.narrow(HERE._replace(utc_offset_minutes=0), 1, 0, ())[1] == "hour"
    assert index.narrow(HERE._replace(utc_offset_minutes=0), 1, 8 * HOUR, ())[1] == ""
    assert index.narrow(HERE, 1, HOUR, ())[1] == "hour"


def test_what_the_request_forbids_is_blocked_by_advertiser_category_and_currency() -> None:
    index = build([order(), order("d", currency="USD")])
    assert index.blocked_by((), (), ()) == 0
    assert index.blocked_by(("b.example",), (), ()) == 3
    assert index.blocked_by(("x.example",), (), ("USD",)) == 1


def test_bits_of_a_wide_bitmap() -> None:
    places = [0, 63, 64, 1_000, 9_999]
    assert list(bits(sum(1 << p for p in places))) == places


def test_markup_escapes_what_an_advertiser_gave_and_holds_both_addresses() -> None:
    image = "https://b.example/?a=1&b=2"
    banner = prepare(
        order().creatives[0].__class__(id="a", w=1, h=1, landing="https://b.example", image=image, adomain="b.example")
    )
    text = fill(banner, "http://d/c?t=1", "http://d/i?t=1")
    assert 'href="http://d/c?t=1"' in text
    assert 'src="http://d/i?t=1"' in text
    assert "a=1&amp;b=2" in text
    video = Creative(
        id="v",
        format=Format.VIDEO,
        w=1,
        h=1,
        landing="https://b.example",
        image=image,
        adomain="b.example",
        duration_s=75,
        title="<x>",
    )
    vast = fill(prepare(video), "C", "I")
    assert "<Duration>00:01:15</Duration>" in vast
    assert "&lt;x&gt;" in vast
    assert "<![CDATA[C]]>" in vast


def test_all_faults_of_a_campaign_are_told_at_once() -> None:
    broken = order(
        "bad name",
        currency="yuan",
        max_cpm_micros=0,
        caps=(Cap(impressions=0, window_s=0),),
        stages=(Stage(name="s", start_ms=5, end_ms=5), Stage(name="t", start_ms=1, end_ms=9, budget_nanos=-1)),
        target=Target(include=(1,), exclude=(1,)),
    )
    with pytest.raises(CampaignInvalid) as caught:
        check(broken)
    for words in (
        "name:",
        "currency:",
        "max_cpm_micros:",
        "cap[0]",
        "stage[0]",
        "stage[1]",
        "both included and excluded",
    ):
        assert words in caught.value.message


def test_a_campaign_is_stored_once_and_funded_stage_by_stage(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "d.sqlite", lambda: 1)
    with pytest.raises(CampaignUnknown):
        catalog.create(order())
    catalog.create_advertiser("a")
    number = catalog.create(order())
    version = catalog.version()
    assert catalog.create(parse(definition(order()))) == number
    assert catalog.version() == version
    with pytest.raises(CampaignExists):
        catalog.create(order(max_cpm_micros=5))
    assert [(m.budget_nanos, m.charged_nanos, m.heads) for m in catalog.money(order())] == [(1_000, 0, 10)]
    catalog.pause("c", paused=True)
    assert catalog.get("c").paused
    assert catalog.version() > version
    with pytest.raises(CampaignUnknown):
        catalog.pause("nobody", paused=True)


def test_the_journal_keeps_whole_records_drops_a_torn_end_and_refuses_damage(tmp_path: Path) -> None:
    writer = journal.JournalWriter(tmp_path, "worker-0-1")
    for i in range(3):
        writer.append([["x", i]])
    writer.close()
    whole = writer.path.read_bytes()
    assert [events for _, events in journal.read(writer.path)] == [[["x", 0]], [["x", 1]], [["x", 2]]]
    for cut in range(len(whole) - 18, len(whole)):
        writer.path.write_bytes(whole[:cut])
        assert [sequence for sequence, _ in journal.read(writer.path)] == [1, 2]
    damaged = bytearray(whole)
    damaged[25] ^= 1
    writer.path.write_bytes(bytes(damaged))
    with pytest.raises(JournalCorrupt):
        list(journal.read(writer.path))
    writer.path.write_bytes(b"SBJ2" + whole[4:])
    with pytest.raises(JournalCorrupt):
        list(journal.read(writer.path))


def test_compaction_takes_each_record_once_even_when_it_died_before_removing(tmp_path: Path) -> None:
    events, out = tmp_path / "journal", tmp_path / "events"
    writer = journal.JournalWriter(events, "worker-0-1")
    writer.append([["bid", *range(5), "adx", 1, 2, 3]])
    assert compact(events, out, finished=False) == 0  # its writer lives
    kept = writer.path.read_bytes()
    later = journal.JournalWriter(events, "worker-0-2")
    assert compact(events, out, finished=False) == 1
    writer.path.write_bytes(kept)  # as if the removal had not reached the disk
    before = sorted((p.name, p.stat().st_mtime_ns) for p in out.iterdir())
    assert compact(events, out, finished=False) == 1
    assert sorted((p.name, p.stat().st_mtime_ns) for p in out.iterdir()) == before
    assert len(before) == 1
    assert len(BidEvent.__struct_fields__) == 9
    writer.close()
    later.close()


def test_a_cap_counts_what_is_under_way_and_forgets_what_is_past() -> None:
    seen = Frequency()
    caps = (Cap(impressions=2, window_s=10),)
    seen.bid(1, 1, 100, 5_000)
    seen.bid(1, 1, 101, 5_000)
    assert not seen.allows(1, 1, caps, 1_000)
    assert seen.allows(2, 1, caps, 1_000)
    assert seen.allows(1, 2, caps, 1_000)
    seen.lost(1, 1, 101)
    assert seen.allows(1, 1, caps, 1_000)
    seen.shown(1, 1, 100, 2_000)
    seen.shown(1, 1, 100, 9_000)  # told twice: the first counts
    seen.bid(1, 1, 102, 5_000)
    assert not seen.allows(1, 1, caps, 4_000)
    assert seen.allows(1, 1, caps, 5_000)
    assert seen.allows(1, 1, (Cap(impressions=1, window_s=10),), 12_000)
    small = Frequency(persons_max=3)
    for person in range(10):
        small.bid(person, 1, person, 5_000)
    assert len(small) == 3
