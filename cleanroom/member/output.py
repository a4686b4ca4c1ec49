"""What commands print: a table for people, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def show(result: Mapping[str, Any], as_json: bool) -> None:
    """Print ``result``: names and values."""
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
        return
    table = Table(show_header=False, box=None)
    for name, value in result.items():
        words = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
        table.add_row(name.replace("_", " "), words)
    Console().print(table)
