"""A search whose alpha is written down beforehand, so that all that is said of it can be counted by hand."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lnas
from lnas.builtin.cells import CellSpace
from lnas.builtin.classification import correct, cross_entropy
from lnas.builtin.darts import Darts
from lnas.builtin.random_search import RandomSearch
from lnas.core.data import Dataset, Split
from lnas.core.learner import SearchStrategy
from lnas.core.types import Batch, Metrics, State, Task
from lnas.host.diagnosis import Course, entropies, rankings
from lnas.host.events import EpochDone, Event, Observer
from lnas.host.memory import Memory
from lnas.host.packing import pack, unpack
from lnas.host.rundir import RunDirectory
from lnas.host.runner import Result, run
from lnas.host.stream import Stream

OPERATIONS = (
    "none",
    "skip_connect",
    "max_pool_3x3",
    "sep_conv_3x3",
    "dil_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_5x5",
    "avg_pool_3x3",
)
SKIP, POOL, SEP = (OPERATIONS.index(name) for name in ("skip_connect", "max_pool_3x3", "sep_conv_3x3"))
TASK = Task((1, 4, 4), 2)
STEPS = 2
"""Of a search epoch."""


class Pictures(Dataset):
    """Twelve pictures; `before` is called with the number of batches drawn so far."""

    task = TASK
    classes = ("a", "b")

    def __init__(self, before: Callable[[int], None]) -> None:
        self.x = torch.randn(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        self.before = before
        self.drawn = 0

    def size(self, split: Split) -> int:
        return 10 if split == "train" else 2

    def labels(self, split: Split) -> Tensor:
        return torch.arange(self.size(split)) % 2

    def batch(self, split: Split, indices: Tensor, augment: torch.Generator | None) -> Batch:
        if augment is not None:
            self.before(self.drawn)
            self.drawn += 1
        return self.x[indices + (10 if split == "test" else 0)], self.labels(split)[indices]

    def to(self, device: torch.device) -> None: ...


def space() -> CellSpace:
    sizes = {"channels": 2, "layers": 1, "nodes": 2, "network_channels": 2, "network_layers": 1}
    with lnas.seeded(0, "supernet"):
        return CellSpace(TASK, operations=OPERATIONS, **sizes)


class Scripted(SearchStrategy):
    """Alpha of the normal cell after epoch i is `script[i]`, an operation that wins on each of the five edges by `by`."""

    def __init__(self, script: Sequence[Sequence[int]], by: float = 2.0) -> None:
        self.space = self.module = space()
        self.loss, self.optimizers, self.t = cross_entropy, (), 0
        self.script, self.by = script, by
        self.alpha = {group: torch.zeros(5, len(OPERATIONS)) for group in self.space.edges}

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        self.alpha["normal"].copy_(self.after(self.t // STEPS))
        self.t += 1
        return {"loss": torch.zeros(())}

    def after(self, epoch: int) -> Tensor:
        """The winner first, the others in their order, all different."""
        table = -torch.arange(len(OPERATIONS)).repeat(5, 1) / 10
        for edge, winner in enumerate(self.script[epoch]):
            table[edge, winner] = self.by
        return table

    def predict(self, x: Any) -> Any:
        return self.space(x, self.probabilities())

    def alphas(self) -> Mapping[str, Tensor]:
        return self.alpha

    def genotype(self) -> lnas.Genotype:
        torch.rand(3)  # a strategy that breaks the rule: the run must not notice
        return self.space.discretize(self.alpha)

    def state_dict(self) -> State:
        return {"space": self.space.state_dict(), "alpha": self.alpha, "t": self.t}

    def load_state_dict(self, state: State) -> None:
        self.space.load_live(state["space"])
        self.t = state["t"]
        for group, alpha in self.alpha.items():
            alpha.copy_(state["alpha"][group])


class Log(Observer):
    def __init__(self) -> None:
        self.epochs: list[EpochDone] = []

    def notify(self, event: Event) -> None:
        if isinstance(event, EpochDone):
            self.epochs.append(event)


class Crash(Exception):
    pass


def pipeline(strategy: SearchStrategy, epochs: int, **pruned: Any) -> lnas.Pipeline:
    prune = lnas.Pruning(lnas.Alpha, lnas.Iterative(**pruned) if pruned else lnas.Never(), lnas.probability)

    def fit(network: nn.Module, horizon: int) -> lnas.Learner:
        return lnas.WeightTraining(network, cross_entropy, horizon)

    train = lnas.Retrain(strategy.space.derive, fit, lnas.Pruning(lnas.Theta.of, lnas.Never(), lnas.magnitude), 2)
    return lnas.Pipeline(lnas.Search(strategy, prune, epochs * STEPS), train)


def go(directory: RunDirectory, made: lnas.Pipeline, log: Log, crash_at: int | None = None) -> Result:
    def before(drawn: int) -> None:
        if drawn == crash_at:
            raise Crash

    stream = Stream(Pictures(before), batch=2, seed=0, validation=0.2)
    assert stream.steps_per_epoch("pairs") == STEPS
    keywords: dict[str, Any] = {"correct": correct, "seed": 0, "device": torch.device("cpu"), "checkpoint_seconds": 0.0}
    return run(made, stream, directory, observers=[log], **keywords)


def folder(out: Path, name: str = "run") -> RunDirectory:
    return RunDirectory.create(out, name=name, recipe="toy", data="pictures", seed=0, config="seed = 0\n")


def journal(directory: RunDirectory) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in directory.rows()]


def diagnoses(directory: RunDirectory, group: str = "normal") -> list[dict[str, Any]]:
    return [row["diagnosis"][group] for row in directory.rows() if "diagnosis" in row]


@pytest.fixture(scope="module", autouse=True)
def fast_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


HEALTHY = [SEP] * 5
COLLAPSED = [SKIP] * 5
HALF = [SKIP, SKIP, SEP, SEP, SEP]


def test_the_entropy_of_an_edge_by_hand() -> None:
    p = torch.tensor([[0.5, 0.25, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0], [0.0] * 4])
    alive = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    nats, normalised = entropies(p, alive)
    assert nats == pytest.approx([1.5 * math.log(2), 0, math.log(4), math.log(2), 0], abs=1e-15)
    assert normalised[:1] == pytest.approx([0.75]) and normalised[1] is None is normalised[4]
    assert normalised[2:4] == pytest.approx([1.0, 1.0], abs=1e-15)


def test_the_ranking_is_of_live_paths_and_of_equals_the_first_comes_first() -> None:
    alpha = torch.tensor([[0.1, 0.3, 0.2, 0.3], [1.0, 2.0, 3.0, 4.0]])
    alive = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0]], dtype=torch.bool)
    assert rankings(alpha, alive) == [[1, 3, 2, 0], [2, 0]]


def test_the_journal_says_what_a_loop_over_alpha_finds(tmp_path: Path) -> None:
    script = [HALF, HALF, [SKIP, SKIP, POOL, SEP, SEP], HEALTHY, HEALTHY, HEALTHY]
    directory = folder(tmp_path)
    go(directory, pipeline(Scripted(script), 6), Log())
    found = diagnoses(directory)
    edges = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    ranking: list[list[int]] = []
    still, architecture, architecture_still = [0] * 5, None, 0
    for row, winners in zip(found, script, strict=True):
        alpha = [[2.0 if o == winner else -o / 10 for o in range(8)] for winner in winners]
        softmax = [[math.exp(a) / sum(map(math.exp, line)) for a in line] for line in alpha]
        nats = [-sum(p * math.log(p) for p in line) for line in softmax]
        assert row["entropy"] == pytest.approx(nats, abs=1e-6)
        assert row["normalised_entropy"] == pytest.approx([value / math.log(8) for value in nats], abs=1e-6)
        now = [sorted(range(8), key=lambda o, line=line: -line[o]) for line in alpha]
        still = [count + 1 if ranking and ranking[e] == now[e] else 0 for e, count in enumerate(still)]
        assert row["ranking_still"] == still
        # both edges of node 2, and of node 3 the two whose winner weighs most: all weigh nearly the same, so the first two
        strongest = sorted(range(2, 5), key=lambda e, p=softmax, w=winners: (-round(p[e][w[e]], 6), e))[:2]
        chosen = {edges[e]: OPERATIONS[winners[e]] for e in (0, 1, *strongest)}
        architecture_still = architecture_still + 1 if chosen == architecture else 0
        free = [edge for edge, name in chosen.items() if name in ("skip_connect", "max_pool_3x3")]
        assert (row["operations"], row["edges"], row["parameter_free"]) == (4, 4, len(free))
        assert row["without_weights"] == [list(edge) for edge in sorted(free, key=lambda edge: edge[::-1])]
        assert row["architecture_still"] == architecture_still
        ranking, architecture = now, chosen


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([HEALTHY, COLLAPSED, COLLAPSED, COLLAPSED], [0, 0, 1, 0]),
        ([HEALTHY, COLLAPSED, HEALTHY, COLLAPSED, HEALTHY], [0] * 5),
        ([HEALTHY, HEALTHY, COLLAPSED], [0, 0, 1]),  # the last epoch: there is no second one to wait for
        ([COLLAPSED, COLLAPSED, HEALTHY, COLLAPSED, COLLAPSED], [0, 1, 0, 0, 0]),
        ([HALF] * 4, [0] * 4),  # two of four is what chance may give
        ([HEALTHY] * 3, [0] * 3),
    ],
)
def test_a_collapse_is_told_once(tmp_path: Path, script: list[list[int]], said: list[int]) -> None:
    directory, log = folder(tmp_path), Log()
    result = go(directory, pipeline(Scripted(script), len(script)), log)
    searched = [event for event in log.epochs if event.progress.stage == "search"]
    assert [event.collapsed for event in searched] == [("normal",) * number for number in said]
    assert [row["collapsed"] for row in diagnoses(directory)] == [winners is COLLAPSED for winners in script]
    assert not any(row["collapsed"] for row in diagnoses(directory, "reduce"))
    ends = next((e for e in range(len(script)) if all(winners is COLLAPSED for winners in script[e:])), None)
    since = result.collapse["normal"]["since"]
    assert since == (None if ends is None else ends + 1)
    for event, row in zip(searched, diagnoses(directory), strict=True):
        assert event.diagnosis["normal/parameter_free"] == row["parameter_free"]
        assert event.diagnosis["normal/edges_without_weights"] == len(row["without_weights"])
        assert event.diagnosis["normal/entropy"] == pytest.approx(sum(row["entropy"]) / 5, abs=1e-6)
        assert event.diagnosis["normal/ranking_still"] == min(row["ranking_still"])
        assert event.diagnosis["normal/architecture_still"] == row["architecture_still"]
    assert [event.diagnosis for event in log.epochs if event.progress.stage == "train"] == [{}]
    last = diagnoses(directory)[-1]
    assert result.collapse["normal"] == {
        **{key: last[key] for key in ("operations", "parameter_free", "edges")},
        **{"edges_without_weights": len(last["without_weights"]), "share": len(last["without_weights"]) / 4, "since": since},
    }


def test_a_run_that_dies_at_every_batch_tells_the_same_and_warns_once(tmp_path: Path) -> None:
    script = [HEALTHY, COLLAPSED, COLLAPSED, COLLAPSED]
    straight = folder(tmp_path, "straight")
    whole = go(straight, pipeline(Scripted(script), 4), Log())
    for number in range(2 * STEPS * 4 + 2):
        directory, log = folder(tmp_path, f"dies-{number}"), Log()
        with pytest.raises(Crash):
            go(directory, pipeline(Scripted(script), 4), log, crash_at=number)
        result = go(directory, pipeline(Scripted(script), 4), log)
        assert journal(directory) == journal(straight)
        assert (result.digest, result.collapse) == (whole.digest, whole.collapse)
        assert [event.collapsed for event in log.epochs].count(("normal",)) == 1


def test_what_is_remembered_survives_a_checkpoint() -> None:
    strategy, memory = Scripted([COLLAPSED]), Memory()
    strategy.step(None)
    for epoch in (1, 2, 3):
        memory.course.after_epoch(strategy, epoch=epoch, last=False)
    tensors, document = pack(memory.state_dict())
    again = Memory.from_state(unpack(tensors, json.loads(json.dumps(document, allow_nan=False))))
    assert again.course == memory.course
    assert not tensors and memory.course.groups["normal"].since == 1 and memory.course.groups["normal"].ranking_still == [2] * 5


def test_another_search_begins_anew() -> None:
    strategy, course = Scripted([COLLAPSED]), Course()
    strategy.step(None)
    said = [course.after_epoch(strategy, epoch=epoch, last=False)[1] for epoch in (1, 2, 3, 1, 2)]
    assert said == [(), ("normal",), (), (), ("normal",)]


def test_a_path_that_dies_does_not_move_those_that_live() -> None:
    strategy, course = Scripted([COLLAPSED]), Course()
    strategy.step(None)
    alive = strategy.space.alive["normal"]
    for epoch, dead in enumerate((None, 0, 5, SKIP), 1):
        if dead is not None:
            alive[:2, dead] = False
        found, _ = course.after_epoch(strategy, epoch=epoch, last=False)
        assert found["normal"].ranking_still == (epoch - 1,) * 5
    alive[0] = False
    alive[0, SEP] = True
    found, _ = course.after_epoch(strategy, epoch=5, last=False)
    assert found["normal"].ranking_still == (None, 4, 4, 4, 4)
    assert found["normal"].entropy is not None and found["normal"].normalised_entropy is not None
    assert found["normal"].entropy[0] == 0 and found["normal"].normalised_entropy[0] is None


def test_a_search_that_learns_no_alpha_is_asked_for_its_architecture_alone(tmp_path: Path) -> None:
    directory = folder(tmp_path)
    go(directory, pipeline(RandomSearch(space(), cross_entropy), 2), Log())
    for row in diagnoses(directory):
        assert set(row) == {"operations", "parameter_free", "edges", "without_weights", "collapsed", "architecture_still"}
    course = Course()
    found, said = course.after_epoch(RandomSearch(space(), cross_entropy), epoch=1, last=True)
    assert found["normal"].found is None and found["normal"].figures() == {} and said == () and course.summary() == {}


@pytest.mark.parametrize("strategy", [lnas.Darts, RandomSearch])
def test_nothing_is_disturbed(strategy: Callable[..., SearchStrategy]) -> None:
    made = strategy(space(), cross_entropy)
    batch = (torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]))
    made.step(batch, batch)
    before, random = json.dumps(pack(made.state_dict())[1]), torch.get_rng_state()
    tensors = {name: tensor.clone() for name, tensor in pack(made.state_dict())[0].items()}
    Course().after_epoch(made, epoch=1, last=True)
    assert json.dumps(pack(made.state_dict())[1]) == before and torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in pack(made.state_dict())[0].items())


def test_a_rule_that_genotype_breaks_does_not_move_the_run() -> None:
    made, state = Scripted([COLLAPSED]), torch.get_rng_state()
    Course().after_epoch(made, epoch=1, last=True)
    assert torch.equal(state, torch.get_rng_state())


def test_pruned_to_one_path_an_edge_has_no_entropy(tmp_path: Path) -> None:
    directory = folder(tmp_path)
    go(directory, pipeline(Darts(space(), cross_entropy), 2, sparsity=0.875, rounds=2), Log())
    first, last = diagnoses(directory)
    assert last["entropy"] == [0] * 5 and last["normalised_entropy"] == last["ranking_still"] == [None] * 5
    assert last["edges"] == last["operations"] == 5 and all(0 < value < math.log(8) for value in first["entropy"])
