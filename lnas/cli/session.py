"""One call of the program: what was typed, and the parts that there are."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from lnas.cli import output

if TYPE_CHECKING:
    from lnas.host.plugins import Host


@dataclass
class Session:
    """What all commands of one call share.

    Attributes:
        arguments: as typed, without the program's name.
        debug: whether an error shows its traceback.
        quiet: whether another process of the run says what is to be said.
    """

    arguments: tuple[str, ...] = ()
    debug: bool = False
    quiet: bool = False
    _host: "Host | None" = field(default=None, init=False)

    def host(self) -> "Host":
        """All parts; a plugin that failed is one line on standard error, once."""
        if self._host is None:
            from lnas.host.plugins import Host

            self._host = Host()
            for warning in () if self.quiet else self._host.warnings:
                output.warn(warning)
        return self._host


pass_session = click.make_pass_decorator(Session)
"""Gives a command the session as its first argument."""
