"""`lnas plugins`: what is installed, and what became of it."""

from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.session import Session, pass_session
from lnas.cli.tables import table

if TYPE_CHECKING:
    from lnas.host.registry import PluginRecord


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """Show the plugins that are installed."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@pass_session
def list_plugins(session: Session, as_json: bool) -> None:
    """List every plugin that was found, also those that failed, and what each offers."""
    records = session.host().plugins
    if as_json:
        rows = [
            {
                "name": record.name,
                "distribution": record.distribution,
                "version": record.version,
                "origin": record.origin,
                "status": record.status,
                "error": record.error,
                "components": [{"kind": part.kind, "name": part.name} for part in record.components],
            }
            for record in records
        ]
        output.document({"schema": 1, "plugins": rows})
        return
    output.result(
        table(
            (
                (
                    record.name,
                    " ".join(word for word in (record.distribution, record.version) if word) or "no distribution",
                    record.error or record.status,
                    _offered(record),
                )
                for record in records
            ),
            head=("plugin", "from", "status", "parts"),
        )
    )


def _offered(record: "PluginRecord") -> str:
    """The parts of a plugin; of lnas itself, whose parts are many, how many."""
    if record.origin == "built-in":
        return f"{len(record.components)} parts, which `lnas components` lists"
    return ", ".join(f"{part.kind} {part.name}" for part in record.components) or "none"
