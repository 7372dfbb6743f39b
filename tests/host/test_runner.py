"""The loop on a toy: two edges, three operations, points in four dimensions.  Run as a program, it is one run to be killed."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import lnas
from lnas.core.data import Dataset, Split
from lnas.core.errors import LnasError, NumericalError, PluginError, RunError
from lnas.core.genotype import Gene, Genotype
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.mask import MaskTarget, Pool, Tensors
from lnas.core.optimizers import load_optimizer_state, mask_moments, optimizer_state
from lnas.core.pipeline import Pipeline
from lnas.core.random import seeded
from lnas.core.rounds import Pruning
from lnas.core.schedule import PruningSchedule
from lnas.core.space import Gates, Paths, SearchSpace, relax
from lnas.core.stages import Retrain, Search
from lnas.core.types import Batch, Loss, Metrics, Predict, State, Task
from lnas.host import checkpoint, runtime
from lnas.host.adopt import adopt
from lnas.host.events import EpochDone, Event, Finished, Observer, Pruned, Resumed, StageStarted, StepDone
from lnas.host.rundir import RunDirectory
from lnas.host.runner import Result, run
from lnas.host.signals import ASKED, REACHED, Interrupted, Limits
from lnas.host.stream import Stream

CPU = torch.device("cpu")
SEED = 5
SEARCH, TRAIN = 10, 14
"""Steps.  A search epoch has 4, so that its third is short; a training epoch has 8."""
OPERATIONS = ("identity", "linear", "norm")
EDGES = ((0, 2), (1, 2))


class Points(Dataset):
    """36 points of 3 classes to train on, 15 to test on; `before` is called with the number of training batches so far."""

    task = Task((4,), 3)
    classes = ("a", "b", "c")

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.y = torch.arange(51) % 3
        self.x = torch.randn(51, 4, generator=generator) + self.y[:, None]
        self.before = before
        self.drawn = 0
        self.tests = 0

    def size(self, split: Split) -> int:
        return 36 if split == "train" else 15

    def labels(self, split: Split) -> Tensor:
        return self.y[:36] if split == "train" else self.y[36:]

    def batch(self, split: Split, indices: Tensor, augment: torch.Generator | None) -> Batch:
        if augment is not None:
            self.before(self.drawn)
            self.drawn += 1
        self.tests += split == "test"
        places = indices + (36 if split == "test" else 0)
        noise = 0 if augment is None else 0.1 * torch.randn(len(indices), 4, generator=augment)
        return self.x[places] + noise, self.y[places]

    def to(self, device: torch.device) -> None: ...


def operation(name: str) -> nn.Module:
    parts = {
        "identity": lambda: nn.Identity(),
        "linear": lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3)),  # draws from the global generator
        "norm": lambda: nn.BatchNorm1d(4),
    }
    return parts[name]()


class Line(SearchSpace):
    """The sum of two edges, then a linear layer."""

    edges: ClassVar[Mapping[str, tuple[tuple[int, int], ...]]] = {"line": EDGES}
    operations: ClassVar[Mapping[str, tuple[str, ...]]] = {"line": OPERATIONS}

    def __init__(self) -> None:
        super().__init__()
        self.alive = {"line": torch.ones(2, 3, dtype=torch.bool)}
        self.parts = nn.ModuleList(nn.ModuleList(operation(name) for name in OPERATIONS) for _ in EDGES)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor, gates: Gates, paths: Paths | None = None) -> Tensor:
        open_ = (paths or self.alive)["line"]
        return self.head(sum(gates["line"][e, o] * self.parts[e][o](x) for e, o in open_.nonzero().tolist()))

    def required(self, scores: Gates) -> Paths:
        return {}

    def discretize(self, scores: Gates, policy: str | None = None) -> Genotype:
        best = scores["line"].masked_fill(~self.alive["line"], -torch.inf).argmax(1).tolist()
        return Genotype({"line": tuple(Gene(OPERATIONS[o], *EDGES[e]) for e, o in enumerate(best))}, {"line": (2,)})

    def paths(self, genotype: Genotype) -> Paths:
        kept = torch.zeros(2, 3, dtype=torch.bool)
        for gene in genotype.groups["line"]:
            kept[gene.source, OPERATIONS.index(gene.operation)] = True
        return {"line": kept}

    def derive(self, genotype: Genotype) -> nn.Module:
        return Derived([gene.operation for gene in genotype.groups["line"]])

    def release(self) -> None: ...


class Derived(nn.Module):
    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(operation(name) for name in names)
        self.hidden = nn.Linear(4, 8)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.hidden(sum(part(x) for part in self.parts)).relu()))


def loss(network: Predict, batch: Batch) -> Tensor:
    return functional.cross_entropy(network(batch[0]), batch[1])


def correct(network: Predict, batch: Batch) -> tuple[Tensor, int]:
    return (network(batch[0]).argmax(1) == batch[1]).sum(), len(batch[1])


class Gradient(SearchStrategy):
    """First-order DARTS."""

    def __init__(self, space: Line, loss: Loss) -> None:
        self.space = self.module = space
        self.loss = loss
        self.alpha = torch.zeros(2, 3, requires_grad=True)
        self.theta_steps = torch.optim.SGD(space.named_parameters(), lr=0.1, momentum=0.9)
        self.alpha_steps = torch.optim.Adam([("line", self.alpha)], lr=0.05)
        self.optimizers = (self.theta_steps, self.alpha_steps)

    def predict(self, x: Tensor) -> Tensor:
        return self.space(x, {"line": relax(self.alpha, self.space.alive["line"])})

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        values = {}
        for name, batch, steps in (("alpha_loss", val, self.alpha_steps), ("loss", train, self.theta_steps)):
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            value = self.loss(self.predict, batch)
            value.backward()
            steps.step()
            values[name] = value.detach()
        return values

    def alphas(self) -> Gates:
        return {"line": self.alpha}

    def genotype(self) -> Genotype:
        return self.space.discretize(self.alphas())

    def state_dict(self) -> State:
        optimizers = [optimizer_state(optimizer) for optimizer in self.optimizers]
        return {"space": dict(self.space.state_dict()), "alpha": self.alpha.detach(), "optimizers": optimizers}

    def load_state_dict(self, state: State) -> None:
        self.space.load_state_dict(state["space"])
        with torch.no_grad():
            self.alpha.copy_(state["alpha"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            load_optimizer_state(optimizer, saved)


class Weights(Learner):
    """SGD with a falling learning rate."""

    def __init__(self, network: nn.Module, loss: Loss, horizon: int) -> None:
        self.module, self.loss, self.horizon, self.t = network, loss, horizon, 0
        self.optimizers = (torch.optim.SGD(network.named_parameters(), lr=0.2, momentum=0.9),)

    def predict(self, x: Tensor) -> Tensor:
        return self.module(x)

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        [optimizer] = self.optimizers
        optimizer.param_groups[0]["lr"] = 0.2 * (1 - self.t / (self.horizon + 1))
        optimizer.zero_grad()
        value = self.loss(self.predict, train)
        value.backward()
        optimizer.step()
        self.t += 1
        return {"loss": value.detach()}

    def state_dict(self) -> State:
        return {"network": dict(self.module.state_dict()), "optimizer": optimizer_state(self.optimizers[0]), "t": self.t}

    def load_state_dict(self, state: State) -> None:
        self.module.load_state_dict(state["network"])
        load_optimizer_state(self.optimizers[0], state["optimizer"])
        self.t = state["t"]


class Alpha(MaskTarget):
    name = "alpha"

    def __init__(self, strategy: Gradient) -> None:
        self.strategy = strategy

    def tensors(self) -> Tensors:
        return self.strategy.alphas()

    def masks(self) -> Tensors:
        return self.strategy.space.alive

    def pools(self) -> Sequence[Pool]:
        return [Pool((("line", edge),)) for edge in range(2)]

    def apply(self) -> None:
        with torch.no_grad():
            self.strategy.alpha.mul_(self.strategy.space.alive["line"])
        mask_moments(self.strategy.optimizers, self.strategy.alpha, self.strategy.space.alive["line"])


class Theta(MaskTarget):
    name = "theta"

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.weights = {name: weight for name, weight in learner.module.named_parameters() if weight.dim() == 2}
        self.bits = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in self.weights.items()}

    def tensors(self) -> Tensors:
        return self.weights

    def masks(self) -> Tensors:
        return self.bits

    def apply(self) -> None:
        for name, weight in self.weights.items():
            with torch.no_grad():
                weight.mul_(self.bits[name])
            mask_moments(self.learner.optimizers, weight, self.bits[name])


@dataclass(frozen=True)
class Ladder(PruningSchedule):
    levels: tuple[float, ...] = ()

    @property
    def rounds(self) -> int:  # type: ignore[override]
        return len(self.levels)

    def sparsity_after(self, round: int) -> float:
        return self.levels[round - 1]


def magnitude(tensors: Tensors, masks: Tensors, loss: Callable[[], Tensor]) -> Tensors:
    return {name: tensor.detach().abs() for name, tensor in tensors.items()}


def pruning(target: Callable[[Any], MaskTarget], *levels: float, **keywords: int | None) -> Pruning:
    return Pruning(target, Ladder(levels), magnitude, **keywords)


def search(steps: int = SEARCH, loss: Loss = loss) -> Search:
    with seeded(SEED, "supernet"):
        strategy = Gradient(Line(), loss)
    return Search(strategy, pruning(Alpha, 0.34, 0.67), steps)


def train(steps: int = TRAIN, *levels: float, loss: Loss = loss, **keywords: int | None) -> Retrain:
    def fit(network: nn.Module, horizon: int) -> Learner:
        return Weights(network, loss, horizon)

    return Retrain(Line().derive, fit, pruning(Theta, *levels, **keywords), steps, SEED)


def make_pipeline(loss: Loss = loss) -> Pipeline:
    """Alpha is pruned after search steps 5 and 10, theta after training steps 4 and 8, then set back to step 2."""
    return Pipeline(search(loss=loss), train(TRAIN, 0.3, 0.6, loss=loss, rewind=2))


def make_stream(before: Callable[[int], None] = lambda number: None) -> Stream:
    return Stream(Points(before), batch=4, seed=SEED)


def make_directory(out: Path, name: str = "run") -> RunDirectory:
    return RunDirectory.create(out, name=name, recipe="toy", data="points", seed=SEED, config="seed = 5\n")


def go(
    directory: RunDirectory,
    pipeline: Pipeline | None = None,
    before: Callable[[int], None] = lambda number: None,
    *,
    observers: Sequence[Observer] = (),
    every: float = 0.0,
    **keywords: Any,
) -> Result:
    return run(
        pipeline or make_pipeline(),
        make_stream(before),
        directory,
        correct=correct,
        seed=SEED,
        device=CPU,
        observers=observers,
        checkpoint_seconds=every,
        **keywords,
    )


def journal(directory: RunDirectory) -> list[dict[str, Any]]:
    """Without the seconds."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in directory.rows()]


def status(directory: RunDirectory) -> str:
    return str(json.loads(directory.status.read_text())["state"])


class Crash(Exception):
    pass


def crash_at(number: int) -> Callable[[int], None]:
    def before(drawn: int) -> None:
        if drawn == number:
            raise Crash

    return before


DRAWS = 2 * SEARCH + TRAIN
"""Batches drawn in a whole run: a search step draws two."""


@pytest.fixture(scope="module", autouse=True)
def fast_disk() -> Iterator[None]:
    """No waiting for the disk: these runs outlive processes, not power cuts (those: test_checkpoint.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, list[dict[str, Any]], bytes]:
    directory = make_directory(tmp_path_factory.mktemp("straight"))
    result = go(directory)
    return result, journal(directory), directory.weights.read_bytes()


Straight = tuple[Result, list[dict[str, Any]], bytes]


def assert_same(result: Result, directory: RunDirectory, straight: Straight) -> None:
    expected, rows, weights = straight
    assert result.digest == expected.digest
    assert journal(directory) == rows
    assert directory.weights.read_bytes() == weights
    assert (result.validation, result.test, result.best, result.baseline) == (
        *(expected.validation, expected.test, expected.best, expected.baseline),
    )
    assert result.ticket.genotype == expected.ticket.genotype
    assert result.ticket.sparsity == expected.ticket.sparsity
    assert status(directory) == "finished"


def test_a_run_is_the_plain_loop(straight: Straight) -> None:
    pipeline, stream = make_pipeline(), make_stream()
    with runtime.undisturbed():
        runtime.seed_globally(SEED)
        while not pipeline.done:
            pipeline.advance()
            progress = pipeline.progress
            pipeline.step(*stream.draw(progress.draws, progress.step))
    network = pipeline.ticket.network
    assert network is not None
    assert checkpoint.digest(network.state_dict()) == straight[0].digest
    assert pipeline.ticket.genotype == straight[0].ticket.genotype


def test_the_journal_tells_the_run(straight: Straight) -> None:
    result, rows, _ = straight
    assert [(row["event"], row["stage"], row.get("step", 0)) for row in rows] == [
        ("start", "search", 0),
        ("epoch", "search", 4),
        ("prune", "search", 5),
        ("epoch", "search", 8),
        ("prune", "search", 10),
        ("epoch", "search", 10),
        ("start", "train", 0),
        ("prune", "train", 4),
        ("prune", "train", 8),
        ("epoch", "train", 8),
        ("epoch", "train", 14),
    ]
    space = {"line": {"edges": [[0, 2], [1, 2]], "operations": list(OPERATIONS)}}
    assert rows[0] == {"event": "start", "stage": "search", "space": space, "steps": 10, "epochs": 3}
    assert rows[6] == {"event": "start", "stage": "train", "steps": 14, "epochs": 2}
    first, last = rows[1], rows[5]
    assert set(first) == {
        *("event", "stage", "epoch", "step", "round", "rounds", "loss", "alpha_loss"),
        *("validation_accuracy", "sparsity", "live_paths", "alpha", "diagnosis"),
    }
    assert (first["epoch"], first["round"], first["rounds"], first["sparsity"], first["live_paths"]) == (1, 0, 2, 0.0, 6)
    assert (last["epoch"], last["round"], last["sparsity"], last["live_paths"]) == (3, 2, 4 / 6, 2)
    assert sorted(value for edge in last["alpha"]["line"] for value in edge) == [0, 0, 0, 0, 1, 1]
    assert all(abs(sum(edge) - 1) < 2e-6 and edge == [round(v, 6) for v in edge] for edge in first["alpha"]["line"])
    prune = rows[8]
    assert {key: prune[key] for key in ("round", "target", "asked", "rewind")} == {
        **{"round": 2, "target": "theta", "asked": 0.6, "rewind": 2}
    }
    assert rows[2]["rewind"] is None and rows[2]["layers"] == {"line": 2 / 6}
    masks = result.ticket.masks
    assert prune["layers"] == {name: int((~mask).sum()) / mask.numel() for name, mask in masks.items()}
    assert prune["attained"] == result.ticket.sparsity["theta"].attained
    assert set(rows[10]) == {"event", "stage", "epoch", "step", "round", "rounds", "loss", "validation_accuracy", "sparsity"}
    assert rows[10]["validation_accuracy"] == result.validation
    assert result.best == max(rows[9]["validation_accuracy"], rows[10]["validation_accuracy"])


def test_a_finished_run_leaves_its_files(tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    result = go(directory)
    network = result.ticket.network
    assert network is not None
    assert checkpoint.digest(load_file(directory.weights)) == checkpoint.digest(network.state_dict()) == result.digest
    assert Genotype.loads(directory.genotype.read_text()) == result.ticket.genotype
    document = json.loads(directory.status.read_text())
    assert (document["state"], document["stage"], document["step"], document["steps"]) == ("finished", "train", 14, 14)
    assert sorted(os.listdir(directory.checkpoints)) == ["step-00000023", "step-00000024"]
    assert set(result.seconds) == {"search", "train"} and min(result.seconds.values()) > 0
    assert result.exact


def test_the_mean_loss_of_an_epoch_is_that_of_its_steps(straight: Straight) -> None:
    pipeline, stream = make_pipeline(), make_stream()
    with runtime.undisturbed():
        runtime.seed_globally(SEED)
        losses = [float(pipeline.step(*stream.draw("pairs", step))["loss"]) for step in range(SEARCH)]
    rows = [row for row in straight[1] if row["event"] == "epoch" and row["stage"] == "search"]
    assert [row["loss"] for row in rows] == [sum(part) / len(part) for part in (losses[:4], losses[4:8], losses[8:])]


def test_the_test_set_is_read_once(tmp_path: Path) -> None:
    stream = make_stream()
    dataset = stream._dataset
    assert isinstance(dataset, Points)

    class Watch(Observer):
        def notify(self, event: Event) -> None:
            assert isinstance(event, Finished) or dataset.tests == 0

    run(make_pipeline(), stream, make_directory(tmp_path), correct=correct, seed=SEED, device=CPU, observers=[Watch()])
    assert dataset.tests == 4  # 15 examples in batches of 4


@pytest.mark.parametrize("number", range(DRAWS))
def test_interrupted_at_any_draw_and_resumed_it_is_the_straight_run(tmp_path: Path, straight: Straight, number: int) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(number))
    assert status(directory) == "failed"
    torch.rand(7), random.random()  # another process has another random state
    result = go(RunDirectory.open(directory.path))
    assert_same(result, directory, straight)


@pytest.mark.parametrize("number", range(0, DRAWS, 3))
def test_steps_after_the_last_checkpoint_are_done_again(
    tmp_path: Path, straight: Straight, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("lnas.host.keeper.COST", 0)  # saves at the ends of epochs, and only there
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(number), every=1e9)
    assert_same(go(directory, every=1e9), directory, straight)


def test_interrupted_before_every_step_it_still_arrives(tmp_path: Path, straight: Straight) -> None:
    directory = make_directory(tmp_path)
    for _ in range(SEARCH + TRAIN - 1):
        with pytest.raises(Crash):
            go(directory, before=crash_at(2 if "train" not in directory.status.read_text() else 1))
    assert_same(go(directory), directory, straight)


def test_a_finished_run_that_is_resumed_says_the_same(tmp_path: Path, straight: Straight) -> None:
    directory = make_directory(tmp_path)
    go(directory)
    assert_same(go(directory), directory, straight)


def test_a_run_without_a_checkpoint_starts_again(tmp_path: Path, straight: Straight) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(25), every=1e9)
    shutil.rmtree(directory.checkpoints)
    assert_same(go(directory), directory, straight)


@pytest.mark.filterwarnings("ignore:.*it is kept as:RuntimeWarning")
def test_a_run_of_which_no_checkpoint_is_whole_is_not_begun_anew(tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(25))
    before = directory.metrics.read_bytes(), directory.status.read_text()
    there = list(directory.checkpoints.glob("step-*"))
    for path in there:
        (path / "MANIFEST.json").unlink()
    for _ in range(2):
        with pytest.raises(RunError, match="no checkpoint of .* is whole; put one back from a copy, or start a new run"):
            go(directory)
    assert (directory.metrics.read_bytes(), directory.status.read_text()) == before
    assert len(list(directory.checkpoints.glob("*.damaged"))) == len(there) >= 2


def test_other_data_are_named_and_remembered(tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(9))

    class Others(Points):
        def __init__(self) -> None:
            super().__init__()
            self.x[20] += 1e-3

    def resume(**keywords: bool) -> Result:
        stream = Stream(Others(), batch=4, seed=SEED)
        return run(make_pipeline(), stream, directory, correct=correct, seed=SEED, device=CPU, **keywords)

    with pytest.raises(RunError, match="would not be exact: data \\(.*, now .*\\); go back"):
        resume(require_exact=True)
    assert resume().exact is False


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, straight: Straight) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(30))
    newest = max(directory.checkpoints.iterdir())
    (newest / "tensors.safetensors").write_bytes(b"")
    with pytest.warns(RuntimeWarning, match=f"{newest.name}.damaged"):
        result = go(directory)
    assert_same(result, directory, straight)


def test_a_torn_journal_is_mended(tmp_path: Path, straight: Straight) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(17))
    with open(directory.metrics, "a") as file:
        file.write('{"event":"epoch","stage":"sea')
    assert_same(go(directory), directory, straight)


# What a checkpoint holds: without any one item the run would end otherwise.  (crash at draw, path, what it becomes)
FRESH = object()
ITEMS = {
    "alpha": (9, ("pipeline", "rounds", "learner", "alpha"), torch.zeros(2, 3)),
    "theta of the supernet": (9, ("pipeline", "rounds", "learner", "space", "head.weight"), torch.ones(3, 4)),
    "a buffer": (30, ("pipeline", "rounds", "learner", "network", "parts.0.running_mean"), torch.ones(4)),
    "momentum": (9, ("pipeline", "rounds", "learner", "optimizers", 0, "moments"), {}),
    "Adam's moments": (9, ("pipeline", "rounds", "learner", "optimizers", 1, "moments"), {}),
    "the masks of alpha": (13, ("pipeline", "rounds", "masks", "line"), torch.ones(2, 3, dtype=torch.bool)),
    "the round": (13, ("pipeline", "rounds", "round"), 0),
    "the step": (9, ("pipeline", "rounds", "t"), 0),
    "the stage": (24, ("pipeline", "genotype", "groups", "line", "genes"), [["identity", 0, 2], ["identity", 1, 2]]),
    "theta": (25, ("pipeline", "rounds", "learner", "network", "head.weight"), torch.ones(3, 8)),
    "the learning rate's step": (26, ("pipeline", "rounds", "learner", "t"), 0),
    "the masks of theta": (26, ("pipeline", "rounds", "masks", "head.weight"), torch.ones(3, 8, dtype=torch.bool)),
    "the state to rewind to": (26, ("pipeline", "rounds", "origin", "network", "head.weight"), torch.zeros(3, 8)),
    "sparsity of the search": (26, ("pipeline", "sparsity"), {}),
    "the random state": (9, ("random", "cpu"), FRESH),
    "the means": (6, ("memory", "means"), {"sums": {}, "counts": {}, "broken": {}}),
    "the journal's length": (17, ("metrics",), 0),
    "the best": (DRAWS - 1, ("memory", "best"), 1.0),
    "the baseline": (26, ("memory", "baseline"), None),
}


@pytest.mark.parametrize("item", ITEMS)
def test_every_item_of_a_checkpoint_is_needed(
    tmp_path: Path, straight: Straight, monkeypatch: pytest.MonkeyPatch, item: str
) -> None:
    number, path, value = ITEMS[item]
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(number))
    real = checkpoint.load

    def without(place: Path) -> State:
        state = real(place)
        inner: Any = state
        for key in path[:-1]:
            inner = inner[key]
        assert path[-1] in inner or isinstance(inner, list)
        inner[path[-1]] = torch.Generator().manual_seed(99).get_state() if value is FRESH else value
        return state

    monkeypatch.setattr(checkpoint, "load", without)
    with pytest.raises((AssertionError, RunError)):
        assert_same(go(directory), directory, straight)


def test_another_machine_is_named_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(9))
    here = runtime.fingerprint(CPU)
    monkeypatch.setattr("lnas.host.keeper.fingerprint", lambda device: {**here, "threads": 64})
    before = directory.metrics.read_bytes(), directory.status.read_text()
    with pytest.raises(
        RunError, match=rf"would not be exact: threads \({here['threads']}, now 64\); go back to what it was made with"
    ):
        go(directory, require_exact=True)
    assert (directory.metrics.read_bytes(), directory.status.read_text()) == before
    log = Log()
    with pytest.raises(Crash):
        go(directory, before=crash_at(9), observers=[log])
    assert isinstance(log.events[1], Resumed)
    assert log.events[1].differences == (f"threads ({here['threads']}, now 64)",)
    assert go(directory).exact is False, "it was resumed twice, the second time on the same machine"


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(Crash):
        go(directory, before=crash_at(25))
    before = directory.metrics.read_bytes(), directory.status.read_text()
    with pytest.raises(RunError, match="step-00000015 does not fit what .*config.toml describes: IndexError"):
        go(directory, Pipeline(search()))
    directory.config.write_text("seed = 6\n")
    with pytest.raises(RunError, match="config.toml is not the one that .*step-00000015 was made with; put it back"):
        go(directory)
    assert (directory.metrics.read_bytes(), directory.status.read_text()) == before


class Log(Observer):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def notify(self, event: Event) -> None:
        self.events.append(event)


def test_observers_hear_what_the_journal_says(tmp_path: Path, straight: Straight) -> None:
    directory, log = make_directory(tmp_path), Log()
    result = go(directory, observers=[log])
    named = {StageStarted: "start", EpochDone: "epoch", Pruned: "prune"}
    heard = [(named[type(event)], event.progress.stage) for event in log.events if type(event) in named]
    assert heard == [(row["event"], row["stage"]) for row in straight[1]]
    steps = [event for event in log.events if isinstance(event, StepDone)]
    assert [(event.done, event.total) for event in steps] == [(step, 24) for step in range(1, 25)]
    assert log.events[-1] == Finished(directory.path, result.validation, result.test, result.digest)
    epoch = next(event for event in log.events if isinstance(event, EpochDone))
    row = straight[1][1]
    assert epoch.metrics == {"loss": row["loss"], "alpha_loss": row["alpha_loss"]}
    assert (epoch.epoch, epoch.epochs, epoch.live_paths) == (1, 3, 6)


def test_observers_cannot_change_a_run(tmp_path: Path, straight: Straight) -> None:
    class Rude(Observer):
        def notify(self, event: Event) -> None:
            torch.manual_seed(0)
            random.seed(0)
            if isinstance(event, EpochDone):
                raise KeyError("gone")

    log = Log()
    directory = make_directory(tmp_path)
    with pytest.warns(RuntimeWarning, match="observer Rude failed and hears no more of this run: KeyError: 'gone'") as caught:
        result = go(directory, observers=[Rude(), log])
    assert len(caught) == 1
    assert isinstance(log.events[-1], Finished)
    assert_same(result, directory, straight)


def broken_after(calls: int) -> Loss:
    count = [0]

    def broken(network: Predict, batch: Batch) -> Tensor:
        count[0] += 1
        return loss(network, batch) * (float("inf") if count[0] > calls else 1)

    return broken


@pytest.mark.parametrize("every", [0.0, 1e9], ids=["saving every step", "saving never"])
@pytest.mark.parametrize(
    ("calls", "words"),
    [
        (2, "the loss for alpha was not finite at search step 2"),
        (5, "the loss for theta was not finite at search step 3"),
        (22, "the loss for theta was not finite at train step 3"),
        (23, "the loss for theta was not finite at train step 4"),
    ],
)
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path, calls: int, words: str, every: float) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(NumericalError, match=words) as stopped:
        go(directory, make_pipeline(broken_after(calls)), every=every)
    assert stopped.value.exit_code == 3
    assert status(directory) == "failed"
    newest = checkpoint.latest(directory.checkpoints)
    if every == 0:
        assert newest is not None
        means = checkpoint.load(newest)["memory"]["means"]
        assert all(value.isfinite() for value in means["sums"].values()), "no checkpoint has seen it"


class Reports(Weights):
    """A learner that reports what `metrics` holds."""

    metrics: ClassVar[dict[str, Any]] = {}

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        return {**super().step(train, val), **self.metrics}


def reporting(metrics: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setattr(Reports, "metrics", metrics)
    retrain = Retrain(Line().derive, lambda network, horizon: Reports(network, loss, horizon), pruning(Theta), 2, SEED)
    return Pipeline(search(2), retrain)


def test_a_metric_of_a_plugin_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make_directory(tmp_path)
    go(directory, reporting({"reward": torch.tensor(2), "unknown": torch.tensor(float("nan"))}, monkeypatch))
    row = directory.rows()[-1]
    assert (row["reward"], row["unknown"]) == (2.0, None)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"step": torch.tensor(1.0)}, "reports a metric 'step', which is another entry"),
        ({"reward": 1.0}, "metric 'reward' must be a 0-d tensor, not 1.0"),
        ({"reward": torch.ones(2)}, "metric 'reward' must be a 0-d tensor, not one of shape"),
    ],
)
def test_a_metric_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: dict[str, Any], words: str
) -> None:
    with pytest.raises(PluginError, match=words):
        go(make_directory(tmp_path), reporting(metrics, monkeypatch))


def test_a_state_that_cannot_be_saved_is_refused_before_the_first_step(tmp_path: Path) -> None:
    pipeline = make_pipeline()
    strategy = pipeline.rounds.learner
    strategy.state_dict = lambda: {"network": nn.Linear(1, 1)}  # type: ignore[method-assign]
    drawn: list[int] = []
    with pytest.raises(PluginError, match="the state at /pipeline/rounds/learner/network is a Linear"):
        go(make_directory(tmp_path), pipeline, drawn.append)
    assert drawn == []


def test_no_memory_is_one_line(tmp_path: Path) -> None:
    def full(network: Predict, batch: Batch) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")

    with pytest.raises(RunError, match="out of memory on cpu after search step 0; use a smaller --batch or a smaller --space"):
        go(make_directory(tmp_path), make_pipeline(full))


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, straight: Straight, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_directory(tmp_path)
    with monkeypatch.context() as patch:
        calls = [0]

        def fsync(descriptor: int) -> None:
            calls[0] += 1
            if calls[0] > 60:
                raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", fsync)
        with pytest.raises(RunError, match="No space left on device; free space"):
            go(directory)
    assert checkpoint.latest(directory.checkpoints) is not None
    assert_same(go(directory), directory, straight)


# ---------------------------------------------------------------------------------------------- baseline and odd stages


def accuracy_after(stage: Retrain, steps: int) -> float:
    """By a plain loop: of the network of `search(2)` after so many training steps."""
    pipeline, stream = Pipeline(search(2), stage), make_stream()
    runtime.seed_globally(SEED)
    for step in range(2 + steps):
        draws, at = ("pairs", step) if step < 2 else ("all", step - 2)
        pipeline.step(*stream.draw(draws, at))  # type: ignore[arg-type]
    pipeline.advance()
    pipeline.module.eval()
    with torch.no_grad():
        counts = [correct(pipeline.predict, batch) for batch in stream.validation_batches()]
    return sum(int(count) for count, _ in counts) / sum(number for _, number in counts)


@pytest.mark.parametrize(("k", "steps"), [(None, 3), (6, 5), (1, 0)])
def test_the_baseline_is_the_network_one_step_before_it_is_pruned(tmp_path: Path, k: int | None, steps: int) -> None:
    with runtime.undisturbed():
        result = go(make_directory(tmp_path), Pipeline(search(2), train(TRAIN, 0.3, 0.6, k=k)))
        expected = accuracy_after(train(TRAIN, 0.3, 0.6, k=k), steps)
    assert result.baseline == {"validation": expected, "what": f"the same network before pruning, after {steps} steps"}


def test_there_is_no_baseline_where_nothing_is_trained_before_it_is_pruned(tmp_path: Path) -> None:
    assert go(make_directory(tmp_path, "never"), Pipeline(search(2), train(3))).baseline is None
    directory = make_directory(tmp_path, "first")
    assert go(directory, Pipeline(search(2), train(3, 0.2, 0.5, k=0))).baseline is None
    [prune] = [row for row in directory.rows() if row["event"] == "prune" and row["stage"] == "train"]
    assert (prune["round"], prune["step"], prune["asked"]) == (2, 0, 0.5)


def test_a_search_alone_has_a_digest_of_supernet_and_alpha(tmp_path: Path) -> None:
    directory, pipeline = make_directory(tmp_path), Pipeline(search())
    result = go(directory, pipeline)
    strategy = pipeline.rounds.learner
    assert isinstance(strategy, Gradient)
    tensors = {f"module.{name}": value for name, value in strategy.space.state_dict().items()}
    assert result.digest == checkpoint.digest({**tensors, "alpha.line": strategy.alpha})
    assert not directory.weights.exists()
    assert Genotype.loads(directory.genotype.read_text()) == strategy.genotype()


# -------------------------------------------------------------------------------------------------------------- signals


def test_off_the_main_thread_it_runs_without_handlers(tmp_path: Path, straight: Straight) -> None:
    results: list[Result] = []
    before = signal.getsignal(signal.SIGINT)
    directory = make_directory(tmp_path)
    with runtime.undisturbed():
        thread = threading.Thread(target=lambda: results.append(go(directory)))
        thread.start()
        thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert_same(results[0], directory, straight)


def test_a_signal_finishes_the_step_saves_and_puts_the_handlers_back(tmp_path: Path, straight: Straight) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    directory = make_directory(tmp_path)

    def interrupt(drawn: int) -> None:
        if drawn == 9:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(
        LnasError, match="SIGINT after search step 5 of 10; a checkpoint is saved; go on with: lnas resume .*run$"
    ):
        go(directory, before=interrupt, every=1e9)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert status(directory) == "interrupted"
    assert max(os.listdir(directory.checkpoints)) == "step-00000005"
    assert_same(go(directory), directory, straight)


def test_a_signal_that_was_ignored_stays_ignored(tmp_path: Path, straight: Straight) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        directory = make_directory(tmp_path)
        result = go(directory, before=lambda drawn: signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert_same(result, directory, straight)


@contextmanager
def start(directory: RunDirectory, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """The run in a process of its own, `seconds` before each batch, after it has taken the lock; it does not outlive the test."""
    environment = {**os.environ, "PYTHONPATH": str(Path(lnas.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(directory.path), str(seconds)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "drawing\n", process.stderr and process.stderr.read()
            yield process
            process.wait(60)
        finally:
            process.kill()


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path, straight: Straight) -> None:
    directory = make_directory(tmp_path)
    for _ in range(2):
        with start(directory, 0.03) as process:
            time.sleep(random.uniform(0.0, 0.5))
            process.kill()
        assert process.returncode in (-signal.SIGKILL, 0)
    assert_same(go(directory), directory, straight)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_process_gives_its_exit_code(
    tmp_path: Path, straight: Straight, number: signal.Signals, code: int
) -> None:
    directory = make_directory(tmp_path)
    with start(directory, 0.2) as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    expected = rf"{number.name} after search step \d+ of 10; a checkpoint is saved; go on with: lnas resume {directory.path}\n"
    assert re.fullmatch(expected, errors)
    assert status(directory) == "interrupted"
    assert_same(go(directory), directory, straight)


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path, straight: Straight) -> None:
    directory = make_directory(tmp_path)
    with start(directory, 60) as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert_same(go(directory), directory, straight)


def test_a_second_run_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    with start(directory, 60) as process:
        with pytest.raises(RunError, match=f"is in use by process {process.pid}; wait until it ends, or stop it") as refused:
            go(directory)
        process.kill()
    assert refused.value.exit_code == 4


UNTIL = [("search", 1, "search", 4), ("search", None, "search", 10), ("train", 1, "train", 8), ("train", None, "train", 14)]


@pytest.mark.parametrize(("stage", "epoch", "stopped", "step"), UNTIL)
@pytest.mark.parametrize("every", [0.0, 60.0])
def test_a_run_goes_as_far_as_it_shall_and_then_on(
    tmp_path: Path, straight: Straight, stage: str, epoch: int | None, stopped: str, step: int, every: float
) -> None:
    directory = make_directory(tmp_path)
    limits = Limits(until=(stage, epoch))
    if (stopped, step) == ("train", TRAIN):  # a run that is done is not stopped
        assert_same(go(directory, every=every, limits=limits), directory, straight)
        return
    for _ in range(2):  # and is there at once when it is asked again
        with pytest.raises(Interrupted, match=f"as far as asked after {stopped} step {step} of") as stop:
            go(directory, every=every, limits=limits)
        assert (stop.value.exit_code, stop.value.reason) == (0, REACHED)
        assert checkpoint.every(directory.checkpoints)[-1].name == f"step-{step + (SEARCH if stage == 'train' else 0):08d}"
    assert_same(go(directory), directory, straight)


def test_a_stage_that_is_over_is_no_place_to_stop(tmp_path: Path, straight: Straight) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(Interrupted):
        go(directory, limits=Limits(until=("train", 1)))
    with pytest.raises(Interrupted, match="after train step 8"):
        go(directory, limits=Limits(until=("search", 1)))
    assert_same(go(directory, limits=Limits(until=("nowhere", 1))), directory, straight)


def test_a_file_stops_a_run_after_its_step(tmp_path: Path, straight: Straight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.host.signals.GLANCE", 0.0)
    directory, file = make_directory(tmp_path), tmp_path / "stop"

    def before(drawn: int) -> None:
        if drawn == 4:  # the third step of the search draws its first batch
            file.touch()

    with pytest.raises(Interrupted, match="asked to stop after search step 3 of 10") as stop:
        go(directory, before=before, limits=Limits(file=file))
    assert (stop.value.exit_code, stop.value.reason) == (0, ASKED)
    file.unlink()
    assert_same(go(directory, limits=Limits(file=file)), directory, straight)


def test_a_run_that_begins_where_another_stands_is_that_run(tmp_path: Path, straight: Straight) -> None:
    other, directory = make_directory(tmp_path, "other"), make_directory(tmp_path)
    other.config.write_text("seed = 5\nprune = []\n")
    with pytest.raises(RunError, match="other has no whole checkpoint that another run could begin with"), directory.locked():
        adopt(directory, other, plugins={}, keep=2)
    with pytest.raises(Interrupted):
        go(other, limits=Limits(until=("search", None)), plugins={"p": "1"})
    with directory.locked():
        adopt(directory, other, plugins={"p": "1", "q": "2"}, keep=2)
        adopt(directory, other, plugins={}, keep=2)  # it has a checkpoint now, and is left alone
    result = go(directory, plugins={"p": "1", "q": "2"}, require_exact=True)
    assert result.exact
    assert_same(result, directory, straight)
    assert other.read_config() == "seed = 5\nprune = []\n"
    assert checkpoint.every(other.checkpoints)[-1].name == "step-00000010"


def test_another_version_of_a_plugin_is_not_hidden_by_beginning_elsewhere(tmp_path: Path) -> None:
    other, directory = make_directory(tmp_path, "other"), make_directory(tmp_path)
    with pytest.raises(Interrupted):
        go(other, limits=Limits(until=("search", None)), plugins={"p": "1"})
    with directory.locked():
        adopt(directory, other, plugins={"p": "2"}, keep=2)
    with pytest.raises(RunError, match=r"would not be exact: plugins \(p-1, now p-2\)"):
        go(directory, plugins={"p": "2"}, require_exact=True)


def main(path: str, seconds: str) -> None:
    def wait(drawn: int) -> None:
        if drawn == 0:
            print("drawing", flush=True)
        time.sleep(float(seconds))

    torch.set_num_threads(1)
    try:
        go(RunDirectory.open(Path(path)), before=wait)
    except LnasError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
