"""Several processes on gloo: forked from this one, or started by torchrun.  The toy has no batch norm, which is not shared."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed import TCPStore
from torch.nn import functional

import lnas
from lnas.builtin.annealed_sgd import AnnealedSGD, Annealing
from lnas.builtin.choices import ChoiceSpace, MixedOp
from lnas.builtin.darts import Darts
from lnas.builtin.importances import probability
from lnas.builtin.random_search import RandomSearch
from lnas.builtin.schedules import Iterative, Never
from lnas.builtin.targets import Alpha, Theta
from lnas.builtin.weights import WeightTraining
from lnas.cli import main
from lnas.core.data import Dataset, Split
from lnas.core.errors import ConfigError, LnasError, PluginError, RunError
from lnas.core.learner import Average, Learner, SearchStrategy, alone
from lnas.core.mask import Tensors, magnitude
from lnas.core.pipeline import Pipeline
from lnas.core.random import seeded
from lnas.core.rounds import Pruning
from lnas.core.stages import Draws, Retrain, Search, Ticket
from lnas.core.types import Batch, Predict, Task
from lnas.host import checkpoint, runtime, watch
from lnas.host.agreement import Agreement
from lnas.host.distributed import PeerError, SpokenFor, joined
from lnas.host.events import Event, Observer, Resumed
from lnas.host.launch import ONE, Place, place
from lnas.host.packing import pack, plain
from lnas.host.processes import ALONE, Processes
from lnas.host.rundir import RunDirectory
from lnas.host.runner import Result, run
from lnas.host.signals import StopRequest
from lnas.host.stream import Stream

CPU = torch.device("cpu")
SEED = 3
BATCH = 4
"""Of one of two processes."""
SEARCH, TRAIN = 9, 9
"""Steps.  A search epoch has 5, a training epoch 10."""

Before = Callable[[int], None]


class Points(Dataset):
    """96 points of 3 classes in 5 dimensions; `before` is called with the number of training batches so far."""

    task = Task((5,), 3)
    classes = ("a", "b", "c")

    def __init__(self, before: Before = lambda number: None) -> None:
        self.y = torch.arange(120) % 3
        self.x = torch.randn(120, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + self.y[:, None]
        self.before = before
        self.drawn = 0

    def size(self, split: Split) -> int:
        return 96 if split == "train" else 24

    def labels(self, split: Split) -> Tensor:
        return self.y[:96] if split == "train" else self.y[96:]

    def batch(self, split: Split, indices: Tensor, augment: torch.Generator | None) -> Batch:
        if augment is not None:
            self.before(self.drawn)
            self.drawn += 1
        places = indices + (96 if split == "test" else 0)
        noise = 0 if augment is None else 0.1 * torch.randn(len(indices), 5, generator=augment, dtype=torch.float64)
        return self.x[places] + noise, self.y[places]

    def to(self, device: torch.device) -> None: ...


def loss(network: Predict, batch: Batch) -> Tensor:
    return functional.cross_entropy(network(batch[0]), batch[1])


def correct(network: Predict, batch: Batch) -> tuple[Tensor, int]:
    return (network(batch[0]).argmax(1) == batch[1]).sum(), len(batch[1])


def choice() -> MixedOp:
    tanh = nn.Sequential(nn.Linear(5, 5), nn.Tanh())
    return MixedOp({"linear": nn.Linear(5, 5), "tanh": tanh, "identity": nn.Identity(), "square": Squares()})


class Squares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((5,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x.square()


def space() -> ChoiceSpace:
    with seeded(SEED, "toy"):
        return ChoiceSpace(nn.Sequential(choice(), nn.Tanh(), choice(), nn.Linear(5, 3)).double())


LOSSES: list[Tensor] = []
"""Every loss that `taylor` was given."""


def taylor(tensors: Tensors, masks: Tensors, loss: Callable[[], Tensor]) -> Tensors:
    """|x ∂L/∂x|, from the batch: each process has its own share of it."""
    value = loss()
    LOSSES.append(value.detach())
    slopes = torch.autograd.grad(value, list(tensors.values()))
    return {name: (x * slope).detach().abs() for (name, x), slope in zip(tensors.items(), slopes, strict=True)}


STRATEGIES: dict[str, Callable[[ChoiceSpace], SearchStrategy]] = {
    **{
        f"darts, unrolled={unrolled}": lambda space, unrolled=unrolled: Darts(
            space, loss, SEARCH, SEED, unrolled=unrolled, alpha_lr=0.05, lr=0.2
        )
        for unrolled in ("no", "finite", "exact")
    },
    "random": lambda space: RandomSearch(space, loss, SEARCH, SEED, lr=0.2),
}


def search(strategy: str) -> Pipeline:
    importance = probability if strategy == "random" else taylor
    return Pipeline(Search(STRATEGIES[strategy](space()), Pruning(Alpha, Iterative(0.5, rounds=2), importance), SEARCH))


def retrain(ticket: Ticket) -> Retrain:
    def fit(network: nn.Module, horizon: int) -> Learner:
        return WeightTraining(network.double(), loss, horizon, lr=0.2, clip=0.5)

    return Retrain(space().derive, fit, Pruning(Theta.of, Iterative(0.75, rounds=2), taylor, rewind=1), TRAIN, SEED)


def whole() -> Pipeline:
    """What is interrupted and resumed."""
    strategy = STRATEGIES["darts, unrolled=exact"](space())
    return Pipeline(Search(strategy, Pruning(Alpha, Iterative(0.5, rounds=2), taylor), SEARCH), retrain(Ticket()))


def go(
    pipeline: Pipeline,
    path: Path,
    processes: Processes = ALONE,
    before: Before = lambda number: None,
    *,
    batch: int = BATCH,
    every: float = 1e9,
    observers: Sequence[Observer] = (),
    require_exact: bool = False,
) -> Result:
    if processes.first and not path.exists():
        RunDirectory.create(path.parent, name=path.name, recipe="toy", data="points", seed=SEED, config="seed = 3\n")
    stream = Stream(Points(before), batch=batch, seed=SEED, place=processes.place)
    return run(
        pipeline,
        stream,
        RunDirectory(path if processes.first else Path("/nowhere/at/all")),  # the first alone reads and writes
        correct=correct,
        seed=SEED,
        device=CPU,
        observers=observers,
        checkpoint_seconds=every,
        require_exact=require_exact,
        processes=processes,
    )


@pytest.fixture(scope="module", autouse=True)
def fast_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


# ------------------------------------------------------------------------------------------------------------ processes


@dataclass
class Ended:
    """How a process ended: its exit code, or minus the signal, and what it said."""

    code: int
    said: list[str]


def forked(body: Callable[[], int], folder: Path, size: int) -> list[Ended]:
    """`size` processes that torchrun might have started: each does `body`, within 30 seconds, and ends with its result."""
    fork = multiprocessing.get_context("fork")
    ports, port = fork.Pipe(duplex=False)

    def keep() -> None:
        """torchrun keeps a store that outlives the processes.  Its threads must not be there where something is forked."""
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        port.send(store.port)
        time.sleep(100)

    def one(rank: int) -> None:
        for descriptor, name in ((1, "told"), (2, "said")):
            os.dup2(os.open(folder / f"{name}-{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        sys.stdout, sys.stderr = (open(descriptor, "w", buffering=1, closefd=False) for descriptor in (1, 2))  # noqa: SIM115
        torch.set_num_threads(1)
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(number), TORCHELASTIC_USE_AGENT_STORE="True")
        os._exit(body())

    keeper = fork.Process(target=keep)
    keeper.start()
    number = ports.recv()
    started = [fork.Process(target=one, args=(rank,)) for rank in range(size)]
    limit = time.monotonic() + 30
    for process in started:
        process.start()
    try:
        for process in started:
            process.join(limit - time.monotonic())
            assert process.exitcode is not None, f"it goes on: {(folder / 'said-0').read_text()}"
    finally:
        for process in (keeper, *started):
            process.kill()
    return [Ended(p.exitcode or 0, (folder / f"said-{rank}").read_text().splitlines()) for rank, p in enumerate(started)]


def in_processes(work: Callable[[Processes], None], folder: Path, size: int = 2) -> list[Ended]:
    """Processes that meet and do `work`; as the command line does, they say an error in one line."""

    def body() -> int:
        try:
            with joined(place(os.environ), say=lambda line: print(line, file=sys.stderr)) as processes:
                work(processes)
        except SpokenFor as error:
            return error.exit_code
        except LnasError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        return 0

    return forked(body, folder, size)


def well(work: Callable[[Processes], None], folder: Path, size: int = 2) -> None:
    """Do `work`, which says nothing and succeeds."""
    assert in_processes(work, folder, size) == [Ended(0, [])] * size


# --------------------------------------------------------------------- 2 processes of batch b are 1 process of batch 2b


def leave(path: Path, state: Any, rows: Any = None) -> None:
    """Keep the tensors of a state, and everything else as JSON."""
    tensors, document = pack(state)
    save_file(plain(tensors), path.with_suffix(".safetensors"))
    path.with_suffix(".json").write_text(json.dumps([document, rows]))


def searched_and_trained(processes: Processes, folder: Path, *, batch: int) -> None:
    """Every strategy, and a retraining, on these processes: each leaves its state."""
    rank = processes.place.rank
    LOSSES.clear()
    for number, strategy in enumerate(STRATEGIES):
        pipeline = search(strategy)
        result = go(pipeline, folder / f"search-{number}", processes, batch=batch)
        learner = pipeline.rounds.learner
        assert isinstance(learner, SearchStrategy)
        rows = RunDirectory(folder / f"search-{number}").rows() if processes.first else None
        state = {"state": pipeline.state_dict(), "alphas": {k: a.detach() for k, a in learner.alphas().items()}}
        state = {**state, "accuracy": [result.validation, result.test], "losses": list(LOSSES)}
        leave(folder / f"search-{number}-{rank}", state, rows)
        if "exact" in strategy:
            trained = Pipeline(retrain(result.ticket), ticket=result.ticket)
            result = go(trained, folder / "train", processes, batch=batch)
            assert result.ticket.network is not None
            rows = RunDirectory(folder / "train").rows() if processes.first else None
            left = {"network": dict(result.ticket.network.state_dict()), "masks": dict(result.ticket.masks)}
            leave(folder / f"train-{rank}", {**left, "state": trained.state_dict(), "test": result.test}, rows)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two processes of batch 4, and one of batch 8."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    with runtime.undisturbed():
        searched_and_trained(ALONE, one, batch=2 * BATCH)
    well(lambda processes: searched_and_trained(processes, two, batch=BATCH), two)
    return one, two


def read(path: Path) -> tuple[dict[str, Tensor], Any, Any]:
    document, rows = json.loads(path.with_suffix(".json").read_text())
    return load_file(path.with_suffix(".safetensors")), document, rows


def assert_close(got: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        if tensor.is_floating_point():
            gap = float((got[name] - tensor).abs().max() / tensor.abs().max().clamp(min=1)) if tensor.numel() else 0.0
            assert gap < 1e-10, (name, gap)
        else:
            assert torch.equal(got[name], tensor), name


def numbers(value: Any) -> Any:
    """A journal's row with its floats rounded, and without the seconds."""
    if isinstance(value, dict):
        return {key: numbers(entry) for key, entry in value.items() if key != "seconds"}
    if isinstance(value, list):
        return [numbers(entry) for entry in value]
    return round(value, 9) if isinstance(value, float) else value


@pytest.mark.parametrize("name", [*(f"search-{number}" for number in range(len(STRATEGIES))), "train"])
def test_two_processes_of_a_batch_are_one_of_twice_the_batch(both: tuple[Path, Path], name: str) -> None:
    one, two = both
    expected, document, rows = read(one / f"{name}-0")
    got, got_document, got_rows = read(two / f"{name}-0")
    assert_close(got, expected)  # theta, alpha, masks, moments, rewards, the state to rewind to
    assert numbers(got_document) == numbers(document)  # the genotype, the round, accuracies
    assert numbers(got_rows) == numbers(rows)  # the mean losses of the epochs too
    masks = [tensor for path, tensor in expected.items() if "masks" in path]
    assert masks and not all(mask.all() for mask in masks)


@pytest.mark.parametrize("name", [*(f"search-{number}" for number in range(len(STRATEGIES))), "train"])
def test_both_processes_end_with_the_same_bits(both: tuple[Path, Path], name: str) -> None:
    _, two = both
    first, other = read(two / f"{name}-0"), read(two / f"{name}-1")
    assert first[0].keys() == other[0].keys() and all(torch.equal(first[0][key], other[0][key]) for key in first[0])
    assert first[1] == other[1]


# ----------------------------------------------------------------------------------------------------------- the pieces


def test_what_processes_tell_each_other(tmp_path: Path) -> None:
    def work(processes: Processes) -> None:
        rank = processes.place.rank
        assert processes.exchange({"rank": rank, "text": "x" * 1000 * rank}) == [
            {"rank": r, "text": "x" * 1000 * r} for r in range(3)
        ]
        assert processes.told(lambda: rank + 10) == 10
        assert processes.share(lambda: None) is None
        state = {"a": torch.tensor([1.5, rank]), "b": [True, None, {"c": float("inf")}], "d": torch.zeros(0)}
        shared = processes.share(lambda: state)
        assert shared is not None and shared["a"].tolist() == [1.5, 0.0] and shared["b"] == state["b"]
        tensors = [torch.tensor(rank), torch.full((3,), rank, dtype=torch.float16), torch.tensor([[rank == 0]])]
        processes.follow(tensors)
        assert [tensor.tolist() for tensor in tensors] == [0, [0, 0, 0], [[True]]]

    well(work, tmp_path, size=3)


def test_a_mean_keeps_dtypes_and_layouts_and_is_differentiable_twice(tmp_path: Path) -> None:
    def work(processes: Processes) -> None:
        rank = processes.place.rank
        x = torch.full((2, 3, 4, 5), float(rank)).contiguous(memory_format=torch.channels_last)
        mean, other = processes.average([x, torch.tensor([2.0 * rank], dtype=torch.float64)])
        assert mean.stride() == x.stride() and bool((mean == 0.5).all())
        assert other.dtype == torch.float64 and other.item() == 1.0
        # L = mean over r of a_r y², y = mean of w_s x³, with a = (1, 3), w = (2, 4): y = 3 x³, L = 2 y² = 18 x⁶
        a, w = (1.0, 3.0)[rank], (2.0, 4.0)[rank]
        x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        [y] = processes.average([w * x**3])
        [slope] = processes.average(torch.autograd.grad(a * y**2, [x], create_graph=True))
        [curvature] = processes.average(torch.autograd.grad(slope, [x]))
        assert slope.item() == 108 * 2.0**5 and curvature.item() == 540 * 2.0**4

    well(work, tmp_path)


def test_one_process_is_told_nothing_and_changes_nothing() -> None:
    x = torch.ones(2)
    assert ALONE.average([x])[0] is x
    assert ALONE.exchange([x]) == [[x]]
    assert place({}) == place({"RANK": "0", "WORLD_SIZE": "1"}) == ONE
    learner = WeightTraining(nn.Linear(1, 1), loss)
    assert learner.average is alone
    mine: Average = lambda tensors: tuple(tensors)  # noqa: E731
    learner.average = mine  # of somebody who has processes of their own
    fit = lambda network, horizon: learner  # noqa: E731
    pipeline = Pipeline(Retrain(space().derive, fit, Pruning(Theta.of, Never(), magnitude), 1), ticket=Ticket(genotype()))
    assert pipeline.average is mine


def genotype() -> Any:
    made = space()
    return made.discretize({group: torch.zeros(alive.shape) for group, alive in made.alive.items()})


def test_a_pipeline_gives_its_average_to_the_learners_of_all_stages() -> None:
    average: Average = lambda tensors: tuple(tensors)  # noqa: E731
    pipeline, stream = whole(), Stream(Points(), batch=8, seed=SEED)
    pipeline.average = average
    stages = set()
    while not pipeline.done:
        pipeline.advance()
        stages.add((pipeline.progress.stage, pipeline.rounds.learner.average is average))
        pipeline.step(*stream.draw(pipeline.progress.draws, pipeline.progress.step))
    assert stages == {("search", True), ("train", True)}
    again = whole()
    again.average = average
    again.load_state_dict(pipeline.state_dict())
    assert again.rounds.learner.average is average


def test_the_mean_of_the_gradient_is_clipped() -> None:
    weight = nn.Parameter(torch.tensor([0.0]))
    sgd = AnnealedSGD([("weight", weight)], 0, Annealing(1.0, 1.0, 0.0, 0.0, 1.0))
    sgd.descend(8 * weight.sum(), lambda tensors: tuple(tensor / 16 for tensor in tensors))  # 8 would be clipped to 1
    assert weight.item() == -0.5


@pytest.mark.parametrize("draws", ["pairs", "all"])
@pytest.mark.parametrize("size", [2, 3])
def test_the_shares_of_a_batch_are_the_batch(draws: Draws, size: int) -> None:
    one = Stream(Points(), batch=4 * size, seed=SEED)
    shares = [Stream(Points(), batch=4, seed=SEED, place=Place(rank, size, rank)) for rank in range(size)]
    assert {share.steps_per_epoch(draws) for share in shares} == {one.steps_per_epoch(draws)}
    for step in (0, 1, 7):
        drawn = [share.draw(draws, step) for share in shares]
        for part, batch in enumerate(one.draw(draws, step)):
            if batch is None:
                assert all(pair[part] is None for pair in drawn)
            else:
                for entry, tensor in enumerate(batch):
                    assert torch.equal(torch.cat([pair[part][entry] for pair in drawn]), tensor)
    for batches in ("validation_batches", "test_batches"):
        found = torch.cat([x for share in shares for x, _ in getattr(share, batches)()])
        expected = torch.cat([x for x, _ in getattr(one, batches)()])
        assert sorted(found.tolist()) == sorted(expected.tolist())


class Named(Points):
    """A batch of which the second part is no tensor."""

    def batch(self, split: Split, indices: Tensor, augment: torch.Generator | None) -> Batch:
        return {"x": self.x[indices], "names": ["a"] * len(indices)}


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    stream = Stream(Named(), batch=4, seed=SEED, place=Place(0, 2, 0))
    with pytest.raises(
        PluginError, match="cannot be shared out among processes: it holds a str; tensors with one row for each of"
    ):
        stream.draw("all", 0)
    with pytest.raises(
        ConfigError, match="batch is 40 in each of 2 processes, but each half .* number 43; use --batch 21 or less"
    ):
        Stream(Points(), batch=40, seed=SEED, place=Place(0, 2, 0)).steps_per_epoch("pairs")


TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "here", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MASTER_ADDR": "", "LOCAL_RANK": ""}, "RANK is set, but not LOCAL_RANK and MASTER_ADDR; start several processes with"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE='two' is no number"),
        ({"RANK": "2"}, "RANK is 2 of WORLD_SIZE 2; ranks go from 0 to 1"),
    ],
)
def test_a_launcher_that_is_none_is_refused(changes: dict[str, str], words: str) -> None:
    assert place(TORCHRUN) == Place(1, 2, 1)
    assert place({**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "3"}) == Place(1, 2, 1, attempt=3)
    with pytest.raises(ConfigError, match=words):
        place({**TORCHRUN, **changes})


def test_each_process_has_the_gpu_of_its_local_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Place(3, 4, 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert {runtime.device(name, here) for name in ("auto", "cuda")} == {torch.device("cuda:1")}
    assert runtime.device("cpu", here) == CPU and runtime.device("cuda:0", ONE) == torch.device("cuda:0")
    with pytest.raises(ConfigError, match="device 'cuda:0' is one for all processes; write cuda"):
        runtime.device("cuda:0", here)
    with pytest.raises(ConfigError, match="process 2 of this machine has no GPU of its own: there are 2; start fewer"):
        runtime.device("auto", Place(2, 4, 2))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert runtime.device("auto", here) == CPU


def test_running_statistics_are_those_of_the_first_process(tmp_path: Path) -> None:
    """Each process has normalised its own share; what is measured is the same in both all the same."""

    def work(processes: Processes) -> None:
        with seeded(SEED, "norm"):
            network = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 3)).double()
        seen: list[Tensor] = []
        network[0].register_forward_hook(lambda module, x, y: seen.append(x[0].detach()) if module.training else None)
        fit = lambda module, horizon: WeightTraining(network, loss, horizon)  # noqa: E731
        stage = Retrain(lambda chosen: network, fit, Pruning(Theta.of, Never(), magnitude), 2)
        result = go(Pipeline(stage, ticket=Ticket(genotype())), tmp_path / "norm", processes)
        first = processes.share(lambda: {"seen": list(seen), "accuracy": [result.validation, result.test]})
        assert first is not None and first["accuracy"] == [result.validation, result.test]
        assert processes.first or not torch.equal(first["seen"][0], seen[0])
        expected = torch.zeros(5, dtype=torch.float64)
        for x in first["seen"]:
            expected = 0.9 * expected + 0.1 * x.mean(0)
        assert torch.allclose(network[0].running_mean, expected, rtol=1e-12)

    well(work, tmp_path)


# ---------------------------------------------------------------------------------------------------- what may go wrong


class Deaf(Darts):
    """Does not average its gradients."""

    @property
    def average(self) -> Average:  # type: ignore[override]
        return alone

    @average.setter
    def average(self, average: Average) -> None: ...


def test_a_strategy_that_does_not_average_ends_with_one_line(tmp_path: Path) -> None:
    def work(processes: Processes) -> None:
        strategy = Deaf(space(), loss, SEARCH, SEED)
        go(Pipeline(Search(strategy, Pruning(Alpha, Iterative(0.5, rounds=3), magnitude), SEARCH)), tmp_path / "run", processes)

    [first, other] = in_processes(work, tmp_path)
    assert (first.code, other) == (2, Ended(2, []))
    [line] = first.said
    assert re.fullmatch(
        r"Deaf: learner space model\.0\.mixed\.operations\.\S+ is not the same in process 1 as in process 0 after search step 3;"
        r" a learner must pass its gradients through self\.average, and all processes must run on machines of one kind",
        line,
    )
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"


def test_an_error_of_one_process_is_said_once_and_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "GRACE", 0.5)

    def work(processes: Processes) -> None:
        def before(drawn: int) -> None:
            if drawn == 5 and not processes.first:
                raise RunError("the disk of this machine is gone")

        go(search("random"), tmp_path / "run", processes, before)

    [first, other] = in_processes(work, tmp_path)
    assert (first.code, first.said) == (5, [])
    assert other == Ended(2, ["the disk of this machine is gone"])


LOST = r"another process of this run has ended, or is out of reach; the last checkpoint is kept; go on with: lnas resume .*run"


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run on two processes."""
    folder = tmp_path_factory.mktemp("straight")
    well(lambda processes: none(go(whole(), folder / "run", processes)), folder)
    return folder / "run"


def none(result: Result) -> None:
    assert result.exact


def assert_same(path: Path, straight: Path) -> None:
    """The weights bit for bit, and the journal."""
    assert (path / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()
    assert (path / "genotype.json").read_bytes() == (straight / "genotype.json").read_bytes()
    rows = [[numbers(row) for row in RunDirectory(place).rows()] for place in (path, straight)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("drawn", [11, 22], ids=["in the search", "in training"])
def test_killed_and_resumed_it_is_the_straight_run(tmp_path: Path, straight: Path, drawn: int) -> None:
    def work(processes: Processes) -> None:
        def before(number: int) -> None:
            if number == drawn and not processes.first:
                os.kill(os.getpid(), signal.SIGKILL)

        go(whole(), tmp_path / "run", processes, before, every=0)

    began = time.monotonic()
    [first, other] = in_processes(work, tmp_path)
    assert time.monotonic() - began < 15
    assert (first.code, other) == (PeerError.exit_code, Ended(-signal.SIGKILL, []))
    assert len(first.said) == 1 and re.fullmatch(LOST, first.said[0])
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"
    assert checkpoint.latest(tmp_path / "run" / "checkpoints") is not None
    well(lambda processes: none(go(whole(), tmp_path / "run", processes)), tmp_path)
    assert_same(tmp_path / "run", straight)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_any_process_stops_all_at_the_same_step(
    tmp_path: Path, straight: Path, number: signal.Signals, code: int
) -> None:
    def work(processes: Processes) -> None:
        def before(drawn: int) -> None:
            if drawn == 10 and not processes.first:
                os.kill(os.getpid(), number)

        pipeline = whole()
        try:
            go(pipeline, tmp_path / "run", processes, before)
        finally:
            (tmp_path / f"step-{processes.place.rank}").write_text(str(pipeline.progress))

    [first, other] = in_processes(work, tmp_path)
    assert (first.code, other) == (code, Ended(code, []))
    [line] = first.said
    found = re.fullmatch(
        rf"{number.name} after search step (\d) of 9; a checkpoint is saved; go on with: lnas resume {tmp_path}/run", line
    )
    assert found
    assert (tmp_path / "step-0").read_text() == (tmp_path / "step-1").read_text()
    assert max(os.listdir(tmp_path / "run" / "checkpoints")) == f"step-0000000{found[1]}"
    well(lambda processes: none(go(whole(), tmp_path / "run", processes)), tmp_path)
    assert_same(tmp_path / "run", straight)


def test_a_process_that_is_stuck_is_ended_by_its_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread waits where no error reaches it: a collective on a GPU, here a batch that takes a minute."""
    monkeypatch.setattr(watch, "BEAT", 0.1)
    monkeypatch.setattr(watch, "GRACE", 0.5)

    def work(processes: Processes) -> None:
        def before(drawn: int) -> None:
            if drawn == 5:
                time.sleep(60 if processes.first else 0.3)
                os.kill(os.getpid(), signal.SIGKILL)

        go(search("random"), tmp_path / "run", processes, before)

    [first, other] = in_processes(work, tmp_path)
    assert (first.code, other.code) == (5, -signal.SIGKILL)
    words = "process 1 of this run has not been heard of for 1.2 s; the last checkpoint is kept; start all processes again with"
    assert first.said == [f"{words} lnas resume"]


def test_another_number_of_processes_is_told(tmp_path: Path, straight: Path) -> None:
    class Log(Observer):
        def __init__(self) -> None:
            self.events: list[Event] = []

        def notify(self, event: Event) -> None:
            self.events.append(event)

    def before(drawn: int) -> None:
        if drawn == 7:
            raise KeyboardInterrupt

    with runtime.undisturbed():
        with pytest.raises(KeyboardInterrupt):
            go(whole(), tmp_path / "run", batch=2 * BATCH, before=before, every=0)
        [saved] = [checkpoint.latest(tmp_path / "run" / "checkpoints")]
        assert saved is not None and checkpoint.describe(saved)["processes"] == 1
        well(lambda processes: went_on(tmp_path, processes), tmp_path)
        log = Log()
        with pytest.raises(RunError, match=r"would not be exact: processes \(2, now 1\); go back to what it was made with"):
            go(whole(), straight, require_exact=True)
        assert go(whole(), straight, observers=[log]).exact is False
    resumed = log.events[1]
    assert isinstance(resumed, Resumed) and resumed.differences == ("processes (2, now 1)",)


def went_on(folder: Path, processes: Processes) -> None:
    assert go(whole(), folder / "run", processes, batch=2 * BATCH).exact is False


class Two(Processes):
    """The other process had a SIGTERM, and process 0 wants the next message after 4 steps; collectives are counted."""

    place = Place(1, 2, 1)

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def exchange(self, value: Any) -> list[Any]:
        self.sent.append(value)
        return [[signal.SIGTERM if len(self.sent) == 3 else None, len(self.sent) == 2, 4], value]

    def use(self, device: torch.device) -> None: ...

    def average(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(tensors)

    def follow(self, tensors: Any) -> None: ...

    def share(self, make: Any) -> Any: ...


def test_processes_agree_now_and_then_and_do_what_the_first_finds_due() -> None:
    class Due:
        def due(self, *, epoch_over: bool) -> bool:
            return True  # here, not in process 0

    processes = Two()
    agreement = Agreement(processes, Due(), StopRequest())  # type: ignore[arg-type]
    decisions = [agreement.after_step(epoch_over=step == 3) for step in range(1, 8)]
    assert [len(processes.sent), [d.save for d in decisions]] == [3, [False, False, True, False, False, False, False]]
    assert [d.stop for d in decisions] == [None] * 6 + [signal.SIGTERM]


# ------------------------------------------------------------------------------------------------------------- torchrun


def torchrun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(lnas.__file__).parent.parent)}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", "--standalone"]
    with open(folder / "errors", "w") as errors:
        return subprocess.Popen(
            [*command, "-m", "lnas", *arguments],
            cwd=folder,
            env={name: value for name, value in environment.items() if not name.startswith("LNAS_")},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


SMALL = ("--space", "cells,channels=2,layers=2,nodes=1,network_channels=2,network_layers=2", "--batch", "32", "--name", "small")


def test_torchrun_runs_is_ended_with_a_process_and_resumes(tmp_path: Path) -> None:
    process = torchrun(tmp_path, "run", "--prune", "alpha:one-shot", "--epochs", "25it:2it", *SMALL)
    run = tmp_path / "runs" / "small"
    limit = time.monotonic() + 40
    while not list(run.glob("checkpoints/step-*")):
        assert process.poll() is None and time.monotonic() < limit, (tmp_path / "errors").read_text()
        time.sleep(0.05)
    [other] = [rank for rank in children(process.pid) if b"RANK=1" in Path(f"/proc/{rank}/environ").read_bytes().split(b"\0")]
    began = time.monotonic()
    os.kill(other, signal.SIGKILL)
    out, _ = process.communicate(timeout=30)
    assert time.monotonic() - began < 30
    assert process.returncode != 0 and out == ""
    said = [line for line in (tmp_path / "errors").read_text().splitlines() if line.startswith("lnas: ")]
    assert said == [
        "lnas: error: another process of this run has ended, or is out of reach; the last checkpoint is kept;"
        " go on with: lnas resume runs/small"
    ]

    [first, second] = command(tmp_path, "resume", "small", "--require-exact", "--json")
    assert (first.code, second) == (0, Ended(0, [])), first.said
    assert first.said[0].startswith("search goes on at step ") and first.said[-2] == "Report: runs/small/report.html"
    assert (tmp_path / "told-1").read_text() == ""
    assert json.loads((tmp_path / "told-0").read_text())["exact"] is True and (run / "report.html").exists()
    assert json.loads((run / "environment.json").read_text())["processes"] == 2
    [first, second] = command(tmp_path, "resume", "small")
    assert first == Ended(0, ["runs/small is finished; nothing is left to do"]) and second == Ended(0, [])


def test_bad_input_is_told_once(tmp_path: Path) -> None:
    line = "lnas: error: --batch must be at least 1, not 0"
    assert command(tmp_path, "run", "--batch", "0") == [Ended(2, [line]), Ended(2, [])]
    assert not (tmp_path / "runs").exists()


def command(folder: Path, *arguments: str) -> list[Ended]:
    """`lnas ARGUMENTS` in two processes, in that folder."""

    def body() -> int:
        os.chdir(folder)
        try:
            main(arguments, prog_name="lnas")
        except SystemExit as error:
            return int(error.code or 0)
        return 0

    return forked(body, folder, 2)


def children(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
