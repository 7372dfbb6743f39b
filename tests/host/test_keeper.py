"""When a checkpoint is due, and in what order a run goes back to one."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from lnas.builtin.importances import magnitude
from lnas.builtin.schedules import OneShot
from lnas.builtin.targets import Theta
from lnas.builtin.weights import WeightTraining
from lnas.core.errors import RunError
from lnas.core.genotype import Genotype
from lnas.core.pipeline import Pipeline
from lnas.core.rounds import Pruning
from lnas.core.stages import Retrain, Ticket
from lnas.host import checkpoint, keeper, runtime
from lnas.host.keeper import Keeper
from lnas.host.memory import Memory
from lnas.host.rundir import RunDirectory

BATCH = torch.ones(4, 2)


def loss(network: Any, batch: Any) -> Tensor:
    return network(batch).square().mean()  # type: ignore[no-any-return]


def make_pipeline() -> Pipeline:
    torch.manual_seed(0)
    pruning = Pruning(lambda learner: Theta(learner.module, learner.optimizers), OneShot(0.5), magnitude)
    stage = Retrain(
        lambda genotype: nn.Linear(2, 1), lambda network, horizon: WeightTraining(network, loss, horizon, lr=0.1), pruning, 12, 0
    )
    return Pipeline(stage, ticket=Ticket(Genotype({}, {})))


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, name="run", recipe="toy", data="none", seed=0, config="seed = 0\n")


def make(directory: RunDirectory, pipeline: Pipeline, longest: float = 60.0) -> Keeper:
    return Keeper(pipeline, directory, torch.device("cpu"), longest=longest)


class Clock:
    """It stands still but where a checkpoint is written, which takes a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, save = 1000.0, checkpoint.save

        def slow(*given: Any, **named: Any) -> Path:
            self.now += 1.0
            return save(*given, **named)

        monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(checkpoint, "save", slow)


def test_saving_costs_two_percent_at_most_even_where_epochs_are_short(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, pipeline = Clock(monkeypatch), make_pipeline()
    kept = make(directory, pipeline)
    kept.start_over()
    assert kept.due(epoch_over=True) and not kept.due(epoch_over=False), "nothing is known of the costs yet"
    pipeline.step(BATCH)
    kept.save(Memory(), epoch_over=True)
    for passed, at_an_epoch, between in ((0.0, False, False), (49.9, False, False), (50.1, True, False), (60.1, True, True)):
        clock.now = 1001.0 + passed
        assert kept.due(epoch_over=True) is at_an_epoch, passed
        assert kept.due(epoch_over=False) is between, passed


def test_a_run_that_asks_for_every_step_has_every_step(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    pipeline = make_pipeline()
    kept = make(directory, pipeline, longest=0.0)
    kept.start_over()
    pipeline.step(BATCH)
    kept.save(Memory(), epoch_over=False)
    assert kept.due(epoch_over=False)


def saved(directory: RunDirectory) -> Pipeline:
    pipeline = make_pipeline()
    kept = make(directory, pipeline)
    kept.start_over()
    directory.append({"event": "start"})
    pipeline.step(BATCH)
    kept.save(Memory(), epoch_over=False)
    return pipeline


def drawn() -> tuple[float, float, float]:
    return float(torch.rand(())), random.random(), float(numpy.random.random())


def test_the_random_state_is_the_last_that_is_restored(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A learner that is made again may draw, and so may whatever else is loaded."""
    with runtime.undisturbed():
        before = saved(directory)
        expected = drawn()
        again = make_pipeline()
        load, remembered = again.load_state_dict, Memory.from_state

        def drawing(state: Any) -> None:
            drawn()
            load(state)
            drawn()

        def remembering(state: Any) -> Memory:
            drawn()
            return remembered(state)

        monkeypatch.setattr(again, "load_state_dict", drawing)
        monkeypatch.setattr(Memory, "from_state", remembering)
        assert make(directory, again).restore(require_exact=False) is not None
        assert drawn() == expected
    assert again.progress == before.progress
    assert checkpoint.digest(again.module.state_dict()) == checkpoint.digest(before.module.state_dict())


def test_a_journal_that_was_changed_is_not_gone_on_with(directory: RunDirectory) -> None:
    saved(directory)
    text = directory.metrics.read_text().replace("start", "stars")
    directory.metrics.write_text(text)
    with pytest.raises(RunError, match="metrics.jsonl was changed since the checkpoint was made"):
        make(RunDirectory.open(directory.path), make_pipeline()).restore(require_exact=False)
    assert directory.metrics.read_text() == text
