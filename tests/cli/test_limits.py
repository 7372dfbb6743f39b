"""A run that has only so much time: it stops with a checkpoint, and goes on as if it had not."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from lnas.core.errors import ConfigError
from lnas.host.duration import seconds_of
from lnas.host.stream import Stream
from tests.cli.conftest import Lnas

TINY = (
    *("--epochs", "3it:3it", "--batch", "8", "--device", "cpu"),
    *("--space", "cells,channels=2,layers=3,nodes=1,network_channels=2,network_layers=2"),
)


def summary(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_run_out_of_time_stops_with_exit_code_0_and_goes_on(lnas: Lnas) -> None:
    straight = summary(lnas("run", *TINY, "--name", "straight", "--json"))
    stopped = lnas("run", *TINY, "--name", "short", "--max-time", "0.001s")
    assert (stopped.exit_code, stopped.stdout) == (0, "")
    assert stopped.stderr.endswith(
        "lnas: the time is over after search step 1 of 3; a checkpoint is saved; go on with: lnas resume runs/short\n"
    )
    again = summary(lnas("resume", "runs/short", "--max-time", "0.001s", "--json"))
    assert again == {"schema": 1, "run": "runs/short", "finished": False, "stage": "search", "step": 2, "steps": 3}
    assert json.loads(Path("runs/short/status.json").read_text())["state"] == "interrupted"
    assert summary(lnas("resume", "runs/short", "--max-time", "1h", "--json"))["digest"] == straight["digest"]


@pytest.mark.parametrize("name", ["USR1", "sigusr1"])
def test_another_signal_stops_a_run_as_sigterm_does(lnas: Lnas, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    draw = Stream.draw

    def signalled(self: Stream, draws: Any, step: int, attempt: int = 0) -> Any:
        if step == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        return draw(self, draws, step, attempt)

    before = signal.getsignal(signal.SIGUSR1)
    monkeypatch.setattr(Stream, "draw", signalled)
    stopped = lnas("run", *TINY, "--name", "warned", "--stop-signal", name)
    assert stopped.exit_code == 128 + signal.SIGUSR1
    assert "lnas: SIGUSR1 after search step 2 of 3; a checkpoint is saved; go on with: lnas resume" in stopped.stderr
    assert signal.getsignal(signal.SIGUSR1) == before


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--max-time", "10", "--max-time must be a duration such as 90s, 45m, 2h30m or 1:30:00, not '10'"),
        ("--max-time", "0s", "--max-time must be a duration such as 90s, 45m, 2h30m or 1:30:00, not '0s'"),
        ("--stop-signal", "KILL", "unknown signal 'KILL'; there are: ALRM, CONT, HUP, QUIT, USR1, USR2, XCPU"),
        ("--stop-signal", "INT", "--stop-signal INT: SIGINT and SIGTERM stop a run in any case; leave it out"),
        ("--stop-signal", "USR3", "unknown signal 'USR3'; did you mean"),
        ("--keep", "0", "--keep must be from 1 to 1000, not 0"),
        ("--on-nan", "rollback", "--on-nan must be stop or rollback:N, with N from 1 to 1000, not 'rollback'"),
        ("--deterministic", "perhaps", "--deterministic must be true or false, not 'perhaps'"),
    ],
)
def test_what_cannot_be_one_is_refused_in_one_line(lnas: Lnas, option: str, value: str, words: str) -> None:
    refused = lnas("run", *TINY, option, value)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"lnas: error: {words}") and refused.stderr.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("45m", 2700),
        ("2h30m", 9000),
        ("1d", 86400),
        ("1.5s", 1.5),
        ("1:30:00", 5400),
        ("1-12:00:00", 129600),
        ("0:0:1", 1),
        ("1d1h1m1s", 90061),
    ],
)
def test_durations_by_hand(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "s", "m5", "1h 2m", "-5s", "nan", "infs", "1:60:00", "1:00", "5s5m", "9999999s", "٣s"]
)
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ConfigError, match="must be a duration"):
        seconds_of(text)


def test_a_disk_without_room_is_refused_before_anything_is_written(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.host.durable.shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000_000}))
    for more in ([], ["--dry-run"]):
        refused = lnas("run", *TINY, "--out", "some/where", *more)
        assert refused.exit_code == 2
        assert refused.stderr.startswith("lnas: error: some/where has 1.0 MB free, and about ")
        assert refused.stderr.count("\n") == 1
    assert not Path("some").exists()


def test_more_checkpoints_need_more_room(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = []
    monkeypatch.setattr("lnas.host.durable.shutil.disk_usage", lambda path: type("Usage", (), {"free": 0}))
    for keep in ("10", "100", "1000"):
        words = lnas("run", *TINY, "--keep", keep).stderr
        needed.append(float(words.split("and about ")[1].split(" MB")[0].replace(",", "")))
    assert needed[2] - needed[1] == pytest.approx(10 * (needed[1] - needed[0]), rel=0.05)


def test_the_newest_and_the_best_stay(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    from lnas.host import checkpoint, keeper

    class Often(keeper.Keeper):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **{**named, "longest": 0.0})

    monkeypatch.setattr("lnas.host.runner.Keeper", Often)
    accuracies = iter([0.1, 0.9, 0.3, 0.2])
    monkeypatch.setattr("lnas.host.loop.accuracy", lambda *_: next(accuracies))
    monkeypatch.setattr("lnas.host.stream.Stream.steps_per_epoch", lambda self, draws: 1)
    lnas("run", *TINY, "--epochs", "1it:2it", "--recipe", "baseline", "--keep", "1", "--name", "kept")
    there = {path.name: checkpoint.describe(path).get("score") for path in checkpoint.every(Path("runs/kept/checkpoints"))}
    assert there == {"step-00000002": [1, 0.9], "step-00000003": [1, 0.3]}


@pytest.mark.parametrize(("name", "option"), [("LNAS_MAX_TIME", "--max-time 3s"), ("LNAS_STOP_SIGNAL", "--stop-signal 3s")])
def test_a_limit_in_the_environment_is_refused(lnas: Lnas, monkeypatch: pytest.MonkeyPatch, name: str, option: str) -> None:
    monkeypatch.setenv(name, "3s")
    refused = lnas("run", *TINY)
    assert (refused.exit_code, refused.stderr) == (
        2,
        f"lnas: error: {name} is not read: it is no setting of the run; write {option}\n",
    )


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_program_without_standard_streams_runs(tmp_path: Path, closed: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    line = f"exec {shlex.join([sys.executable, '-m', 'lnas', '--no-plugins', 'run', *TINY, '--name', 'r'])} {closed}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/r/report.html").exists()
    assert "error" not in done.stdout + done.stderr


def test_a_resumed_run_without_a_checkpoint_says_so(lnas: Lnas) -> None:
    assert lnas("run", *TINY, "--name", "r", "--max-time", "0.001s").exit_code == 0
    shutil.rmtree("runs/r/checkpoints")
    again = lnas("resume", "r")
    assert again.exit_code == 0 and "there is no checkpoint yet; the run begins anew\n" in again.stderr
