"""A command on several processes: started by torchrun, one of them speaks."""

import atexit
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.session import Session

if TYPE_CHECKING:
    from lnas.host.processes import Processes


@contextmanager
def together(context: click.Context) -> Iterator["Processes"]:
    """The processes of this run; a block that one of them cannot finish ends in all, and one of them says why."""
    from lnas.host.distributed import SpokenFor, joined
    from lnas.host.launch import ONE, place

    here = place(os.environ)
    try:
        with joined(here, say=output.fail) as processes, warnings.catch_warnings():
            if not processes.first:
                context.ensure_object(Session).quiet = True
                warnings.simplefilter("ignore")
            yield processes
    except BaseException as error:
        code = getattr(error, "exit_code", 1)
        if here != ONE and not isinstance(error, BrokenPipeError):  # that has a way of its own to end
            atexit.register(_leave, code)
        if isinstance(error, SpokenFor):
            context.exit(code)
        raise


def _leave(code: int) -> None:
    """End without waiting for threads and connections of torch, which may wait for a process that is gone."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)
