"""The directory of a sweep: its plan, the runs in it, and what became of each."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lnas.core.errors import ConfigError, RunError
from lnas.core.executor import Outcome
from lnas.host import documents, durable, lock
from lnas.host.rundir import RunDirectory, changed
from lnas.sweep.call import Call
from lnas.sweep.planned import SweepPlan, difference

_ASIDE = re.compile(r"\..+\.tmp")
"""What a write left that was interrupted by a kill."""

MOST_OF_A_PLAN = 32_000_000
"""Bytes of plan.json; a trial takes about 1,000."""

MARKED = "This directory is a sweep of lnas: trials/ and searches/ hold its runs.\n"


class SweepDirectory:
    """A sweep on the disk; made by `create` and `open`.

    Attributes:
        path: as it was given.
        config: sweep.toml, what was asked for.
        plan_file: plan.json, every trial and its resolved configuration.
        trials: the folder of their runs.
        searches: the folder of the runs that do shared searches.
        outcomes: the folder of what became of each trial: NAME.json.
        stop: while this file is there, what runs stops after its step.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.marker = path / ".lnas-sweep"
        self.config = path / "sweep.toml"
        self.plan_file = path / "plan.json"
        self.status = path / "status.json"
        self.trials = path / "trials"
        self.searches = path / "searches"
        self.outcomes = path / "outcomes"
        self.stop = path / "stop"
        self.lock = path / "lock"

    @classmethod
    def open(cls, path: Path) -> "SweepDirectory":
        """The sweep at `path`.

        Raises:
            RunError: where there is none.
        """
        directory = cls(path)
        if not cls.is_one(path):
            raise RunError(f"{path} is no sweep: a sweep is a directory that `lnas sweep` made, with sweep.toml and plan.json")
        return directory

    @classmethod
    def latest(cls, folder: Path) -> "SweepDirectory | None":
        """The sweep in a folder whose status changed last; None where there is none."""
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            return None
        return max((cls(path) for path in paths if cls.is_one(path)), key=lambda sweep: changed(sweep.status), default=None)

    @classmethod
    def is_one(cls, path: Path) -> bool:
        """Whether there is a sweep at `path`."""
        return os.path.isfile(cls(path).plan_file)  # of os.path: False for a name that is too long

    @classmethod
    def check_place(cls, path: Path) -> None:
        """Refuse a place where no sweep is and none can be made.  Nothing is written.

        Raises:
            RunError: saying what is there.
        """
        if cls.is_one(path):
            return
        try:
            taken = os.path.lexists(path) and (not os.path.isdir(path) or not _is_free(path))
        except OSError as error:
            raise RunError(f"cannot read {path}: {error.strerror or error}; choose another --out") from error
        if taken:
            raise RunError(f"{path} is there already, and is no sweep; choose another --out")
        parent = path.absolute()
        while not os.path.lexists(parent) and parent != parent.parent:
            parent = parent.parent
        if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
            raise RunError(
                f"cannot write a sweep to {path}: {parent} is no folder that this user may write; choose another --out"
            )

    @classmethod
    def check(cls, path: Path, plan: SweepPlan) -> bool:
        """Whether a sweep is at `path` already, which then is this one.  Nothing is written.

        Raises:
            ConfigError: where another one is there.
            RunError: as `check_place` does.
        """
        if cls.is_one(path):
            cls(path)._require_same(plan)
            return True
        cls.check_place(path)
        return False

    @classmethod
    def create(cls, path: Path, plan: SweepPlan, *, config: str) -> "SweepDirectory":
        """Make a new sweep, or open the one that is there: it is this one."""
        directory = cls(path)
        if cls.check(path, plan):
            return directory
        with durable.writing(path):
            for folder in (path, directory.trials, directory.searches, directory.outcomes):
                folder.mkdir(parents=True, exist_ok=True)
        with lock.exclusive(directory.lock):
            if not cls.check(path, plan):  # nobody else has just made one
                durable.write_text(directory.marker, MARKED)
                durable.write_text(directory.config, config)
                durable.write_json(directory.plan_file, plan.to_json())  # last: a directory with a plan is a sweep
        return directory

    def plan(self) -> SweepPlan:
        """What it runs.

        Raises:
            RunError: where plan.json cannot be read.
        """
        try:
            document = documents.read(self.plan_file, most=MOST_OF_A_PLAN)
            return SweepPlan.from_json(document)
        except OSError as error:
            raise RunError(f"cannot read {self.plan_file}: {error.strerror or error}") from error
        except ValueError as error:  # a ConfigError is one
            raise RunError(f"{self.plan_file}: {error}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one that runs the sweep.

        Raises:
            RunInUseError: naming the process that does.
        """
        with lock.exclusive(self.lock):
            self.go_on()
            yield

    def ask_to_stop(self) -> None:
        """What runs stops after its step, with a checkpoint."""
        durable.write_text(self.stop, "what runs in this sweep stops after its step\n")

    def go_on(self) -> None:
        """Nothing is asked to stop."""
        with durable.writing(self.stop):
            self.stop.unlink(missing_ok=True)

    def run_of(self, name: str) -> RunDirectory:
        """The run of a trial, which may not be there yet."""
        return RunDirectory(self.trials / name)

    def search_of(self, key: str) -> RunDirectory:
        """The run of a shared search, which may not be there yet."""
        return RunDirectory(self.searches / key)

    def outcome(self, name: str) -> Mapping[str, Any] | None:
        """What became of a trial: {"state", "reason", "figures"}, or None where that is not known yet."""
        try:
            document = documents.read(self.outcomes / f"{name}.json")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return None  # it is asked for again
        if not isinstance(document, dict) or not isinstance(document.get("state"), str):
            return None
        return {"reason": "", **document, "figures": found if isinstance(found := document.get("figures"), dict) else {}}

    def write_outcome(self, name: str, outcome: Outcome) -> None:
        """Note what became of a trial."""
        document = {"schema": 1, "state": outcome.state, "reason": outcome.reason, "figures": dict(outcome.figures)}
        durable.write_json(self.outcomes / f"{name}.json", document)

    def forget_outcome(self, name: str) -> None:
        """It is tried again."""
        with durable.writing(self.outcomes):
            (self.outcomes / f"{name}.json").unlink(missing_ok=True)

    def finished(self, name: str) -> bool:
        """Whether a trial came to its end and was measured."""
        outcome = self.outcome(name)
        return outcome is not None and outcome["state"] == "done" and self.run_of(name).finished()

    def seconds(self) -> float:
        """Wall-clock time so far, over all the times that it was begun again."""
        value = self.read_status().get("seconds")
        return float(value) if isinstance(value, int | float) and 0 <= value < math.inf else 0.0

    def read_status(self) -> Mapping[str, Any]:
        """What status.json says; empty where it says nothing."""
        try:
            document = documents.read(self.status)
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def write_status(self, state: str, *, seconds: float, call: Call) -> None:
        """Replace status.json."""
        updated = datetime.now(UTC).isoformat(timespec="seconds")
        document = {"schema": 1, "state": state, "seconds": round(seconds, 3), **asdict(call), "updated": updated}
        durable.write_json(self.status, document)

    def _require_same(self, plan: SweepPlan) -> None:
        there, wanted = self.plan(), plan
        if there == wanted:
            return
        raise ConfigError(f"{self.path} holds another sweep: {difference(there, wanted)}; choose another --out")


def _is_free(path: Path) -> bool:
    """Whether a folder is empty, or holds what was made of a sweep before its plan was written."""
    names = {entry.name for entry in path.iterdir() if not _ASIDE.fullmatch(entry.name)}
    trials = path / "trials"
    return names <= {".lnas-sweep", "sweep.toml", "trials", "searches", "outcomes", "lock"} and (
        not trials.is_dir() or not any(trials.iterdir())
    )
