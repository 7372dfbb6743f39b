"""From a configuration to a run: what is built, what is suggested, and what is refused before the first step."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch

import lnas
from lnas.core.errors import LnasError
from lnas.host.assemble import build, resolve
from lnas.host.config import to_toml
from lnas.host.pipelines import make_pipeline
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory

TINY = "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3"


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(entry_points=False)


def job(host: Host, **given):
    merged, dataset = resolve(host, command_line={"space": TINY, "epochs": "2:2", "device": "cpu", **given})
    return build(merged.config, host, dataset)


def test_the_data_set_suggests_and_the_user_wins(host: Host) -> None:
    merged, _ = resolve(host, command_line={"space": "cells,layers=3"})
    assert merged.config.space.options["layers"] == "3"
    assert merged.origins["space.layers"] == "command line"
    assert merged.origins["space.channels"] == "data set digits"
    assert merged.origins["seed"] == "default"


class Wide(lnas.Darts):
    """Suggests what suits it."""

    suggested: ClassVar[Any] = {"space": {"channels": 4}, "batch": 16}


class Offers:
    @lnas.hookimpl
    def lnas_strategies(self, register: lnas.Register) -> None:
        register("wide", f"{__name__}:Wide", summary="suggests")
        register("odd", f"{__name__}:odd", summary="suggests no mapping")


def odd() -> None:
    """Never called."""


odd.suggested = "batch"  # type: ignore[attr-defined]


def test_the_strategy_suggests_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, here := ModuleType(__name__))
    here.__dict__.update(Wide=Wide, odd=odd)
    offered = Host(plugins=[Offers()], entry_points=False)
    merged, _ = resolve(offered, command_line={"strategy": "wide", "batch": 8})
    assert (merged.config.space.options["channels"], merged.origins["space.channels"]) == ("4", "strategy wide")
    assert (merged.config.batch, merged.origins["space.layers"]) == (8, "data set digits")
    darts, _ = resolve(offered)
    assert darts.origins["space.channels"] == "data set digits"
    with pytest.raises(lnas.PluginError, match="strategy odd of plugin Offers has as `suggested` a str; it must be a mapping"):
        resolve(offered, command_line={"strategy": "odd"})


def test_stages_divide_their_steps(host: Host) -> None:
    made = job(host, prune=("alpha:iterative,sparsity=0.5,rounds=4", "theta:one-shot,sparsity=0.5"))
    search, train = made.pipeline.stages
    assert search.steps == 2 * made.stream.steps_per_epoch("pairs") == 40
    assert search.loop() == (10, 0)
    assert train.steps == 2 * made.stream.steps_per_epoch("all") == 80
    assert train.loop() == (40, 40)
    plan = made.plan()
    assert plan.recipe == "generalized"
    assert [stage.rounds for stage in plan.stages] == [4, 1]
    assert plan.stages[0].sparsities[-1] == pytest.approx(0.5)
    assert plan.examples["test"] == made.dataset.size("test")


def test_two_builds_of_one_seed_are_equal_and_of_another_are_not(host: Host) -> None:
    def weights(seed: int) -> torch.Tensor:
        made = job(host, seed=seed)
        alpha = made.pipeline.stages[0].strategy.alphas()
        return torch.cat([x.detach().flatten() for x in (*made.space.parameters(), *alpha.values())])

    assert weights(3).equal(weights(3))
    assert not weights(3).equal(weights(4))


def test_float64_reaches_theta_and_alpha(host: Host) -> None:
    made = job(host, precision="float64")
    assert next(made.space.parameters()).dtype is torch.float64
    assert all(x.dtype is torch.float64 for x in made.pipeline.stages[0].strategy.alphas().values())
    train, val = made.stream.draw("pairs", 0)
    assert made.pipeline.step(train, val)["loss"].dtype is torch.float64


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"strategy": "dart"}, "did you mean 'darts'"),
        ({"strategy": "darts,unroled=exact"}, "did you mean 'unrolled'"),
        ({"strategy": "darts,unrolled=yes"}, "unrolled must be no or exact or finite"),
        ({"strategy": "darts,alternate=0"}, "alternate must be at least 1"),
        ({"strategy": "darts,lr=-1"}, "lr must be finite and at least 0"),
        ({"space": "cells,channels=0"}, "channels must be a whole number of at least 1"),
        ({"space": "cells,operations=none"}, "operations must be distinct and compute something"),
        ({"space": "cells,operations=conv+none"}, "unknown operation 'conv'"),
        ({"space": "cell"}, "did you mean 'cells'"),
        ({"data": "digts"}, "did you mean 'digits'"),
        ({"train": "lr=fast"}, "lr must be a number"),
        ({"train": "momentum=1"}, "momentum must be in [0, 1)"),
        ({"train": "learning=1"}, "option 'learning' does not exist"),
        ({"device": "cuda:7"}, "is not there"),
        ({"batch": 4000}, "batch"),
        ({"prune": ("alpha:iterative,rounds=100",)}, "100 prune rounds do not fit into 40 search steps"),
        ({"prune": ("theta:one-shot,rewind=60it",)}, "rewind must be a step before the first prune, 0 to 40, not 60"),
        ({"prune": ("alpha:one-shot,scope=global,sparsity=0.98",)}, "must stay"),
        ({"recipe": "varian1"}, "did you mean 'variant1'"),
    ],
)
def test_what_cannot_work_is_refused(host: Host, given: dict[str, object], says: str) -> None:
    with pytest.raises(LnasError) as caught:
        job(host, **given)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_pipeline_on_own_batches_is_the_same_recipe() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        lnas.MixedOp({"one": torch.nn.Linear(4, 8), "two": torch.nn.Linear(4, 8, bias=False)}), torch.nn.Linear(8, 3)
    )
    pipeline = lnas.pipeline(
        "generalized",
        lnas.ChoiceSpace(model),
        lnas.cross_entropy,
        search=4,
        train=6,
        prune=["alpha:one-shot,sparsity=0.5", "theta:one-shot,sparsity=0.25,rewind=0"],
        host=Host(entry_points=False),
    )
    x, y = torch.randn(10, 8, 4), torch.randint(0, 3, (10, 8))
    steps = 0
    while not pipeline.done:
        pipeline.step((x[steps], y[steps]), (x[-steps], y[-steps]))
        steps += 1
    ticket = pipeline.ticket
    assert steps == 10
    assert ticket.sparsity["alpha"].attained == 0.5
    assert ticket.sparsity["theta"].attained == 0.25
    assert {
        name: float((weight == 0).float().mean()) for name, weight in ticket.network.named_parameters() if weight.dim() == 2
    } == {
        "0.weight": 0.25,
        "1.weight": 0.25,
    }


class Seen(lnas.Observer):
    """Notes the kinds of events."""

    events: ClassVar[list[str]] = []

    def notify(self, event: object) -> None:
        self.events.append(type(event).__name__)


class Plugin:
    @lnas.hookimpl
    def lnas_observers(self, register: lnas.Register) -> None:
        register("seen", f"{__name__}:Seen", summary="notes events")


def test_an_observer_of_a_plugin_is_told_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or ModuleType(__name__))
    monkeypatch.setattr(sys.modules[__name__], "Seen", Seen, raising=False)
    given = {"space": TINY, "epochs": "2it", "prune": ("alpha:one-shot,sparsity=0.5",), "observe": ("seen",)}
    made = job(Host(plugins=[Plugin()], entry_points=False), **given)
    made.run(RunDirectory.create(tmp_path, name="x", recipe="", data="", seed=0, config=to_toml(made.config)))
    expected = ["RunStarted", "StageStarted", "Pruned", "EpochDone", "StageStarted", "EpochDone", "Finished"]
    assert [name for name in Seen.events if name not in ("StepDone", "Saved")] == expected
    assert Seen.events[-2:] == ["Saved", "Finished"]
    assert "StepDone" in Seen.events
    with pytest.raises(LnasError, match="unknown observer 'sen'; did you mean 'seen'"):
        job(Host(plugins=[Plugin()], entry_points=False), observe=("sen",))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("theta:one-shot,exclude=nothing.*", "'nothing.*' matches no parameter"),
        ("theta:one-shot,output_rate=2", r"output_rate must be in \[0, 1\]"),
    ],
)
def test_the_target_of_the_training_is_tried_before_the_search(host: Host, line: str, says: str) -> None:
    with pytest.raises(LnasError, match=says):
        job(host, prune=(line,))


def test_trying_the_target_draws_nothing_from_the_global_stream(host: Host) -> None:
    states = []
    for prune in ((), ("theta:one-shot",)):
        job(host, prune=prune)
        states.append(torch.get_rng_state())
    assert states[0].equal(states[1])


@dataclass(frozen=True)
class Falling(lnas.PruningSchedule):
    """Gives the values it was made of."""

    values: tuple[float, ...] = (0.5, 0.25)

    @property
    def rounds(self) -> int:
        return len(self.values)

    def sparsity_after(self, round: int) -> float:
        return self.values[round - 1]


@pytest.mark.parametrize("values", [(0.5, 0.25), (1.5,), (float("nan"),), (-0.1,)])
def test_a_schedule_that_breaks_its_contract_is_named(loss: lnas.Loss, make_space: Any, values: tuple[float, ...]) -> None:
    space = make_space()
    pruning = lnas.Pruning(lnas.Theta.of, Falling(values), lnas.magnitude)
    with pytest.raises(lnas.PluginError, match="schedule Falling gives"):
        make_pipeline(
            Host(entry_points=False).registry,
            "variant1",
            lnas.Darts(space, loss),
            lambda network, horizon: lnas.WeightTraining(network, loss, horizon),
            {"train": pruning},
            search=4,
            train=6,
            seed=0,
        )


def test_a_recipe_fills_in_its_own_lines_and_refuses_others() -> None:
    def choice() -> lnas.ChoiceSpace:
        return lnas.ChoiceSpace(torch.nn.Sequential(lnas.MixedOp({"one": torch.nn.Linear(4, 3), "two": torch.nn.Linear(4, 3)})))

    pipeline = lnas.pipeline("variant1", choice(), lnas.cross_entropy, search=4, train=4)
    assert pipeline.stages[1].pruning.schedule == lnas.OneShot()
    with pytest.raises(LnasError, match="recipe variant2 contradicts the prune lines theta:one-shot"):
        lnas.pipeline("variant2", choice(), lnas.cross_entropy, search=4, train=4, prune=["theta:one-shot"])


class Halves:
    """A plugin: a search target under another name, and recipes that do not keep their word."""

    @lnas.hookimpl
    def lnas_targets(self, register: lnas.Register) -> None:
        register("paths", "lnas.builtin.targets:Alpha", summary="alpha by another name")

    @lnas.hookimpl
    def lnas_recipes(self, register: lnas.Register) -> None:
        register("searches", f"{__name__}:searches", summary="trains nothing")
        register("breaks", f"{__name__}:breaks", summary="has a bug")


def searches(strategy: lnas.SearchStrategy, fit: Any, *, search: int, train: int, seed: int) -> lnas.Pipeline:
    return lnas.Pipeline(lnas.Search(strategy, lnas.Pruning(lnas.Alpha, lnas.Never(), lnas.magnitude), search))


def breaks(strategy: lnas.SearchStrategy, fit: Any, *, search: int, train: int, seed: int) -> lnas.Pipeline:
    return len(search)  # type: ignore[arg-type]


def test_what_is_pruned_names_the_recipe_whatever_the_target_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    with_plugin = Host(plugins=[Halves()], entry_points=False)
    assert job(with_plugin, prune=("paths:one-shot,sparsity=0.5",)).recipe == "variant2"
    assert job(with_plugin, prune=("paths:one-shot,sparsity=0.5", "theta:one-shot")).recipe == "generalized"


def test_a_recipe_that_trains_nothing_or_breaks_is_not_taken_for_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, here := ModuleType(__name__))
    here.__dict__.update(searches=searches, breaks=breaks)
    with_plugin = Host(plugins=[Halves()], entry_points=False)
    with pytest.raises(lnas.PluginError, match="recipe searches trains no network"):
        job(with_plugin, recipe="searches")
    with pytest.raises(LnasError, match="recipe searches of plugin Halves does not go with pruning theta: .* 'theta'"):
        job(with_plugin, recipe="searches", prune=("theta:one-shot",))
    with pytest.raises(lnas.PluginFailedError, match="recipe breaks of plugin Halves raised TypeError: .* has no len"):
        job(with_plugin, recipe="breaks")
