"""The switches of every command: they stand before its name, and people write them behind it too."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from lnas.cli.session import Session

C = TypeVar("C", bound=click.Command)

SWITCHES = ("--no-plugins", "--disable-plugin", "--plugin", "--debug")


def everywhere(command: C, *, hidden: bool = True) -> C:
    """Give a command the switches, each under a name that no parameter of the command has."""
    command.params += [
        click.Option(
            ["--no-plugins", "every_no_plugins"],
            is_flag=True,
            help="Leave out all installed plugins.",
            expose_value=False,
            is_eager=True,
            callback=_kept(_no_plugins),
            hidden=hidden,
        ),
        click.Option(
            ["--disable-plugin", "every_disable_plugin"],
            metavar="NAME",
            multiple=True,
            help="Leave out the plugin NAME.",
            expose_value=False,
            is_eager=True,
            callback=_kept(_disable),
            hidden=hidden,
        ),
        click.Option(
            ["--plugin", "every_plugin"],
            metavar="FILE.py",
            multiple=True,
            help="Use the plugin in FILE.py.",
            expose_value=False,
            is_eager=True,
            callback=_kept(_file),
            hidden=hidden,
        ),
        click.Option(
            ["--debug", "every_debug"],
            is_flag=True,
            help="Show the traceback of an error.",
            expose_value=False,
            is_eager=True,
            callback=_kept(_debug),
            hidden=hidden,
        ),
    ]
    return command


def _kept(keep: Callable[[Session, object], None]) -> Callable[[click.Context, click.Parameter, object], None]:
    """A callback that keeps what was typed in the session."""

    def callback(context: click.Context, parameter: click.Parameter, value: object) -> None:
        if value not in (None, False, ()):
            session = context.find_root().obj
            assert isinstance(session, Session)
            keep(session, value)

    return callback


def _no_plugins(session: Session, value: object) -> None:
    session.no_plugins = True


def _disable(session: Session, value: object) -> None:
    assert isinstance(value, tuple)
    session.disable += value


def _file(session: Session, value: object) -> None:
    assert isinstance(value, tuple)
    session.files += tuple(map(Path, value))


def _debug(session: Session, value: object) -> None:
    session.debug = True
