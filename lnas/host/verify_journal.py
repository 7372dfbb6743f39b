"""metrics.jsonl as `lnas verify` reads it: every line with the place where it ends, and the first that is wrong."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lnas.core.document import parse
from lnas.core.errors import RunError
from lnas.host import documents
from lnas.host.verify_finding import count

Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = tuple[Row, ...]

STEPPED = ("epoch", "prune")
"""Events that say after which step of their stage they happened."""


def sha256(path: Path, length: int) -> str:
    """Of so many bytes at the beginning of a journal.  Raises `OSError` where it cannot be read."""
    return hashlib.sha256(documents.content(path, most=documents.MOST_OF_A_JOURNAL)[:length] if length else b"").hexdigest()


@dataclass(frozen=True)
class Journal:
    """The lines up to the first that is wrong.

    Attributes:
        size: bytes of the whole lines.
        rows: each with the byte after its end.
        fault: of the line after them, in words; empty where all are right.
        torn: whether the file ends inside a line.
    """

    size: int = 0
    rows: tuple[tuple[int, Row], ...] = ()
    fault: str = ""
    torn: bool = False

    def until(self, length: int) -> Rows:
        """The lines within that many bytes."""
        return tuple(row for end, row in self.rows if end <= length)

    def check(self, lengths: Iterable[int], *, finished: bool) -> str:
        """What is there, in words.

        Args:
            lengths: bytes that there were when each checkpoint was made.
            finished: whether the run is over, so that nothing can be half written.

        Raises:
            RunError: saying what is wrong.
        """
        if self.fault:
            raise RunError(self.fault)
        ends = {0, *(end for end, _ in self.rows)}
        for length in lengths:
            if self.size < length:
                raise RunError(f"its whole lines have {self.size:,} bytes; a checkpoint was made after {length:,}")
            if length not in ends:
                raise RunError(f"a checkpoint was made after {length:,} bytes, where no line ends")
        if self.torn and finished:
            raise RunError("its last line is torn, and the run is finished")
        return f"{count(len(self.rows), 'line')}" + ("; one more is torn, as by a kill, and is not read" if self.torn else "")


def read(path: Path) -> Journal:
    """The journal at `path`; an empty one where there is none.

    Raises:
        OSError: where it cannot be read.
    """
    end = 0
    rows: list[tuple[int, Row]] = []
    stages: dict[str, int] = {}
    try:
        lines = documents.lines(path)
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return Journal(end, tuple(rows), torn=True)
            try:
                row = parse(line)
            except ValueError as error:
                return Journal(end, tuple(rows), f"line {number}: {error}")
            if fault := _fault(row, stages):
                return Journal(end, tuple(rows), f"line {number}: {fault}")
            end += len(line)
            rows.append((end, row))
    except FileNotFoundError:
        pass
    return Journal(end, tuple(rows))


def _fault(row: object, stages: dict[str, int]) -> str:
    """What is wrong with a row after others that left `stages`, the last step of each; it is brought up to date."""
    if not isinstance(row, dict) or not isinstance(row.get("event"), str):
        return 'no JSON object with an "event"'
    if row["event"] == "start":
        stage = row.get("stage")
        if not isinstance(stage, str) or stage in stages:
            return "it begins no stage" if not isinstance(stage, str) else f"it begins stage {stage!r} again"
        stages[stage] = 0
    elif row["event"] in STEPPED:
        stage, step = row.get("stage"), row.get("step")
        if not stages or stage != list(stages)[-1] or type(step) is not int:
            return f"an event of stage {stage!r} after step {step!r}, which is not open"
        if step < stages[stage]:
            return f"it is of {stage} step {step}, but the line before it of step {stages[stage]}"
        stages[stage] = step
    return ""
