"""`lnas reproduce`: the paper's experiment, with seeds and intervals."""

import os
from pathlib import Path

import click

from lnas.cli.settings import given, settings_but
from lnas.cli.sweep_options import given_how, sweeping
from lnas.cli.sweeping import Request, carry_out, warn_of_unread

EXAMPLES = """
\b
Examples:
  lnas reproduce table1 --scale tiny --seeds 3 --workers 2
      on the digits that come with lnas, in less than an hour on two cores
  lnas reproduce table1 --scale small --data folder,root=cifar10 --seeds 3 --controls all --workers 2
      on a folder of pictures, overnight
  lnas reproduce table1 --scale paper --data cifar10 --seeds 3 --executor ray --workers 8
      the paper's sizes, on GPUs
"""

FIXED = ("strategy", "recipe", "prune", "sparsity", "seed", "observe", "cost", "out", "name", "config")
"""Options of a run that the experiment sets by itself, or has no use for."""

OF_THE_SCALE = {
    "space": "cells of the scale's sizes",
    "data": "digits for tiny; small and paper have to be told",
    "epochs": "5:10 for tiny, 4:8 for small, 10:20 for paper",
    "batch": "64 for tiny and paper, 128 for small",
    "validation": "0.3 for tiny, else 0.1",
    "train": "lr=0.2 for tiny, lr=0.1 for small, lr=0.025 for paper",
}
"""What the help says in the place of a run's defaults, by setting."""

STRATEGY = {"strategy": "darts"}
"""The paper's, whatever a data set suggests."""


@click.group(short_help="Make an experiment of the paper again.")
def reproduce() -> None:
    """Make an experiment of the paper again, with several seeds, controls and intervals."""


@reproduce.command(epilog=EXAMPLES, short_help="Table 1: both variants and generalized LNAS at eight sparsities.")
@click.option("--scale", metavar="NAME", help="tiny, small or paper.  [default: tiny]")
@click.option("--levels", metavar="FRACTION,...", help="Some of the sparsities.  [default: the eight of Table 1]")
@click.option("--config", "file", metavar="FILE", help="TOML file with options of a table, such as its sweep.toml.")
@settings_but(*FIXED, defaults=OF_THE_SCALE)
@sweeping
@click.pass_context
def table1(context: click.Context, scale: str | None, levels: str | None, file: str | None) -> None:
    """Run the rows of Table 1 and of its Figure 1, put them beside the paper's, and say which claims hold.

    The rows are the baseline and, at every sparsity, Variant 1, Variant 2 and generalized LNAS, which the paper does not
    measure.  Run it again to go on where it was stopped.
    """
    from lnas.sweep.axes import fractions, listed
    from lnas.sweep.sources import OfTable1, laid, of_command_line, of_environment
    from lnas.sweep.table1 import LEVELS, SCALES
    from lnas.sweep.table1 import table1 as planned

    says = OfTable1() if file is None else OfTable1.read(Path(file), SCALES, {key: STRATEGY.get(key) for key in FIXED})
    chosen = LEVELS if says.levels is None else fractions(f"{file}: levels", says.levels)
    if levels is not None:
        chosen = fractions("--levels", listed("--levels", levels))
    scale = next(name for name in (scale, says.scale, "tiny") if name is not None)
    overrides = laid(STRATEGY, says.settings, of_environment(os.environ, without=FIXED), of_command_line(given(context)))
    data = overrides.pop("data", None)
    rows = planned(scale, data=None if data is None else str(data), levels=chosen, overrides=overrides)
    _check_halves(str(rows[0].settings["epochs"]))
    warn_of_unread([key for key in FIXED if key != "config"], "lnas reproduce table1")
    overrides = {key: value for key, value in overrides.items() if key not in STRATEGY}
    settings = {"levels": list(chosen), **overrides, **({} if data is None else {"data": data})}
    carry_out(context, Request(rows, settings, kind="table1", scale=scale), {**says.how, **given_how(context)})


def _check_halves(epochs: str) -> None:
    """Refuse a training whose half, after which theta is pruned, is in the middle of an epoch.

    Raises:
        ConfigError: saying which length is meant.
    """
    from lnas.core.errors import ConfigError
    from lnas.host.epochs import Epochs

    train = Epochs.of(epochs).train
    if train.unit == "ep" and train.number % 2:
        raise ConfigError(
            f"table1 prunes theta after half of the training, so its epochs must be an even number, not {train.number} as in"
            f" {epochs}; use one more, or steps as in 500it"
        )
