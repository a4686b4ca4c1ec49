"""The ``keys`` command: make development identities, show what is there. The environment is read here only."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from keys import certificates
from keys._files import PRIVATE_FILE, create_file, make_dir
from keys.errors import PartyMissing, PassphraseExposed, PassphraseMissing
from keys.identity import PartyPublic, init_development
from protos.errors import SealbidError

PASSPHRASE_VARIABLE: Final = "SEALBID_PASSPHRASE"  # noqa: S105 (the variable's name)

app = typer.Typer(
    name="keys",
    help="Make, show and renew the keys and certificates of Sealbid's parties.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help=f"File with the passphrase, readable by its owner only. Default: the variable {PASSPHRASE_VARIABLE}."
    ),
]
Folder = Annotated[Path, typer.Argument(help="The folder of the deployment's identities.")]


def read_passphrase(file: Path | None) -> bytes:
    """The passphrase from ``file``, else from the environment. Raises: PassphraseMissing, PassphraseExposed."""
    if file is None:
        value = os.environ.get(PASSPHRASE_VARIABLE, "").encode()
        if not value:
            raise PassphraseMissing(f"give --passphrase-file or set {PASSPHRASE_VARIABLE}")
        return value
    return passphrase_from_file(file)


def passphrase_from_file(file: Path) -> bytes:
    """The passphrase in ``file``, its trailing newline removed. Raises: PassphraseMissing, PassphraseExposed."""
    try:
        with file.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            value = handle.read().rstrip(b"\r\n")
    except OSError as error:
        raise PassphraseMissing(f"cannot read the passphrase file {file}: {error.strerror}") from None
    if mode & 0o077:
        raise PassphraseExposed(f"{file} may be read by others; run: chmod 600 {file}")
    if not value:
        raise PassphraseMissing(f"the passphrase file {file} is empty")
    return value


@app.command()
def init(
    folder: Folder,
    party: Annotated[list[str], typer.Option(help="A party's name, a DNS label; give it once for each party.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a development CA and one identity folder for each party.

    Without a passphrase a random one is made and written to FOLDER/passphrase (mode 0600): for development only.
    """
    if passphrase_file is None and not os.environ.get(PASSPHRASE_VARIABLE):
        make_dir(folder)
        passphrase_file = folder / "passphrase"
        if not passphrase_file.exists():
            create_file(passphrase_file, os.urandom(32).hex().encode() + b"\n", PRIVATE_FILE)
    init_development(folder, party, os.urandom, datetime.now(UTC), read_passphrase(passphrase_file))
    show(folder)


@app.command()
def show(folder: Folder) -> None:
    """Show the parties in FOLDER: key ids and the end of each certificate. No passphrase is needed."""
    found = sorted(path.parent for path in folder.glob("*/party.json"))
    if not found:
        raise PartyMissing(f"no identities in {folder}; make some with `keys init {folder} --party NAME`")
    table = Table(title=str(folder))
    for column in ("party", "signing key", "sealing key", "suite", "certificate until", "state"):
        table.add_column(column, overflow="fold")
    now = datetime.now(UTC)
    for path in found:
        public = PartyPublic.parse((path / "party.json").read_bytes())
        pem = (path / "tls.crt").read_bytes()
        until = certificates.load(pem).not_valid_after_utc
        table.add_row(
            public.party,
            public.verify_key.key_id,
            public.recipient.key_id,
            public.recipient.suite,
            f"{until:%Y-%m-%d %H:%M} UTC",
            _state(pem, (path / "ca.pem").read_bytes(), now),
        )
    Console().print(table)


def _state(pem: bytes, ca_pem: bytes, now: datetime) -> str:
    try:
        certificates.check(pem, ca_pem, now)
    except SealbidError as error:
        return error.code
    return "valid"


def main() -> None:
    """Run the command; an error of ours is one line on stderr and exit status 1."""
    try:
        app()
    except SealbidError as error:
        print(f"keys: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
