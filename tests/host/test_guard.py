"""No update uses a loss or a gradient that is not finite, and the first that would is named; or the run goes back."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lnas.builtin.cells import CellSpace
from lnas.builtin.darts import Darts
from lnas.builtin.weights import OwnTraining, WeightTraining
from lnas.core.errors import ConfigError, NumericalError
from lnas.core.learner import Learner
from lnas.core.types import Batch, Loss, Metrics, Predict
from lnas.host import checkpoint
from lnas.host.assemble import build
from lnas.host.config import Config
from lnas.host.guard import Guard, NotFiniteError
from lnas.host.launch import Place
from lnas.host.on_nan import OnNan
from lnas.host.packing import pack
from lnas.host.plugins import Host
from lnas.host.processes import Alone
from lnas.host.rundir import RunDirectory

X = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 0, 1, 0, 1])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def mean(predict: Predict, batch: Batch) -> Tensor:
    return functional.cross_entropy(predict(batch[0]), batch[1])


def only_here(name: str, value: float) -> Loss:
    """A finite loss with one entry of one gradient that is not."""

    def loss(predict: Predict, batch: Batch) -> Tensor:
        assert isinstance(predict, nn.Module)
        weight = predict.get_parameter(name)
        hook = weight.register_hook(lambda slope: slope.index_fill(0, torch.tensor([1]), value))
        result = mean(predict, batch)
        result.register_hook(lambda slope: slope)  # the hooks live as long as the graph
        del hook
        return result

    return loss


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["0.weight", "2.bias"])
def test_one_entry_of_one_gradient_is_named_and_the_update_is_not_done(name: str, value: float) -> None:
    learner, guard = WeightTraining(network(), only_here(name, value)), Guard(every=1)
    before = {key: tensor.clone() for key, tensor in learner.module.state_dict().items()}
    guard.before(learner, "train", 4)
    with pytest.raises(NotFiniteError, match=f"the gradient of theta by '{name}' was not finite at train step 5;") as caught:
        learner.step((X, Y))
    assert (caught.value.stage, caught.value.step, caught.value.exit_code) == ("train", 4, 3)
    assert all(torch.equal(tensor, before[key]) for key, tensor in learner.module.state_dict().items())


def test_a_loss_is_named_before_the_gradients_that_come_of_it() -> None:
    learner, guard = WeightTraining(network(), lambda predict, batch: mean(predict, batch) * torch.inf), Guard(every=1)
    guard.before(learner, "train", 0)
    with pytest.raises(NotFiniteError, match="the loss for theta was not finite at train step 1;"):
        learner.step((X, Y))


@pytest.mark.parametrize("every", [1, 3, 100])
def test_the_first_of_several_updates_is_found_whenever_it_is_looked_at(every: int) -> None:
    calls = iter(range(100))
    learner = WeightTraining(network(), lambda predict, batch: mean(predict, batch) * (torch.nan if next(calls) >= 4 else 1.0))
    guard = Guard(every)
    with pytest.raises(NotFiniteError, match="the loss for theta was not finite at train step 5;"):
        for step in range(7):
            guard.before(learner, "train", step)
            learner.step((X, Y))
        guard.look()


def test_large_numbers_are_not_taken_for_infinite_ones() -> None:
    learner, guard = WeightTraining(network(), lambda predict, batch: mean(predict, batch) * 1e30, clip=0.0, lr=1e-30), Guard(1)
    guard.before(learner, "train", 0)
    learner.step((X, Y))
    assert all(parameter.isfinite().all() for parameter in learner.module.parameters())


@pytest.mark.parametrize("unrolled", ["no", "exact", "finite"])
@pytest.mark.parametrize(("call", "whose"), [(0, "alpha"), (-1, "theta")])
def test_alpha_and_theta_are_told_apart(
    make_space: Callable[..., CellSpace], make_batches: Callable[..., Any], loss: Loss, unrolled: Any, call: int, whose: str
) -> None:
    [pair] = make_batches(1)
    calls: list[int] = []
    counted = Darts(make_space(), lambda *given: calls.append(0) or loss(*given), 5, unrolled=unrolled)
    counted.step(*pair)
    bad, number = call % len(calls), iter(range(100))
    strategy = Darts(
        make_space(), lambda *given: loss(*given) * (torch.nan if next(number) == bad else 1.0), 5, unrolled=unrolled
    )
    before = {group: alpha.detach().clone() for group, alpha in strategy.alpha.items()}
    guard = Guard(every=1)
    guard.before(strategy, "search", 0)
    with pytest.raises(NotFiniteError, match=f"the loss for {whose} was not finite at search step 1;"):
        strategy.step(*pair)
    moved = any(not torch.equal(alpha, before[group]) for group, alpha in strategy.alpha.items())
    assert moved == (whose == "theta"), "what comes before the first bad update is done, the update is not"


def test_an_update_that_is_watched_is_the_one_that_is_not() -> None:
    left, right = WeightTraining(network(), mean, 5), WeightTraining(network(), mean, 5)
    guard = Guard(every=1)
    for step in range(5):
        guard.before(right, "train", step)
        for learner in (left, right):
            learner.step((X, Y))
    assert all(torch.equal(a, b) for a, b in zip(left.module.parameters(), right.module.parameters(), strict=True))
    guard.close()
    assert right.loss is mean
    assert not right.sgd.optimizer._optimizer_step_pre_hooks


class Two(Learner):
    """An optimizer made anew for every step, a sparse gradient, two dtypes, and parameters without names."""

    def __init__(self) -> None:
        self.module = nn.ModuleDict({"table": nn.Embedding(5, 2, sparse=True), "out": nn.Linear(2, 2).double()})
        self.loss = mean
        self.scale = 1.0

    def predict(self, x: Tensor) -> Tensor:
        return self.module["out"](self.module["table"](x).double())

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        self.optimizers = (torch.optim.SGD(self.module.parameters(), 0.1),)
        self.refresh()
        loss = self.loss(self.predict, train)
        (loss * self.scale).backward()
        self.optimizers[0].step()
        self.module.zero_grad()
        return {"loss": loss.detach()}

    def refresh(self) -> None:
        """The guard is told of a new optimizer as the loop tells it: before the step."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None: ...

    optimizers: tuple[torch.optim.Optimizer, ...] = ()


def test_whatever_the_optimizer_holds_is_looked_at() -> None:
    learner, guard = Two(), Guard(every=1)
    learner.refresh = lambda: guard.before(learner, "train", 0)  # type: ignore[method-assign]
    batch = torch.tensor([0, 3, 3]), torch.tensor([0, 1, 0])
    learner.step(batch)
    learner.scale = torch.inf
    with pytest.raises(NotFiniteError, match="the gradient of theta by '0.0' was not finite"):
        learner.step(batch)


def test_a_training_step_of_ones_own_is_watched_too() -> None:
    module = network()
    optimizer = torch.optim.Adam(module.named_parameters(), 0.1)

    def fit(batch: Batch) -> Tensor:
        loss = mean(module, batch) * torch.nan
        loss.backward()
        optimizer.step()
        return loss

    learner, guard = OwnTraining(module, fit, [optimizer]), Guard(every=1)
    guard.before(learner, "train", 0)
    with pytest.raises(NotFiniteError, match="the gradient of theta by '0.weight'"):
        learner.step((X, Y))


class ByHand(WeightTraining):
    """An update without an optimizer that anybody could watch."""

    def __init__(self, module: nn.Module, loss: Loss) -> None:
        super().__init__(module, loss)
        self.optimizers = ()

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        loss = self.loss(self.module, train)
        slopes = torch.autograd.grad(loss, list(self.module.parameters()))
        with torch.no_grad():
            for parameter, slope in zip(self.module.parameters(), slopes, strict=True):
                parameter -= 0.1 * slope
        return {}


def test_a_loss_that_no_optimizer_used_is_looked_at_after_the_step() -> None:
    learner, guard = ByHand(network(), lambda predict, batch: mean(predict, batch) * torch.nan), Guard(every=1)
    guard.before(learner, "train", 0)
    learner.step((X, Y))
    with pytest.raises(NotFiniteError, match="the loss for theta was not finite at train step 1;"):
        guard.after()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_nothing_waits_until_it_is_looked_at() -> None:
    from lnas.testing.device import no_waiting

    learner, guard = WeightTraining(network().cuda(), lambda *given: mean(*given) * factor), Guard(every=100)
    factor, batch = 1.0, (X.cuda(), Y.cuda())
    for step in range(6):
        guard.before(learner, "train", step)
        if step == 1:
            factor = torch.nan
        if step:
            with no_waiting():
                learner.step(batch)
        else:
            learner.step(batch)
    with pytest.raises(NotFiniteError, match="the loss for theta was not finite at train step 2;"):
        guard.look()


@pytest.mark.parametrize("text", ["stop", "rollback:1", "rollback:1000"])
def test_what_is_done_is_read_and_written(text: str) -> None:
    assert str(OnNan.of(text)) == text
    assert OnNan.of(OnNan.of(text)) == OnNan.of(text)


@pytest.mark.parametrize(
    "text", ["", "Stop", "rollback", "rollback:0", "rollback:-1", "rollback:1001", "rollback:x", 3, None, True]
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match="must be stop or rollback:N, with N from 1 to 1000, not"):
        OnNan.of(text)


# ---- a real run that goes back ----

RUN = {
    "prune": ("alpha:iterative,rounds=2", "theta:iterative,rounds=2"),
    "space": "cells,channels=2,layers=3,nodes=1,network_channels=2,network_layers=2",
    "epochs": "6it:6it",
    "batch": 8,
    "device": "cpu",
}


def go(out: Path, monkeypatch: pytest.MonkeyPatch, bad: Sequence[tuple[str, int, int]], on_nan: str, **seconds: float) -> Any:
    """A run whose batch of (stage, step, attempt) gives no number, for each of `bad`; its summary, journal and directory."""
    from lnas.host import keeper
    from lnas.host.stream import Stream

    draw, longest = Stream.draw, seconds.get("longest", 0.0)
    stages = {"pairs": "search", "all": "train"}

    def drawn(self: Stream, draws: Any, step: int, attempt: int = 0) -> Any:
        batches = draw(self, draws, step, attempt)
        if (stages[draws], step, attempt) in bad:
            return (batches[0][0] * torch.nan, batches[0][1]), batches[1]
        return batches

    class Often(keeper.Keeper):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **{**named, "longest": longest})

    with monkeypatch.context() as patch:
        patch.setattr(Stream, "draw", drawn)
        patch.setattr("lnas.host.runner.Keeper", Often)
        config = Config(**RUN, out=str(out), on_nan=on_nan)  # type: ignore[arg-type]
        directory = RunDirectory.create(out, name=None, recipe="generalized", data="digits", seed=0, config="")
        job = build(config, Host())
        heard: list[Any] = []

        class Ear:
            def notify(self, event: Any) -> None:
                heard.append(event)

        summary = job.run(directory, observers=[Ear()])  # type: ignore[list-item]
    rows = [json.loads(line) for line in directory.metrics.read_text().splitlines()]
    return summary, [{key: value for key, value in row.items() if key != "seconds"} for row in rows], heard


def test_a_run_that_goes_back_does_not_depend_on_where_its_checkpoints_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [("search", 3, 0), ("train", 4, 0), ("train", 4, 1)]
    found = [
        go(tmp_path / str(longest), monkeypatch, bad, "rollback:3", longest=longest) for longest in (0.0, 1e9)
    ]  # a checkpoint after every step, and none before the end of the first epoch
    (summary, rows, heard), (other, other_rows, _) = found
    assert summary["digest"] == other["digest"]
    assert rows == other_rows
    redrawn = [(row["stage"], row["step"], row["attempt"]) for row in rows if row["event"] == "redraw"]
    assert redrawn == [("search", 4, 1), ("train", 5, 2)]
    told = [(event.progress.stage, event.times, event.most) for event in heard if type(event).__name__ == "RolledBack"]
    assert told == [("search", 1, 3), ("train", 2, 3), ("train", 3, 3)]
    plain, plain_rows, _ = go(tmp_path / "plain", monkeypatch, [], "rollback:3")
    assert plain["digest"] != summary["digest"]
    assert not [row for row in plain_rows if row["event"] == "redraw"]


def test_a_run_goes_back_as_often_as_it_may_and_not_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [("search", 2, attempt) for attempt in range(3)]
    assert go(tmp_path / "three", monkeypatch, bad, "rollback:3")[0]["exact"] is True
    with pytest.raises(NumericalError, match="at search step 3; the run went back 2 times before; start again with") as caught:
        go(tmp_path / "two", monkeypatch, bad, "rollback:2")
    assert caught.value.exit_code == 3


def test_without_it_a_run_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFiniteError, match="the loss for (alpha|theta) was not finite at train step 2"):
        go(tmp_path, monkeypatch, [("train", 1, 0)], "stop")


def test_what_is_not_finite_is_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever put it there: here a hand that reaches into the network between two steps."""
    step = WeightTraining.step

    def spoiled(self: WeightTraining, train: Batch, val: Batch = None) -> Metrics:
        metrics = step(self, train, val)
        if self.sgd.t == 1:
            with torch.no_grad():
                next(self.module.parameters()).view(-1)[0] = torch.inf
        return metrics

    monkeypatch.setattr(WeightTraining, "step", spoiled)
    with pytest.raises(NumericalError, match=r"stem.0.weight is not finite after train step 1; nothing of it is kept"):
        go(tmp_path, monkeypatch, [], "stop")
    for path in checkpoint.every(next(tmp_path.iterdir()) / "checkpoints"):
        tensors, _ = pack(checkpoint.load(path))
        assert all(tensor.isfinite().all() for tensor in tensors.values() if tensor.is_floating_point())


def test_a_loop_that_looks_seldom_looks_before_anything_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: every update is done, and nothing of it is kept."""
    monkeypatch.setattr(Guard, "on", classmethod(lambda cls, device, processes: cls(1000, processes)))
    for index, bad in enumerate([("search", 1, 0), ("train", 2, 0), ("train", 5, 0)]):
        out = tmp_path / str(index)
        with pytest.raises(NotFiniteError, match=f"was not finite at {bad[0]} step {bad[1] + 1};"):
            go(out, monkeypatch, [bad], "stop", longest=1e9)
        [run] = out.iterdir()
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert all(row["stage"] != bad[0] or row.get("step", 0) <= bad[1] for row in rows)
        for path in checkpoint.every(run / "checkpoints"):
            tensors, _ = pack(checkpoint.load(path))
            assert all(tensor.isfinite().all() for tensor in tensors.values() if tensor.is_floating_point())


class Pair(Alone):
    """Two processes, seen from one; the other finds what is in `other`."""

    place = Place(0, 2)
    other: Any = None

    def exchange(self, value: Any) -> list[Any]:
        return [value, self.other]


def test_of_several_processes_all_stop_where_one_has_a_loss_that_is_not_finite() -> None:
    pair = Pair()
    learner, guard = WeightTraining(network(), mean), Guard(1, pair)
    guard.before(learner, "train", 0)
    learner.step((X, Y))
    guard.after()
    pair.other = ["the loss for theta", "train", 1]
    guard.before(learner, "train", 1)
    with pytest.raises(NotFiniteError, match="the loss for theta was not finite at train step 2;"):
        learner.step((X, Y))
    guard.look(together=False)
