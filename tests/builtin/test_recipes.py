"""The recipes equal Algorithms 1 to 3 written out in plain torch, bit for bit and at every step.

The loops below share nothing with lnas but the supernet's forward pass and the derived network's class: masks are lists,
pruning is `sorted`, rewinding is `deepcopy`, and no dead path is ever deleted.
"""

import copy
import hashlib
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch.func import functional_call

from lnas.builtin.cells import CellSpace
from lnas.builtin.darts import Darts
from lnas.builtin.importances import magnitude, probability
from lnas.builtin.recipes import baseline, generalized, variant1, variant2
from lnas.builtin.schedules import Iterative, OneShot
from lnas.builtin.targets import Alpha, Theta
from lnas.builtin.weights import WeightTraining
from lnas.core.genotype import Gene, Genotype
from lnas.core.learner import Learner
from lnas.core.pipeline import Pipeline
from lnas.core.rounds import Pruning

KINDS = ("normal", "reduce")
EDGES = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
SEED = 5
LR, LR_MIN, MOMENTUM, DECAY, CLIP = 0.025, 0.001, 0.9, 3e-4, 5.0

Snapshot = dict[str, Any]


# The algorithms by hand -----------------------------------------------------------------------------------------------


def seed_of(name: str) -> int:
    return int(hashlib.sha256(f"{SEED}/{name}".encode()).hexdigest()[:16], 16) // 2


def cosine(step: int, steps: int, low: float) -> float:
    return low + 0.5 * (LR - low) * (1 + math.cos(math.pi * (step / steps)))


def softmax(alpha: torch.Tensor, alive: list[list[bool]]) -> torch.Tensor:
    bits = torch.tensor(alive)
    return torch.where(bits, torch.where(bits, alpha, -math.inf).softmax(1), 0.0)


def descend(optimizer: torch.optim.SGD, loss: torch.Tensor, lr: float) -> None:
    optimizer.zero_grad()
    loss.backward()
    slopes = [p.grad for p in optimizer.param_groups[0]["params"] if p.grad is not None]
    norm = torch.stack([slope.norm() for slope in slopes]).norm()
    for slope in slopes:
        slope *= min(CLIP / (norm + 1e-6), torch.ones(()))
    optimizer.param_groups[0]["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()


def sgd(module: torch.nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(module.parameters(), LR, momentum=MOMENTUM, weight_decay=DECAY)


def momenta(module: torch.nn.Module, optimizer: torch.optim.SGD) -> dict[str, torch.Tensor]:
    state = optimizer.state
    return {n: state[p]["momentum_buffer"].clone() for n, p in module.named_parameters() if "momentum_buffer" in state.get(p, {})}


def prune_paths(scores: list[list[float]], alive: list[list[bool]], operations: tuple[str, ...], p: float, scope: str) -> None:
    """Clear bits of `alive`: per edge, or over all edges sparing the best path of each node."""
    none = operations.index("none")
    size = len(operations)
    pools = [[(e, o) for o in range(size)] for e in range(len(alive))]
    owners = (
        pools
        if scope == "edge"
        else [[(e, o) for e, edge in enumerate(EDGES) if edge[1] == n for o in range(size)] for n in (2, 3)]
    )
    spared = set()
    for owner in owners:
        able = [(e, o) for e, o in owner if alive[e][o] and o != none]
        spared.add(max(able, key=lambda at: (scores[at[0]][at[1]], -at[0], -at[1])))
    for pool in pools if scope == "edge" else [[at for edge in pools for at in edge]]:
        gone = sum(not alive[e][o] for e, o in pool)
        goal = min(round(p * len(pool)), len(pool) - 1)
        ranked = sorted((scores[e][o], e, o) for e, o in pool if alive[e][o] and (e, o) not in spared)
        for _, e, o in ranked[: goal - gone]:
            alive[e][o] = False


def architecture(alpha: dict[str, torch.Tensor], alive: dict[str, list[list[bool]]], operations: tuple[str, ...]) -> Genotype:
    """Survivors where a path has died, else the strongest operation on the two strongest edges of each node."""
    died = any(not bit for rows in alive.values() for row in rows for bit in row)
    groups = {}
    for kind in KINDS:
        weights = softmax(alpha[kind].detach(), alive[kind]).tolist()
        able = [
            [(w, -o) for o, w in enumerate(row) if alive[kind][e][o] and operations[o] != "none"] for e, row in enumerate(weights)
        ]
        if died:
            chosen = [(e, -o) for e, row in enumerate(able) for _, o in row]
        else:
            strongest = [
                e for n in (2, 3) for e in sorted((e for e in range(5) if EDGES[e][1] == n), key=lambda e: -max(able[e])[0])[:2]
            ]
            chosen = [(e, -max(able[e])[1]) for e in sorted(strongest)]
        groups[kind] = tuple(Gene(operations[o], *EDGES[e]) for e, o in chosen)
    return Genotype(groups, dict.fromkeys(KINDS, (2, 3)))


def search_by_hand(
    space: CellSpace,
    loss: Any,
    batches: Iterator[Any],
    trace: list[Snapshot],
    *,
    steps: int,
    after: tuple[float, ...] = (),  # sparsity after each round
    k: int = 0,
    scope: str = "edge",
    literal: bool = False,  # the magnitude of alpha instead of its probability
    unrolled: bool = False,
    alternate: int = 1,
) -> Genotype:
    operations = space.operations["normal"]
    alpha = {
        kind: torch.nn.Parameter(
            1e-3 * torch.randn(5, len(operations), generator=torch.Generator().manual_seed(seed_of(f"alpha/{kind}")))
        )
        for kind in KINDS
    }
    alive = {kind: [[True] * len(operations) for _ in EDGES] for kind in KINDS}
    theta_optimizer = sgd(space)
    alpha_optimizer = torch.optim.Adam(alpha.values(), 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def gates() -> dict[str, torch.Tensor]:
        return {kind: softmax(alpha[kind], alive[kind]) for kind in KINDS}

    def paths() -> dict[str, torch.Tensor]:
        return {kind: torch.tensor(alive[kind]) for kind in KINDS}

    def silence() -> None:  # alpha ⊙ M_alpha, and Adam's moments
        for kind in KINDS:
            dead = ~torch.tensor(alive[kind])
            for tensor in (alpha[kind].data, *(v for v in alpha_optimizer.state[alpha[kind]].values() if v.dim())):
                tensor[dead] = 0.0

    def alpha_step(train: Any, val: Any, lr: float) -> torch.Tensor:
        buffers = copy.deepcopy(dict(space.named_buffers()))
        if unrolled:
            theta = dict(space.named_parameters())
            inner = loss(lambda x: functional_call(space, theta, (x, gates(), paths())), train)
            slopes = torch.autograd.grad(inner, list(theta.values()), create_graph=True, allow_unused=True)
            ahead = {n: w if s is None else w - lr * s for (n, w), s in zip(theta.items(), slopes, strict=True)}
            value = loss(lambda x: functional_call(space, ahead, (x, gates(), paths())), val)
        else:
            value = loss(lambda x: space(x, gates(), paths()), val)
        for kind, slope in zip(KINDS, torch.autograd.grad(value, [alpha[kind] for kind in KINDS]), strict=True):
            alpha[kind].grad = slope
        alpha_optimizer.step()
        for name, buffer in space.named_buffers():
            buffer.copy_(buffers[name])
        return value.detach()

    def theta_step(train: Any, lr: float) -> torch.Tensor:
        weights = {kind: gate.detach() for kind, gate in gates().items()}
        value = loss(lambda x: space(x, weights, paths()), train)
        descend(theta_optimizer, value, lr)
        return value.detach()

    updates = 0
    planned = sum(alternate == 1 or (t // alternate) % 2 == 1 for t in range(steps))  # of theta, which its cosine spans
    for t in range(steps):
        train, val = next(batches)
        lr = cosine(min(updates, planned), planned, LR_MIN)
        turn = (t // alternate) % 2
        metrics = {}
        if alternate == 1 or turn == 0:
            metrics["alpha_loss"] = alpha_step(train, val, lr)
        if alternate == 1 or turn == 1:
            metrics["loss"] = theta_step(train, lr)
            updates += 1
        silence()
        rounds_done = (t + 1) // k if k else 0
        if k and (t + 1) % k == 0 and rounds_done <= len(after):
            for kind in KINDS:
                scores = alpha[kind].abs() if literal else softmax(alpha[kind], alive[kind])
                prune_paths(scores.tolist(), alive[kind], operations, after[rounds_done - 1], scope)
            silence()
        state = alpha_optimizer.state
        trace.append(
            {
                "metrics": metrics,
                "alpha": {kind: alpha[kind].detach().clone() for kind in KINDS},
                "adam": {kind: {key: value.clone() for key, value in state[alpha[kind]].items()} for kind in KINDS},
                "alive": copy.deepcopy(alive),
                "theta": copy.deepcopy(space.state_dict()),
                "momenta": momenta(space, theta_optimizer),
            }
        )
    return architecture(alpha, alive, operations)


def retrain_by_hand(
    network: torch.nn.Module,
    loss: Any,
    batches: Iterator[Any],
    trace: list[Snapshot],
    *,
    horizon: int,  # length of the cosine
    finish: int,
    after: tuple[float, ...] = (),
    k: int = 0,
    rewind: int | None = None,
    everywhere: bool = False,  # weights compete in the whole network, not within their layer
    anew: torch.nn.Module | None = None,  # takes the place of the last rewind
) -> None:
    prunable = {
        f"{name}.weight": part.weight
        for name, part in network.named_modules()
        if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)
    }
    masks = {name: [True] * weight.numel() for name, weight in prunable.items()}
    optimizer = sgd(network)
    step = 0
    origin = copy.deepcopy((network.state_dict(), optimizer.state_dict(), 0)) if rewind == 0 else None

    def silence() -> None:  # theta ⊙ M_theta, and the momentum
        for name, weight in prunable.items():
            dead = ~torch.tensor(masks[name]).view_as(weight)
            weight.data[dead] = 0.0
            if weight in optimizer.state:
                optimizer.state[weight]["momentum_buffer"][dead] = 0.0

    def prune(p: float) -> None:
        pools = [sorted(prunable)] if everywhere else [[name] for name in prunable]
        for pool in pools:
            entries = [(abs(w), name, i) for name in pool for i, w in enumerate(prunable[name].flatten().tolist())]
            gone = sum(not masks[name][i] for _, name, i in entries)
            ranked = sorted(entry for entry in entries if masks[entry[1]][entry[2]])
            for _, name, i in ranked[: round(p * len(entries)) - gone]:
                masks[name][i] = False
        silence()

    def update() -> None:
        nonlocal step, origin
        train, _ = next(batches)
        value = loss(network, train)
        descend(optimizer, value, cosine(min(step, horizon), horizon, 0.0))
        step += 1
        silence()
        if step == rewind and origin is None:
            origin = copy.deepcopy((network.state_dict(), optimizer.state_dict(), step))
        trace.append({"metrics": {"loss": value.detach()}})
        remember()

    def remember() -> None:
        trace[-1] |= {
            "theta": copy.deepcopy(network.state_dict()),
            "masks": copy.deepcopy(masks),
            "momenta": momenta(network, optimizer),
        }

    for number, p in enumerate(after, start=1):
        for _ in range(k):
            update()
        prune(p)
        if origin is not None:
            weights, moments, step = copy.deepcopy(origin)
            if anew is not None and number == len(after):
                weights = anew.state_dict()
            network.load_state_dict(weights)
            optimizer.load_state_dict(moments)
            silence()
        remember()
    for _ in range(finish):
        update()


# The comparison -------------------------------------------------------------------------------------------------------


def same(mine: torch.Tensor, theirs: torch.Tensor, what: str) -> None:
    assert mine.dtype == theirs.dtype and torch.equal(mine, theirs), what


def compare(pipeline: Pipeline, metrics: Any, hand: Snapshot, where: str) -> None:
    """Everything of one step: metrics, theta with its buffers, momenta, masks, alpha and Adam's moments."""
    learner: Any = pipeline.rounds.learner
    assert metrics.keys() == hand["metrics"].keys(), where
    for name, value in hand["metrics"].items():
        same(metrics[name], value, f"{where}: {name}")
    theta = dict(learner.module.state_dict())
    moments = {
        name: learner.sgd.optimizer.state[parameter]["momentum_buffer"]
        for name, parameter in learner.module.named_parameters()
        if learner.sgd.optimizer.state.get(parameter)
    }
    expected, expected_moments = hand["theta"], hand["momenta"]
    if "alpha" in hand:
        space = learner.space
        dead = tuple(
            f"cells.{c}.edges.{e}.operations.{name}."
            for c, kind in enumerate(space.kinds)
            for e in range(len(EDGES))
            for o, name in enumerate(space.operations[kind])
            if not hand["alive"][kind][e][o]
        )
        expected = {name: value for name, value in expected.items() if not name.startswith(dead)}
        expected_moments = {name: value for name, value in expected_moments.items() if not name.startswith(dead)}
        for kind in KINDS:
            assert pipeline.rounds.target.masks()[kind].tolist() == hand["alive"][kind], where
            same(learner.alpha[kind].detach(), hand["alpha"][kind], f"{where}: alpha of {kind}")
            for key, value in hand["adam"][kind].items():
                same(learner.alpha_optimizer.state[learner.alpha[kind]][key], value, f"{where}: {key} of alpha")
    else:
        masks = {name: mask.flatten().tolist() for name, mask in pipeline.rounds.target.masks().items()}
        assert masks == hand["masks"], where
    assert theta.keys() == expected.keys(), where
    for name, value in expected.items():
        same(theta[name], value, f"{where}: {name}")
    assert moments.keys() == expected_moments.keys(), where
    for name, value in expected_moments.items():
        same(moments[name], value, f"{where}: momentum of {name}")


PROBABILITY = partial(Pruning, importance=probability)
MAGNITUDE = partial(Pruning, importance=magnitude)
IN_TWO = (1 - (1 - 0.75) ** 0.5, 0.75)
# name: recipe, options of Darts, its prunings, (search, train) steps, the hand-written search, the hand-written retraining
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Pruning], tuple[int, int], dict[str, Any], dict[str, Any]]] = {
    "baseline": (baseline, {}, {}, (4, 4), {}, {"horizon": 4, "finish": 4}),
    "variant1, one shot, rewound to theta_0": (
        variant1,
        {},
        {"theta": MAGNITUDE(Theta.of, OneShot(0.5), rewind=0)},
        (3, 8),
        {},
        {"after": (0.5,), "k": 4, "rewind": 0, "horizon": 4, "finish": 4},
    ),
    "variant1, two rounds, rewound to theta_0": (
        variant1,
        {},
        {"theta": MAGNITUDE(Theta.of, Iterative(0.75, 2), rewind=0)},
        (2, 11),
        {},
        {"after": IN_TWO, "k": 3, "rewind": 0, "horizon": 5, "finish": 5},
    ),
    "variant1, two rounds, never rewound": (
        variant1,
        {},
        {"theta": MAGNITUDE(Theta.of, Iterative(0.75, 2), rewind=None)},
        (2, 9),
        {},
        {"after": IN_TWO, "k": 3, "rewind": None, "horizon": 9, "finish": 3},
    ),
    "variant1, two rounds, rewound to step 2": (
        variant1,
        {},
        {"theta": MAGNITUDE(Theta.of, Iterative(0.75, 2), rewind=2)},
        (2, 9),
        {},
        {"after": IN_TWO, "k": 3, "rewind": 2, "horizon": 5, "finish": 3},
    ),
    "variant1, three rounds over the whole network, rewound to the step of the first prune": (
        variant1,
        {},
        {
            "theta": MAGNITUDE(
                partial(lambda learner: Theta(learner.module, learner.optimizers, scope="global")), Iterative(0.6, 3), rewind=2
            )
        },
        (2, 8),
        {},
        {
            "after": (1 - 0.4 ** (1 / 3), 1 - 0.4 ** (2 / 3), 0.6),
            "k": 2,
            "rewind": 2,
            "horizon": 4,
            "finish": 2,
            "everywhere": True,
        },
    ),
    "variant1, fresh weights after the last of two rounds": (
        variant1,
        {},
        {"theta": MAGNITUDE(Theta.of, Iterative(0.75, 2), rewind=0, fresh=True)},
        (2, 6),
        {},
        {"after": IN_TWO, "k": 2, "rewind": 0, "horizon": 2, "finish": 2},
    ),
    "variant2, two rounds": (
        variant2,
        {},
        {"alpha": PROBABILITY(Alpha, Iterative(0.75, 2))},
        (5, 3),
        {"after": IN_TWO, "k": 2},
        {"horizon": 3, "finish": 3},
    ),
    "variant2, to the floor of one path per edge": (
        variant2,
        {},
        {"alpha": PROBABILITY(Alpha, Iterative(0.95, 2))},
        (4, 2),
        {"after": (1 - 0.05**0.5, 0.95), "k": 2},
        {"horizon": 2, "finish": 2},
    ),
    "variant2, over each kind of cell": (
        variant2,
        {},
        {"alpha": PROBABILITY(lambda strategy: Alpha(strategy, scope="global"), Iterative(0.9, 2))},
        (4, 2),
        {"after": (1 - 0.1**0.5, 0.9), "k": 2, "scope": "global"},
        {"horizon": 2, "finish": 2},
    ),
    "variant2, the magnitude of alpha": (
        variant2,
        {},
        {"alpha": MAGNITUDE(Alpha, OneShot(0.5))},
        (3, 2),
        {"after": (0.5,), "k": 3, "literal": True},
        {"horizon": 2, "finish": 2},
    ),
    "generalized": (
        generalized,
        {},
        {"alpha": PROBABILITY(Alpha, Iterative(0.75, 2)), "theta": MAGNITUDE(Theta.of, Iterative(0.75, 2), rewind=0)},
        (4, 6),
        {"after": IN_TWO, "k": 2},
        {"after": IN_TWO, "k": 2, "rewind": 0, "horizon": 2, "finish": 2},
    ),
    "generalized, unrolled": (
        generalized,
        {"unrolled": "exact"},
        {"alpha": PROBABILITY(Alpha, OneShot(0.5)), "theta": MAGNITUDE(Theta.of, OneShot(0.5), rewind=1)},
        (3, 4),
        {"after": (0.5,), "k": 2, "unrolled": True},
        {"after": (0.5,), "k": 2, "rewind": 1, "horizon": 3, "finish": 2},
    ),
    "generalized, k alpha updates and then k theta updates": (
        generalized,
        {"alternate": 2},
        {"alpha": PROBABILITY(Alpha, OneShot(0.5)), "theta": MAGNITUDE(Theta.of, OneShot(0.5), rewind=0)},
        (6, 4),
        {"after": (0.5,), "k": 4, "alternate": 2},
        {"after": (0.5,), "k": 2, "rewind": 0, "horizon": 2, "finish": 2},
    ),
}
# The rounds of a search fill it unless the pruning says otherwise.
STEPS_OF_A_ROUND = {"generalized, unrolled": 2, "generalized, k alpha updates and then k theta updates": 4}


@pytest.mark.parametrize("name", CASES)
def test_a_recipe_equals_its_algorithm_written_by_hand(name: str, make_space: Any, make_batches: Any, loss: Any) -> None:
    recipe, darts, prunings, (search, train), by_hand, retrain = CASES[name]
    if name in STEPS_OF_A_ROUND:
        alpha = prunings["alpha"]
        prunings = {**prunings, "alpha": Pruning(alpha.target, alpha.schedule, alpha.importance, k=STEPS_OF_A_ROUND[name])}
    batches = make_batches(search + train)

    trace: list[Snapshot] = []
    plain = make_space()
    drawn = iter(batches)
    genotype = search_by_hand(plain, loss, drawn, trace, steps=search, **by_hand)
    assert len(trace) == search
    torch.default_generator.manual_seed(seed_of("network"))
    network = plain.derive(genotype)
    if "fresh" in name:
        torch.default_generator.manual_seed(seed_of("network/fresh"))
        retrain = {**retrain, "anew": plain.derive(genotype)}
    retrain_by_hand(network, loss, drawn, trace, **retrain)
    assert len(trace) == search + train

    def fit(network: torch.nn.Module, horizon: int) -> Learner:
        return WeightTraining(network, loss, horizon)

    strategy = Darts(make_space(), loss, search, SEED, **darts)
    pipeline = recipe(strategy, fit, search=search, train=train, seed=SEED, **prunings)
    for t, (batch, hand) in enumerate(zip(batches, trace, strict=True)):
        assert not pipeline.done
        metrics = pipeline.step(*batch)
        compare(pipeline, metrics, hand, f"{name}, step {t}")
    assert pipeline.done
    ticket = pipeline.ticket
    assert ticket.genotype == genotype
    assert ticket.network is pipeline.module
    assert {name: mask.flatten().tolist() for name, mask in ticket.masks.items()} == trace[-1]["masks"]


def test_the_algorithms_by_hand_prune_and_learn(make_space: Any, make_batches: Any, loss: Any) -> None:
    """The comparison has power: paths and weights die, alpha and theta move, and a rewind goes back to theta_0."""
    trace: list[Snapshot] = []
    space = make_space()
    before = copy.deepcopy(space.state_dict())
    batches = iter(make_batches(6))
    genotype = search_by_hand(space, loss, batches, trace, steps=2, after=(0.5,), k=2)
    assert [sum(map(sum, rows)) for rows in trace[-1]["alive"].values()] == [20, 20]
    assert not torch.equal(trace[0]["alpha"]["normal"], trace[1]["alpha"]["normal"])
    assert not torch.equal(before["stem.0.weight"], trace[0]["theta"]["stem.0.weight"])
    network = space.derive(genotype)
    first = copy.deepcopy(network.state_dict())
    retrain_by_hand(network, loss, batches, trace, horizon=2, finish=2, after=(0.5,), k=2, rewind=0)
    mask = torch.tensor(trace[3]["masks"]["classifier.weight"]).view(3, -1)
    assert int((~mask).sum()) == mask.numel() // 2
    assert not torch.equal(trace[2]["theta"]["classifier.weight"], first["classifier.weight"])
    assert torch.equal(trace[3]["theta"]["classifier.weight"], first["classifier.weight"] * mask)
    assert trace[3]["momenta"] == {}
