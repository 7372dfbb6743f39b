"""What a child does that is to be killed: the real program, with a hand on the trigger.

Nothing here is known to lnas.  A child replaces functions of it by ones that count their calls and send SIGKILL.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import torch

from lnas.cli import main
from lnas.core import rounds
from lnas.core.pipeline import Pipeline
from lnas.host import runner
from lnas.host.keeper import Keeper
from lnas.host.loop import Loop

PRELOADED = (
    *("benchmarks.chaos.child", "lnas.host.assemble", "lnas.cli.progress", "lnas.report.page", "lnas.report.pace"),
    *("lnas.report.table", "matplotlib.backends.backend_svg"),
)
"""What the program imports, for the server that forks it."""

MOMENTS: Mapping[str, tuple[Any, str, bool]] = {
    "before a step": (Pipeline, "step", False),
    "after a step": (Pipeline, "step", True),
    "between masks and rewind": (rounds, "prune", True),
    "before a save": (Keeper, "save", False),
    "after a save": (Keeper, "save", True),
    "after restoring": (Keeper, "restore", True),
    "before the end": (Loop, "result", False),
    "after the end": (Loop, "result", True),
}
"""What is called there, and whether the moment is after the call."""


def command(arguments: Sequence[str], longest: float, kill: Sequence[Any] | None, threads: int = 1) -> None:
    """`lnas ARGUMENTS`, with a checkpoint at least every `longest` seconds.

    Args:
        arguments: of the program.
        longest: seconds; 0 for one at every step.
        kill: a moment and a number: the process dies there the so many-th time that it comes by.
        threads: of torch.
    """
    save_every(longest)
    torch.set_num_threads(threads)
    if kill is not None:
        moment, number = kill
        _arm(*MOMENTS[moment], number)
    program(arguments)


def program(arguments: Sequence[str]) -> None:
    """What the script `lnas` does."""
    sys.argv = ["lnas", *arguments]
    sys.exit(main(prog_name="lnas"))


def save_every(longest: float) -> None:
    """Let the runner save at least every so many seconds."""
    defaults = runner.run.__kwdefaults__
    assert defaults is not None and "checkpoint_seconds" in defaults
    defaults["checkpoint_seconds"] = longest


def die() -> NoReturn:
    """SIGKILL, now."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL did not kill")


def _arm(owner: Any, name: str, after: bool, number: int) -> None:
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    @functools.wraps(real)
    def counting(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            die()
        result = real(*given, **named)
        if calls == number:
            die()
        return result

    setattr(owner, name, counting)
