"""`lnas sweep`: recipes by sparsities by seeds, as one experiment."""

from typing import TYPE_CHECKING

import click

from lnas.cli.settings import given, settings_but
from lnas.cli.sweeping import Request, carry_out, given_how, sweeping

if TYPE_CHECKING:
    from lnas.host.config import Layer

EXAMPLES = """
\b
Examples:
  lnas sweep --recipe baseline,variant1,variant2 --sparsity 0.5,0.75 --seeds 3
      five rows, since the baseline prunes nothing, with three seeds each: 15 trials
  lnas sweep --recipe baseline,variant1 --sparsity 0.5 --seeds 5 --controls all --workers 4
      with the controls that a lottery ticket has to beat, four trials at a time
  lnas sweep --config sweep.toml
      any option in the file may be a list
"""

HOW = ("seeds", "controls", "executor", "workers", "threads", "stopping", "out")
"""Keys of a sweep's file that no run has."""


@click.command(epilog=EXAMPLES, short_help="Run many configurations with several seeds, and compare them.")
@settings_but("recipe", "sparsity", "seed", "out", "name", "config")
@click.option("--recipe", metavar="NAME,...", help="Recipes, as in baseline,variant1,variant2,generalized.")
@click.option("--sparsity", metavar="FRACTION,...", help="Sparsities, as in 0.125,0.25, for every recipe that prunes.")
@click.option("--config", "file", metavar="FILE", help="TOML file with any of these options; each may be a list.")
@sweeping
@click.option(
    "--stopping",
    metavar="RULE",
    help="Give up poor trials early: median, or halving,eta=3.  There are no verdicts then.",
)
@click.pass_context
def sweep(context: click.Context, recipe: str | None, sparsity: str | None, file: str | None, stopping: str | None) -> None:
    """Run every recipe with every sparsity and every seed.

    Each trial is a run of its own; trials whose search is the same share it.  The same command goes on where a sweep was
    stopped: what is finished is not run again.
    """
    from lnas.sweep.axes import listed, rows

    settings, how_of_file, layer = _read(file)
    typed = dict(given(context))
    if recipe is not None:
        typed["recipe"] = listed("--recipe", recipe)
    if sparsity is not None:
        typed["sparsity"] = listed("--sparsity", sparsity)
    if "prune" in typed and "recipe" not in typed:
        settings.pop("recipe", None)
    settings |= {key: list(value) if isinstance(value, tuple) else value for key, value in typed.items()}
    how = {**how_of_file, **given_how(context), **({} if stopping is None else {"stopping": stopping})}
    carry_out(context, Request(rows(settings), settings, layer), how)


def _read(file: str | None) -> "tuple[dict[str, object], dict[str, object], Layer]":
    """What a file says: lists, how the sweep is run, and what is the same in all trials."""
    from pathlib import Path

    from lnas.core.errors import ConfigError
    from lnas.host import toml
    from lnas.host.layers import Layer, from_table
    from lnas.sweep.axes import is_axis

    if file is None:
        return {}, {}, Layer()
    table = toml.load(Path(file))
    if "reproduce" in table:
        raise ConfigError(f"{file} is of lnas reproduce; to make it again: {table.get('command', 'lnas reproduce table1')}")
    how = {key: table.pop(key) for key in HOW if key in table}
    axes = {key: table.pop(key) for key in list(table) if key == "sparsity" or is_axis(key, table[key])}
    return axes, how, from_table(table, Path(file))
