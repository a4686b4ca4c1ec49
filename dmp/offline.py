"""Commands that work on files, without a running DMP: ingest, rule, tags, portrait, graph, person."""

from __future__ import annotations

import csv
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from pyroaring import BitMap
from rich.console import Console
from rich.table import Table

import dmp.taxonomy
from dmp.audience.evaluate import Sources, evaluate
from dmp.audience.expression import parse
from dmp.audience.tags import TagIndex, publish_tags
from dmp.graph import Id, IdentityGraph, Seen
from dmp.ingest import IngestInvalid, ingest, load_mapping, quality
from dmp.ingest.people import ingest_people
from dmp.portrait import high_features, portrait
from dmp.portrait.report import page
from dmp.profile.people import IdColumn
from dmp.rules import EventStore, RuleEngine, explain, parse_rule
from dmp.rules.model import Rule
from dmp.taxonomy import TagTree

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="The DMP's TOML.")]
Secret = Callable[[Path], bytes]
"""Gives the profile secret of the DMP that a configuration file names; passed in by dmp.cli, which may read
keystores.
"""


def build(secret: Secret, data: Callable[[Path], Path]) -> dict[str, typer.Typer]:
    """The command groups. Args: secret, data: of a configuration file, its profile secret and its data folder."""
    return {
        "ingest": _ingest_commands(secret, data),
        "rule": _rule_commands(),
        "tags": _tags_commands(),
        "graph": _graph_commands(secret, data),
        "person": _person_commands(secret, data),
    }


def _ingest_commands(secret: Secret, data: Callable[[Path], Path]) -> typer.Typer:
    group = typer.Typer(help="Take in data: tables, people, events.", no_args_is_help=True)

    @group.command("table")
    def table(
        source: Annotated[Path, typer.Argument(help="csv, tsv, jsonl, parquet, or an SQLite database.", exists=True)],
        mapping: Annotated[Path, typer.Argument(help="TOML: which field becomes which column.")],
        out: Annotated[Path, typer.Argument(help="Parquet to write.")],
        rejects: Annotated[Path | None, typer.Option(help="CSV for refused rows: line, reason.")] = None,
        before: Annotated[Path | None, typer.Option(help="Yesterday's Parquet, to measure drift against.")] = None,
        config: Annotated[Path | None, typer.Option(help="The DMP's TOML, where a column is masked by hash.")] = None,
    ) -> None:
        """Map, clean and mask a source, and print what it is worth."""
        taken = ingest(source, load_mapping(mapping), secret=secret(config) if config else None)
        if rejects is not None:
            with rejects.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([("line", "reason"), *taken.rejected])
        pq.write_table(taken.rows, out)
        measured = quality(taken.rows, pq.read_table(before) if before else None)
        print(f"{measured.rows} rows kept, {taken.repeated} replaced by later ones, {len(taken.rejected)} refused")
        shown = Table("column", "filled", "distinct", "far out", "drift")
        for c in measured.columns:
            drift = "" if c.drift is None else f"{c.drift:.3f}"
            shown.add_row(c.name, f"{c.fill:.1%}", str(c.distinct), str(c.outliers), drift)
        Console().print(shown)

    @group.command("people")
    def people(
        source: Annotated[Path, typer.Argument(help="Parquet: person, tags, ids, consent.", exists=True)],
        config: ConfigFile,
        ids: Annotated[list[str], typer.Option("--id", help="column:kind:encoding, once for each identifier column.")],
        score: Annotated[list[str], typer.Option(help="A score column.")] = [],  # noqa: B006 - typer's way
        workers: Annotated[int, typer.Option(help="Processes to hash with.")] = 2,
    ) -> None:
        """Replace people, their tags and keys; then run `dmp profile build`."""
        columns = [IdColumn(*_three(text)) for text in ids]
        taken = ingest_people(source, columns, data(config), secret(config), scores=score, workers=workers)
        counts = taken.counts
        print(
            f"{counts.people} people, {counts.keys} keys, {taken.tags} tags; {counts.shared} shared keys left out, "
            f"{counts.rejected} identifiers refused"
        )

    @group.command("events")
    def events(
        source: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON lines of events.", exists=True)],
        config: ConfigFile,
        rejects: Annotated[Path | None, typer.Option(help="CSV for refused rows: row, reason.")] = None,
    ) -> None:
        """Take a batch of events; late and repeated ones are welcome."""
        store = EventStore(data(config) / "events")
        taken = store.take(read_events(source), now_ms=time.time_ns() // 1_000_000, rejects=rejects)
        print(f"{taken.kept} kept, {taken.repeated} repeats dropped, refused: {taken.rejected or 'none'}")

    return group


def _rule_commands() -> typer.Typer:
    group = typer.Typer(help="Rules: try one on a file of events, read one in words.", no_args_is_help=True)

    @group.command("test")
    def test(
        rule: Annotated[Path, typer.Argument(help="JSON of the rule (dmp/rules/model.py).", exists=True)],
        source: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON lines of events.", exists=True)],
        day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day of computation.")],
        as_json: AsJson = False,
    ) -> None:
        """Say in words what a rule means, and who of a file's people it takes."""
        parsed = parse_rule(rule.read_bytes())
        members, rejected = members_of(parsed, read_events(source), day.date())
        if as_json:
            print(json.dumps({"tag": parsed.tag, "words": explain(parsed), "people": members, "rejected": rejected}))
            return
        print(explain(parsed))
        print(f"{len(members)} people: {', '.join(map(str, members))}")
        if rejected:
            print(f"refused events: {rejected}")

    @group.command("explain")
    def words(rule: Annotated[Path, typer.Argument(help="JSON of the rule.", exists=True)]) -> None:
        """Say in words what a rule means."""
        print(explain(parse_rule(rule.read_bytes())))

    return group


def _tags_commands() -> typer.Typer:
    group = typer.Typer(help="Tags: the tree, headcounts, fill rates.", no_args_is_help=True)

    @group.command("tree")
    def tree(
        file: Annotated[Path | None, typer.Option(help="The tree's TOML. Default: the one that comes along.")] = None,
        tags: Annotated[Path | None, typer.Option(help="Folder of materialised tags, for headcounts.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Show the tag tree: name, people (each once), creation time, next-level tags, kind."""
        made = TagTree.load(file or Path(dmp.taxonomy.__file__).with_name("tree.toml"))
        carried = {}
        if tags is not None:
            index = TagIndex(tags, fill_ppm_min=0)
            carried = {fact.tag: index.people(fact.tag) for fact in index.facts()}
        rows = made.view(carried)
        if as_json:
            print(msgspec.json.encode(rows).decode())
            return
        shown = Table("tag", "people", "created", "next level", "kind")
        for row in rows:
            shown.add_row("  " * row.depth + row.name, f"{row.people:,}", row.created, str(row.children), row.kind)
        Console().print(shown)

    @group.command("build")
    def materialise(
        table: Annotated[Path, typer.Argument(help="Parquet of `dmp ingest table`.", exists=True)],
        out: Annotated[Path, typer.Argument(help="Folder of materialised tags to make.")],
        person: Annotated[str, typer.Option(help="Column that names the person.")],
        tags: Annotated[str, typer.Option(help="Column with a list of tags.")],
    ) -> None:
        """Make tags of a table: people are numbered as they appear, and carry every tag of their rows."""
        people, carriers = tags_of(pq.read_table(table), person, tags)
        version = publish_tags(out, BitMap(range(people)), carriers)
        tagged = len(BitMap.union(*carriers.values()))
        print(f"version {version}: {people:,} people, {len(carriers)} tags, {tagged:,} people carry one or more")

    @group.command("list")
    def facts(tags: Annotated[Path, typer.Argument(help="Folder of materialised tags.", exists=True)]) -> None:
        """List materialised tags: people, fill rate, usable or not."""
        shown = Table("tag", "people", "filled", "usable")
        for fact in TagIndex(tags).facts():
            usable = "yes" if fact.usable else "no"
            shown.add_row(fact.tag, f"{fact.people:,}", f"{fact.fill_ppm / 10_000:.2f}%", usable)
        Console().print(shown)

    return group


def portrait_command(
    tags: Annotated[Path, typer.Argument(help="Folder of materialised tags (data/tags).", exists=True)],
    definition: Annotated[str, typer.Argument(help="A tag's name, or a definition's JSON.")],
    html: Annotated[Path | None, typer.Option(help="Write the report here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw an audience's portrait against the whole population: shares, TGI with intervals, what is significant."""
    index = TagIndex(tags, fill_ppm_min=0)
    text = definition if definition.lstrip().startswith("{") else json.dumps({"op": "tag", "tag": definition})
    audience = evaluate(parse(text.encode()), Sources(index))
    carried = {fact.tag: index.people(fact.tag) for fact in index.facts()}
    features = portrait(audience, index.everybody, carried)
    if html is not None:
        html.write_text(page(definition, len(audience), len(index.everybody), features), "utf-8")
    if as_json:
        print(json.dumps([{n: getattr(f, n) for n in f.__dataclass_fields__} for f in features], ensure_ascii=False))
        return
    shown = Table("tag", "audience", "population", "TGI", "95%", "q")
    for f in features[:30]:
        shown.add_row(
            f.tag,
            f"{f.share:.1%}",
            f"{f.share_population:.1%}",
            f"{f.tgi:.0f}",
            f"{f.tgi_low:.0f}-{f.tgi_high:.0f}",
            f"{f.q:.2g}",
        )
    Console().print(shown)
    print(f"{len(audience):,} of {len(index.everybody):,} people; {len(high_features(features))} tags to select by")


def _graph_commands(secret: Secret, data: Callable[[Path], Path]) -> typer.Typer:
    group = typer.Typer(help="One identity: who is behind which identifiers.", no_args_is_help=True)

    @group.command("observe")
    def observe(
        source: Annotated[Path, typer.Argument(help='JSON lines: {"ids": [["phone","+86.."]], "source", "at_ms"}.')],
        config: ConfigFile,
    ) -> None:
        """Take observations of identifiers seen together."""
        with _graph(secret, data, config) as graph:
            print(f"{len(graph.observe(read_observations(source)))} persons changed")

    @group.command("why")
    def why(
        left: Annotated[str, typer.Argument(help="kind:value or kind@namespace:value")],
        right: Annotated[str, typer.Argument(help="kind:value or kind@namespace:value")],
        config: ConfigFile,
    ) -> None:
        """Explain why two identifiers are one person."""
        with _graph(secret, data, config) as graph:
            chain = graph.why(_id(left), _id(right))
        if not chain:
            print("they are two persons")
        for step in chain:
            last = datetime.fromtimestamp(step.last_ms / 1000, UTC)
            sources = ", ".join(step.sources)
            print(f"{step.left} with {step.right}: {step.seen} times by {sources}, last {last:%Y-%m-%d}")

    return group


def _person_commands(secret: Secret, data: Callable[[Path], Path]) -> typer.Typer:
    group = typer.Typer(help="One person: everything kept of them.", no_args_is_help=True)

    @group.command("show")
    def show(
        given: Annotated[str, typer.Argument(help="kind:value or kind@namespace:value")],
        config: ConfigFile,
    ) -> None:
        """Show a person: identifiers (kinds and short keys), tags, what was kept apart."""
        root = data(config)
        with _graph(secret, data, config) as graph:
            person = graph.person(_id(given))
            view = graph.show(person)
        print(f"person {person}")
        shown = Table("identifier", "first seen", "last seen")
        for kind, namespace, key, first, last in view.ids:
            times = [f"{datetime.fromtimestamp(t / 1000, UTC):%Y-%m-%d}" for t in (first, last)]
            shown.add_row(f"{kind}{'@' + namespace if namespace else ''}:{key}", *times)
        Console().print(shown)
        for left, right, reason in view.refused:
            print(f"kept apart: {left} and {right} ({reason})")
        if (root / "tags").exists():
            index = TagIndex(root / "tags", fill_ppm_min=0)
            mine = [fact.tag for fact in index.facts() if person in index.people(fact.tag)]
            print(f"tags: {', '.join(mine) or 'none'}")

    return group


def read_events(source: Path) -> pa.Table:
    """Events of a file; an ``id`` that is text names its event by hash. Raises: IngestInvalid, EventsInvalid."""
    try:
        if source.suffix == ".parquet":
            return pq.read_table(source)
        with source.open(encoding="utf-8", newline="") as file:
            rows = [json.loads(line) for line in file] if source.suffix == ".jsonl" else list(csv.DictReader(file))
        return pa.Table.from_pylist([_event(row) for row in rows])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise IngestInvalid(f"{source.name}: not a file of events ({type(error).__name__}: {error})") from None


def tags_of(table: pa.Table, person: str, tags: str) -> tuple[int, dict[str, BitMap]]:
    """People of a table, and who carries each tag. Raises: IngestInvalid: a column is missing or the tags no lists."""
    missing = {person, tags} - set(table.column_names)
    if missing or not pa.types.is_list(table.schema.field(tags).type):
        raise IngestInvalid(f"the table needs a column {person!r} and lists in {tags!r} (split them in the mapping)")
    numbers: dict[str, int] = {}
    carriers: dict[str, BitMap] = {}
    for name, carried in zip(table.column(person).to_pylist(), table.column(tags).to_pylist(), strict=True):
        number = numbers.setdefault(name, len(numbers))
        for tag in carried or ():
            carriers.setdefault(tag, BitMap()).add(number)
    return len(numbers), carriers


def members_of(rule: Rule, events: pa.Table, day: date) -> tuple[list[int], dict[str, int]]:
    """People a rule takes of a table of events on a day, and refused events by reason."""
    with tempfile.TemporaryDirectory() as folder:
        store = EventStore(Path(folder))
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
        taken = store.take(events, now_ms=midnight + 86_400_000 - store.zone_ms)
        return list(RuleEngine(store).compute([rule], day).members[rule.tag]), taken.rejected


def read_observations(source: Path) -> Iterator[Seen]:
    """Observations from JSON lines. Raises: IngestInvalid naming the line."""
    with source.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                yield Seen(tuple(Id(*map(str, item)) for item in row["ids"]), str(row["source"]), int(row["at_ms"]))
            except (ValueError, KeyError, TypeError):
                raise IngestInvalid(f"{source.name} line {number}: needs ids, source and at_ms") from None


@contextmanager
def _graph(secret: Secret, data: Callable[[Path], Path], config: Path) -> Iterator[IdentityGraph]:
    graph = IdentityGraph(data(config) / "graph.sqlite", secret(config))
    try:
        yield graph
    finally:
        graph.close()


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """One event of a CSV or JSON file: texts become numbers, empty ones nothing, the id sixteen bytes."""
    given = {name: value for name, value in row.items() if value not in ("", None)}
    made: dict[str, Any] = {"id": hashlib.blake2s(str(given["id"]).encode(), digest_size=16).digest()}
    made |= {name: int(given[name]) for name in ("person", "at_ms") if name in given}
    made |= {name: float(given[name]) if name in given else None for name in ("amount", "lat", "lon")}
    made |= {name: str(given[name]) if name in given else None for name in ("event", "subject", "detail", "province")}
    outward = given.get("outward")
    made["outward"] = None if outward is None else str(outward).lower() in ("1", "true", "yes")
    return made


def _id(text: str) -> Id:
    left, _, value = text.partition(":")
    kind, _, namespace = left.partition("@")
    if not kind or not value:
        raise IngestInvalid(f"an identifier is written kind:value or kind@namespace:value, not {left!r}")
    return Id(kind, value, namespace)


def _three(text: str) -> tuple[str, str, str]:
    parts = text.split(":")
    if len(parts) != 3:
        raise IngestInvalid(f"an identifier column is written column:kind:encoding, not {text!r}")
    return parts[0], parts[1], parts[2]
