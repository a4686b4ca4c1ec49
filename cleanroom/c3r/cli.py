"""``cleanroom c3r``: encrypt and decrypt files in the C3R format, and write their schemas. The environment is read here
only."""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from cleanroom.c3r._errors import C3rKeyInvalid, C3rOutputExists
from cleanroom.c3r.cells import C3rKeys, FingerprintForm, keys_of
from cleanroom.c3r.decrypt import decrypt as decrypt_table
from cleanroom.c3r.encrypt import encrypt as encrypt_table
from cleanroom.c3r.match import match_table
from cleanroom.c3r.schema import ColumnType, Settings, default_schema, normal_header, read_schema, write_schema
from cleanroom.c3r.tables import Source
from keys._files import create_file
from keys.passphrase import passphrase_from_file

SECRET_VARIABLE: Final = "C3R_SHARED_SECRET"  # noqa: S105 (the variable's name, that of the format's other tools)
c3r_app = typer.Typer(
    help="The C3R file format: keyed fingerprints, sealed and cleartext columns, for parties that share a secret.",
    no_args_is_help=True,
)
SourceFile = Annotated[Path, typer.Argument(help="A .csv or .parquet file.")]
Out = Annotated[Path, typer.Option(help="The new file, .csv or .parquet.")]
Collaboration = Annotated[str, typer.Option("--id", help="The collaboration's id, a UUID: the salt of the keys.")]
SecretFile = Annotated[
    Path | None,
    typer.Option(help=f"File with the shared secret in base64, its owner's alone. Default: {SECRET_VARIABLE}."),
]
NullIn = Annotated[str | None, typer.Option("--null-in", help="What stands for null in the CSV. Default: empty cells.")]
NullOut = Annotated[str | None, typer.Option("--null-out", help="What stands for null in the CSV written.")]


@c3r_app.command()
def encrypt(
    source: SourceFile,
    schema: Annotated[Path, typer.Option(help="The schema, JSON.")],
    collaboration: Collaboration,
    out: Out,
    secret_file: SecretFile = None,
    null_in: NullIn = None,
    null_out: NullOut = None,
    allow_cleartext: Annotated[bool, typer.Option("--allow-cleartext")] = False,
    allow_duplicates: Annotated[bool, typer.Option("--allow-duplicates")] = False,
    allow_joins: Annotated[bool, typer.Option("--allow-joins-on-columns-with-different-names")] = False,
    preserve_nulls: Annotated[bool, typer.Option("--preserve-nulls")] = False,
    fingerprint_form: Annotated[
        FingerprintForm, typer.Option(help="plain, or typed as some versions of the reference program hash.")
    ] = FingerprintForm.PLAIN,
) -> None:
    """Encrypt a table as its schema says; in random row order. The flags are the collaboration's settings."""
    settings = Settings(allow_cleartext, allow_duplicates, allow_joins, preserve_nulls, fingerprint_form)
    table = read_schema(schema)
    given = Source(source, null=null_in, headers=table.sources is None)
    made = encrypt_table(given, table, settings, _keys(secret_file, collaboration), out, os.urandom, null=null_out)
    print(json.dumps({"rows": made.rows, "columns": made.columns}))


@c3r_app.command()
def decrypt(
    source: SourceFile,
    collaboration: Collaboration,
    out: Out,
    secret_file: SecretFile = None,
    null_in: NullIn = None,
    null_out: NullOut = None,
    fail_on_fingerprint: Annotated[bool, typer.Option(help="Refuse a file with fingerprint columns.")] = False,
) -> None:
    """Open the sealed columns of a table; fingerprints and cleartext pass through."""
    keys = _keys(secret_file, collaboration)
    rows = decrypt_table(
        Source(source, null=null_in), keys, out, null=null_out, fail_on_fingerprint=fail_on_fingerprint
    )
    print(json.dumps({"rows": rows}))


@c3r_app.command()
def schema(
    source: SourceFile,
    out: Annotated[Path, typer.Option(help="The schema to write, JSON.")],
    fingerprint: Annotated[list[str] | None, typer.Option(help="A column to match on; repeat it.")] = None,
    cleartext: Annotated[list[str] | None, typer.Option(help="A column to leave readable; repeat it.")] = None,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="The CSV has no header row.")] = False,
) -> None:
    """Write a schema for a table: each column sealed and padded to its longest value, unless named otherwise."""
    types = {normal_header(name): ColumnType.CLEARTEXT for name in cleartext or ()}
    types |= {normal_header(name): ColumnType.FINGERPRINT for name in fingerprint or ()}
    headers = Source(source, headers=not no_headers).schema.names
    made = write_schema(default_schema(headers, types, header_row=not no_headers), header_row=not no_headers)
    try:
        create_file(out, made, 0o644)
    except FileExistsError:
        raise C3rOutputExists(f"{out} is there already; give another name, or remove it") from None


@c3r_app.command()
def tokens(
    source: SourceFile,
    column: Annotated[list[str], typer.Option(help="NAME:KIND, a fingerprint column and its id kind; repeat it.")],
    out: Annotated[Path, typer.Option(help="The new table of tokens, .parquet.")],
) -> None:
    """Turn fingerprint columns into the tokens a match takes."""
    kinds = {name: kind or name for name, _, kind in (text.partition(":") for text in column)}
    print(json.dumps({"rows": match_table(Source(source), kinds, out, os.urandom)}))


def _keys(secret_file: Path | None, collaboration: str) -> C3rKeys:
    text = passphrase_from_file(secret_file) if secret_file else os.environ.get(SECRET_VARIABLE, "").encode()
    if not text:
        raise C3rKeyInvalid(f"give --secret-file, or set {SECRET_VARIABLE}")
    try:
        return keys_of(base64.b64decode(text, validate=True), collaboration)
    except binascii.Error:
        raise C3rKeyInvalid("the shared secret is not base64") from None
