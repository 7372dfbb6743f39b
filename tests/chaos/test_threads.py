"""A run that goes on with another number of threads says so, for the bits of a convolution may depend on it."""

import json
from pathlib import Path

from benchmarks.chaos.tiny import RESUME, RUN, STEPS, Program, directory, server


def test_another_number_of_threads_is_named_refused_or_remembered(tmp_path: Path) -> None:
    with server() as forks:
        program = Program(forks, tmp_path)
        assert program.call(RUN, kill=("after a save", STEPS - 1)) == -9
        before = {path: path.read_bytes() for path in directory(tmp_path).rglob("*") if path.is_file()}

        def resumed(*more: str) -> int:
            call = "benchmarks.chaos.child:command"
            return forks.wait(forks.start(call, [*RESUME, *more], 0.0, None, 2, folder=tmp_path, errors=program.errors))

        program.errors.unlink()
        assert resumed("--require-exact") == 2
        assert "would not be exact: threads (1, now 2); go back to what it was made with" in program.last_words()
        after = {path: path.read_bytes() for path in directory(tmp_path).rglob("*") if path.is_file()}
        assert {path for path in before if before[path] != after[path]} <= {directory(tmp_path) / "lock"}
        assert before.keys() == after.keys()

        program.errors.unlink()
        assert resumed() == 0
        assert "threads (1, now 2)" in program.errors.read_text()
    summary = json.loads((directory(tmp_path) / "summary.json").read_text())
    assert summary["exact"] is False
