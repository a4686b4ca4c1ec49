"""The closed loop, from a sealed seed list to a paced bid, over the network and by the commands a person would type.

    python -m examples.closed_loop                      a synthetic operator of 200,000 people, 20,000 bid requests
    python -m examples.closed_loop --real ../shared/data   the public iPinYou sample: real users, tags, prices

Every party is a process of its own with its own keys; nothing passes between them but what the commands send. Writes
summary.json and report.html into --out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from examples import campaign, ipinyou, population, report, traffic
from examples.drive import Driver, Shown
from examples.processes import CommandFailed
from examples.stage import COLLABORATION, CURRENCY, LEGAL_ENTITY, SEAT, Stage
from examples.world import Visit, World

SETTLE_SECONDS: Final = 15.0  # for the last notices to arrive
LEAD_SECONDS: Final = 2.0  # between ordering the campaign and its first stage: workers read orders within it
SPENT_SHARE_MIN: Final = 0.9  # of the plan: a loop that spends less did not work
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Size:
    """How large the demo is. flight_s: the campaign's length; audience_share: of people; base_cpm_micros: value."""

    flight_s: float
    audience_share: float
    budget_nanos: int
    base_cpm_micros: int


class Loop:
    """The steps, in order; each prints what it did."""

    def __init__(self, stage: Stage, world: World, visits: list[Visit], size: Size, console: Console) -> None:
        self.stage = stage
        self.world = world
        self.visits = visits
        self.size = size
        self.spent_min = SPENT_SHARE_MIN
        self.console = console
        self.summary: dict[str, Any] = {}
        self.details: dict[str, Any] = {"notes": []}
        self._started = time.monotonic()

    def say(self, step: str, words: str) -> None:
        """One line of progress."""
        self.console.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]  [bold]{step}[/bold]  {words}")

    # ---- 0: the parties ----------------------------------------------------------------------------------------------

    def start_parties(self) -> None:
        """Write the files, start the processes."""
        stage, run = self.stage, self.stage.processes
        self.world.write(stage.out / "operator-graph.parquet", stage.out / "brand-seeds.csv")
        prices = {visit.request_id: visit.market_cpm_micros for visit in self.visits}
        (stage.out / "market.json").write_bytes(msgspec.json.encode(prices))
        stage.write_configs(self.world)
        run.run(["dmp", "init", "--config", str(stage.config("dmp"))])
        run.run(["bidder", "dsp", "init", "--config", str(stage.config("dsp"))])
        commands = {
            "room": (["cleanroom", "room", "serve"], "room_metrics"),
            "operator": (["cleanroom", "provider", "serve"], "operator_metrics"),
            "dmp": (["dmp", "serve"], "dmp_metrics"),
        }
        for name, (command, health) in commands.items():
            run.start(name, [*command, "--config", str(stage.config(name))], f"http://{stage.at(health)}/health")
        self.say("parties", "room, operator and DMP are up, each with its own keys and certificate")

    # ---- 1: the contract ---------------------------------------------------------------------------------------------

    def agree(self) -> None:
        """Propose, sign by all, open."""
        stage = self.stage
        path = stage.out / "contract.json"
        members = [
            f"--member={stage.keys(name)}/party.json:{role}:{LEGAL_ENTITY[name]}"
            for name, role in (("brand", "advertiser"), ("operator", "provider"), ("room", "room"), ("dmp", "dmp"))
        ]
        stage.processes.run(
            ["cleanroom", "contract", "new", str(path), f"--collaboration={COLLABORATION}", *members,
             "--purpose=customer-acquisition", *(f"--id={one.kind}:sha256" for one in self.world.ids),
             "--grant=overlap=brand", "--grant=lookalike=brand+dmp", "--preset=low", "--days=30",
             *(f"--tag={tag}" for tag in self.world.tags)]
        )  # fmt: skip
        stage.member("brand", "collaboration", "propose", str(path))
        for party in ("brand", "operator", "dmp-member"):
            stage.member(party, "collaboration", "sign", "--collaboration", COLLABORATION, "--contract", str(path))
        opened = stage.member("brand", "collaboration", "open", "--collaboration", COLLABORATION)
        self.say("contract", f"{opened['contract'][:16]}... signed by all four members, open")

    # ---- 2, 3: tokens ------------------------------------------------------------------------------------------------

    def tokenise(self) -> None:
        """The provider's graph becomes tokens, handles and tags; the DMP gets its device table."""
        stage = self.stage
        table = stage.out / "devices.sealed"
        made = stage.member("operator", "provider", "tokenise", "--collaboration", COLLABORATION, "--table", str(table))
        stage.dmp("operator", "table", "put", str(table))
        self.details["notes"].append(
            f"Of the operator's people {made['tag_combinations_unique']:.1%} are alone in their combination of tags: "
            "tags are shared by k people one by one, not all together; the contract binds the room that sees them."
        )
        self.say("operator", f"{made['people']:,} people tokenised under a fresh OPRF key, uploaded sealed")

    def seal(self) -> None:
        """The advertiser's list becomes a sealed list."""
        stage = self.stage
        sealed = stage.out / "brand-seeds.sealed"
        columns = [f"--column={one.name}:{one.kind}" for one in self.world.ids]
        made = stage.member(
            "brand", "advertiser", "seal", str(stage.out / "brand-seeds.csv"), *columns, "--collaboration",
            COLLABORATION, "--out", str(sealed),
        )  # fmt: skip
        now_ms = time.time_ns() // 1_000_000
        stage.member(
            "brand", "advertiser", "upload", str(sealed), "--collaboration", COLLABORATION, "--rows",
            str(made["rows_valid"]), "--basis", "consent", "--obtained-from-ms", str(now_ms - 30 * DAY_MS),
            "--declared-by", "data protection office",
        )  # fmt: skip
        self.summary["seeds_valid"] = made["rows_valid"]
        self.summary["overlap_true"] = self.world.truth.overlap
        bad = sum(made["rejects"].values())
        self.say(
            "brand",
            f"{made['rows']:,} rows: {made['rows_valid']:,} sealed, {made['duplicates']} repeated, {bad} faults",
        )

    # ---- 4, 5: the room ----------------------------------------------------------------------------------------------

    def match(self) -> None:
        """Join in the room; the overlap leaves through the gate."""
        stage = self.stage
        stage.member("brand", "match", "run", "--collaboration", COLLABORATION)
        overlap = stage.member("brand", "overlap", "--collaboration", COLLABORATION)
        self.summary["overlap_released"] = overlap["persons"]
        self.say(
            "overlap",
            f"about {overlap['persons']:,} customers are the operator's (noise: +-{overlap['persons_sigma']:.0f})",
        )

    def lookalike(self) -> int:
        """Train in the room; the report leaves with noise, the audience sealed. Returns the audience's number."""
        stage = self.stage
        job = stage.member("brand", "lookalike", "train", "--collaboration", COLLABORATION)["job"]
        made = stage.member("brand", "lookalike", "report", "--collaboration", COLLABORATION, "--job", job)
        self.summary["lookalike"] = {
            name: made[name] for name in ("auc", "recall_top5", "recall_top10", "recall_top20")
        }
        self.details["lift"] = made["lift_curve"]
        labels = self.world.labels
        self.details["features"] = [
            (f"{labels.get(one['tag'], one['tag'])}: {one['value']}", one["tgi"]) for one in made["features"]
        ]
        self.say("model", f"AUC {made['auc']:.3f}, {made['recall_top20']:.0%} of customers in the top 20% of people")
        size = int(self.world.graph.num_rows * self.size.audience_share)
        sent = stage.member(
            "brand", "lookalike", "activate", "--collaboration", COLLABORATION, "--job", job, "--size", str(size)
        )
        sealed = stage.out / "audience.sealed"
        stage.member(
            "dmp-member", "audience", "fetch", "--collaboration", COLLABORATION, "--audience", sent["audience"],
            "--out", str(sealed),
        )  # fmt: skip
        opened = stage.dmp("dmp", "audience", "open", str(sealed), "--name", COLLABORATION)
        self.summary["audience_size"] = int(opened["people"])
        self.say("audience", f"{int(opened['people']):,} people opened into the DMP's profiles, in 5 bins of likeness")
        return int(opened["id"])

    # ---- 7: the campaign ---------------------------------------------------------------------------------------------

    def bid(self, audience: int) -> None:
        """Start exchange, DSP and the rest of the market; order the campaign; play the visits."""
        stage, run = self.stage, self.stage.processes
        run.start(
            "rival",
            [
                "python",
                "-m",
                "examples.rival",
                "--listen",
                stage.at("rival"),
                "--prices",
                str(stage.out / "market.json"),
            ],
            f"http://{stage.at('rival')}/health",
        )
        run.start(
            "dsp",
            ["bidder", "dsp", "serve", "--config", str(stage.config("dsp"))],
            f"http://{stage.at('dsp_metrics')}/health",
        )
        run.start(
            "adx",
            ["bidder", "adx", "serve", "--config", str(stage.config("adx"))],
            f"http://{stage.at('adx_admin')}/health",
        )
        flight_ms = round(self.size.flight_s * 1000)
        lead_s = LEAD_SECONDS + 2 * run.command_s  # ordering takes a command's time, longer on a busy machine
        start_ms = time.time_ns() // 1_000_000 + round(lead_s * 1000)
        plan = campaign.plan(COLLABORATION, self.size.budget_nanos, start_ms, flight_ms)
        path = stage.out / "campaign.toml"
        campaign.write(path, plan, audience, self.size.base_cpm_micros, self.visits)
        client = ["--dsp", stage.at("dsp_grpc"), "--identity", str(stage.keys("brand"))]
        run.run(["bidder", "campaign", "create", str(path), *client])
        self.say(
            "campaign",
            f"ordered: {plan.budget_nanos / 1e9:.2f} yuan in {len(plan.stages)} stages over {self.size.flight_s:.0f} s",
        )
        shown = uvloop.run(self._drive(start_ms))
        self.say(
            "auctions", f"{len(self.visits):,} requests sent, {sum(shown.wins.values()):,} sold, {shown.clicks} clicks"
        )
        self._settle(shown, plan, client)

    async def _drive(self, start_ms: int) -> Shown:
        loop = asyncio.get_running_loop()
        driver = Driver(f"http://{self.stage.at('adx')}/openrtb2/auction", SEAT, seed=7)
        start_at = loop.time() + (start_ms - time.time_ns() / 1_000_000) / 1000.0
        return await driver.run(self.visits, self.size.flight_s, start_at)

    def _settle(self, shown: Shown, plan: campaign.Plan, client: list[str]) -> None:
        """Wait for the last notices, then set the exchange's billing beside the DSP's accounts."""
        billing, money = self._billed(), self._accounts(client)
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and (billing["notices_owed"] or _charged(money) != _spent(billing)):
            time.sleep(0.5)
            billing, money = self._billed(), self._accounts(client)
        bids = sum(line["number"] for line in money["lines"] if line["event"] == "bid")
        wins = shown.wins.get(SEAT, 0)
        spent, budget = _spent(billing), plan.budget_nanos
        self.summary |= {
            "bids": bids,
            "wins": wins,
            "clicks": shown.clicks,
            "spend_nanos": spent,
            "budget_nanos": budget,
            "overspend_nanos": max(0, spent - budget),
            "charged_nanos": _charged(money),
            "requests": len(self.visits),
            "win_rate": round(wins / max(1, bids), 4),
            "latency_ms": {"p50": round(shown.quantile_ms(0.5), 3), "p99": round(shown.quantile_ms(0.99), 3)},
            "errors": shown.errors,
        }
        self.details["stages"] = [
            {"name": one["name"], "plan_nanos": one["budget_nanos"], "spent_nanos": one["charged_nanos"]}
            for one in money["stages"]
        ]
        same = "the DSP's books say the same" if spent == _charged(money) else "the DSP's books DIFFER"
        self.say("money", f"{spent / 1e9:.3f} of {budget / 1e9:.3f} yuan billed by the exchange; {same}")

    def _billed(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{self.stage.at('adx_admin')}/billing", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def _accounts(self, client: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.stage.processes.run(["bidder", "campaign", "report", COLLABORATION, *client, "--json"])
        )
        return found

    # ---- 8: the audit ------------------------------------------------------------------------------------------------

    def audit(self) -> None:
        """Verify the room's log offline; print what left, to whom, why."""
        stage, run = self.stage, self.stage.processes
        vkey = run.run(["cleanroom", "room", "vkey", "--config", str(stage.config("room"))]).strip()
        log = stage.out / "room" / "log"
        (stage.out / "room.vkey").write_text(vkey + "\n", "utf-8")
        verified = json.loads(run.run(["cleanroom", "audit", "verify", "--log", str(log), "--vkey", vkey, "--json"]))
        self.summary["log"] = {"size": verified["size"], "verified": verified["verified"]}
        entries = json.loads(run.run(["cleanroom", "audit", "show", "--log", str(log), "--json"]))
        releases = [
            one for one in entries if one["kind"] in ("release.issued", "release.suppressed", "audience.delivered")
        ]
        self.details["releases"] = [_release_row(one["index"], one["kind"], one["body"]) for one in releases]
        table = Table(title="What left the room")
        for name in ("log line", "what", "to whom", "purpose"):
            table.add_column(name)
        for row in self.details["releases"]:
            table.add_row(*map(str, row))
        self.console.print(table)
        self.say("audit", f"{verified['size']} lines verified offline, {len(verified['violations'])} violations")

    def finish(self) -> None:
        """Write the artefacts and print the table."""
        self.summary["seconds"] = round(time.monotonic() - self._started, 1)
        self.summary["world"] = self.world.name
        report.write_summary(self.stage.out / "summary.json", self.summary)
        report.write_report(self.stage.out / "report.html", self.summary, self.details)
        table = Table(title="The closed loop", show_header=False)
        for row in report.headline_rows(self.summary):
            table.add_row(*row)
        self.console.print(table)
        self.console.print(f"{self.stage.out}/summary.json and report.html are written")
        broken = self.broken_promises()
        if broken:
            print(f"closed loop: {'; '.join(broken)}", file=sys.stderr)
            raise SystemExit(1)

    def broken_promises(self) -> list[str]:
        """What the loop promises and this run did not keep."""
        found, summary = [], self.summary
        if not summary["log"]["verified"]:
            found.append("the room's log does not verify")
        if summary["overspend_nanos"]:
            found.append("more was spent than the plan allows")
        if summary["spend_nanos"] != summary["charged_nanos"]:
            found.append("exchange and DSP account for different money")
        if summary["spend_nanos"] < self.spent_min * summary["budget_nanos"]:
            found.append(
                f"less than {self.spent_min:.0%} of the plan was spent: the machine was too busy to bid in time"
            )
        return found

    def run(self) -> None:
        """All steps."""
        self.start_parties()
        self.agree()
        self.tokenise()
        self.seal()
        self.match()
        audience = self.lookalike()
        self.bid(audience)
        self.audit()


def _release_row(index: int, kind: str, body: dict[str, Any]) -> tuple[Any, ...]:
    """(log line, what, to whom, purpose) of a release or a delivery."""
    return index, body.get("operation", kind), body["recipient"], body.get("purpose", "as released")


def _spent(billing: dict[str, Any]) -> int:
    """What the exchange billed our seat, nanos."""
    return sum(row["nanos"] for row in billing["seats"] if row["seat"] == SEAT and row["currency"] == CURRENCY)


def _charged(money: dict[str, Any]) -> int:
    """What the DSP charged the campaign, nanos."""
    return sum(int(stage["charged_nanos"]) for stage in money["stages"])


def prepare(options: argparse.Namespace) -> tuple[World, list[Visit], Size, list[str]]:
    """The world, its visits, the size of the demo, and what to say of it in the report."""
    if options.real:
        world, visits = ipinyou.read(options.real)
        size = Size(options.flight_s, 0.4, len(visits) * 70_000, 1_400_000)
        note = (
            "Real users, tags and prices (iPinYou, campaign 2821). Its three clicks are no training set: "
            "bids are valued by the lookalike score."
        )
        return world, visits, size, [note]
    world = population.make(options.people, options.seeds, options.seed)
    visits = traffic.make(world, options.requests, options.seed)
    size = Size(options.flight_s, 0.2, options.requests * 400_000, 11_000_000)
    return (
        world,
        visits,
        size,
        ["A synthetic operator from a seeded generator; bids are valued by the lookalike score."],
    )


def _empty(out: Path) -> None:
    """Make ``out`` empty; a folder that holds something else than an earlier run is left alone."""
    if out.exists() and any(out.iterdir()) and not (out / "keys").exists():
        raise SystemExit(f"closed loop: {out} holds other files; choose an empty folder")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)


def main() -> None:
    """Run the demo; exit 1 with the failing command's words where a step fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, help="folder that holds ipinyou/raw")
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder to write (default: out/demo); emptied"
    )
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=5_000)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--flight-s", type=float, default=40.0, help="length of the campaign, seconds")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--spent-min", type=float, default=SPENT_SHARE_MIN, help="share of the plan that must be spent")
    options = parser.parse_args()
    console = Console(highlight=False)
    _empty(options.out)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the processes are stopped
    world, visits, size, notes = prepare(options)
    stage = Stage.make(options.out.resolve())
    loop = Loop(stage, world, visits, size, console)
    loop.details["notes"].extend(notes)
    loop.spent_min = options.spent_min
    try:
        loop.run()
    except CommandFailed as error:
        print(f"closed loop: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        unclean = stage.processes.stop()
    if unclean:
        print(f"closed loop: did not stop cleanly: {', '.join(unclean)}", file=sys.stderr)
        raise SystemExit(1)
    loop.finish()


if __name__ == "__main__":
    main()
