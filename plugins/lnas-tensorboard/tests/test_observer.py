"""Real runs, read back with TensorBoard's own reader."""

import itertools
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

import lnas_tensorboard
import pytest
from lnas_tensorboard import Tensorboard
from lnas_tensorboard.figures import hyperparameters
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import lnas

ROOT = Path(__file__).parent.parent
STAGES = (lnas.StagePlan("search", 4, 2, 1, 4, (0.5,)), lnas.StagePlan("train", 6, 3, 0, 6, ()))
TINY = "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3,operations=none+skip_connect+avg_pool_3x3"


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in the order of the seconds in their names, and two runs of one directory do not begin in the same one."""
    ticks = itertools.count(int(time.time()))
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))


def started(directory: Path, done: int = 0, config: Mapping[str, str] | None = None) -> lnas.RunStarted:
    return lnas.RunStarted(directory, "variant2", {"seed": "0", **(config or {})}, STAGES, done)


def epoch(stage: str, step: int, loss: float | None = 1.0, **more: float | None) -> lnas.EpochDone:
    progress = lnas.Progress(stage, "pairs", step, 4 if stage == "search" else 6, 0, 1)  # type: ignore[arg-type]
    live = 12 if stage == "search" else None
    return lnas.EpochDone(progress, 1, 2, {"loss": loss, **more}, 0.25, 0.5, live, 1.5)


def saved(stage: str, step: int) -> lnas.Saved:
    return lnas.Saved(epoch(stage, step).progress, Path("x"))


def read(place: Path) -> EventAccumulator:
    return EventAccumulator(str(place), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def points(place: Path) -> dict[str, list[tuple[int, float]]]:
    """By tag: (step, value) of each point, as TensorBoard shows them."""
    found = read(place)
    shown = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    return {tag: some for tag, some in shown.items() if some}


def told(observer: lnas.Observer, *events: lnas.Event) -> None:
    for event in events:
        observer.notify(event)


def test_points_stand_at_the_steps_since_the_run_began(tmp_path: Path) -> None:
    pruned = lnas.Pruned(epoch("search", 4).progress, "alpha", 0.5, 0.48, {}, None)
    end = lnas.Finished(tmp_path, 0.75, 0.5, "sha256:0")
    told(Tensorboard(), started(tmp_path), epoch("search", 2, 2.0), pruned, epoch("search", 4, 1.5, reward=3.0))
    observer = Tensorboard()
    told(observer, started(tmp_path), epoch("search", 2, 2.0, alpha_loss=None), pruned, epoch("train", 3, 0.5), end)
    assert points(tmp_path / "tensorboard") == {
        "search/loss": [(2, 2.0)],
        "search/validation_accuracy": [(2, 0.25)],
        "search/sparsity": [(2, 0.5)],
        "search/live_paths": [(2, 12.0)],
        "search/round/sparsity asked": [(4, 0.5)],
        "search/round/sparsity": [(4, pytest.approx(0.48))],
        "train/loss": [(7, 0.5)],
        "train/validation_accuracy": [(7, 0.25)],
        "train/sparsity": [(7, 0.5)],
        "final/validation_accuracy": [(11, 0.75)],
        "final/test_accuracy": [(11, 0.5)],
    }, "a run that starts over shows nothing of its first start"


def test_a_run_that_is_resumed_shows_no_point_twice_and_none_that_was_set_back(tmp_path: Path) -> None:
    first, second, third = Tensorboard(), Tensorboard(), Tensorboard()
    told(first, started(tmp_path), epoch("search", 2, 2.0), saved("search", 2), epoch("search", 4, 9.0))
    first.notify(saved("search", 4))  # on the disk, and then the run is set back to an earlier checkpoint
    told(second, started(tmp_path, 2), epoch("search", 4, 1.0), epoch("train", 6, 0.5), saved("train", 6))
    second.notify(lnas.Finished(tmp_path, 0.75, 0.5, "sha256:0"))
    told(third, started(tmp_path, 10), lnas.Finished(tmp_path, 0.75, 0.5, "sha256:0"))
    shown = points(tmp_path / "tensorboard")
    assert shown["search/loss"] == [(2, 2.0), (4, 1.0)]
    assert shown["train/loss"] == [(10, 0.5)]
    assert shown["final/test_accuracy"] == [(11, 0.5)]
    assert len(read(tmp_path / "tensorboard").Tensors("configuration/text_summary")) == 1


def test_a_run_that_goes_back_shows_what_came_after(tmp_path: Path) -> None:
    observer = Tensorboard()
    back = lnas.RolledBack(epoch("search", 4).progress, "the loss for theta was not finite", 1, 3)
    told(observer, started(tmp_path), epoch("search", 2, 2.0), saved("search", 2), epoch("search", 4, 9.0), back)
    told(observer, started(tmp_path, 2), epoch("search", 4, 1.0), lnas.Finished(tmp_path, 0.75, 0.5, "sha256:0"))
    assert points(tmp_path / "tensorboard")["search/loss"] == [(2, 2.0), (4, 1.0)]


def test_what_was_told_before_a_checkpoint_is_on_the_disk(tmp_path: Path) -> None:
    observer = Tensorboard()
    told(observer, started(tmp_path), epoch("search", 2), saved("search", 2))
    assert points(tmp_path / "tensorboard")["search/loss"] == [(2, 1.0)]
    told(observer, epoch("search", 4), lnas.Stopped(epoch("search", 4).progress, "failed", "why"))
    assert points(tmp_path / "tensorboard")["search/loss"] == [(2, 1.0), (4, 1.0)]


def test_the_configuration_is_text_and_the_results_have_it_as_hyperparameters(tmp_path: Path) -> None:
    config = {"train.lr": "0.025", "space": "cells,layers=3", "observe": "mlflow,uri=https://me:secret@there", "x": "a|`b`*"}
    told(Tensorboard(), started(tmp_path, config=config), lnas.Finished(tmp_path, 0.75, 0.5, "sha256:0"))
    found = read(tmp_path / "tensorboard")
    [text] = found.Tensors("configuration/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert lines == [
        f"    {line}" for line in ("recipe = variant2", "seed = 0", "train.lr = 0.025", "space = cells,layers=3", "x = a|`b`*")
    ]
    session = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    given = HParamsPluginData.FromString(session).session_start_info.hparams
    assert given["train.lr"].number_value == 0.025 and given["recipe"].string_value == "variant2"
    assert set(given) == {"recipe", "seed", "train.lr", "space", "x"}
    metrics = found.SummaryMetadata("_hparams_/experiment").plugin_data.content
    names = [info.name.tag for info in HParamsPluginData.FromString(metrics).experiment.metric_infos]
    assert names == ["final/validation_accuracy", "final/test_accuracy"]
    assert b"secret" not in b"".join(path.read_bytes() for path in (tmp_path / "tensorboard").iterdir())


def test_numbers_are_numbers() -> None:
    assert hyperparameters({"a": "1", "b": "1e-3", "c": "10:20", "d": "true"}) == {"a": 1.0, "b": 1e-3, "c": "10:20", "d": "true"}


def test_a_folder_for_all_runs_has_one_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        observer = Tensorboard(dir="logs")
        told(observer, started(Path("runs") / name), lnas.Stopped(epoch("search", 2).progress, "interrupted", "SIGINT"))
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["a", "b"]


def test_nothing_is_written_before_a_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Tensorboard(dir="logs")
    assert list(tmp_path.iterdir()) == []


def test_the_plugin_offers_the_observer_without_torch() -> None:
    host = lnas.Host([lnas_tensorboard], entry_points=False)
    assert [(part.kind, part.name) for part in host.plugins[-1].components] == [("observer", "tensorboard")]
    assert host.registry.get("observer", "tensorboard").load() is Tensorboard
    code = "import sys, lnas_tensorboard; sys.exit(bool({'torch', 'tensorboard'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
    with pytest.raises(AttributeError, match="module 'lnas_tensorboard' has no attribute 'Board'"):
        lnas_tensorboard.Board  # noqa: B018


def test_the_distribution_names_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["lnas"] == {"tensorboard": "lnas_tensorboard"}
    assert project["tool"]["hatch"]["version"]["path"] == "lnas_tensorboard/__init__.py"


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_a_run_that_is_killed_and_resumed_shows_what_its_journal_says(tmp_path: Path) -> None:
    """The process gets SIGKILL in its second stage; what the checkpoint did not know is done, and shown, once."""
    program = """
import os, signal, sys
import torch
import lnas, lnas_tensorboard
from lnas.cli import main
real = lnas_tensorboard.Tensorboard.notify
def notify(self, event):
    real(self, event)
    if os.environ.get("KILL") and isinstance(event, lnas.EpochDone) and event.progress.stage == "train":
        self._open().flush()
        os.kill(os.getpid(), signal.SIGKILL)
lnas_tensorboard.Tensorboard.notify = notify
main(sys.argv[1:])
"""
    options = f"--space {TINY} --prune alpha:one-shot,sparsity=0.5 --epochs 2it:3it --batch 16 --device cpu --name run --json"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder), "OMP_NUM_THREADS": "1"}

    def called(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(command, cwd=tmp_path, env={**environment, **more}, capture_output=True, text=True)

    killed = called("run", *options.split(), "--observe", "tensorboard", KILL="1")
    assert killed.returncode == -9, killed.stderr
    resumed = called("resume", "runs/run", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert len(resumed.stdout.splitlines()) == 1
    shown = points(tmp_path / "runs/run/tensorboard")
    assert len(list((tmp_path / "runs/run/tensorboard").iterdir())) == 3  # one for each process, one of the results
    rows = [json.loads(line) for line in (tmp_path / "runs/run/metrics.jsonl").read_text().splitlines()]
    summary = json.loads(resumed.stdout)
    for stage, before in (("search", 0), ("train", 2)):
        epochs = [row for row in rows if row["event"] == "epoch" and row["stage"] == stage]
        for name in ("loss", "validation_accuracy", "sparsity"):
            assert shown[f"{stage}/{name}"] == [(before + row["step"], pytest.approx(row[name], rel=1e-6)) for row in epochs]
    assert shown["final/test_accuracy"] == [(6, pytest.approx(summary["accuracy"]["test"], rel=1e-6))]
