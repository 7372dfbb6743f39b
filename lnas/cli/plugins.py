"""`lnas plugins`: what is installed, what became of it, and whether it keeps its contract."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.plugins_check import check
from lnas.cli.plugins_new import new
from lnas.cli.session import Session, pass_session
from lnas.cli.tables import table
from lnas.core.errors import UnknownNameError

if TYPE_CHECKING:
    from lnas.host.registry import PluginRecord


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """Show, check and begin plugins."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


plugins.add_command(new)


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@pass_session
def list_plugins(session: Session, as_json: bool) -> None:
    """List every plugin that was found, also those that failed, and what each offers."""
    records = session.host().plugins
    if as_json:
        output.document({"schema": 1, "plugins": [_document(record) for record in records]})
        return
    rows = ((record.name, _source(record), record.status, _offered(record)) for record in records)
    output.result(table(rows, head=("plugin", "from", "status", "parts")))


@plugins.command("info")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@pass_session
def info(session: Session, name: str, as_json: bool) -> None:
    """Show all that is known of the plugin NAME: its parts, or the traceback of its failure."""
    records = session.silent_host().plugins  # it says what went wrong itself
    found = [record for record in records if name in (record.name, record.distribution)]
    if not found:
        raise UnknownNameError("plugin", name, {record.name for record in records})
    if as_json:
        output.document({"schema": 1, "plugins": [{**_document(r), "traceback": r.traceback} for r in found]})
        return
    for record in found:
        output.result(table(list(_facts(record))))
        if record.components:
            rows = ((part.kind, part.name, part.summary, part.target) for part in record.components)
            output.result("", table(rows, head=("kind", "name", "what it is", "where it is")))
        if record.traceback:
            output.text("\n" + record.traceback.rstrip())


def _document(record: "PluginRecord") -> dict[str, object]:
    return {
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "origin": record.origin,
        "status": record.status,
        "error": record.error,
        "milliseconds": round(record.milliseconds, 3),
        "components": [{"kind": part.kind, "name": part.name} for part in record.components],
    }


def _facts(record: "PluginRecord") -> Iterator[tuple[str, str]]:
    yield "Plugin", record.name
    yield "From", f"{_source(record)} ({record.origin})"
    yield "Place", record.place
    yield "Status", record.status
    if record.error:
        yield "Why", record.error
    yield "Loaded in", f"{record.milliseconds:.1f} ms"


def _source(record: "PluginRecord") -> str:
    return " ".join(word for word in (record.distribution, record.version) if word) or "no distribution"


def _offered(record: "PluginRecord") -> str:
    """The parts of a plugin; of lnas itself, whose parts are many, how many."""
    if record.origin == "built-in":
        return f"{len(record.components)} parts, which `lnas components` lists"
    if record.status != "active":
        return f"see lnas plugins info {record.name}"
    kinds = dict.fromkeys(part.kind for part in record.components)
    return "; ".join(f"{kind} {', '.join(p.name for p in record.components if p.kind == kind)}" for kind in kinds) or "none"


plugins.add_command(check)
