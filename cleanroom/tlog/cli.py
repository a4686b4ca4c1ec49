"""``cleanroom audit``: verify, show, prove, challenge, export, report.

Exit status: 0 verified, 1 a violation was found (or the thing asked for is not proved), 2 the command itself was wrong.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cleanroom.tlog._audit import verify_log, verify_tree
from cleanroom.tlog._checkpoint import open_checkpoint
from cleanroom.tlog._cli_text import (
    events_of,
    gist,
    key_line,
    party_key,
    plain_event,
    plain_opening,
    plain_text,
    print_report,
    say,
    seen_before,
    source_of,
    stream_of,
)
from cleanroom.tlog._disclosures import Disclosures
from cleanroom.tlog._entry import decode_entry
from cleanroom.tlog._html import render
from cleanroom.tlog._lot import NONCE_BYTES, draw, nonce_commitment
from cleanroom.tlog._merkle import leaf_hash, verify_inclusion
from cleanroom.tlog._reader import TileReader
from cleanroom.tlog._source import CHECKPOINT, TILES, DirectorySource, read_checkpoint
from cleanroom.tlog._story import Story, utc_text
from cleanroom.tlog.errors import TlogError
from cleanroom.tlog.wire import RemoteLog

audit_app = typer.Typer(help="Verify a room's log offline, read it, prove one entry.", no_args_is_help=True)

LogDir = Annotated[Path, typer.Option("--log", help="the log's directory", exists=True, file_okay=False)]
VKey = Annotated[list[str], typer.Option("--vkey", help="the log's key line, or a file that holds it; may be repeated")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object")]


@audit_app.command()
def verify(
    vkey: VKey,
    log: Annotated[Path | None, typer.Option("--log", help="the log's directory", exists=True, file_okay=False)] = None,
    address: Annotated[str | None, typer.Option(help="HOST:PORT of a room instead; with --identity")] = None,
    identity: Annotated[Path | None, typer.Option(help="our folder made by keys init", exists=True)] = None,
    room: Annotated[str, typer.Option(help="the room's party name")] = "room",
    collaboration: Annotated[list[str] | None, typer.Option(help="with --address: whose entries to open")] = None,
    remembered: Annotated[
        Path | None, typer.Option(help="a checkpoint seen before; the newest verified one is kept here afterwards")
    ] = None,
    witness: Annotated[list[str] | None, typer.Option(help="key line (or file) of a witness; may be repeated")] = None,
    quorum: Annotated[
        int | None, typer.Option(help="how many witnesses must have cosigned; default all", min=0)
    ] = None,
    party: Annotated[list[str] | None, typer.Option(help="NAME=BASE64: the Ed25519 key a party is known by")] = None,
    partial: Annotated[bool, typer.Option(help="entries of some collaborations only were disclosed to me")] = False,
    tree_only: Annotated[bool, typer.Option(help="verify the tree and open nothing")] = False,
    now_ms: Annotated[
        int | None, typer.Option(help="time for rules on deadlines, Unix ms; default latest entry")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify signatures, every tile and entry, and recompute every rule; exit 1 on any violation.

    From a directory, or from a room's address: then the entries of those collaborations are opened which the room
    discloses to us.
    """
    witnesses = [key_line(text) for text in witness or []]
    keys = [key_line(text) for text in vkey]
    seen = seen_before(remembered, keys)
    source = source_of(log, address, identity, room, collaboration or [])
    if tree_only:
        report = verify_tree(source, keys, remembered=seen, witnesses=witnesses, quorum=quorum)
    else:
        parties = dict(party_key(text) for text in party or [])
        report = verify_log(
            source,
            keys,
            remembered=seen,
            witnesses=witnesses,
            quorum=quorum,
            openings=source if isinstance(source, RemoteLog) else None,
            partial=partial or address is not None,
            parties=parties,
            now_ms=now_ms,
        )
    if report.verified and remembered is not None:
        remembered.write_bytes(report.checkpoint)
    print_report(report, as_json=as_json)
    raise typer.Exit(0 if report.verified else 1)


@audit_app.command()
def show(
    log: LogDir,
    collaboration: Annotated[str | None, typer.Option(help="only this collaboration")] = None,
    kind: Annotated[str | None, typer.Option(help="only events of this kind")] = None,
    as_json: AsJson = False,
) -> None:
    """List the opened entries: what happened, to whom it was released, why. Verifies nothing; see verify."""
    found = [
        event
        for event in events_of(log)
        if (collaboration is None or event.collaboration == collaboration) and (kind is None or event.kind == kind)
    ]
    if as_json:
        typer.echo(json.dumps([plain_event(event) for event in found]))
        return
    table = Table("entry", "time", "collaboration", "event", "what")
    for event in found:
        cells = (str(event.index), utc_text(event.at_ms), event.collaboration, event.kind, gist(event))
        table.add_row(*(plain_text(cell) for cell in cells))
    Console().print(table)


@audit_app.command()
def prove(log: LogDir, vkey: VKey, index: Annotated[int, typer.Argument(min=0)], as_json: AsJson = False) -> None:
    """Prove that one entry is in the signed tree, and print the proof for whoever wants to check it alone."""
    source = DirectorySource(log)
    keys = [key_line(text) for text in vkey]
    try:
        checkpoint = open_checkpoint(read_checkpoint(source), keys).checkpoint
        reader = TileReader(source, checkpoint.size)
        entry = reader.entry(index)
        proof = reader.inclusion(index)
        verify_inclusion(leaf_hash(entry), index, checkpoint.size, proof, checkpoint.root)
    except TlogError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    opening = next((opening for _, opening in Disclosures(log).openings() if opening.index == index), None)
    result = {
        "index": index,
        "size": checkpoint.size,
        "leaf": entry.decode("utf-8", "backslashreplace"),
        "leaf_hash": leaf_hash(entry).hex(),
        "proof": [base64.b64encode(item).decode() for item in proof],
        "checkpoint": read_checkpoint(source).decode(),
        "opened": plain_opening(opening, entry) if opening is not None else None,
    }
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"entry {index} is in the tree of {checkpoint.size} entries: {len(proof)} hashes prove it")
        typer.echo(f"leaf: {json.dumps(result['leaf'])}")
        typer.echo(f"opened: {json.dumps(result['opened'])}")


@audit_app.command()
def challenge(
    log: LogDir,
    vkey: VKey,
    nonce: Annotated[Path, typer.Option(help="file of 32 secret bytes; made here when it does not exist")],
    count: Annotated[int, typer.Option(min=1, help="releases to draw")] = 5,
    as_json: AsJson = False,
) -> None:
    """Draw releases by lot for a supervised opening: first publish the nonce's commitment, later run this again.

    Making the nonce file prints its commitment and draws nothing. With the file there, the draw follows from the newest
    checkpoint's root and the nonce, and anyone can repeat it.
    """
    if not nonce.exists():
        nonce.write_bytes(secrets.token_bytes(NONCE_BYTES))
        nonce.chmod(0o600)
        say({"nonce_commitment": nonce_commitment(nonce.read_bytes()).hex()}, as_json=as_json)
        return
    try:
        root = open_checkpoint(read_checkpoint(DirectorySource(log)), [key_line(text) for text in vkey]).checkpoint.root
        secret = nonce.read_bytes()
        releases = [event for event in events_of(log) if event.kind in ("release.issued", "release.suppressed")]
        chosen = [releases[at] for at in draw(root, secret, len(releases), count)]
        commitment = nonce_commitment(secret).hex()
    except TlogError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    found = {
        "nonce_commitment": commitment,
        "root": root.hex(),
        "releases": len(releases),
        "drawn": [{"index": event.index, "release": plain_event(event)["body"]["release"]} for event in chosen],
    }
    say(found, as_json=as_json)


@audit_app.command()
def export(
    log: LogDir,
    out: Annotated[Path, typer.Argument(help="folder to write; must not exist")],
    collaboration: Annotated[str | None, typer.Option(help="disclose only this collaboration; default none")] = None,
    everything: Annotated[bool, typer.Option("--all", help="disclose every collaboration (for auditors)")] = False,
) -> None:
    """Copy the log for somebody else: the public tree, and the disclosures they may read."""
    if out.exists():
        raise typer.BadParameter(f"{out} exists already")
    shutil.copytree(log / TILES, out / TILES)
    shutil.copyfile(log / CHECKPOINT, out / CHECKPOINT)
    for path in sorted(Disclosures(log).folder.glob("*.txt")):
        first = next(Disclosures.read(path), None)
        if first is None:
            continue
        if everything or decode_entry(first.index, first.entry).collaboration == collaboration:
            (out / path.parent.name).mkdir(exist_ok=True)
            shutil.copyfile(path, out / path.parent.name / path.name)
    typer.echo(f"exported to {out}")


@audit_app.command("report")
def html_report(
    log: LogDir,
    vkey: VKey,
    collaboration: Annotated[str, typer.Option(help="the collaboration to tell")],
    out: Annotated[Path, typer.Option(help="HTML file to write")],
    partial: Annotated[bool, typer.Option(help="entries of some collaborations only were disclosed to me")] = False,
) -> None:
    """Audit the log and tell one collaboration as a self-contained HTML page; exit 1 on any violation."""
    audited = verify_log(log, [key_line(text) for text in vkey], partial=partial)
    try:
        story = Story.of(collaboration, stream_of(log))
    except TlogError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    out.write_text(render(story, audited), "utf-8")
    typer.echo(f"{out}: {len(story.releases)} releases, {'verified' if audited.verified else 'NOT verified'}")
    raise typer.Exit(0 if audited.verified else 1)
