"""`lnas components`: the parts that there are, and the options of one."""

import inspect
import re
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.session import Session, pass_session
from lnas.cli.tables import table
from lnas.core.errors import ConfigError, PluginError, UnknownNameError

if TYPE_CHECKING:
    from lnas.host.options import Option
    from lnas.host.registry import Component, Registry

_SECTIONS = re.compile(r"^(?:Args|Raises|Returns|Attributes):$", re.MULTILINE)
"""What a docstring says to those who call the part; those who type its name read the table of options."""

TRAIN = "train"
"""The retraining is one part that cannot be exchanged, but has options: those of --train."""


@click.command(short_help="List the parts and their options.")
@click.argument("name", required=False)
@click.option(
    "--kind", metavar="KIND", help="Only strategy, space, schedule, target, importance, recipe, dataset, observer or executor."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@pass_session
def components(session: Session, name: str | None, kind: str | None, as_json: bool) -> None:
    """List the parts a run can be made of, or describe the one called NAME and its options.

    `lnas components train` describes the retraining.
    """
    parts = _parts(session.host().registry, kind)
    if name is not None:
        parts = _named(session, parts, name, kind)
    if as_json:
        described = [_document(part) | (_details(part) if name is not None else {}) for part in parts]
        output.document({"schema": 1, "components": described})
    elif name is not None:
        for part in parts:
            _describe(part)
    else:
        rows = ((part.kind, part.name, part.summary, _source(part)) for part in parts)
        output.result(table(rows, head=("kind", "name", "what it is", "from")))


def _parts(registry: "Registry", kind: str | None) -> "list[Component]":
    from lnas.host.parts import TRAINING
    from lnas.host.registry import BUILT_IN, KINDS, Component

    if kind is not None:
        return list(registry.all(kind))
    retraining = Component(TRAIN, TRAIN, TRAINING, "the retraining of the derived network", BUILT_IN, *_lnas())
    return [*(part for kind in KINDS for part in registry.all(kind)), retraining]


def _lnas() -> tuple[str, str]:
    from lnas import __version__

    return "lnas", __version__


def _named(session: Session, parts: "list[Component]", name: str, kind: str | None) -> "list[Component]":
    """All parts of that name, for a name may stand for one of each kind."""
    from lnas.host.first_party import missing as not_installed

    found = [part for part in parts if name in (part.name, part.qualified)]
    if not found:
        if (offered := session.host().registry.uninstalled(name, kind)) is not None:
            raise PluginError(not_installed(offered[0], name, offered[1]))
        missing = [record for record in session.host().plugins if record.status != "active"]
        unknown = UnknownNameError(kind or "part", name, {part.name for part in parts})
        if missing and not unknown.near:
            troubles = "; ".join(f"{record} {record.trouble}" for record in missing)
            raise PluginError(f"{kind or 'part'} {name!r} is not available: {troubles}")
        raise unknown
    return found


def _source(part: "Component") -> str:
    return " ".join(word for word in (part.distribution or part.plugin, part.version) if word)


def _document(part: "Component") -> dict[str, object]:
    return {
        "kind": part.kind,
        "name": part.name,
        "summary": part.summary,
        "plugin": part.plugin,
        "distribution": part.distribution,
        "version": part.version,
    }


def _options(part: "Component") -> "tuple[Option, ...]":
    from lnas.host.options import options_of

    return options_of(part.load(), "strategy" if part.kind == TRAIN else part.kind)


def _details(part: "Component") -> dict[str, object]:
    return {
        "documentation": inspect.getdoc(part.load()) or "",
        "options": [
            {
                "name": option.name,
                "form": option.form,
                "default": None if option.required else _default(option),
                "required": option.required,
                "help": option.help,
            }
            for option in _options(part)
        ],
    }


def _default(option: "Option") -> str:
    """As a user types it."""
    from lnas.host.spec import as_text

    if option.required:
        return "needed"
    if option.default is None:
        return "none"
    try:
        return as_text(option.name, option.default)
    except ConfigError:  # a path, or a value of a type of its own
        return str(option.default)


def _describe(part: "Component") -> None:
    output.text(f"{part.kind} {part.name} ({_source(part)}): {part.summary}\n")
    if words := _SECTIONS.split(inspect.getdoc(part.load()) or "", maxsplit=1)[0].rstrip():
        output.text(words)
    options = _options(part)
    if options:
        rows = (
            (option.name, option.form, "the run's" if option.name == "seed" else _default(option), option.help)
            for option in options
        )
        output.result("", table(rows, head=("option", "value", "default", "what it is")))
    elif part.kind != "recipe":
        output.text("\nIt has no options.\n")
    if part.kind == "target":
        _describe_prune_line()


def _describe_prune_line() -> None:
    from lnas.host.prunings import LOOP_OPTIONS

    output.text("\nA prune line takes these, the options of its schedule and of its importance, and")
    output.result("", table(LOOP_OPTIONS.items(), head=("option", "what it is")))
