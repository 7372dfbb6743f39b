"""The directory of a run: its name, its files, its journal and its one writer."""

import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lnas.core.errors import ConfigError, RunError
from lnas.host import documents, durable, lock, toml
from lnas.host.metrics_file import MetricsFile
from lnas.host.run_name import LONGEST, run_name

if TYPE_CHECKING:
    from lnas.core.pipeline import Progress

RunState: TypeAlias = Literal["running", "finished", "interrupted", "failed"]

SCHEMA = 1
"""Of status.json; one without a number is of the first."""

MARKED = "This directory is a run of lnas. `lnas runs rm` removes a directory only where it holds this file.\n"


class RunDirectory:
    """An existing run: config.toml and status.json are in it.  Made by `create`, `open` and `latest`.

    Attributes:
        path: as it was given, e.g. runs/variant2-digits-0.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.marker = path / ".lnas-run"
        self.config = path / "config.toml"
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.genotype = path / "genotype.json"
        self.summary = path / "summary.json"
        self.report = path / "report.html"
        self.status = path / "status.json"
        self.model = path / "model.json"
        self.weights = path / "model.safetensors"
        self.masks = path / "masks.safetensors"
        self.checkpoints = path / "checkpoints"
        self.lock = path / "lock"
        self.sums = path / "SHA256SUMS"
        self._locked = False
        self._lines = MetricsFile(self.metrics)

    @classmethod
    def free(cls, out: Path, *, name: str | None, recipe: str, data: str, seed: int) -> Path:
        """Where `create` would make the run; changes nothing on the disk.

        Args:
            out: the folder of all runs; may be missing.
            name: of the run, or None to make one of the recipe, the data, the seed and, where that is taken, a number.
            recipe: e.g. "variant2".
            data: e.g. "digits".
            seed: the root seed.

        Raises:
            ConfigError: where the name is none.
            RunError: where the place is taken, or `out` cannot be written.
        """
        try:
            name = None if name is None else run_name(name)
        except ConfigError as error:
            raise ConfigError(f"run name {error}") from None
        parent = out
        while not os.path.lexists(parent) and parent != parent.parent:
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise RunError(f"cannot write runs into {out}: {parent} is no folder that this user may write; choose another --out")
        if name is not None:
            if os.path.lexists(out / name):
                raise RunError(f"{out / name} is there already; choose another name, or go on with it: lnas resume {out / name}")
            return out / name
        stem = re.sub(r"[^A-Za-z0-9._]+", "-", f"{recipe}-{data}-{seed}").lstrip(".-")[: LONGEST - 12] or "run"
        number = 1
        while os.path.lexists(path := out / (stem if number == 1 else f"{stem}-{number}")):
            number += 1
        return path

    @classmethod
    def create(cls, out: Path, *, name: str | None, recipe: str, data: str, seed: int, config: str) -> "RunDirectory":
        """Make a new run that holds `config`, the resolved configuration as TOML, and a status.

        Raises:
            ConfigError: as `free` does.
            RunError: as `free` does, or where it cannot be written.
        """
        while True:
            path = cls.free(out, name=name, recipe=recipe, data=data, seed=seed)
            # under another name until it is whole, so that a process that is killed here leaves the name free
            made = cls(path.with_name(f".{path.name}.{threading.get_native_id()}.tmp"))
            try:
                with durable.writing(path):
                    shutil.rmtree(made.path, ignore_errors=True)
                    made.path.mkdir(parents=True)
                durable.write_text(made.marker, MARKED)  # first: what was begun can be removed
                durable.write_text(made.config, config)
                made.write_status("running", None)
                with durable.writing(path):
                    os.rename(made.path, path)
            except RunError:
                shutil.rmtree(made.path, ignore_errors=True)
                if os.path.lexists(path):  # another process took the name just now
                    continue
                raise
            try:
                with durable.writing(path):
                    durable.sync_directory(out)
            except RunError:
                shutil.rmtree(path, ignore_errors=True)
                raise
            return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """The run at `path`.

        Raises:
            RunError: where there is none.
        """
        directory = cls(path)
        if not (os.path.isfile(directory.config) and os.path.isfile(directory.status)):  # of os.path: False for too long a name
            raise RunError(f"{path} is no run: a run is a directory that lnas made, with config.toml and status.json")
        return directory

    @classmethod
    def latest(cls, out: Path) -> "RunDirectory":
        """The run in `out` whose status changed last.

        Raises:
            RunError: where there is no run.
        """
        try:
            named = [path for path in sorted(out.iterdir()) if not path.name.startswith(".")]
            runs = [run for run in map(cls, named) if run.config.is_file() and run.status.is_file()]
        except OSError as error:
            raise RunError(f"cannot read {out}: {error.strerror or error}; start a run with: lnas run") from error
        if not runs:
            raise RunError(f"there is no run in {out}; start one with: lnas run")
        return max(runs, key=lambda run: changed(run.status))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one writer; the kernel frees the lock when the process dies.  May be nested.

        Raises:
            RunInUseError: naming the process that holds it.
        """
        if self._locked:
            yield
            return
        with lock.exclusive(self.lock):
            self._locked = True
            try:
                yield
            finally:
                self._locked = False

    def clear(self) -> None:
        """Remove what writes left that were interrupted by a kill.  The lock is held.

        Raises:
            RunError: where it cannot be removed.
        """
        with durable.writing(self.path):
            for leftover in self.path.glob(".*.tmp"):
                leftover.unlink(missing_ok=True)

    def read_config(self) -> str:
        """The text of config.toml.

        Raises:
            RunError: where it cannot be read.
        """
        try:
            return documents.content(self.config, most=toml.MOST_BYTES).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"cannot read {self.config}: {getattr(error, 'strerror', None) or error}") from error

    def finished(self) -> bool:
        """Whether the run came to its end and its summary was written."""
        try:
            status = documents.read(self.status)
        except (OSError, ValueError):
            return False
        return isinstance(status, dict) and status.get("state") == "finished" and self.summary.is_file()

    def write_status(self, state: RunState, progress: "Progress | None") -> None:
        """Replace status.json; steps are those of the stage."""
        durable.write_json(
            self.status,
            {
                "schema": SCHEMA,
                "state": state,
                "stage": progress.stage if progress else None,
                "step": progress.step if progress else 0,
                "steps": progress.steps if progress else 0,
                "pid": os.getpid(),
                "updated": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl; a number that is not finite is a `ValueError`."""
        self._lines.append(row)

    def keep_metrics(self) -> tuple[int, str]:
        """Make the lines so far last; returns their length in bytes and their sha256, for `cut_metrics`."""
        return self._lines.keep()

    def cut_metrics(self, length: int, sha256: str | None = None) -> None:
        """Forget the lines beyond `length` bytes: those that came after the checkpoint that the run goes on from.

        Raises:
            RunError: where there are fewer, or they are not those that had this sha256.
        """
        self._lines.cut(length, sha256)

    def rows(self) -> list[dict[str, Any]]:
        """The journal so far; a last line that is torn, for it is being written, is left out.

        Raises:
            RunError: naming a line before the last that is no JSON object.
        """
        return self._lines.rows()


def changed(status: Path) -> int:
    """When a status.json was written last, in nanoseconds; 0 where there is none."""
    try:
        return status.stat().st_mtime_ns
    except OSError:
        return 0
