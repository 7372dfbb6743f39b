"""The directory of a run: its name, its files, its journal and its one writer."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lnas.core.errors import ConfigError, RunError, RunInUseError
from lnas.core.pipeline import Progress
from lnas.host import durable

RunState: TypeAlias = Literal["running", "finished", "interrupted", "failed"]

LONGEST_NAME = 100
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class RunDirectory:
    """An existing run: config.toml and status.json are in it.  Made by `create`, `open` and `latest`.

    Attributes:
        path: as it was given, e.g. runs/variant2-digits-0.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        self._lock: int | None = None

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
        if name is not None and (len(name) > LONGEST_NAME or not _NAME.fullmatch(name)):
            raise ConfigError(
                f"run name {name[:40]!r}{' ...' if len(name) > 40 else ''} cannot be used; a name has 1 to {LONGEST_NAME} of the"
                " letters a-z and A-Z, digits, '.', '_' and '-', and begins with a letter, a digit or '_'"
            )
        parent = out
        while not os.path.lexists(parent) and parent != parent.parent:
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise RunError(f"cannot write runs into {out}: {parent} is no folder that this user may write; choose another --out")
        if name is not None:
            if os.path.lexists(out / name):
                raise RunError(f"{out / name} is there already; choose another name, or go on with it: lnas resume {out / name}")
            return out / name
        stem = re.sub(r"[^A-Za-z0-9._]+", "-", f"{recipe}-{data}-{seed}").lstrip(".-")[: LONGEST_NAME - 12] or "run"
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
            with durable.writing(path):
                out.mkdir(parents=True, exist_ok=True)
                try:
                    path.mkdir()
                except FileExistsError:  # another process took the name just now
                    continue
            break
        directory = cls(path)
        try:
            durable.write_text(directory.config, config)
            directory.write_status("running", None)
            with durable.writing(path):
                durable.sync_directory(out)
        except RunError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return directory

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """The run at `path`.

        Raises:
            RunError: where there is none.
        """
        directory = cls(path)
        if not (directory.config.is_file() and directory.status.is_file()):
            raise RunError(f"{path} is no run: a run is a directory that lnas made, with config.toml and status.json")
        return directory

    @classmethod
    def latest(cls, out: Path) -> "RunDirectory":
        """The run in `out` whose status changed last.

        Raises:
            RunError: where there is no run.
        """
        try:
            runs = [cls(path) for path in sorted(out.iterdir()) if (path / "config.toml").is_file() and _age(path) is not None]
        except OSError as error:
            raise RunError(f"cannot read {out}: {error.strerror or error}; start a run with: lnas run") from error
        if not runs:
            raise RunError(f"there is no run in {out}; start one with: lnas run")
        return max(runs, key=lambda run: _age(run.path) or 0)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one writer; the kernel frees the lock when the process dies.  May be nested.

        Raises:
            RunInUseError: naming the process that holds it.
        """
        if self._lock is not None:
            yield
            return
        path = self.path / "lock"
        with durable.writing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                raise RunInUseError(f"{self.path} is in use by process {holder}; wait until it ends, or stop it") from error
            with durable.writing(path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self._lock = descriptor
            yield
        finally:
            self._lock = None
            os.close(descriptor)

    def read_config(self) -> str:
        """The text of config.toml.

        Raises:
            RunError: where it cannot be read.
        """
        try:
            return self.config.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"cannot read {self.config}: {error}") from error

    def finished(self) -> bool:
        """Whether the run came to its end and its summary was written."""
        try:
            status = json.loads(self.status.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(status, dict) and status.get("state") == "finished" and self.summary.is_file()

    def write_status(self, state: RunState, progress: Progress | None) -> None:
        """Replace status.json; steps are those of the stage."""
        durable.write_json(
            self.status,
            {
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
        line = json.dumps(row, allow_nan=False, separators=(",", ":")) + "\n"
        with durable.writing(self.metrics), open(self.metrics, "ab") as file:
            file.write(line.encode())

    def keep_metrics(self) -> int:
        """Make the lines so far last; returns their length in bytes, for `cut_metrics`."""
        with durable.writing(self.metrics), open(self.metrics, "ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def cut_metrics(self, length: int) -> None:
        """Forget the lines beyond `length` bytes: those that came after the checkpoint that the run goes on from.

        Raises:
            RunError: where there are fewer.
        """
        with durable.writing(self.metrics), open(self.metrics, "ab") as file:
            if (size := file.tell()) < length:
                raise RunError(
                    f"{self.metrics} has {size} bytes, but the checkpoint was made after {length}; put the whole file back,"
                    " or start a new run"
                )
            file.truncate(length)
            os.fsync(file.fileno())

    def rows(self) -> list[dict[str, Any]]:
        """The journal so far; a last line that is torn, for it is being written, is left out.

        Raises:
            RunError: naming a line before the last that is no JSON object.
        """
        try:
            lines = self.metrics.read_bytes().split(b"\n")[:-1] if self.metrics.exists() else []
            rows = [json.loads(line) for line in lines]
        except OSError as error:
            raise RunError(f"cannot read {self.metrics}: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.metrics} holds a line that is no JSON: {error}") from error
        if wrong := [index for index, row in enumerate(rows, 1) if not isinstance(row, dict)]:
            raise RunError(f"{self.metrics}, line {wrong[0]}: not a JSON object")
        return rows


def _age(path: Path) -> int | None:
    """When the status of the run at `path` changed, or None where there is none."""
    try:
        return (path / "status.json").stat().st_mtime_ns
    except OSError:
        return None
