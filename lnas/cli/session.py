"""One call of the program: what was typed, and the parts that there are."""

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.core.errors import LnasError

if TYPE_CHECKING:
    from lnas.host.plugins import Host


@dataclass
class Session:
    """What all commands of one call share.

    Attributes:
        arguments: as typed, without the program's name.
        debug: whether an error shows its traceback.
        quiet: whether another process of the run says what is to be said.
        no_plugins: whether installed plugins are left out.
        disable: plugins that are left out, by name.
        files: plugins of a single file.
    """

    arguments: tuple[str, ...] = ()
    debug: bool = False
    quiet: bool = False
    no_plugins: bool = False
    disable: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    _host: "Host | None" = field(default=None, init=False)
    _warned: bool = field(default=False, init=False)

    @property
    def command(self) -> str:
        """What was typed, as a shell reads it."""
        return shlex.join(("lnas", *self.arguments))

    def host(self) -> "Host":
        """All parts; a plugin that failed is one line on standard error, once.

        Raises:
            LnasError: where a switch cannot be one, or a plugin fails and LNAS_PLUGINS_STRICT is set.
        """
        host = self.silent_host()
        if not self._warned and not self.quiet:
            self._warned = True
            for warning in host.warnings:
                output.warn(warning)
        return host

    def silent_host(self) -> "Host":
        """All parts, for a command that does not use any: it shows only what there is."""
        if self._host is None:
            from lnas.host.plugins import Host
            from lnas.host.switches import Switches

            switches = Switches.of(os.environ, no_plugins=self.no_plugins, disable=self.disable, files=self.files)
            self._host = Host(switches=switches)
        return self._host

    def blamed(self, error: BaseException) -> LnasError | None:
        """The error as one of a plugin's part, where it came out of one."""
        from lnas.host.blame import attributed

        if self._host is None:
            return None
        return attributed(error, (part for plugin in self._host.plugins for part in plugin.components))


pass_session = click.make_pass_decorator(Session)
"""Gives a command the session as its first argument."""
