"""`python -m benchmarks.chaos NAME [--count N] [--seed S]`: one experiment, its figures, exit status 1 where a promise broke."""

import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import click

EXPERIMENTS = {
    "kills": "SIGKILL at every step and at random moments, again during the resume",
    "events": "SIGKILL at every file-system event of a save, of the beginning and of the end",
    "races": "several processes on one run directory",
    "damage": "bits that flip and files that end early, in a checkpoint",
    "mutations": "each item of a checkpoint lost or changed",
    "sweeps": "SIGKILL for the workers of a sweep, and for the sweep",
    "full": "a disk that fills up, refuses or goes away",
    "fuzz": "arbitrary bytes for everything that reads what others may have written",
}
"""The modules of this package that hold an experiment, each with `LONG` and `measure(count, seed, folder)`."""


@click.command()
@click.argument("name", type=click.Choice(list(EXPERIMENTS)))
@click.option("--count", type=click.IntRange(min=1), help="How many tries; left out, the long form of the experiment.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="What the tries are drawn from.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep what the tries leave in this directory.")
def main(name: str, count: int | None, seed: int, folder: Path | None) -> None:
    """Run one experiment and print its figures.  Exit status 1: something that was promised did not hold."""
    experiment = import_module(f"benchmarks.chaos.{name}")
    place = folder or Path(tempfile.mkdtemp(prefix=f"lnas-chaos-{name}-"))
    place.mkdir(parents=True, exist_ok=True)
    try:
        outcome = experiment.measure(count or experiment.LONG, seed, place)
    except click.ClickException:  # it did not even begin
        if folder is None:
            shutil.rmtree(place)
        raise
    if folder is None and outcome.held == outcome.tried:  # else it is what one wants to look at
        shutil.rmtree(place)
    click.echo(f"{name}: {outcome.held} of {outcome.tried} held")
    for what, figure in outcome.figures.items():
        click.echo(f"    {what:<72} {figure}")
    for line in outcome.broken:
        click.echo(f"broken: {line}", err=True)
    sys.exit(outcome.held < outcome.tried)


if __name__ == "__main__":
    main()
