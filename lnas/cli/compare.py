"""`lnas compare`: runs side by side."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.place import WHAT_RUN_IS, found
from lnas.cli.tables import table
from lnas.report.text import line

if TYPE_CHECKING:
    from rich.table import Table

    from lnas.report.compare import Comparison

_NARROWEST = 24
"""Columns that the cells of a run should have: more runs than there is room for stand in tables below each other."""


@click.command(
    short_help="Show runs side by side.",
    help=f"""Show two or more runs side by side: what they came to, and which values of their configurations differ.

Where runs of two configurations have the same seeds, the differences of their test accuracies are paired by seed: the mean,
and with two pairs or more its 95 % interval. The first run's configuration is what the others are held against.

What keeps the runs from being compared, as other data or a run that has not finished, is said on standard error.

{WHAT_RUN_IS}""",
)
@click.argument("run", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def compare(run: tuple[str, ...], as_json: bool) -> None:
    """Show two or more runs side by side."""
    from lnas.report.compare import NOTHING, sentence, to_json
    from lnas.report.compare import compare as side_by_side
    from lnas.report.run import Run

    runs = [Run(found(name)) for name in run]
    comparison = side_by_side(runs)
    if as_json:
        output.document(to_json(runs, comparison))
        return
    for part in _tables(comparison, output.width()):
        output.result(part, "")
    if comparison.settings:
        output.text("Settings that differ:")
    for key, values in comparison.settings.items():
        output.text(line(f"{key}: {' | '.join(NOTHING if value is None else value for value in values)}"))
    for pairing in comparison.pairings:
        output.text(line(f"Paired by seed: {sentence(pairing)}"))
    for warning in comparison.warnings:
        output.warn(warning)


def _tables(comparison: "Comparison", width: int) -> "Iterator[Table]":
    longest = max(len(label) for label, _ in comparison.table)
    room = max(1, (width - longest) // _NARROWEST)
    for begin in range(0, len(comparison.names), room):
        chosen = slice(begin, begin + room)
        yield table(_rows(comparison, chosen), head=["", *comparison.names[chosen]])


def _rows(comparison: "Comparison", chosen: slice) -> list[Sequence[str]]:
    return [[label, *cells[chosen]] for label, cells in comparison.table]
