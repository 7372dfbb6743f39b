"""`lnas config`: the configuration that a run would have, and where each value came from."""

from dataclasses import fields
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.settings import resolved, settings
from lnas.cli.tables import table

if TYPE_CHECKING:
    from lnas.host.config import Config, Merged


@click.command(short_help="Show a configuration and its sources.")
@settings
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """Show the configuration that `lnas run` with these options would have, and where each value comes from."""
    merged, _ = resolved(context)
    if as_json:
        output.document({"schema": 1, "config": values(merged.config), "origins": dict(merged.origins)})
    else:
        output.result(table(_rows(merged), head=("key", "value", "from")))


def values(config: "Config") -> dict[str, object]:
    """A configuration as JSON; a part, a prune line and the epochs as a user types them."""
    plain: dict[str, object] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in ("prune", "observe", "cost"):
            plain[field.name] = [str(part) for part in value]
        elif field.name == "plugins":
            plain[field.name] = list(value)
        elif field.name == "train":
            plain[field.name] = dict(value)
        else:
            plain[field.name] = value if value is None or isinstance(value, str | int | float) else str(value)
    return plain


def _rows(merged: "Merged") -> list[tuple[str, str, str]]:
    """One row for each origin; the options of a part stand below it."""
    rows = []
    for key, origin in merged.origins.items():
        name, _, option = key.partition(".")
        value = getattr(merged.config, name)
        if name == "prune" and option:
            words = ", ".join(line.options[option] for line in value)
        elif option:
            words = value[option] if name == "train" else value.options[option]
        elif name in ("strategy", "space", "data"):
            words = value.name
        elif name in ("prune", "observe", "cost", "plugins"):
            words = " and ".join(map(str, value)) or "nothing"
        elif name == "train":
            words = ",".join(f"{key}={item}" for key, item in value.items()) or "defaults"
        else:
            words = "" if value is None else str(value)
        rows.append((key, words, origin))
    return rows
