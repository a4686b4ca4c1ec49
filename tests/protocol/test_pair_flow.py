"""The two rooms of PAIR in memory, then through the commands on files; what a room refuses leaves nothing behind."""

import csv
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from typer.testing import CliRunner

from cleanroom.oprf import DeserializeError
from cleanroom.pair import (
    PairIdKind,
    PairListInvalid,
    PairListMismatch,
    PairListTooSmall,
    PartyKey,
    Profile,
    PublisherKey,
    Role,
    activation_ids,
    first_layer,
    hashed_ids,
    match,
    publisher_ids,
    read_eids,
    second_layer,
)
from cleanroom.pair.cli import pair_app
from keys.identity import init_development
from keys.keystore import ScryptCost

AD, PUB = Role.ADVERTISER, Role.PUBLISHER
KS = PublisherKey(bytes(range(32)))


def rng(seed):
    return np.random.default_rng(seed).bytes


KA, KP = (PartyKey.generate(Profile.RISTRETTO255, rng(seed)) for seed in (1, 2))


def emails(start, stop):
    return [f"Person{i}@Example.com" for i in range(start, stop)]


@pytest.fixture(scope="module")
def exchange():
    """Both rooms through both steps: 1,500 ids each, 600 in common."""
    ad, pub = (hashed_ids(emails(*span), PairIdKind.EMAIL) for span in ((0, 1500), (900, 2400)))
    first = {AD: first_layer(list(ad), AD, KS, KA, rng(3)), PUB: first_layer(list(pub), PUB, KS, KP, rng(4))}
    second = {AD: second_layer(first[AD], KP, rng(5)), PUB: second_layer(first[PUB], KA, rng(6))}
    return ad, pub, first, second


def test_the_ids_in_common_are_activated_and_no_others(exchange):
    _, pub, _, second = exchange
    matched = match(second[AD], second[PUB])
    assert matched.rate == "40%"
    assert match(second[PUB], second[AD]).elements == matched.elements
    of_row = dict(publisher_ids(pub, KS, KP))
    assert len(of_row) == 1500
    activated = activation_ids(matched, KA)
    expected = [of_row[row] for row in emails(900, 1500)]
    assert sorted(activated) == sorted(expected)


def test_what_travels_shows_no_id_and_no_order(exchange):
    ad, _, first, second = exchange
    plain = {element for key in ad for element in (key, bytes.fromhex(key.decode()))}
    assert not plain & set(first[AD].elements)
    assert not set(first[AD].elements) & set(second[AD].elements)
    unshuffled = KP.encrypt(np.frombuffer(b"".join(first[AD].elements), np.uint8).reshape(-1, 32))
    at = {row.tobytes(): i for i, row in enumerate(unshuffled)}
    moves = np.array([at[element] for element in second[AD].elements])
    assert sorted(moves.tolist()) == list(range(1500))
    assert np.abs(moves - np.arange(1500)).mean() > 400  # a uniform shuffle moves a row 500 places


def test_one_key_alone_does_not_match(exchange):
    _, _, first, second = exchange
    assert not set(first[AD].elements) & set(first[PUB].elements)
    with pytest.raises(PairListMismatch):
        match(first[AD], first[PUB])
    with pytest.raises(PairListMismatch):
        match(second[AD], second[AD])
    with pytest.raises(PairListMismatch):
        second_layer(second[AD], KA, rng(1))


@pytest.mark.parametrize("change", [{"key_id": "other"}, {"adv_pub_id": "other"}])
def test_lists_of_two_exchanges_do_not_match(exchange, change):
    _, _, _, second = exchange
    with pytest.raises(PairListMismatch):
        match(second[AD], replace(second[PUB], **change))


def test_lists_below_the_minimum_are_refused_at_every_step(exchange):
    ad, pub, first, second = exchange
    few = list(ad)[:999]
    with pytest.raises(PairListTooSmall):
        first_layer(few, AD, KS, KA, rng(1))
    with pytest.raises(PairListTooSmall):
        second_layer(replace(first[AD], elements=first[AD].elements[:999]), KP, rng(1))
    with pytest.raises(PairListTooSmall):
        match(second[AD], replace(second[PUB], elements=second[PUB].elements[:999]))
    with pytest.raises(PairListTooSmall):
        publisher_ids({key: pub[key] for key in list(pub)[:999]}, KS, KP)


def test_a_list_is_not_stretched_to_the_minimum_by_repeating_rows(exchange):
    ad, _, first, _ = exchange
    with pytest.raises(PairListTooSmall):
        first_layer(list(ad)[:500] * 2, AD, KS, KA, rng(1))
    with pytest.raises(PairListInvalid):
        replace(first[AD], elements=first[AD].elements[:500] * 2)


def test_a_list_with_an_element_that_is_none_is_refused_whole(exchange):
    _, _, first, _ = exchange
    with pytest.raises(DeserializeError):
        second_layer(replace(first[AD], elements=(*first[AD].elements, b"\xff" * 32)), KP, rng(1))


# --- the commands ---


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """Two identities, their keys rotated, the publisher's shared."""
    root = tmp_path_factory.mktemp("rooms")
    cost = ScryptCost(log_n=4, r=1, p=1)
    init_development(root, ["ad-room", "pub-room"], rng(1), datetime.now(UTC), b"secret", cost=cost)
    passphrase = root / "passphrase"
    passphrase.write_text("secret\n")
    passphrase.chmod(0o600)
    base = ("--relationship", "shop-news", "--passphrase-file", str(passphrase))

    def run(*words, code=0):
        result = CliRunner().invoke(pair_app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    ad, pub = root / "ad-room", root / "pub-room"
    for room, role in ((ad, AD), (pub, PUB)):
        run("rotate", room, "--role", role, *base)
    run("share-key", pub, "--to", ad / "party.json", "--out", root / "ks.json", *base)
    run("take-key", ad, root / "ks.json", "--from", pub / "party.json", *base)
    for name, span in (("ad", (0, 1500)), ("pub", (900, 2400)), ("few", (0, 999)), ("near", (0, 1501))):
        (root / f"{name}.csv").write_text(
            "customer,mail\n" + "".join(f"{i},{e}\n" for i, e in enumerate(emails(*span)))
        )
    return root, ad, pub, base, run


def test_the_commands_run_the_whole_flow(rooms):
    root, ad, pub, base, run = rooms
    csv_options = ("--column", "mail")
    for room, role, name in ((ad, AD, "ad"), (pub, PUB, "pub")):
        run("encrypt", room, "--role", role, "--ids", root / f"{name}.csv", *csv_options,
            "--out", root / f"{name}.1", "--history", root / f"seen-{role}", *base)  # fmt: skip
    run("rekey", pub, root / "ad.1", "--role", PUB, "--out", root / "ad.2", "--history", root / "seen-publisher", *base)
    run(
        "rekey", ad, root / "pub.1", "--role", AD, "--out", root / "pub.2", "--history", root / "seen-advertiser", *base
    )
    shown = run("match", "--own", root / "ad.2", "--other", root / "pub.2", "--role", AD, "--identity", ad,
                "--out", root / "dsp.txt", *base)  # fmt: skip
    assert json.loads(shown) == {"match_rate": "40%"}
    shown = run("match", "--own", root / "pub.2", "--other", root / "ad.2", "--role", PUB)
    assert json.loads(shown) == {"match_rate": "40%"}
    run("ids", pub, "--ids", root / "pub.csv", *csv_options, "--out", root / "ids.csv", *base)
    run(
        "eids", root / "ids.csv", "--inserter", "ssp.example", "--matcher", "room.example", "--out", root / "eids.jsonl"
    )
    with (root / "ids.csv").open(newline="") as handle:
        of_row = {row["row"]: row["pair_id"] for row in csv.DictReader(handle)}
    activated = set((root / "dsp.txt").read_text().split())
    assert activated == {of_row[row] for row in emails(900, 1500)}
    lines = [json.loads(line) for line in (root / "eids.jsonl").read_text().splitlines()]
    assert {line["row"] for line in lines if read_eids(line)[0] in activated} == set(emails(900, 1500))


def test_a_refused_command_writes_nothing(rooms):
    root, ad, _, base, run = rooms
    out, seen = root / "never", root / "seen-never"
    with pytest.raises(PairListTooSmall):
        run("encrypt", ad, "--role", AD, "--ids", root / "few.csv", "--column", "mail", "--out", out,
            "--history", seen, *base)  # fmt: skip
    assert not out.exists()
    assert not seen.exists()
    with pytest.raises(PairListInvalid):
        run("encrypt", ad, "--role", AD, "--ids", root / "ad.csv", "--column", "phone", "--out", out,
            "--history", seen, *base)  # fmt: skip
    assert not out.exists()


def test_a_second_list_that_adds_one_person_is_refused(rooms):
    root, ad, _, base, run = rooms
    words = ("encrypt", ad, "--role", AD, "--column", "mail", "--history", root / "seen-near", *base)
    run(*words, "--ids", root / "ad.csv", "--out", root / "near.1")
    with pytest.raises(Exception, match="pair-difference-too-small"):
        run(*words, "--ids", root / "near.csv", "--out", root / "near.2")
    assert not (root / "near.2").exists()


def test_a_room_does_not_take_its_own_list_for_the_others(rooms):
    root, ad, _, base, run = rooms
    run("encrypt", ad, "--role", AD, "--ids", root / "ad.csv", "--column", "mail", "--out", root / "own.1",
        "--history", root / "seen-own", *base)  # fmt: skip
    with pytest.raises(PairListMismatch):
        run("rekey", ad, root / "own.1", "--role", AD, "--out", root / "own.2", "--history", root / "seen-own", *base)
    assert not (root / "own.2").exists()


def test_hashes_can_stand_for_the_addresses():
    raw = hashed_ids(emails(0, 5), PairIdKind.EMAIL)
    digests = [hashlib.sha256(mail.lower().encode()).hexdigest() for mail in emails(0, 5)]
    assert list(hashed_ids(digests, PairIdKind.SHA256)) == list(raw)
