"""Rules over events in any order: they find fault, they never fail; and over honest play they find none."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_rig import Rig, hex32, make_contract

from cleanroom.tlog import Disclosures, Event, decode_entry
from cleanroom.tlog.rules import Rules


@cache
def honest_events() -> tuple[Event, ...]:
    """Two collaborations from proposal to deletion, with every kind of event in them."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder))
        for name in ("spring-2027", "summer-2027"):
            play = rig.play(make_contract(name))
            play.honest()
            dataset = hex32(f"{name} brand")
            withdrawal = {"withdrawal": "w-1", "party": "brand", "datasets": [dataset], "people_bucket": 16}
            play.log("consent.withdrawn", withdrawal | {"until_ms": rig.clock.now_ms + 86_400_000})
            refused = {"contract": play.hash, "operation": "overlap", "recipient": "brand", "query": hex32("q")}
            play.log("release.refused", refused | {"rule": "guard-difference"})
            play.close()
            play.destroy_key()
            play.delete("w-1")
        rig.log.close()
        return tuple(decode_entry(opening.index, opening.entry) for _, opening in Disclosures(folder).openings())


def faults(events: list[Event]) -> list[tuple[str, str]]:
    rules = Rules({})
    found: list[tuple[str, str]] = []
    for event in events:
        rules.feed(event, lambda rule, detail: found.append((rule, detail)))
    rules.finish(None, lambda rule, _place, detail: found.append((rule, detail)))
    return found


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.data())
def test_no_order_of_events_breaks_the_rules_themselves(data: st.DataObject) -> None:
    events = honest_events()
    order = data.draw(st.lists(st.integers(0, len(events) - 1), max_size=60))
    found = faults([events[at] for at in order])
    assert all(rule and detail for rule, detail in found)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_leaving_out_what_a_release_needs_is_found(data: st.DataObject) -> None:
    events = list(honest_events())
    kinds = ("contract.proposed", "contract.signed", "contract.opened", "upload.committed", "decoy.verdict")
    needed = [at for at, event in enumerate(events) if event.kind in kinds]
    missing = data.draw(st.sampled_from(needed))
    assert faults(events[:missing] + events[missing + 1 :])


def test_the_second_collaboration_shares_the_account() -> None:
    """The play counts each collaboration alone; the auditor counts an entity's budget and quota over both."""
    assert {rule for rule, _ in faults(list(honest_events()))} == {"budget-arithmetic", "quota-arithmetic"}
