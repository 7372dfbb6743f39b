"""What an experiment of chaos comes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import click


@dataclass(frozen=True)
class Outcome:
    """How many tries there were, and in how many of them what was promised held."""

    tried: int
    held: int
    figures: Mapping[str, str | int | float] = field(default_factory=dict)
    """Other counts worth a line, by what they count."""
    broken: Sequence[str] = ()
    """One line for each try that did not hold: how to see it again."""


def progress(text: str) -> None:
    """A line on standard error: how far an experiment has come."""
    click.echo(text, err=True)
