"""Commands that plugins add: a name and a summary until one is called."""

from typing import TYPE_CHECKING, Any

import click

from lnas.cli.switches import SWITCHES, everywhere
from lnas.core.errors import PluginError

if TYPE_CHECKING:
    from lnas.host.registry import Component


class PluginCommand(click.Command):
    """A command of a plugin, which is not imported before it is called."""

    def __init__(self, part: "Component") -> None:
        super().__init__(part.name, short_help=part.summary)
        self._part = part

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """That of the command itself, which is called from there on.

        Raises:
            PluginError: where it cannot be imported or is no command.
        """
        command = self._part.load()
        if not isinstance(command, click.Command):
            raise PluginError(f"{self._part} is a {type(command).__name__}, not a click.Command")
        known = {option for parameter in command.params for option in parameter.opts}
        if not known & set(SWITCHES):
            everywhere(command)
        return command.make_context(info_name, args, parent, **extra)
