"""``cleanroom pair``: the two-room flow of PAIR on files, each command run by one room. The environment is read
here only (through keys.cli)."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from cleanroom.pair import flow
from cleanroom.pair._errors import PairKeyInvalid, PairListInvalid, PairListMismatch
from cleanroom.pair.ciphers import Profile
from cleanroom.pair.eids import eids as eids_of
from cleanroom.pair.files import open_text, read_ids, read_list, write_list, write_text
from cleanroom.pair.flow import Role
from cleanroom.pair.history import History
from cleanroom.pair.ids import PairIdKind, hashed_ids
from cleanroom.pair.keys import PairKeys, SharedKey
from keys.cli import read_passphrase
from keys.identity import PartyIdentity, PartyPublic

IDS_COLUMNS: Final = ("row", "pair_id", "until_ms")
pair_app = typer.Typer(
    help="IAB Tech Lab PAIR: match a publisher's and an advertiser's lists between two rooms, for OpenRTB.",
    no_args_is_help=True,
)
IdentityFolder = Annotated[Path, typer.Argument(help="The room's identity, a folder made by `keys init`.")]
Relationship = Annotated[str, typer.Option(help="The relationship's name, the same in both rooms.")]
RoleOption = Annotated[Role, typer.Option(help="Whose room this is.")]
ProfileOption = Annotated[Profile, typer.Option(help="The cipher the contract names.")]
PassphraseFile = Annotated[Path | None, typer.Option(help="File with the keystore's passphrase.")]
Ids = Annotated[Path, typer.Option(help="The list: one id a line, or CSV with --column.")]
Column = Annotated[str | None, typer.Option(help="The CSV column that holds the ids.")]
Kind = Annotated[PairIdKind, typer.Option(help="What the ids are.")]
DropPlus = Annotated[bool, typer.Option("--drop-plus", help="Hash phone numbers without their plus sign.")]
Out = Annotated[Path, typer.Option(help="The new file to write.")]
HistoryFolder = Annotated[
    Path, typer.Option(help="Folder that remembers lists, so that small differences are refused.")
]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads to encrypt with.")]


@pair_app.command()
def rotate(
    identity: IdentityFolder,
    relationship: Relationship,
    role: RoleOption,
    profile: ProfileOption = Profile.RISTRETTO255,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make the keys that are due (Ks 30 days, Ka and Kp 180), destroy those past their overlap. Run it every day."""
    _, keys = _keys(identity, relationship, role, profile, passphrase_file)
    for line in keys.rotate_due(_now_ms(), os.urandom):
        print(line)


@pair_app.command("share-key")
def share_key(
    identity: IdentityFolder,
    relationship: Relationship,
    to: Annotated[Path, typer.Option(help="party.json of the advertiser's room.")],
    out: Out,
    profile: ProfileOption = Profile.RISTRETTO255,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Seal the publisher key in force to the advertiser's room. Run by the publisher's room after each rotation."""
    party, keys = _keys(identity, relationship, Role.PUBLISHER, profile, passphrase_file)
    shared = keys.share(_now_ms(), _public(to).recipient, party.signing)
    write_text(out, [msgspec.json.encode(shared).decode()])


@pair_app.command("take-key")
def take_key(
    identity: IdentityFolder,
    source: Annotated[Path, typer.Argument(help="What share-key wrote.")],
    relationship: Relationship,
    sender: Annotated[Path, typer.Option("--from", help="party.json of the publisher's room.")],
    profile: ProfileOption = Profile.RISTRETTO255,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Keep the publisher key that came from the publisher's room. Run by the advertiser's room."""
    party, keys = _keys(identity, relationship, Role.ADVERTISER, profile, passphrase_file)
    try:
        shared = msgspec.json.decode(source.read_bytes(), type=SharedKey)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        raise PairKeyInvalid(f"{source} is no publisher key made by share-key") from None
    print(keys.take(shared, _public(sender).verify_key, party.recipient))


@pair_app.command()
def encrypt(
    identity: IdentityFolder,
    relationship: Relationship,
    role: RoleOption,
    ids: Ids,
    out: Out,
    history: HistoryFolder,
    column: Column = None,
    kind: Kind = PairIdKind.EMAIL,
    drop_plus: DropPlus = False,
    adv_pub_id: Annotated[str, typer.Option(help="The relationship's id, if one was agreed.")] = "",
    profile: ProfileOption = Profile.RISTRETTO255,
    threads: Threads = 1,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Step 1: put the own ids under both own keys, shuffled, for the other room. Run by each room."""
    _, keys = _keys(identity, relationship, role, profile, passphrase_file)
    pair = keys.current(_now_ms())
    found = hashed_ids(read_ids(ids, column), kind, keep_plus=not drop_plus)
    made = flow.first_layer(
        list(found), role, pair.publisher, pair.party, os.urandom, adv_pub_id=adv_pub_id, threads=threads
    )
    History(history).admit(made)
    write_list(out, made)


@pair_app.command()
def rekey(
    identity: IdentityFolder,
    source: Annotated[Path, typer.Argument(help="The list that came from the other room.")],
    relationship: Relationship,
    role: RoleOption,
    out: Out,
    history: HistoryFolder,
    profile: ProfileOption = Profile.RISTRETTO255,
    threads: Threads = 1,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Step 2: put the own key on the other room's list and shuffle all of it; send it back, and keep it."""
    _, keys = _keys(identity, relationship, role, profile, passphrase_file)
    pair = keys.current(_now_ms())
    received = read_list(source)
    if received.owner is not role.other or received.key_id != pair.publisher.key_id:
        raise PairListMismatch(f"{source} is not the {role.other}'s list under the publisher key in force")
    made = flow.second_layer(received, pair.party, os.urandom, threads=threads)
    History(history).admit(received)
    write_list(out, made)


@pair_app.command("match")
def match_lists(
    own: Annotated[Path, typer.Option(help="The own list, as the other room sent it back.")],
    other: Annotated[Path, typer.Option(help="The other's list, as rekey wrote it here.")],
    role: RoleOption,
    identity: Annotated[Path | None, typer.Option(help="The advertiser's room: its identity.")] = None,
    relationship: Annotated[str, typer.Option(help="The advertiser's room: the relationship.")] = "",
    out: Annotated[Path | None, typer.Option(help="The advertiser's room: where the PAIR ids for the DSP go.")] = None,
    threads: Threads = 1,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Step 3: match, and show the rate; the advertiser's room takes its key off the matches, for the DSP."""
    mine = read_list(own)
    if mine.owner is not role:
        raise PairListMismatch(f"{own} is not the {role}'s list")
    matched = flow.match(mine, read_list(other))
    if role is Role.ADVERTISER:
        if identity is None or out is None:
            raise PairListInvalid("the advertiser's room gives --identity, --relationship and --out")
        _, keys = _keys(identity, relationship, role, mine.profile, passphrase_file)
        pair = keys.current(_now_ms())
        if pair.publisher.key_id != mine.key_id:
            raise PairListMismatch(f"{own} is not under the publisher key in force; begin again with encrypt")
        write_text(out, flow.activation_ids(matched, pair.party, threads=threads))
    print(json.dumps({"match_rate": matched.rate}))


@pair_app.command("ids")
def publisher_rows(
    identity: IdentityFolder,
    relationship: Relationship,
    ids: Ids,
    out: Out,
    column: Column = None,
    kind: Kind = PairIdKind.EMAIL,
    drop_plus: DropPlus = False,
    profile: ProfileOption = Profile.RISTRETTO255,
    threads: Threads = 1,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Give the publisher all its rows with their PAIR ids, of every key version still accepted, newest first."""
    _, keys = _keys(identity, relationship, Role.PUBLISHER, profile, passphrase_file)
    found = hashed_ids(read_ids(ids, column), kind, keep_plus=not drop_plus)
    rows: list[tuple[str, ...]] = [IDS_COLUMNS]
    for pair in keys.accepted(_now_ms()):
        made = flow.publisher_ids(found, pair.publisher, pair.party, threads=threads)
        rows += [(raw, value, str(pair.ends_ms)) for raw, value in made]
    if len(rows) == 1:
        raise PairKeyInvalid("no key is accepted now; run `cleanroom pair rotate`")
    write_text(out, _csv(rows))


@pair_app.command("eids")
def eids_file(
    source: Annotated[Path, typer.Argument(help="What `cleanroom pair ids` wrote.")],
    inserter: Annotated[str, typer.Option(help="Canonical domain of who puts the ids into the request.")],
    matcher: Annotated[str, typer.Option(help="Canonical domain of who matched.")],
    out: Out,
) -> None:
    """Turn the publisher's PAIR ids into OpenRTB: one line of JSON for each row, {"row", "eids"}."""
    of: dict[str, list[str]] = {}
    with open_text(source) as handle:
        reader = csv.DictReader(handle, strict=True)
        if tuple(reader.fieldnames or ()) != IDS_COLUMNS:
            raise PairListInvalid(f"{source} was not written by `cleanroom pair ids`")
        for row in reader:
            of.setdefault(row["row"], []).append(row["pair_id"])
    made = ({"row": row, "eids": eids_of(values, inserter=inserter, matcher=matcher)} for row, values in of.items())
    write_text(out, (json.dumps(line, ensure_ascii=False) for line in made))


def _csv(rows: list[tuple[str, ...]]) -> Iterator[str]:
    for row in rows:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(row)
        yield text.getvalue()


def _keys(
    folder: Path, relationship: str, role: Role, profile: Profile, passphrase_file: Path | None
) -> tuple[PartyIdentity, PairKeys]:
    party = PartyIdentity.load(folder, read_passphrase(passphrase_file))
    return party, PairKeys(party.keystore, relationship, role, profile)


def _public(path: Path) -> PartyPublic:
    try:
        return PartyPublic.parse(path.read_bytes())
    except OSError as error:
        raise PairKeyInvalid(f"cannot read {path}: {error.strerror}") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
