"""The rule that a run with the part outlives its processes."""

import atexit
import json
import os
import signal
import sys
import tempfile
import unittest
from abc import abstractmethod
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lnas.testing.elsewhere import described
from lnas.testing.forkserver import LIMIT, ForkServer
from lnas.testing.killed import Runnable
from lnas.testing.part import PartSuite
from lnas.testing.suite import require


class Survival(PartSuite):
    """A suite that says with `runnable` what a run with the part is, and on what (`subjects`)."""

    @abstractmethod
    def subjects(self) -> Iterable[str]:
        """The names of what the part is tried on."""

    @abstractmethod
    def runnable(self, name: str) -> Runnable:
        """A fresh run on one of them; called in a process of its own."""

    def test_a_killed_run_ends_with_the_same_bytes(self) -> None:
        """A run that is killed at steps, a prune round and checkpoints, and resumed in new processes, is the straight run."""
        if not hasattr(os, "fork"):
            raise unittest.SkipTest("this system has no fork")
        words = described(type(self))
        for name in self.subjects():
            with tempfile.TemporaryDirectory(prefix="lnas-killed-") as folder:
                errors = Path(folder) / "errors.txt"
                verdict = Path(folder) / "verdict.json"
                child = _server().start("lnas.testing.killed:judged", words, name, folder, errors=errors, limit=LIMIT)
                status = _server().wait(child)
                require(status != -signal.SIGALRM, f"the runs on {name}, straight, killed and resumed, took more than {LIMIT} s")
                last = (errors.read_text().strip().splitlines() or ["no message"])[-1]
                require(verdict.exists(), f"the suite cannot be used in a process of its own (status {status}): {last}")
                wrong = json.loads(verdict.read_text())
                require(not wrong, wrong)


@cache
def _server() -> ForkServer:
    """One for all suites of this process, since it takes seconds to import torch; ended with it."""
    theirs = ["pytest"] if "pytest" in sys.modules else []  # what the module of a suite imports
    server, process = ForkServer(["lnas.testing.strategy", "lnas.testing.target", *theirs]), os.getpid()
    atexit.register(lambda: server.close() if os.getpid() == process else None)  # a fork of this process leaves it alone
    return server
