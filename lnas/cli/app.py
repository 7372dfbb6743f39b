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
from lnas.cli.completion import completion
from lnas.cli.components import components
from lnas.cli.config import config
from lnas.cli.cost import cost
from lnas.cli.plugins import plugins
from lnas.cli.run import resume, run
from lnas.cli.session import Session
from lnas.cli.show import evaluate, report, show
from lnas.core.errors import LnasError

BUG, BAD_INPUT, SIGNALLED, INTERRUPTED, NO_READER = 1, 2, 128, 130, 141
"""Exit codes of our own; an `LnasError` brings its own."""

HELP = """Search for a neural network's architecture and prune it into a lottery ticket, in one pipeline.

\b
First:  lnas run --strategy darts --prune alpha:iterative
Then:   lnas show latest
"""


class Program(click.Group):
    """A group that turns every error into one line on standard error and an exit code: the one place that does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Begin a session, and read the options that stand before the command."""
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
    except click.UsageError as error:
        output.fail(_usage(error, context))
        context.exit(BAD_INPUT)
    except click.ClickException as error:
        output.fail(error.format_message())
        context.exit(error.exit_code)
    except LnasError as error:
        _traceback(context)
        if error.exit_code > SIGNALLED:  # stopping is normal
            output.note(f"lnas: {error}")
        else:
            output.fail(str(error))
        context.exit(error.exit_code)
    except KeyboardInterrupt:
        _traceback(context)
        output.note("lnas: interrupted")
        context.exit(INTERRUPTED)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
            context.exit(NO_READER)
        _traceback(context)
        again = "" if context.obj.debug else "; run again with --debug for the traceback"
        output.fail(f"{type(error).__name__}: {error}; this is a bug of lnas{again}")
        context.exit(BUG)


@contextmanager
def _flushed() -> Iterator[None]:
    """Notice a reader of standard output that went away here, and not when Python ends."""
    try:
        yield
    finally:
        sys.stdout.flush()


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


def _debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().obj.debug = True


@click.group(cls=Program, help=HELP, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lnas", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, callback=_debug, help="Show the traceback of an error.")
@click.pass_context
def main(context: click.Context) -> None:
    """Show the help where no command is named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _add(command: click.Command, group: click.Group) -> None:
    """Add a command that knows --debug too, for people add it at the end of a line."""
    for leaf in command.commands.values() if isinstance(command, click.Group) else [command]:
        leaf.params.append(click.Option(["--debug"], is_flag=True, expose_value=False, callback=_debug, hidden=True))
    group.add_command(command)


for _command in (run, resume, show, evaluate, report, cost, components, plugins, config, completion):
    _add(_command, main)
