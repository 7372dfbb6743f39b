"""`lnas plugins check`: whether a plugin keeps the contract of its parts, rule by rule."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.session import Session, pass_session

if TYPE_CHECKING:
    from lnas.host.registry import PluginRecord
    from lnas.host.spec import Spec
    from lnas.testing.suite import Suite
    from lnas.testing.verdict import Verdict

BROKEN = 3
"""Exit code: the check was done, and a rule is broken."""


@click.command("check", short_help="Check a plugin against the contract of its parts.")
@click.argument("plugin", metavar="NAME|PATH")
@click.option(
    "--with", "options", metavar="SPEC", multiple=True, help="Options of a part, as in folder,root=DIR; may be repeated."
)
@click.option("--all", "everything", is_flag=True, help="Show the rules that are kept, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@pass_session
@click.pass_context
def check(
    context: click.Context, session: Session, plugin: str, options: tuple[str, ...], everything: bool, as_json: bool
) -> None:
    """Run the conformance suite of every part of the plugin NAME, or of the file or folder PATH.

    Exit code 0 where every rule is kept, 3 where one is broken.
    """
    from lnas.host.foreign import aside
    from lnas.host.spec import Spec
    from lnas.testing import judge

    chosen = {spec.name: spec for spec in map(Spec.parse, options)}
    rows: list[dict[str, object]] = []
    count: Counter[str] = Counter()
    for label, suite in _suites(session, plugin, chosen):
        with aside():
            verdicts = list(judge(suite))
        count.update(verdict.outcome for verdict in verdicts)
        rows.append({"part": label, "rules": [{"rule": v.rule, "outcome": v.outcome, "message": v.message} for v in verdicts]})
        if not as_json:
            _show(label, verdicts, everything=everything)
    if as_json:
        output.document({"schema": 1, "plugin": plugin, "kept": not count["broken"], "parts": rows})
    elif count["broken"]:
        output.text(f"\n{plugin} does not keep its contract: {_counted(count)}")
    else:
        output.text(f"\n{plugin} keeps its contract: {_counted(count)}")
    if count["broken"]:
        context.exit(BROKEN)


def _suites(session: Session, plugin: str, chosen: "Mapping[str, Spec]") -> "Iterator[tuple[str, type[Suite]]]":
    """The parts in words, each with its suite.

    Raises:
        LnasError: where there is no such plugin, it is not active, or an option is for a part that it does not have.
    """
    from lnas.core.errors import UnknownNameError
    from lnas.host.registry import BUILT_IN
    from lnas.testing.plugin import suite_of

    found = list(_records(session, plugin))
    names = {part.name for record, _ in found for part in record.components}
    ours = {(part.kind, part.name) for part in session.silent_host().plugins[0].components}
    for name in chosen:
        if name not in names:
            raise UnknownNameError(f"part of {plugin}", name, names)
    for record, module in found:
        for part in record.components:
            options = chosen[part.name].options if part.name in chosen else {}
            typed = part.name
            if record.name != BUILT_IN and (part.kind, part.name) in ours:
                typed = f"{part.qualified}, in full, for lnas has one of that name,"
            yield f"{part.kind} {typed} ({part.target})", suite_of(part, module, options)


def _records(session: Session, plugin: str) -> "Iterator[tuple[PluginRecord, str]]":
    from lnas.core.errors import PluginError
    from lnas.testing.plugin import opened

    host = session.silent_host()
    for record in host.plugins:
        if plugin in (record.name, record.distribution):
            if record.status != "active":
                raise PluginError(f"{record} {record.trouble}")
            yield record, record.place.partition(":")[0] if record.origin != "file" else Path(record.place).stem
            return
    yield from opened(Path(plugin))


def _show(label: str, verdicts: "list[Verdict]", *, everything: bool) -> None:
    count: Counter[str] = Counter(verdict.outcome for verdict in verdicts)
    output.text(f"{label}: {_counted(count)}")
    said: set[str] = set()
    for verdict in verdicts:
        if everything or verdict.outcome != "kept":
            message = "the same" if verdict.message in said else verdict.message
            said.add(verdict.message)
            output.text(f"  {verdict.outcome:8} {verdict.says or verdict.rule}" + (f"\n           {message}" if message else ""))


def _counted(count: "Counter[str]") -> str:
    total = count.total()
    more = "".join(f", {count[word]} {word}" for word in ("broken", "skipped") if count[word])
    return f"{count['kept']} of {total} rules kept{more}"
