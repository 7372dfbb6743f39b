"""The switches of every command: they stand before its name, and people write them behind it too."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from lnas.cli.session import Session

C = TypeVar("C", bound=click.Command)

SWITCHES = ("--no-plugins", "--disable-plugin", "--plugin", "--debug")


def everywhere(command: C, *, hidden: bool = True) -> C:
    """Give a command the switches."""
    command.params += [
        _switch("--no-plugins", _no_plugins, "Leave out all installed plugins.", hidden=hidden),
        _switch("--disable-plugin", _disable, "Leave out the plugin NAME.", metavar="NAME", hidden=hidden),
        _switch("--plugin", _file, "Use the plugin in FILE.py.", metavar="FILE.py", hidden=hidden),
        _switch("--debug", _debug, "Show the traceback of an error.", hidden=hidden),
    ]
    return command


def _switch(
    name: str, keep: Callable[[Session, object], None], words: str, *, metavar: str | None = None, hidden: bool
) -> click.Option:
    """A flag, or an option that may be repeated; under a name that no parameter of a command has."""
    return click.Option(
        [name, f"every_{name.strip('-').replace('-', '_')}"],
        is_flag=metavar is None,
        metavar=metavar,
        multiple=metavar is not None,
        help=words,
        expose_value=False,
        is_eager=True,  # a command of a plugin is looked for before the others are read
        callback=_kept(keep),
        hidden=hidden,
    )


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
