"""The README tells the truth: every command and option it shows exists, every page it names is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from bidder.cli import app as bidder_app
from cleanroom.cli import app as cleanroom_app
from dmp.cli import app as dmp_app
from keys.cli import app as keys_app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
APPS = {"bidder": bidder_app, "cleanroom": cleanroom_app, "dmp": dmp_app, "keys": keys_app}


def shown_commands() -> list[str]:
    """Commands in the README's indented blocks, continued lines joined, comments cut."""
    blocks = re.sub(r"\\\n\s+", " ", README)
    lines = [line.strip() for line in blocks.splitlines() if line.startswith("    ")]
    return [line.split("  #")[0].rstrip() for line in lines if line.split(" ")[0] in APPS]


@pytest.mark.parametrize("line", shown_commands())
def test_commands_in_the_readme_exist(line: str) -> None:
    words = shlex.split(line)
    command = typer.main.get_command(APPS[words[0]])
    rest = words[1:]
    while hasattr(command, "commands"):
        assert rest, f"{line}: a command is missing"
        assert rest[0] in command.commands, f"{line}: no such command as {rest[0]}"
        command = command.commands[rest.pop(0)]
    known = {name for option in command.params for name in option.opts}
    unknown = [word for word in rest if word.startswith("--") and word not in known]
    assert unknown == []


def test_the_readme_shows_the_two_commands_and_every_party() -> None:
    assert "make demo" in README
    assert "make test" in README
    assert len(shown_commands()) > 12


def test_pages_the_readme_names_are_there() -> None:
    missing = [name for name in re.findall(r"\]\((docs/[A-Z_]+\.md)\)", README) if not (ROOT / name).exists()]
    assert missing == []


def test_every_target_of_the_makefile_that_is_promised_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in ("demo", "test", "setup", "bench", "lint", "proto", "clean"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
