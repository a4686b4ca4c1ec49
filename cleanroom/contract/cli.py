"""``cleanroom contract``: write, read, compare and sign contracts, as files, offline.

Exit status: 0 done (``diff``: no difference), 1 the contracts differ, or an error of ours, 2 the command was wrong.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cleanroom.contract import _show
from cleanroom.contract.diff import diff as differences
from cleanroom.contract.drafts import new_contract
from cleanroom.contract.errors import ContractConflict, ContractInvalid, ContractNotFound
from cleanroom.contract.model import BYTES_MAX, Contract
from cleanroom.contract.presets import HIGH_ASSURANCE, PRESETS
from cleanroom.contract.signing import Signature, verify_one
from cleanroom.contract.signing import sign as sign_contract
from cleanroom.contract.terms import Member, Operation, Population, Role
from keys.cli import read_passphrase
from keys.identity import PartyIdentity, PartyPublic

contract_app = typer.Typer(help="Write, read, compare and sign a collaboration's contract.", no_args_is_help=True)

ContractFile = Annotated[Path, typer.Argument(help="The contract, as `contract new` writes it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@contract_app.command()
def new(
    out: Annotated[Path, typer.Argument(help="The contract to write; it must not exist.")],
    draft: Annotated[
        Path | None, typer.Option(help="A contract as JSON, edited by hand: check it and write it canonically.")
    ] = None,
    collaboration: Annotated[str, typer.Option(help="The collaboration's name.")] = "",
    member: Annotated[
        list[str] | None, typer.Option(help="PARTY.JSON:ROLE[+ROLE][:LEGAL ENTITY]; once for each party.")
    ] = None,
    population: Annotated[
        list[str] | None, typer.Option(help="PARTY=NAME of its people; default customers and subscribers.")
    ] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="What the data is used for; repeat it.")] = None,
    identifier: Annotated[
        list[str] | None, typer.Option("--id", help="KIND:ENCODING, such as phone:sha256; best first.")
    ] = None,
    grant: Annotated[
        list[str] | None, typer.Option(help="OPERATION=PARTY[+PARTY], such as overlap=brand; repeat it.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag column of the provider that enters the room.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="A channel people may be reached by, such as sms.")] = None,
    preset: Annotated[str, typer.Option(help="high or low assurance.")] = HIGH_ASSURANCE.name,
    days: Annotated[int, typer.Option(help="Length of the validity.", min=1, max=1_830)] = 90,
    begin: Annotated[str, typer.Option(help="First day, such as 2027-03-01 (UTC); default now.")] = "",
) -> None:
    """Write a contract of version 1 from a preset, or from a draft; nobody has signed it yet."""
    if draft is not None:
        contract = Contract.from_draft(_read(draft))
    else:
        members = [_member(text) for text in member or ()]
        contract = new_contract(
            collaboration,
            members,
            _populations(members, population or ()),
            purposes=purpose or (),
            ids=[_pair(text, ":", "--id") for text in identifier or ()],
            grants=[_grant(text) for text in grant or ()],
            valid_from_ms=_begin(begin),
            days=days,
            columns=tag or (),
            channels=channel or (),
            preset=_preset(preset),
        )
    _create(out, contract.canonical())
    Console().print(f"{out}: {contract.collaboration} version {contract.version}, hash {contract.hash.hex()}")


@contract_app.command()
def sign(
    contract: ContractFile,
    identity: Annotated[Path, typer.Option(help="The signer's identity folder, from `keys init`.")],
    out: Annotated[
        Path | None, typer.Option(help="The signature to write. Default: CONTRACT.<party>.sig.json.")
    ] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="File with the keystore's passphrase.")] = None,
) -> None:
    """Sign a contract as one of its members. Read it first: `cleanroom contract show`."""
    document = Contract.parse(_read(contract))
    holder = PartyIdentity.load(identity, read_passphrase(passphrase_file))
    signature = sign_contract(document, holder.signing)
    path = out or contract.with_name(f"{contract.name}.{signature.party}.sig.json")
    _create(path, msgspec.json.format(msgspec.json.encode(signature), indent=2) + b"\n")
    Console().print(f"{path}: {signature.party} signed {signature.contract}")


@contract_app.command()
def show(
    contract: ContractFile,
    signature: Annotated[list[Path] | None, typer.Option(help="A signature to check; repeat it.")] = None,
    known: Annotated[
        list[Path] | None, typer.Option(help="A party.json you trust. Default: the keys the contract names.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who agrees to what, what it protects, and who has signed."""
    document = Contract.parse(_read(contract))
    keys = {member.party: member.sign for member in document.members}
    keys |= {public.party: public.sign for public in (_party(path) for path in known or ())}
    signed = []
    for path in signature or ():
        one = _signature(path)
        verify_one(document, one, keys)
        signed.append((one.party, one.algorithm.value))
    if as_json:
        print(json.dumps(_show.as_json(document, signed), ensure_ascii=False))
    else:
        _show.tables(Console(), document, signed)


@contract_app.command()
def diff(old: ContractFile, new: ContractFile, as_json: AsJson = False) -> None:
    """Show what differs between two contracts, and whether it protects people more or less."""
    changes = differences(Contract.parse(_read(old)), Contract.parse(_read(new)))
    if as_json:
        plain: list[dict[str, Any]] = [
            {"place": one.place, "old": one.old, "new": one.new, "effect": one.effect.value} for one in changes
        ]
        print(json.dumps({"changes": plain}, ensure_ascii=False))
    else:
        table = Table("place", "old", "new", "effect")
        for one in changes:
            table.add_row(one.place, _text(one.old), _text(one.new), one.effect.value)
        Console().print(table if changes else "no difference")
    if changes:
        raise typer.Exit(1)


def _text(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _read(path: Path) -> bytes:
    """A file of a contract's size at most. Raises: ContractNotFound, ContractInvalid."""
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise ContractNotFound(f"{path}: {error.strerror}") from None
    if len(data) > BYTES_MAX:
        raise ContractInvalid(f"{path}: more than {BYTES_MAX} bytes; not a contract")
    return data


def _create(path: Path, data: bytes) -> None:
    """Write a new file, durably. Raises: ContractConflict: it exists."""
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise ContractConflict(f"{path} exists; choose another name or remove it") from None
    except OSError as error:
        raise ContractNotFound(f"{path}: {error.strerror}") from None


def _party(path: Path) -> PartyPublic:
    return PartyPublic.parse(_read(path))


def _signature(path: Path) -> Signature:
    try:
        return msgspec.json.decode(_read(path), type=Signature)
    except msgspec.DecodeError as error:
        raise ContractInvalid(f"{path}: not a signature: {error}") from None


def _member(text: str) -> Member:
    """``PARTY.JSON:ROLE[+ROLE][:LEGAL ENTITY]``."""
    path, _, rest = text.partition(":")
    roles, _, entity = rest.partition(":")
    public = _party(Path(path))
    try:
        held = tuple(Role(role) for role in roles.split("+"))
    except ValueError:
        raise typer.BadParameter(f"--member {text}: roles are {', '.join(Role)}") from None
    return Member(public.party, entity or public.party, held, public.sign, public.hpke, b"")


def _populations(members: list[Member], named: list[str] | tuple[str, ...]) -> list[Population]:
    names = dict(_pair(text, "=", "--population") for text in named)
    found = []
    for member in members:
        if Role.ADVERTISER in member.roles or Role.PROVIDER in member.roles:
            default = "customers" if Role.ADVERTISER in member.roles else "subscribers"
            found.append(Population(member.party, names.pop(member.party, default)))
    if names:
        raise typer.BadParameter(f"--population: {', '.join(names)} brings no people")
    return found


def _grant(text: str) -> tuple[Operation, list[str]]:
    operation, recipients = _pair(text, "=", "--grant")
    try:
        return Operation(operation), recipients.split("+")
    except ValueError:
        raise typer.BadParameter(f"--grant {text}: operations are {', '.join(Operation)}") from None


def _pair(text: str, separator: str, option: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not (left and found and right):
        raise typer.BadParameter(f"{option} {text}: two parts with {separator!r} between them")
    return left, right


def _preset(name: str) -> Any:
    if name not in PRESETS:
        raise typer.BadParameter(f"--preset {name}: one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _begin(day: str) -> int:
    if not day:
        return int(datetime.now(UTC).timestamp() * 1000)
    try:
        return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise typer.BadParameter(f"--begin {day}: a day such as 2027-03-01") from None
