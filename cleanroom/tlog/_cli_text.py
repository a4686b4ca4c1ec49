"""What the audit commands share: reading their options, and writing the room's words where they cannot act.

Threat model: entries, names and details come from the room; on a terminal they are printed without markup and without
control characters, in JSON as ASCII.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from cleanroom.tlog._checkpoint import Checkpoint, open_checkpoint
from cleanroom.tlog._disclosures import Disclosures
from cleanroom.tlog._entry import Event, Leaf, Opening, decode_entry
from cleanroom.tlog._note import NoteKey
from cleanroom.tlog._report import AuditReport
from cleanroom.tlog._source import DirectorySource, Source
from cleanroom.tlog.errors import TlogError
from cleanroom.tlog.wire import RemoteLog, connect
from keys.signing import VerifyKey
from protos.errors import SealbidError


def say(found: dict[str, Any], *, as_json: bool) -> None:
    """Print a small answer: a JSON object, or a line a field."""
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        typer.echo(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")


def source_of(
    log: Path | None, address: str | None, identity: Path | None, room: str, collaborations: list[str]
) -> Source:
    """Where to read from: exactly one of a directory and an address. Raises: BadParameter."""
    if (log is None) == (address is None):
        raise typer.BadParameter("give either --log or --address")
    if log is not None:
        return DirectorySource(log)
    if address is None or identity is None:
        raise typer.BadParameter("--address needs --identity, the folder made by keys init")
    return RemoteLog(connect(address, identity, room), collaborations)


def seen_before(path: Path | None, keys: list[NoteKey]) -> Checkpoint | None:
    """The remembered checkpoint; a file that holds none signed by the log is the caller's mistake, not the log's."""
    if path is None or not path.exists():
        return None
    try:
        return open_checkpoint(path.read_bytes(), keys).checkpoint
    except TlogError as error:
        raise typer.BadParameter(f"{path}: {error.message}") from None


def key_line(text: str) -> NoteKey:
    """A key line given as such or as a file that holds one. Raises: BadParameter."""
    path = Path(text)
    try:
        return NoteKey.parse(path.read_text("utf-8") if "+" not in text and path.is_file() else text)
    except TlogError as error:
        raise typer.BadParameter(f"key line: {error.message}") from None


def party_key(text: str) -> tuple[str, VerifyKey]:
    """``NAME=BASE64`` as a party and its Ed25519 key. Raises: BadParameter."""
    name, _, encoded = text.partition("=")
    try:
        return name, VerifyKey(base64.b64decode(encoded, validate=True))
    except (ValueError, SealbidError):
        raise typer.BadParameter(f"party {name!r}: give NAME=BASE64 of 32 bytes") from None


def events_of(log: Path) -> list[Event]:
    """Every opened entry; ends the command with status 1 where one does not read."""
    try:
        return list(stream_of(log))
    except TlogError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def stream_of(log: Path) -> Iterator[Event]:
    """Opened entries, one at a time."""
    return (decode_entry(opening.index, opening.entry) for _, opening in Disclosures(log).openings())


def plain_event(event: Event) -> dict[str, Any]:
    """An event as plain JSON values."""
    return {
        "index": event.index,
        "at_ms": event.at_ms,
        "collaboration": event.collaboration,
        "kind": event.kind,
        "body": msgspec.to_builtins(event.body),
    }


def plain_opening(opening: Opening, entry: bytes) -> dict[str, Any]:
    """An opening as plain JSON values, and whether it fits its leaf."""
    return {
        "salt": opening.salt.hex(),
        "fits": Leaf.parse(entry).commitment == opening.commitment,
        "entry": json.loads(opening.entry),
    }


def gist(event: Event) -> str:
    """The fields of an event a reader looks for first."""
    plain = plain_event(event)["body"]
    keys = (
        "party",
        "operation",
        "recipient",
        "purpose",
        "micro_rho",
        "ids",
        "rows_bucket",
        "verdict",
        "rule",
        "reason",
    )
    return " ".join(f"{key}={plain[key]}" for key in keys if key in plain)


def print_report(report: AuditReport, *, as_json: bool) -> None:
    """An audit report for people, or as one JSON object."""
    if as_json:
        typer.echo(json.dumps(report.to_json()))
        return
    console = Console()
    for title in ("proved", "claimed", "opened", "notes"):
        for line in getattr(report, title):
            console.print(plain_text(f"{title:8}{line}"))
    for violation in report.violations:
        console.print(plain_text(f"{violation.rule}  {violation.place}: {violation.detail}", style="red"))
    if report.violations_dropped:
        console.print(f"and {report.violations_dropped} more")
    verdict = "verified" if report.verified else f"{len(report.violations)} violations"
    console.print(plain_text(f"{report.origin or 'unknown log'}: {report.size} entries, {verdict}"))


def plain_text(words: str, style: str = "") -> Text:
    """Words of the room for a terminal: no markup is read in them, no control character reaches it."""
    return Text("".join(char if char.isprintable() else "\ufffd" for char in words), style=style)
