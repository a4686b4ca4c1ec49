"""What members type to the room: collaborations, the match, releases, audiences. Any member's TOML file will do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cleanroom.member.config import MemberConfig
from cleanroom.member.errors import JobFailed
from cleanroom.member.output import AsJson, show
from protos.config import load_part

if TYPE_CHECKING:
    from cleanroom.member.session import Session
    from cleanroom.release import Answer

POLL_SECONDS: Final = 0.2
DAY_MS: Final = 86_400_000

collaboration_app = typer.Typer(help="Propose, read, sign, open and close contracts in the room.", no_args_is_help=True)
match_app = typer.Typer(help="Join the two lists inside the room.", no_args_is_help=True)
lookalike_app = typer.Typer(help="Train in the room, read the report, activate an audience.", no_args_is_help=True)
audience_app = typer.Typer(help="Sealed audiences released to us.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Option("--config", help="The member's TOML file.")]
Name = Annotated[str, typer.Option("--collaboration", help="The collaboration's name.")]
JobId = Annotated[str, typer.Option("--job", help="The training job.")]


def _session(config: Path) -> Session:
    from cleanroom.member.session import Session

    return Session.open(load_part(config, MemberConfig))


@collaboration_app.command()
def propose(
    config: ConfigFile, contract: Annotated[Path, typer.Argument(help="The contract.")], as_json: AsJson = False
) -> None:
    """Send a contract to the room for its members to read and sign."""
    from cleanroom.contract import Contract

    with _session(config) as session:
        name = session.propose(Contract.from_draft(contract.read_bytes()))
    show({"collaboration": name}, as_json)


@collaboration_app.command()
def sign(
    config: ConfigFile,
    collaboration: Name,
    contract: Annotated[Path, typer.Option(help="The contract we agreed to; another one is not signed.")],
    as_json: AsJson = False,
) -> None:
    """Sign the proposed contract with our key, if it is the one we agreed to."""
    from cleanroom.contract import Contract
    from cleanroom.contract import sign as make
    from cleanroom.member.errors import CollaborationMismatch

    with _session(config) as session:
        proposed = session.proposed(collaboration)
        if Contract.from_draft(contract.read_bytes()).hash != proposed.hash:
            raise CollaborationMismatch(f"the room proposes another contract than {contract}")
        state = session.sign(collaboration, make(proposed, session.identity.signing))
    show({"collaboration": collaboration, "contract": proposed.hash.hex(), "state": state}, as_json)


@collaboration_app.command("open")
def open_(config: ConfigFile, collaboration: Name, as_json: AsJson = False) -> None:
    """Put a contract that everybody signed in force."""
    with _session(config) as session:
        found = session.open_collaboration(collaboration)
    show({"collaboration": found.id, "contract": found.contract_hash.hex(), "state": "open"}, as_json)


@collaboration_app.command()
def close(config: ConfigFile, collaboration: Name, as_json: AsJson = False) -> None:
    """End it: the room destroys its keys and tables and logs the receipt."""
    with _session(config) as session:
        state = session.close_collaboration(collaboration)
    show({"collaboration": collaboration, "state": state}, as_json)


@collaboration_app.command("list")
def list_(config: ConfigFile, as_json: AsJson = False) -> None:
    """List the collaborations we are a member of, with their states."""
    with _session(config) as session:
        found = {name: state for name, state, _ in session.list()}
    show(found, as_json)


@match_app.command("run")
def match_run(config: ConfigFile, collaboration: Name, as_json: AsJson = False) -> None:
    """Join the newest lists. Nobody learns who matched; the room commits to it in the log."""
    with _session(config) as session:
        event = session.match(collaboration)
    show({"match": getattr(event.body, "match", ""), "log_line": event.index}, as_json)


def overlap(config: ConfigFile, collaboration: Name, as_json: AsJson = False) -> None:
    """How many of our people the provider knows: noisy, and withheld below the contract's threshold."""
    with _session(config) as session:
        show(released(session.overlap(collaboration)), as_json)


@lookalike_app.command()
def train(
    config: ConfigFile,
    collaboration: Name,
    seed: Annotated[int, typer.Option(help="Fixes every random choice but privacy noise.", min=0, max=2**63 - 1)] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a model of the matched people against the provider's population; waits until it is done."""
    with _session(config) as session:
        job = session.train(collaboration, seed)
        while (state := session.job_state(collaboration, job)).state == "running":
            time.sleep(POLL_SECONDS)
    if state.state != "done":
        raise JobFailed(f"training failed: {state.code} {state.message}")
    show({"job": job, "state": state.state}, as_json)


@lookalike_app.command()
def report(config: ConfigFile, collaboration: Name, job: JobId, as_json: AsJson = False) -> None:
    """Recall, lift, AUC and leading features, computed from noisy counts."""
    from cleanroom.lookalike.figures import quality

    with _session(config) as session:
        answer = session.lookalike_report(collaboration, job)
    show(released(answer) | ({} if answer.suppressed else quality(answer)), as_json)


@lookalike_app.command()
def activate(
    config: ConfigFile,
    collaboration: Name,
    job: JobId,
    size: Annotated[int, typer.Option(help="People in the audience.")],
    recipient: Annotated[str, typer.Option(help="The member that gets it, sealed.")] = "dmp",
    days: Annotated[int, typer.Option(help="Days until it must be dropped.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Deliver the people most alike the seeds, sealed, to the DMP."""
    expires_ms = time.time_ns() // 1_000_000 + days * DAY_MS
    with _session(config) as session:
        answer, audience = session.activate(collaboration, job, size, recipient, expires_ms)
    show(released(answer) | {"audience": audience}, as_json)


@audience_app.command()
def fetch(
    config: ConfigFile,
    collaboration: Name,
    audience: Annotated[str, typer.Option(help="The audience's id.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    as_json: AsJson = False,
) -> None:
    """Fetch a sealed audience that was released to us."""
    partial = out.with_name(out.name + ".partial")
    with _session(config) as session, partial.open("wb") as target:
        target.writelines(session.fetch_audience(collaboration, audience))
    partial.replace(out)
    show({"file": str(out), "bytes": out.stat().st_size}, as_json)


def released(answer: Answer) -> dict[str, Any]:
    """What a release says of itself."""
    return {
        "release": answer.release,
        "operation": answer.operation,
        "purpose": answer.purpose,
        "suppressed": answer.suppressed,
        "persons": answer.persons,
        "persons_sigma": answer.persons_sigma_milli / 1000,
        "micro_rho": answer.micro_rho,
    }
