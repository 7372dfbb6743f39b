"""Controls: each differs from its row in one thing, and that thing is what it says."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from lnas import cost
from lnas.builtin.cells import CellSpace
from lnas.core.errors import ConfigError, LnasError
from lnas.core.random import seeded
from lnas.core.rounds import Rounds
from lnas.core.stages import Ticket
from lnas.host.assemble import build, resolve
from lnas.host.config import Config
from lnas.host.plugins import Host
from lnas.sweep.controls import CONTROLS, applies, controlled
from lnas.sweep.dense import dense_width, kept, nearest
from lnas.sweep.planned import PlannedRow
from lnas.sweep.planning import Planner
from lnas.sweep.results import Row

SETTINGS: Mapping[str, object] = {
    "space": "cells,channels=1,layers=3,nodes=1,network_channels=6,network_layers=3",
    "data": "digits",
    "epochs": "8it:8it",
    "batch": "16",
    "sparsity": "0.5",
}
RECIPES: Mapping[str, Mapping[str, object]] = {
    "baseline": {"recipe": "baseline", "sparsity": None},
    "variant1": {"recipe": "variant1"},
    "variant2": {"prune": ("alpha:iterative,rounds=4",)},
    "generalized": {"prune": ("alpha:iterative,rounds=4", "theta:one-shot")},
}


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(entry_points=False)


def config(host: Host, recipe: str = "variant1", **settings: object) -> Config:
    return resolve(host, command_line={**SETTINGS, **RECIPES[recipe], **settings})[0].config


def differing(one: Config, other: Config) -> set[str]:
    return {key for key, value in vars(one).items() if getattr(other, key) != value}


def test_what_applies_to_what(host: Host) -> None:
    assert {recipe: [name for name in CONTROLS if applies(name, config(host, recipe), host)] for recipe in RECIPES} == {
        "baseline": ["random-search"],
        "variant1": ["random-mask", "reinit", "dense"],
        "variant2": ["random-alpha"],
        "generalized": ["random-mask", "reinit", "random-alpha", "dense"],
    }
    assert not applies("random-search", config(host, "baseline", strategy="random"), host), "it is that already"
    never = config(host, "baseline", prune=("theta:never",))
    assert not any(applies(name, never, host) for name in ("random-mask", "reinit", "dense")), "a schedule without rounds"


def test_each_differs_in_one_thing(host: Host) -> None:
    row = config(host, "generalized")
    found = {name: controlled(name, row, host) for name in CONTROLS if applies(name, row, host)}
    assert {name: differing(row, control) for name, control in found.items()} == {
        "random-mask": {"prune"},
        "reinit": {"prune"},
        "random-alpha": {"prune"},
        "dense": {"recipe", "prune", "space"},
    }
    alpha, theta = "alpha:iterative,rounds=4,sparsity=0.5", "theta:one-shot,sparsity=0.5"
    assert {name: [str(line) for line in control.prune] for name, control in found.items()} == {
        "random-mask": [alpha, f"{theta},importance=shuffled"],
        "reinit": [alpha, f"{theta},rewind=fresh"],
        "random-alpha": [f"{alpha},importance=random", theta],
        "dense": [alpha],
    }
    assert found["dense"].recipe == "variant2"
    assert controlled("dense", config(host), host).recipe == "baseline"


def begun(host: Host, made: Config) -> tuple[Rounds, Any, nn.Module]:
    """The training of any architecture, with its stage and its network at theta_0."""
    job = build(made, host)
    genotype = job.space.discretize({group: torch.rand(alive.shape) for group, alive in job.space.alive.items()}, "argmax")
    stage = job.pipeline.stages[1]
    rounds = stage.begin(Ticket(genotype=genotype))
    with seeded(made.seed, "network/fresh"):
        other = job.space.derive(genotype)
    return rounds, job.stream, other


def driven(rounds: Rounds, stream: Any, steps: int) -> Rounds:
    for t in range(steps):
        rounds.step(*stream.draw("all", t))
    return rounds


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_random_mask_removes_as_much_of_each_layer(scope: str, host: Host) -> None:
    row = config(host, prune=(f"theta:one-shot,scope={scope},k=2it",))
    masks = []
    for made in (row, controlled("random-mask", row, host)):
        torch.manual_seed(0)
        rounds, stream, _ = begun(host, made)
        masks.append(driven(rounds, stream, 2).target.masks())
    mine, theirs = masks
    assert {name: int(mask.sum()) for name, mask in mine.items()} == {name: int(mask.sum()) for name, mask in theirs.items()}
    total, left = (sum(count(mask) for mask in mine.values()) for count in (torch.numel, torch.sum))
    if scope == "global":
        assert left == total - round(0.5 * total)
    assert any(not mask.equal(theirs[name]) for name, mask in mine.items())


def test_reinit_has_the_mask_of_the_ticket_and_other_weights(host: Host) -> None:
    row = config(host, prune=("theta:one-shot,k=2it",))
    torch.manual_seed(0)
    ticket, stream, _ = begun(host, row)
    torch.manual_seed(0)
    control, _, other = begun(host, controlled("reinit", row, host))
    driven(ticket, stream, 2)
    driven(control, stream, 2)
    masks = control.target.masks()
    assert all(mask.equal(masks[name]) for name, mask in ticket.target.masks().items())
    expected = {name: value * masks[name] if name in masks else value for name, value in other.state_dict().items()}
    assert all(value.equal(expected[name]) for name, value in control.module.state_dict().items())
    assert any(not value.equal(expected[name]) for name, value in ticket.module.state_dict().items())
    assert control.learner.state_dict()["sgd"]["t"] == 0, "the learning rate begins anew"
    assert driven(ticket, stream, 6).done and driven(control, stream, 6).done


def test_the_width_of_a_dense_network_is_the_nearest_of_all(host: Host) -> None:
    row = config(host, sparsity="0.7")
    job = build(row, host)
    genotype = job.space.discretize({group: torch.zeros(alive.shape) for group, alive in job.space.alive.items()})

    def network(width: int) -> nn.Module:
        space = CellSpace(job.dataset.task, channels=1, layers=3, nodes=1, network_channels=width, network_layers=3)
        return space.derive(genotype)

    whole = network(6)
    weights = [m.weight for m in whole.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    wanted = sum(p.numel() for p in whole.parameters()) - sum(round(0.7 * weight.numel()) for weight in weights)
    assert kept(job, 0) == wanted
    width = min(range(1, 7), key=lambda width: abs(cost.parameters(network(width)).total - wanted))
    assert dense_width(row, host) == width
    assert 1 < width < 6
    control = controlled("dense", row, host)
    assert control.space.options["network_channels"] == str(width)
    assert control.epochs == row.epochs


def test_the_nearest_width() -> None:
    square = {width: width * width for width in range(1, 10)}
    for wanted in range(0, 100):
        expected = min(square, key=lambda width: (abs(square[width] - wanted), width))
        assert nearest(square.__getitem__, wanted, 9) == expected, wanted


NARROW = """
import lnas
from lnas.builtin.cells import CellSpace

class Narrow(CellSpace):
    def __init__(self, task):
        super().__init__(task, channels=1, layers=3, nodes=1, network_channels=2, network_layers=3)

@lnas.hookimpl
def lnas_spaces(register):
    register("narrow", "{module}:Narrow", summary="of one width")
"""


@pytest.mark.parametrize(
    ("control", "settings", "says"),
    [
        ("rienit", {}, "unknown control 'rienit'; did you mean 'reinit'"),
        ("random-alpha", {}, "random-alpha is no control of a row that is variant1 by darts; leave it out"),
        (
            "reinit",
            {"prune": ("theta:one-shot,rewind=none",)},
            "reinit begins at step 0, and the row that it is held",
        ),
        ("random-mask", {"prune": ("theta:one-shot,scope=global,importance=random",)}, "'random' removes another number"),
        ("dense", {"space": "narrow"}, "space narrow has no option network_channels"),
    ],
)
def test_what_cannot_be_is_refused(control: str, settings: dict[str, object], says: str, install: Any) -> None:
    install("narrow", NARROW)
    host = Host()
    with pytest.raises(LnasError) as caught:
        controlled(control, config(host, **settings), host)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert isinstance(caught.value, ConfigError)


def test_the_controls_of_a_row_share_its_search(host: Host) -> None:
    row = PlannedRow(Row("variant1 p=0.5", "variant1", 0.5), {**SETTINGS, "recipe": "variant1"})
    plan = Planner(host).plan([row], seeds=1, controls=["random-mask", "reinit", "dense", "random-alpha"])
    assert [made.label for made in plan.rows] == [f"variant1 p=0.5{name}" for name in ("", " random-mask", " reinit", " dense")]
    assert len({trial.search for trial in plan.trials}) == 1 and len(plan.searches) == 1


def test_a_random_mask_of_several_global_rounds_is_refused(host: Host) -> None:
    made = Config(prune=("theta:iterative,rounds=3,scope=global",))
    with pytest.raises(ConfigError, match="depends on the weights of each round"):
        controlled("random-mask", made, host)
