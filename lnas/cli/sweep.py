"""`lnas sweep`: recipes by sparsities by seeds, as one experiment."""

import os
from pathlib import Path

import click

from lnas.cli.settings import given, settings_but
from lnas.cli.sweep_options import given_how, sweeping
from lnas.cli.sweeping import Request, carry_out, warn_of_unread

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
    from lnas.sweep.axes import NOT_OF_A_TRIAL, listed, rows
    from lnas.sweep.sources import laid, of_command_line, of_environment, of_file

    says, how_of_file = ({}, {}) if file is None else of_file(Path(file))
    typed = dict(given(context))
    if recipe is not None:
        typed["recipe"] = listed("--recipe", recipe)
    if sparsity is not None:
        typed["sparsity"] = listed("--sparsity", sparsity)
    settings = laid(says, of_environment(os.environ), of_command_line(typed))
    warn_of_unread(tuple(NOT_OF_A_TRIAL), "lnas sweep")
    how = {**how_of_file, **given_how(context), **({} if stopping is None else {"stopping": stopping})}
    carry_out(context, Request(rows(settings), settings), how)
