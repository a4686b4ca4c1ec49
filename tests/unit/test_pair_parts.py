"""PAIR's parts: ids, rules, keys and their rotation, eids, files; what is refused and what stays secret."""

import base64
import json
import pickle

import numpy as np
import pytest

from cleanroom.pair import (
    History,
    PairDifferenceTooSmall,
    PairEidInvalid,
    PairIdInvalid,
    PairIdKind,
    PairKeyInvalid,
    PairKeys,
    PairList,
    PairListInvalid,
    PairListTooSmall,
    PartyKey,
    Profile,
    PublisherKey,
    Role,
    eids,
    hashed_id,
    hashed_ids,
    match_rate,
    read_eids,
    read_list,
    write_list,
)
from cleanroom.pair.eids import canonical
from keys.errors import OpenFailed, RotationInvalid, SignatureInvalid
from keys.hpke import RecipientKey
from keys.keystore import Keystore, ScryptCost
from keys.rotation import DAY_MS
from keys.signing import SigningKey

ELEMENT = bytes(range(224, 256))
ADVERTISER, PUBLISHER, RISTRETTO = Role.ADVERTISER, Role.PUBLISHER, Profile.RISTRETTO255


def rng(seed):
    return np.random.default_rng(seed).bytes


def a_list(rows=1000, start=0, **changes):
    elements = tuple(i.to_bytes(32, "big") for i in range(start, start + rows))
    return PairList(**{
        "profile": RISTRETTO, "owner": ADVERTISER, "layers": 1, "key_id": "k", "adv_pub_id": "", "elements": elements,
    } | changes)  # fmt: skip


# --- ids ---


def test_emails_are_lowercased_in_ascii_only_and_hashed():
    # printf 'jane.doe@example.com' | sha256sum
    expected = b"86e0b9e56c17cc4d12387e1949b85053fbe73bc3ce5a1188713a9d300cc6133d"
    assert hashed_id(" Jane.Doe@Example.COM ", PairIdKind.EMAIL) == expected
    assert hashed_id(expected.decode().upper(), PairIdKind.SHA256) == expected
    assert hashed_id("É@x.com", PairIdKind.EMAIL) != hashed_id("é@x.com", PairIdKind.EMAIL)


def test_the_plus_of_a_phone_number_is_a_setting_default_kept():
    kept = hashed_id("+8613912345678", PairIdKind.PHONE)
    dropped = hashed_id("+8613912345678", PairIdKind.PHONE, keep_plus=False)
    assert kept != dropped
    assert kept == hashed_id("+8613912345678", PairIdKind.PHONE, keep_plus=True)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("jane", "email"), ("a b@c.d", "email"), ("13912345678", "phone"), ("+0123456789", "phone"), ("ab", "sha256")],
)
def test_a_bad_row_is_named_by_number_and_never_repeated(text, kind):
    good = {"email": "a@b.cd", "phone": "+8613912345678", "sha256": "0" * 64}[kind]
    with pytest.raises(PairIdInvalid) as caught:
        hashed_ids([good, text], PairIdKind(kind))
    assert "row 2" in str(caught.value)
    assert text not in str(caught.value)


# --- rules ---


@pytest.mark.parametrize(
    ("matched", "rows", "shown"),
    [(0, 1000, "0%"), (9, 1000, "0%"), (199, 1000, "19%"), (850, 1000, "85%"), (851, 1000, ">85%"), (9, 9000, "0%")],
)
def test_match_rates_are_whole_percents_and_capped(matched, rows, shown):
    assert match_rate(matched, rows) == shown


def test_no_rate_is_shown_of_a_list_below_the_minimum():
    with pytest.raises(PairListTooSmall):
        match_rate(999, 999)


@pytest.mark.parametrize("extra", [1, 49])
def test_a_list_that_differs_by_a_few_rows_is_refused_and_not_remembered(tmp_path, extra):
    history = History(tmp_path / "seen")
    history.admit(a_list())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PairDifferenceTooSmall):
        history.admit(a_list(1000 + extra))
    with pytest.raises(PairDifferenceTooSmall):  # swapping rows is a difference too
        history.admit(a_list(1000, start=extra // 2 or 1) if extra == 49 else a_list(999))
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_list_and_one_that_differs_enough_pass(tmp_path):
    history = History(tmp_path)
    history.admit(a_list())
    history.admit(a_list(elements=a_list().elements[::-1]))
    history.admit(a_list(1050))
    history.admit(a_list(1001, key_id="another key: not comparable"))
    with pytest.raises(PairDifferenceTooSmall):  # every earlier list counts, not the last one only
        history.admit(a_list(1001))


# --- eids ---


def test_eids_are_written_as_openrtb_wants_them():
    text = base64.b64encode(ELEMENT).decode()
    url = base64.urlsafe_b64encode(ELEMENT).decode().rstrip("=")
    assert url != text
    assert eids([url, text], inserter="ssp.example", matcher="room.example") == [
        {"source": "pair-protocol.com", "mm": 3, "inserter": "ssp.example", "matcher": "room.example",
         "uids": [{"id": text, "atype": 3}]}
    ]  # fmt: skip
    assert eids([], inserter="a", matcher="b") == []


def test_pair_ids_are_read_in_every_form_seen():
    def entry(source, atype, last):
        raw = ELEMENT[:-1] + bytes([last])
        forms = (base64.b64encode, base64.urlsafe_b64encode)
        return {
            "source": source,
            "uids": [{"id": forms[last % 2](raw).decode().rstrip("=" * (last % 3)), "atype": atype}],
        }

    user = {
        "eids": [entry("pair-protocol.com", 3, 1), entry("pair-protocol.com", 3, 2), entry("google.com", 1, 3)],
        "ext": {"eids": [entry("google.com", 571187, 4), entry("iabtechlab.com/pair", 3, 5), entry("other", 3, 6)]},
    }
    assert [base64.b64decode(each)[-1] for each in read_eids(user)] == [1, 2, 4, 5]
    ours = eids(read_eids(user), inserter="a", matcher="b")
    assert read_eids({"eids": json.loads(json.dumps(ours))}) == read_eids(user)


@pytest.mark.parametrize(
    "text", ["", "====", "A" * 42 + "B", "é" * 43, "AAAA", base64.b64encode(bytes(31)).decode(), "A" * 45]
)
def test_what_is_no_pair_id_is_refused(text):
    with pytest.raises(PairEidInvalid):
        canonical(text)


@pytest.mark.parametrize("user", [
    {"eids": {}}, {"eids": [3]}, {"eids": [{"source": "pair-protocol.com", "uids": 3}]},
    {"eids": [{"source": "pair-protocol.com", "uids": [{"id": 3, "atype": 3}]}]},
])  # fmt: skip
def test_malformed_eids_are_refused(user):
    with pytest.raises(PairEidInvalid):
        read_eids(user)


def test_odd_eids_of_others_are_passed_over():
    assert (
        read_eids({"eids": [{"source": ["x"], "uids": 3}, {"source": "pair-protocol.com", "uids": [{"atype": []}]}]})
        == []
    )
    assert read_eids({"ext": []}) == []


# --- files ---


def test_a_list_comes_back_from_its_file_and_is_never_written_over(tmp_path):
    path = tmp_path / "list"
    write_list(path, a_list())
    assert read_list(path) == a_list()
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(PairListInvalid):
        write_list(path, a_list(2000))
    assert read_list(path) == a_list()


@pytest.mark.parametrize("damage", [
    lambda text: text[: len(text) // 2 - 7],
    lambda text: text.rsplit("\n", 2)[0] + "\n",
    lambda text: text + "AAAA\n",
    lambda text: text.replace("sealbid-pair/1", "sealbid-pair/2"),
    lambda text: text.replace('"layers":1', '"layers":7'),
    lambda text: text.replace("ristretto255", "p256-sswu"),
    lambda text: text.replace("\n", "\n!", 1),
    lambda text: text.split("\n", 1)[1],
    lambda text: text.split("\n")[0] + "\n" + "".join(text.split("\n")[1] + "\n" for _ in range(1000)),
    lambda text: "",
    lambda text: "\udcff" + text,
])  # fmt: skip
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "list"
    write_list(path, a_list())
    path.write_bytes(damage(path.read_text()).encode("utf-8", "surrogateescape"))
    with pytest.raises(PairListInvalid):
        read_list(path)


# --- keys ---


@pytest.fixture
def rooms(tmp_path):
    cost = ScryptCost(log_n=4, r=1, p=1)
    return {
        role: PairKeys(
            Keystore.open(tmp_path / role, b"p", create=True, rng=rng(1), cost=cost), "shop-news", role, RISTRETTO
        )
        for role in Role
    }


def share(rooms, now_ms, room, house):
    return rooms[PUBLISHER].share(now_ms, room.public, house)


def test_keys_rotate_after_30_and_180_days_and_are_accepted_30_days_longer(rooms):
    keys = rooms[PUBLISHER]
    made = keys.rotate_due(0, rng(2))
    assert len(made) == 2
    first = keys.current(0)
    assert keys.rotate_due(30 * DAY_MS - 1, rng(3)) == []
    (line,) = keys.rotate_due(30 * DAY_MS, rng(4))
    assert "/ks/" in line
    second = keys.current(30 * DAY_MS)
    assert second.publisher.key_id != first.publisher.key_id
    assert second.party == first.party
    accepted = keys.accepted(45 * DAY_MS)
    assert [pair.publisher.key_id for pair in accepted] == [second.publisher.key_id, first.publisher.key_id]
    assert accepted[1].ends_ms == 60 * DAY_MS
    assert any("destroyed" in line for line in keys.rotate_due(60 * DAY_MS, rng(5)))
    assert first.publisher.key_id not in [pair.publisher.key_id for pair in keys.accepted(60 * DAY_MS)]
    keys.rotate_due(180 * DAY_MS, rng(6))
    assert keys.current(180 * DAY_MS).party != first.party


def test_only_keys_that_were_in_use_together_are_paired(rooms):
    keys = rooms[PUBLISHER]
    for day in range(0, 181, 30):
        keys.rotate_due(day * DAY_MS, rng(day))
    pairs = keys.accepted(181 * DAY_MS)
    assert len(pairs) == 2  # the new Ks with the new Kp, the old with the old; never crosswise
    assert len({pair.publisher.key_id for pair in pairs}) == len({pair.party.scalar for pair in pairs}) == 2


def test_the_publisher_key_reaches_the_advertiser_sealed_and_signed(rooms):
    room, house = RecipientKey.generate(), SigningKey.generate(rng(7))
    rooms[PUBLISHER].rotate_due(0, rng(8))
    rooms[ADVERTISER].rotate_due(0, rng(9))
    with pytest.raises(RotationInvalid):
        rooms[ADVERTISER].current(0)  # it makes no publisher key of its own
    sent = share(rooms, 5, room, house)
    assert rooms[PUBLISHER].current(5).publisher.to_bytes() not in sent.sealed
    with pytest.raises(SignatureInvalid):
        rooms[ADVERTISER].take(sent, SigningKey.generate(rng(10)).public, room)
    with pytest.raises(OpenFailed):
        rooms[ADVERTISER].take(sent, house.public, RecipientKey.generate())
    assert rooms[ADVERTISER].take(sent, house.public, room) == rooms[PUBLISHER].current(5).publisher.key_id
    assert rooms[ADVERTISER].current(5).publisher.to_bytes() == rooms[PUBLISHER].current(5).publisher.to_bytes()
    with pytest.raises(RotationInvalid):  # replayed
        rooms[ADVERTISER].take(sent, house.public, room)


def test_a_key_of_another_relationship_is_refused(rooms, tmp_path):
    room, house = RecipientKey.generate(), SigningKey.generate(rng(7))
    rooms[PUBLISHER].rotate_due(0, rng(8))
    sent = share(rooms, 0, room, house)
    store = Keystore.open(tmp_path / "other", b"p", create=True, rng=rng(1), cost=ScryptCost(log_n=4, r=1, p=1))
    with pytest.raises(PairKeyInvalid):
        PairKeys(store, "shop-radio", ADVERTISER, RISTRETTO).take(sent, house.public, room)
    with pytest.raises(PairKeyInvalid):
        PairKeys(store, "Shop/../x", ADVERTISER, RISTRETTO)


def test_secrets_are_redacted():
    ks, own = PublisherKey(ELEMENT), PartyKey.generate(RISTRETTO, rng(1))
    for shown in (repr(ks), str(ks), repr(own), str(own), f"{[ks, own]}"):
        for secret in (ELEMENT, own.scalar):
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown
    assert repr(a_list()) == "PairList(ristretto255, advertiser, layers=1, rows=1000)"
    with pytest.raises(PairKeyInvalid):
        pickle.dumps(ks)
    with pytest.raises(PairKeyInvalid):
        PublisherKey(ELEMENT[1:])
    with pytest.raises(PairKeyInvalid):
        PartyKey(RISTRETTO, bytes(32))
