"""The options that say when a run stops before its end: `lnas run` and `lnas resume` share them."""

import time
from collections.abc import Callable
from signal import Signals
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from lnas.host.signals import Limits

F = TypeVar("F", bound=Callable[..., object])

STOPPING = ("USR1", "USR2", "HUP", "ALRM", "XCPU", "QUIT", "CONT")
"""Signals that a batch system can be told to send ahead of the end.  SIGINT and SIGTERM stop a run in any case."""

_META = "lnas.limits"


def limits(command: F) -> F:
    """Decorate a command with the options; `given_limits` tells what they are, counted from here on."""
    for option in (
        click.option(
            "--stop-signal",
            metavar="NAME",
            expose_value=False,
            callback=_signal,
            help=f"Another signal that stops the run as SIGTERM does: {', '.join(STOPPING[:-1])} or {STOPPING[-1]}.",
        ),
        click.option(
            "--max-time",
            metavar="TIME",
            expose_value=False,
            callback=_deadline,
            help="Stop this long after the start, as in 90s, 45m, 2h30m, 1d or 1:30:00, with a checkpoint and exit code 0.",
        ),
    ):
        command = option(command)
    return command


def given_limits(context: click.Context) -> "Limits":
    """What was typed."""
    from lnas.host.signals import Limits

    return Limits(**context.meta.get(_META, {}))


def _deadline(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    from lnas.core.errors import ConfigError
    from lnas.host.duration import seconds_of

    try:
        seconds = seconds_of(value)
    except ConfigError as error:
        raise ConfigError(f"--max-time {error}") from None
    context.meta.setdefault(_META, {})["deadline"] = time.monotonic() + seconds


def _signal(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    from lnas.core.errors import ConfigError, UnknownNameError

    name = value.upper().removeprefix("SIG")
    if name in ("INT", "TERM"):
        raise ConfigError(f"--stop-signal {value}: SIGINT and SIGTERM stop a run in any case; leave it out")
    if name not in STOPPING:
        raise UnknownNameError("signal", value, STOPPING)
    context.meta.setdefault(_META, {})["signal"] = Signals[f"SIG{name}"]
