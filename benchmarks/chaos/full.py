"""The disk fills up, or goes away, in the middle of a run: one line, exit status 2, and nothing that was safe is lost.

Each kind is tried `--count` times, at places spread over the whole run, from the first file to the report:

- `write`: the n-th write and all after it find no space; half of the n-th is on the disk.
- `event`: so do the n-th of any change (open, write, fsync, mkdir, rename, truncate) and all after it.
- `once`: the n-th change alone fails, and afterwards there is space again.
- `size`: no file may become larger than a limit (RLIMIT_FSIZE); `small disk`: the run lies on a disk (tmpfs) of a limited size.
  These two are the kernel's own.
- `read-only`: from the n-th change on, the file system refuses all of them.
- `removed`, `no checkpoints`, `no journal`: before the n-th change the run's directory is removed, its checkpoints replaced by
  a file, its journal by a directory or by nothing.

The program must end with exit status 2 and one line, or with 0 if it got by.  All checkpoints under their names are whole, and
the newest is the last that was saved; every other file under its name is whole; the journal is a beginning of that of the
straight run; files of the user's are as they were.  Then, with space again, `lnas resume` ends with the digest and the journal of
the straight run; where there is no run to resume, nothing is left of it, and `lnas run` does the same.
"""

import json
import os
import random
import shutil
import subprocess
import tomllib
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from benchmarks.chaos import child, small
from benchmarks.chaos.happenings import KINDS, NOTES
from benchmarks.chaos.outcome import Outcome, progress
from lnas import RunError
from lnas.host import checkpoint
from lnas.testing.forkserver import ForkServer

LONG = 50
RESUME = ("resume", *small.SWITCHES, "--json", "runs/run")
RUN = (*small.arguments(), "--json")
MODULES = (*child.PRELOADED, "benchmarks.chaos.happenings")
SMALLEST_DISK = 16 << 10


def measure(count: int, seed: int, folder: Path) -> Outcome:
    """`count` tries of each kind; the places are even, and `seed` moves them."""
    with ForkServer(MODULES) as server:
        straight = Straight(server, folder / "straight")
        kinds = [kind for kind in KINDS if kind != "small disk" or _may_mount(folder)]
        tries = [(kind, number) for kind in kinds for number in straight.numbers(kind, count, seed)]
        random.Random(seed).shuffle(tries)
        return tried(server, straight, tries, folder)


class Straight:
    """The run that nothing happened to."""

    def __init__(self, server: ForkServer, folder: Path) -> None:
        (work := folder / "work").mkdir(parents=True)
        code, lines = _called(server, RUN, work, "log", 0)
        assert code == 0, lines
        self.events = (folder / "events").read_text().splitlines()
        self.run = work / "runs" / "run"
        self.digest = _digest(self.run)
        self.rows = _rows(self.run)
        files = [path for path in self.run.rglob("*") if path.is_file()]
        self.largest = max(path.stat().st_size for path in files)
        self.space = sum(path.stat().st_size for path in files)

    def numbers(self, kind: str, count: int, seed: int) -> list[int]:
        """Of events, or of bytes."""
        if kind in ("size", "small disk"):
            least, most = (64, self.largest) if kind == "size" else (SMALLEST_DISK, int(1.3 * self.space))
            shares = [(index + seed % 7 / 7) / count for index in range(count)]
            return [int(least * (most / least) ** share) for share in shares]
        events = sum(line.startswith("write ") for line in self.events) if kind == "write" else len(self.events)
        if "journal" in kind:  # that it goes when all is written, the run cannot see: `lnas verify` does
            events = max(index for index, line in enumerate(self.events, 1) if line.endswith("metrics.jsonl")) - 1
        return [1 + (index * events // count + seed) % events for index in range(count)]

    def saved_before(self, kind: str, number: int) -> int:
        """The step of the checkpoint that was saved before the event of that number; 0 for none."""
        places = [index for index, line in enumerate(self.events) if kind != "write" or line.startswith("write ")]
        names = [line.rpartition("/")[2] for line in self.events[: places[number - 1]] if line.startswith("rename ")]
        return max((int(name[6:14]) for name in names if name.startswith(".step-")), default=0)


def tried(server: ForkServer, straight: Straight, tries: Sequence[tuple[str, int]], folder: Path) -> Outcome:
    """All of the tries."""
    broken, ends, kinds = [], Counter[str](), Counter[str]()
    for index, (kind, number) in enumerate(tries):
        attempt = _Try(server, straight, kind, number, folder / str(index))
        trouble = attempt.trouble()
        kinds[kind] += 1
        ends[f"{kind}: {attempt.end}"] += 1
        if trouble:
            broken.append(f"{kind} {number}: {trouble}")
            progress(f"full: broken: {broken[-1]}")
        if index % 10 == 9:
            progress(f"full: {index + 1} of {len(tries)}, {len(broken)} broken")
        shutil.rmtree(attempt.folder)
    figures = {**{f"{kind}: tries": tries for kind, tries in kinds.items()}, **dict(sorted(ends.items()))}
    return Outcome(len(tries), len(tries) - len(broken), figures, broken)


@dataclass
class _Try:
    server: ForkServer
    straight: Straight
    kind: str
    number: int
    folder: Path
    end: str = "not begun"

    def trouble(self) -> str | None:
        """What was promised and did not hold."""
        work = self.folder / "work"
        work.mkdir(parents=True)
        with ExitStack() as stack:
            if self.kind == "small disk":
                _mount(work, f"size={self.number}")
                stack.callback(lambda: subprocess.run(["umount", str(work)], check=True))
            try:
                (work / "notes").write_text(NOTES)
                return self._after(work)
            except (AssertionError, OSError, RunError, ValueError) as error:
                return f"{type(error).__name__}: {error}"

    def _after(self, work: Path) -> str | None:
        code, lines = _called(self.server, RUN, work, self.kind, self.number)
        errors = [line for line in lines if line.startswith("lnas: error:")]
        self.end = "the run ended" if code == 0 else f"exit {code}"
        if code == 0:
            if _digest(work / "runs/run") != self.straight.digest or _rows(work / "runs/run") != self.straight.rows:
                return "the run ended with something else, silently"
        elif code != 2 or len(errors) != 1 or lines[-1:] != errors or "bug of lnas" in errors[0]:
            return f"exit {code}: {' | '.join(lines[-3:])}"
        if (work / "notes").read_text() != NOTES:
            return "a file of the user's was changed"
        run = work / "runs/run"
        return self._as_it_was_left(run) or self._again(work, run)

    def _as_it_was_left(self, run: Path) -> str | None:
        """After the command has ended, with nothing mended yet."""
        if not (run / "status.json").exists():
            return None
        if wrong := [f"{path.name}: {error}" for path in run.iterdir() if (error := _half(path))]:
            return f"half a file: {wrong[0]}"
        if self.kind == "no checkpoints":
            place = run / "checkpoints"
            return "the user's file was changed" if place.is_file() and place.read_text() != NOTES else None
        steps = sorted((run / "checkpoints").glob("step-*"))
        for path in steps:
            checkpoint.load(path)
        if KINDS[self.kind] is not None:
            newest = max((int(path.name[5:]) for path in steps), default=0)
            saved = self.straight.saved_before(self.kind, self.number)
            if newest < saved:
                return f"the checkpoint of step {saved} is gone, the newest is {newest}"
        if self.kind in ("no journal", "journal a directory"):
            return None
        rows = _rows(run)
        return None if rows == self.straight.rows[: len(rows)] else "the journal is not the beginning of the straight one"

    def _again(self, work: Path, run: Path) -> str | None:
        """With space again: what was lost is a part of the way, at most."""
        if self.kind == "small disk":
            _mount(work, "remount,size=64M")
        if not (run / "status.json").exists():
            left = os.listdir(work / "runs") if (work / "runs").exists() else []
            if left and not (self.kind == "read-only" and all(name.startswith(".") for name in left)):  # nobody could remove it
                return f"there is no run, but {left}"
            code, lines = _called(self.server, RUN, work, "nothing", 0)
        else:
            if refused := self._refused(work, run):
                return refused
            code, lines = _called(self.server, RESUME, work, "nothing", 0)
        if code or _digest(run) != self.straight.digest or _rows(run) != self.straight.rows:
            return f"with space again, exit {code}: {' | '.join(lines[-1:])}"
        left = [str(path.relative_to(run)) for path in run.rglob(".*.tmp")]
        return f"it leaves {left}" if left and self.kind != "read-only" else None

    def _refused(self, work: Path, run: Path) -> str | None:
        """A run whose files were changed says so, changes nothing, and goes on when they are as they were."""
        place, kept = run / "metrics.jsonl", self.folder / "kept"
        finished = json.loads((run / "status.json").read_text())["state"] == "finished" and (run / "summary.json").exists()
        blocked = (run / "checkpoints").is_file() or place.is_dir()
        if finished and kept.exists() and not place.is_file():
            place.rmdir()
            shutil.move(kept, place)
        if finished or not (blocked or (kept.exists() and any((run / "checkpoints").glob("step-*")))):
            return None
        files = [path for path in run.rglob("*") if path.is_file() and path.name not in ("lock", "status.json")]
        before = {path: path.read_bytes() for path in files}
        code, lines = _called(self.server, RESUME, work, "nothing", 0)
        if code != 2:
            return f"resumed, exit {code}: {' | '.join(lines[-2:])}"
        if changed := [path.name for path, data in before.items() if not path.exists() or path.read_bytes() != data]:
            return f"as it refused to go on, it changed {changed}"
        if (run / "checkpoints").is_file():
            (run / "checkpoints").unlink()
        if kept.exists():
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
            shutil.move(kept, place)
        return None


def _called(server: ForkServer, arguments: Sequence[str], folder: Path, kind: str, number: int) -> tuple[int, list[str]]:
    """The exit status, and the lines of standard error, which is a pipe: there is always room."""
    pipe = folder.parent / "errors"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        process = server.start("benchmarks.chaos.happenings:command", list(arguments), kind, number, folder=folder, errors=pipe)
        code = server.wait(process)
        said = b"".join(iter(lambda: os.read(reader, 1 << 16), b""))
    finally:
        os.close(reader)
        pipe.unlink()
    return code, said.decode(errors="replace").splitlines()


def _digest(run: Path) -> str:
    return str(json.loads((run / "summary.json").read_text())["digest"])


def _rows(run: Path) -> list[dict[str, Any]]:
    """The journal, without a torn last line and without seconds."""
    path = run / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def _half(path: Path) -> str | None:
    """Why the file is not whole."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".toml":
            tomllib.loads(path.read_text())
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix == ".html" and not path.read_text().rstrip().endswith("</html>"):
            return "it has no end"
    except (ValueError, SafetensorError) as error:
        return str(error)
    return None


def _mount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True, capture_output=True)


def _may_mount(folder: Path) -> bool:
    (place := folder / "mounted").mkdir(parents=True)
    try:
        _mount(place, "size=64k")
    except (OSError, subprocess.CalledProcessError):
        return False
    subprocess.run(["umount", str(place)], check=True)
    return True
