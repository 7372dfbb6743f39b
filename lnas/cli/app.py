"""`lnas`: the group of all commands."""

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from lnas import __version__
from lnas.cli import output
from lnas.cli.compare import compare
from lnas.cli.completion import completion
from lnas.cli.components import components
from lnas.cli.config import config
from lnas.cli.cost import cost
from lnas.cli.import_weights import import_weights
from lnas.cli.plugins import plugins
from lnas.cli.plugins_commands import PluginCommand
from lnas.cli.reproduce import reproduce
from lnas.cli.run import resume, run
from lnas.cli.runs import runs
from lnas.cli.session import Session
from lnas.cli.show import evaluate, report, show
from lnas.cli.sweep import sweep
from lnas.cli.switches import everywhere
from lnas.cli.verify import verify
from lnas.core.errors import LnasError, PluginFailedError
from lnas.host.foreign import in_one_line
from lnas.host.out_of_memory import is_out_of_memory

BUG, BAD_INPUT, SIGNALLED, INTERRUPTED, NO_READER = 1, 2, 128, 130, 141
"""Exit codes of our own; an `LnasError` brings its own."""

TOO_LARGE = "channels, layers or pictures of a network, --batch, or the pictures of a data set"

HELP = """Search for a neural network's architecture and prune it into a lottery ticket, in one pipeline.

\b
First:  lnas run --strategy darts --prune alpha:iterative
Then:   lnas show latest
"""


class Program(click.Group):
    """A group that turns every error into one line on standard error and an exit code: the one place that does."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those of lnas, in order, then those of plugins."""
        own = super().list_commands(ctx)
        return [*own, *sorted(set(self._of_plugins(ctx)) - set(own))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of lnas; else one of a plugin, which is imported when it is called."""
        return super().get_command(ctx, cmd_name) or self._of_plugins(ctx).get(cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of that name; where there is none, the nearest is looked for among those of plugins too."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def _of_plugins(self, ctx: click.Context) -> dict[str, click.Command]:
        session = ctx.find_object(Session) or Session()
        parts = reversed(session.silent_host().registry.all("command"))  # the first of a name wins
        return {part.name: PluginCommand(part) for part in parts}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Begin a session, and read the options that stand before the command."""
        for name in ("stdout", "stderr"):  # closed, they are None
            if getattr(sys, name) is None:
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        ctx.info_name = "lnas"  # whatever way it was called: `python -m lnas` too
        ctx.obj = Session(tuple(args))
        with _reported(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> None:
        """Read the options of the command, and run it."""
        with _reported(ctx), output.warnings_in_words():
            super().invoke(ctx)


@contextmanager
def _reported(context: click.Context) -> Iterator[None]:
    try:
        with _flushed():
            yield
    except (click.exceptions.Exit, click.Abort):
        raise
    except click.exceptions.NoArgsIsHelpError as error:  # a group of a plugin, called without a command
        output.text(error.ctx.get_help() if error.ctx else "")
        context.exit(0)
    except click.UsageError as error:
        output.fail(_usage(error, context))
        context.exit(BAD_INPUT)
    except click.ClickException as error:
        output.fail(error.format_message())
        context.exit(error.exit_code)
    except LnasError as error:
        _traceback(context)
        if error.exit_code == 0 or error.exit_code > SIGNALLED:  # stopping is normal
            output.note(f"lnas: {error}")
        elif isinstance(error, PluginFailedError):
            output.fail(f"{error}{_again(context)}")
        else:
            output.fail(str(error))
        context.exit(error.exit_code)
    except KeyboardInterrupt:
        _traceback(context)
        output.note("lnas: interrupted")
        context.exit(INTERRUPTED)
    except SystemExit:
        raise
    except BaseException as error:  # foreign code raises whatever it likes
        blamed = context.obj.blamed(error)
        if isinstance(error, OSError) and error.errno == errno.EPIPE and blamed is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
            context.exit(NO_READER)
        _traceback(context)
        if blamed is None and is_out_of_memory(error):
            output.fail(f"out of memory, or too large to count; use smaller sizes: {TOO_LARGE}")
            context.exit(BAD_INPUT)
        if blamed:
            output.fail(f"{blamed}{_again(context)}")
        else:
            others = "".join(f" or of {suspects}" for suspects in getattr(error, "__notes__", ()))
            output.fail(f"{in_one_line(error)}; this is a bug of lnas{others}{_again(context)}")
        context.exit(BUG)


@contextmanager
def _flushed() -> Iterator[None]:
    """Notice a reader of standard output that went away here, and not when Python ends."""
    try:
        yield
    finally:
        sys.stdout.flush()


def _again(context: click.Context) -> str:
    return "" if context.obj.debug else "; run again with --debug for the traceback"


def _traceback(context: click.Context) -> None:
    if context.obj.debug:
        traceback.print_exc()


def _usage(error: click.UsageError, context: click.Context) -> str:
    """click's words on one line, the nearest name, and where to read on."""
    nearest = getattr(error, "possibilities", None)
    message = (error.message if nearest else error.format_message()).rstrip(".")
    where = error.ctx.command_path.removeprefix("lnas") if error.ctx else context.invoked_subcommand or ""
    place = f"{where.strip()}: " if where else ""
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"{place}{message[:1].lower()}{message[1:]}{hint}; see {' '.join(['lnas', *where.split()])} --help"


@click.group(cls=Program, help=HELP, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lnas", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Show the help where no command is named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _add(command: click.Command, group: click.Group) -> None:
    """Add a command that knows the common options too, for people add them at the end of a line."""
    for leaf in (command, *command.commands.values()) if isinstance(command, click.Group) else (command,):
        everywhere(leaf)
    group.add_command(command)


everywhere(main, hidden=False)
for _command in (
    *(run, resume, sweep, reproduce, show, compare, evaluate, report, verify, runs),
    *(cost, components, plugins, config, import_weights, completion),
):
    _add(_command, main)
