"""All checkpoints of a run, as `lnas verify` finds them; those that the run removes meanwhile are left out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from lnas.core.errors import RunError
from lnas.core.pipeline import Pipeline
from lnas.core.types import State
from lnas.host import checkpoint, runtime, verify_checkpoint, verify_journal
from lnas.host.rundir import RunDirectory
from lnas.host.verify_checkpoint import Held
from lnas.host.verify_finding import Finding, judged, unknown

_LISTINGS = 5
"""So often they are listed anew where all that were listed are gone."""


@dataclass
class Checkpoints:
    """Those of one run; the findings are made once, by `look`.

    Attributes:
        directory: of the run.
        text: of its config.toml, or None where it cannot be read.
        build: makes a fresh pipeline from it, or None where it cannot be built.  Every checkpoint needs one of its own, for
            loading takes dead paths out of a supernet.
        findings: of each checkpoint, of those that were set aside and of what an interrupted save left.
        held: what those say that fit.
        lengths: bytes of metrics.jsonl when each was made that is whole.
        journals: the sha256 of so many bytes of it, by their number.
        strangers: those that were made with another config.toml, by name.
        compared: whether one was made with this config.toml.
    """

    directory: RunDirectory
    text: str | None
    build: Callable[[], Pipeline] | None
    findings: list[Finding] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    journals: dict[int, str] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    compared: bool = False

    def look(self) -> "Checkpoints":
        """Read all of them."""
        place, rows = self.directory.checkpoints, []
        try:
            for _ in range(_LISTINGS):
                paths = checkpoint.every(place)
                rows = [row for path in paths if (row := self._one(path)) is not None]
                if rows or not paths:
                    break
            beside = [path for path in sorted(place.iterdir()) if path not in paths] if place.is_dir() else []
        except RunError as error:
            self.findings = [Finding(place.name, "wrong", str(error))]
        except OSError as error:
            self.findings = [Finding(place.name, "wrong", f"cannot be read: {error.strerror or error}")]
        else:
            whole = any(row.verdict == "ok" for row in rows)
            self.findings = [*self._settled(rows), *self._beside(beside, whole)]
        return self

    def _one(self, path: Path) -> Finding | None:
        """None where it went away while it was read."""
        states: list[State] = []
        row = judged(self.directory.path, path, lambda: _opened(path, states), needed=True)
        if not path.exists():
            return None
        if not states:
            return row
        [state] = states
        self.lengths.append(state["metrics"])
        self.journals[state["metrics"]] = state["journal"]
        if self.text is not None and state["config"] != self.text:
            self.strangers.append(row.file)
            return replace(row, words="whole; not compared with the run, for config.toml is another")
        self.compared = True
        if (build := self.build) is None:
            return replace(row, words="whole; not compared with the run, which cannot be built here")
        return judged(self.directory.path, path, lambda: self._fitting(path, state, build), needed=True)

    def _fitting(self, path: Path, state: State, build: Callable[[], Pipeline]) -> str:
        try:
            journal = verify_journal.read(self.directory.metrics)  # after the checkpoint: it only grows
        except OSError:
            journal = verify_journal.Journal()
        with runtime.undisturbed():
            held = verify_checkpoint.fits(path, state, build(), journal)
        self.held.append(held)
        return held.words

    def _settled(self, rows: list[Finding]) -> Iterator[Finding]:
        """Where one goes with config.toml, it is the others that are wrong; where none does, config.toml is."""
        if not rows:
            yield Finding(self.directory.checkpoints.name, "absent", "resumed, the run begins anew")
        for row in rows:
            strange = self.compared and row.file in self.strangers
            yield replace(row, verdict="wrong", words="it was made with another config.toml") if strange else row

    def _beside(self, paths: list[Path], whole: bool) -> Iterator[Finding]:
        for path in paths:
            row = unknown(self.directory.path, path)
            if path.name.endswith(".damaged"):
                row = replace(row, verdict="noted" if whole else "wrong", words="a checkpoint that was found damaged")
            yield row


def _opened(path: Path, states: list[State]) -> str:
    states.append(verify_checkpoint.opened(path))
    return ""
