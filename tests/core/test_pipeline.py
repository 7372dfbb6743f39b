"""The loop, the stages and the pipeline: when things happen, and that saving at any step loses nothing."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from lnas.builtin.darts import Darts
from lnas.builtin.importances import magnitude, probability, random
from lnas.builtin.random_search import RandomSearch
from lnas.builtin.recipes import baseline, generalized, variant1, variant2
from lnas.builtin.schedules import Iterative, Never, OneShot
from lnas.builtin.targets import Alpha, Theta
from lnas.builtin.weights import WeightTraining
from lnas.core.errors import ConfigError, SparsityError
from lnas.core.genotype import Genotype
from lnas.core.learner import Learner
from lnas.core.mask import MaskTarget
from lnas.core.pipeline import Pipeline, Progress
from lnas.core.rounds import Pruning, Rounds, Sparsity
from lnas.core.stages import Retrain, Search, Ticket
from lnas.core.types import Metrics

# A learner that counts, and a target that says what is done to it -----------------------------------------------------


class Counter(Learner):
    """Its weights are the number of its steps, so that a rewind can be seen."""

    def __init__(self, diary: list[str]) -> None:
        self.module = nn.Linear(4, 1, bias=False)
        nn.init.zeros_(self.module.weight)
        self.loss = lambda predict, batch: predict(torch.ones(4)).sum() * batch
        self.optimizers = ()
        self.diary = diary
        self.count = 0

    def step(self, train: Any, val: Any = None) -> Metrics:
        self.count += 1
        with torch.no_grad():
            self.module.weight += 1
        self.diary.append(f"step {self.count} on {train}")
        return {"count": torch.tensor(float(self.count))}

    def predict(self, x: Any) -> Any:
        return self.module(x)

    def state_dict(self) -> dict[str, Any]:
        return {"weight": self.module.weight.detach(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.module.weight.data.copy_(state["weight"])
        self.count = state["count"]
        self.diary.append(f"load {self.count}")


@dataclass
class Four(MaskTarget):
    """The four weights of a counter."""

    learner: Counter
    bits: dict[str, Tensor] = field(default_factory=lambda: {"w": torch.ones(1, 4, dtype=torch.bool)})

    name: ClassVar[str] = "four"
    stage: ClassVar[Literal["search", "train"]] = "train"

    def tensors(self) -> Mapping[str, Tensor]:
        return {"w": self.learner.module.weight}

    def masks(self) -> Mapping[str, Tensor]:
        return self.bits

    def apply(self) -> None:
        self.learner.module.weight.data.mul_(self.bits["w"])


def rounds(schedule: Any, diary: list[str], *, k: int, finish: int = 0, rewind: int | None = None) -> Rounds:
    learner = Counter(diary)

    def note(tensors: Any, masks: Any, loss: Any) -> Any:
        diary.append(f"prune, loss {loss().item():g}")
        return {"w": torch.arange(4.0).view(1, 4)}

    return Rounds(learner, Four(learner), Pruning(Four, schedule, note, rewind), k, finish)


def drive(learner: Any, batches: Sequence[Any]) -> int:
    t = 0
    while not learner.done:
        learner.step(batches[t])
        t += 1
    return t


# Rounds ---------------------------------------------------------------------------------------------------------------


def test_k_steps_and_a_prune_for_each_round_then_the_rest() -> None:
    diary: list[str] = []
    loop = rounds(Iterative(0.75, 2), diary, k=2, finish=1)
    seen = []
    while not loop.done:
        loop.step(loop.t + 1)
        seen.append((loop.t, loop.round, loop.module.weight.tolist()[0]))
    assert diary == [
        "step 1 on 1",
        "step 2 on 2",
        "prune, loss 16",
        "step 3 on 3",
        "step 4 on 4",
        "prune, loss 32",
        "step 5 on 5",
    ]
    assert seen == [(1, 0, [1] * 4), (2, 1, [0, 0, 2, 2]), (3, 1, [0, 0, 3, 3]), (4, 2, [0, 0, 0, 4]), (5, 2, [0, 0, 0, 5])]
    assert loop.sparsity() == Sparsity(0.75, 0.75)


def test_rewinding_goes_back_in_the_learner_and_on_in_the_batches() -> None:
    diary: list[str] = []
    loop = rounds(Iterative(0.75, 2), diary, k=3, finish=1, rewind=1)
    assert drive(loop, range(100)) == 7
    assert diary == [
        "step 1 on 0",
        "step 2 on 1",
        "step 3 on 2",
        "prune, loss 24",
        "load 1",
        "step 2 on 3",
        "step 3 on 4",
        "step 4 on 5",
        "prune, loss 40",
        "load 1",
        "step 2 on 6",
    ]
    assert loop.module.weight.tolist() == [[0, 0, 0, 2]]


def test_rewinding_to_the_beginning_and_to_the_step_of_the_prune() -> None:
    for rewind, weights in [(0, [0.0] * 4), (2, [0, 0, 2, 2])]:
        loop = rounds(OneShot(0.5), [], k=2, finish=1, rewind=rewind)
        loop.step(0)
        loop.step(0)
        assert loop.module.weight.tolist() == [weights]


def test_pruning_before_the_first_step_in_all_rounds() -> None:
    diary: list[str] = []
    loop = rounds(Iterative(0.75, 2), diary, k=0, finish=2, rewind=0)
    assert drive(loop, [1, 1]) == 2
    assert diary == ["prune, loss 0", "load 0", "prune, loss 0", "load 0", "step 1 on 1", "step 2 on 1"]
    assert loop.module.weight.tolist() == [[0, 0, 0, 2]]


def test_never_is_only_steps() -> None:
    diary: list[str] = []
    assert drive(rounds(Never(), diary, k=0, finish=3, rewind=0), [7, 8, 9]) == 3
    assert diary == ["step 1 on 7", "step 2 on 8", "step 3 on 9"]


def test_a_schedule_hears_of_its_own_rounds_only() -> None:
    asked = []

    class Spy(Iterative):
        def sparsity_after(self, round: int) -> float:
            asked.append(round)
            return super().sparsity_after(round)

    assert drive(rounds(Spy(0.75, 3), [], k=1), [0] * 9) == 3
    assert set(asked) == {1, 2, 3}


@pytest.mark.parametrize("rewind", [-1, 3])
def test_rewinding_to_after_the_prune_is_refused(rewind: int) -> None:
    with pytest.raises(ConfigError, match=f"rewind must be a step before the first prune, 0 to 2, not {rewind}"):
        rounds(OneShot(0.5), [], k=2, rewind=rewind)


def test_a_loop_is_its_learner_to_the_outside() -> None:
    loop = rounds(Never(), [], k=0)
    assert loop.module is loop.learner.module
    assert loop.loss is loop.learner.loss
    assert loop.optimizers == ()
    assert loop.predict(torch.ones(4)).item() == 0
    assert loop.sparsity() == Sparsity(0.0, 0.0)


@pytest.mark.parametrize("rewind", [None, 0, 1, 2])
def test_a_loop_goes_on_from_its_state_at_every_step(rewind: int | None) -> None:
    def begin() -> Rounds:
        return rounds(Iterative(0.75, 2), [], k=2, finish=2, rewind=rewind)

    straight = begin()
    states = [copy.deepcopy(straight.state_dict())]
    while not straight.done:
        straight.step(straight.t)
        states.append(copy.deepcopy(straight.state_dict()))
    assert len(states) == 7
    for t, state in enumerate(states):
        kept = copy.deepcopy(state)
        resumed = begin()
        resumed.load_state_dict(state)
        for expected in states[t + 1 :]:
            assert not resumed.done
            resumed.step(resumed.t)
            same(resumed.state_dict(), expected)
        assert resumed.done
        same(state, kept)


# Whole recipes: save at every step, rebuild everything, load, go on ---------------------------------------------------


def same(mine: Any, theirs: Any, where: str = "") -> None:
    """Equal bit for bit, through dictionaries and lists."""
    assert type(mine) is type(theirs), where
    if isinstance(mine, dict):
        assert list(mine) == list(theirs), where
        for key, value in mine.items():
            same(value, theirs[key], f"{where}/{key}")
    elif isinstance(mine, list):
        assert len(mine) == len(theirs), where
        for index, pair in enumerate(zip(mine, theirs, strict=True)):
            same(*pair, f"{where}/{index}")
    elif isinstance(mine, Tensor):
        assert mine.dtype == theirs.dtype and torch.equal(mine, theirs), where
    else:
        assert mine == theirs, where


def tensors(state: Any) -> int:
    if isinstance(state, Tensor):
        return 1
    return sum(map(tensors, state.values() if isinstance(state, dict) else state)) if isinstance(state, dict | list) else 0


IN_TWO = Iterative(0.75, 2)
ALPHA = Pruning(Alpha, IN_TWO, probability)
THETA = Pruning(Theta.of, IN_TWO, magnitude, rewind=0)
FEW = ("none", "skip_connect", "max_pool_3x3", "sep_conv_3x3")
RECIPES: dict[str, tuple[Any, Any, dict[str, Pruning]]] = {
    "baseline": (baseline, Darts, {}),
    "variant1": (variant1, Darts, {"theta": THETA}),
    "variant1, rewound to step 1": (variant1, Darts, {"theta": Pruning(Theta.of, IN_TWO, magnitude, rewind=1)}),
    "variant1, begun anew": (variant1, Darts, {"theta": Pruning(Theta.of, IN_TWO, magnitude, rewind=0, fresh=True)}),
    "variant1, never rewound": (variant1, Darts, {"theta": Pruning(Theta.of, IN_TWO, random)}),
    "variant2": (variant2, Darts, {"alpha": ALPHA}),
    "variant2, the search rewound too": (variant2, Darts, {"alpha": Pruning(Alpha, IN_TWO, probability, rewind=1)}),
    "variant2, unrolled": (variant2, partial(Darts, unrolled="exact"), {"alpha": Pruning(Alpha, OneShot(0.5), probability, k=2)}),
    "generalized": (generalized, Darts, {"alpha": ALPHA, "theta": THETA}),
    "generalized, random search": (generalized, RandomSearch, {"alpha": ALPHA, "theta": THETA}),
    "generalized, alternating": (
        generalized,
        partial(Darts, alternate=2, alpha_optimizer="sgd"),
        {"alpha": ALPHA, "theta": THETA},
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_goes_on_from_its_state_at_every_step(name: str, make_space: Any, make_batches: Any, loss: Any) -> None:
    recipe, strategy, prunings = RECIPES[name]
    batches = make_batches(11)

    def begin(seed: int) -> Pipeline:
        """theta_0 of the supernet and alpha_0 depend on the seed: a state must replace them."""
        space = make_space(seed, operations=FEW)
        return recipe(
            strategy(space, loss, 5, seed),
            lambda network, horizon: WeightTraining(network, loss, horizon),
            search=5,
            train=6,
            **prunings,
        )

    def fingerprint(pipeline: Pipeline) -> dict[str, Any]:
        ticket = pipeline.ticket
        assert ticket.genotype is not None
        assert ticket.network is not None
        return {
            "genotype": ticket.genotype.to_json(),
            "network": dict(ticket.network.state_dict()),
            "masks": dict(ticket.masks),
            "sparsity": {key: [value.target, value.attained] for key, value in ticket.sparsity.items()},
        }

    straight = begin(0)
    states, metrics = [], []
    for batch in batches:
        states.append(copy.deepcopy(straight.state_dict()))
        metrics.append(dict(straight.step(*batch)))
    states.append(copy.deepcopy(straight.state_dict()))
    assert straight.done
    end = fingerprint(straight)
    same(straight.state_dict()["rounds"], states[-1]["rounds"])  # closing changes nothing but the ticket
    straight.advance()

    for t, state in enumerate(states):
        kept = copy.deepcopy(state)
        resumed = begin(t + 1)
        resumed.load_state_dict(state)
        same(resumed.state_dict(), state, f"loaded at {t}")
        for s in range(t, len(batches)):
            assert not resumed.done
            same(dict(resumed.step(*batches[s])), metrics[s], f"saved at {t}, metrics of step {s}")
            if s == t:  # the next state in full; later ones follow, as metrics and the end say
                same(resumed.state_dict(), states[s + 1], f"saved at {t}, state after step {s}")
        assert resumed.done
        same(fingerprint(resumed), end, f"saved at {t}")
        same(state, kept, f"the state saved at {t} was changed")


def test_the_state_of_a_search_shrinks_with_its_paths_and_an_older_one_loads(
    make_space: Any, make_batches: Any, loss: Any
) -> None:
    pruning = Pruning(Alpha, Iterative(0.875, 3), probability)
    strategy = Darts(make_space(), loss)
    pipeline = Pipeline(Search(strategy, pruning, 6))
    sizes, old = [], None
    for batch in make_batches(6):
        pipeline.step(*batch)
        sizes.append(tensors(pipeline.state_dict()))
        old = old or copy.deepcopy(pipeline.rounds.learner.state_dict())
    assert sizes[0] > sizes[1] == sizes[2] > sizes[3] == sizes[4] > sizes[5]
    alive = copy.deepcopy(strategy.space.alive)
    assert [int(bits.sum()) for bits in alive.values()] == [5, 5]
    strategy.load_state_dict(old)
    pipeline.rounds.target.apply()
    assert strategy.t == 1
    for name, value in strategy.space.state_dict().items():
        assert torch.equal(value, old["space"][name])
    for kind, alpha in strategy.alpha.items():
        assert torch.equal(alpha, old["alpha"][kind] * alive[kind])
        assert torch.equal(strategy.space.alive[kind], alive[kind])


def test_an_older_state_of_the_whole_pipeline_needs_a_fresh_space(make_space: Any, make_batches: Any, loss: Any) -> None:
    """What has been deleted cannot come back: it says so instead of breaking later."""
    pipeline = Pipeline(Search(Darts(make_space(operations=FEW), loss), Pruning(Alpha, OneShot(0.5), probability, k=1), 2))
    old = copy.deepcopy(pipeline.state_dict())
    pipeline.step(*make_batches(1)[0])
    with pytest.raises(ConfigError, match="cannot come alive again; load an older state into a fresh space"):
        pipeline.load_state_dict(old)


# Stages and pipeline --------------------------------------------------------------------------------------------------


def stage(steps: int, schedule: Any, *, k: int | None = None, rewind: int | None = None, kind: Any = Search) -> Any:
    pruning = Pruning(Four, schedule, magnitude, rewind, k)
    return Search(None, pruning, steps) if kind is Search else Retrain(None, None, pruning, steps)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "steps", "schedule", "k", "loop"),
    [
        (Search, 10, Never(), None, (0, 10)),
        (Search, 10, OneShot(0.5), None, (10, 0)),
        (Search, 10, Iterative(0.5, 3), None, (3, 1)),
        (Search, 10, Iterative(0.5, 3), 2, (2, 4)),
        (Search, 10, Iterative(0.5, 3), 0, (0, 10)),
        (Search, 10, Iterative(0.5, 10), None, (1, 0)),
        (Retrain, 10, Never(), None, (0, 10)),
        (Retrain, 10, OneShot(0.5), None, (5, 5)),
        (Retrain, 10, Iterative(0.5, 3), None, (2, 4)),
        (Retrain, 10, Iterative(0.5, 9), None, (1, 1)),
        (Retrain, 10, OneShot(0.5), 10, (10, 0)),
    ],
)
def test_steps_are_shared_out_among_the_rounds(
    kind: Any, steps: int, schedule: Any, k: int | None, loop: tuple[int, int]
) -> None:
    assert stage(steps, schedule, k=k, kind=kind).loop() == loop


@pytest.mark.parametrize(
    ("kind", "steps", "schedule", "options", "says"),
    [
        (Search, 0, Never(), {}, "the search stage needs at least one step, not 0"),
        (Retrain, 0, Never(), {}, "the train stage needs at least one step, not 0"),
        (Retrain, -1, OneShot(0.5), {}, "the train stage needs at least one step, not -1"),
        (Search, 2, Iterative(0.5, 3), {}, "3 prune rounds do not fit into 2 search steps; at least 3 are needed"),
        (Retrain, 3, Iterative(0.5, 3), {}, "3 prune rounds do not fit into 3 train steps; at least 4 are needed"),
        (Search, 5, Iterative(0.5, 3), {"k": 2}, "3 prune rounds of 2 steps do not fit into 5 search steps"),
        (Search, 5, Iterative(0.5, 3), {"k": -1}, "3 prune rounds of -1 steps do not fit into 5 search steps"),
        (Retrain, 9, OneShot(0.5), {"rewind": 5}, "rewind must be a step before the first prune, 0 to 4, not 5"),
        (Retrain, 9, OneShot(0.5), {"rewind": -1}, "rewind must be a step before the first prune, 0 to 4, not -1"),
    ],
)
def test_rounds_that_do_not_fit_are_refused(kind: Any, steps: int, schedule: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        stage(steps, schedule, kind=kind, **options).loop()


@pytest.mark.parametrize(
    ("steps", "pruning", "horizon"),
    [
        (7, Pruning(Theta.of, Never(), magnitude), 7),
        (7, Pruning(Theta.of, OneShot(0.5), magnitude), 7),
        (7, Pruning(Theta.of, OneShot(0.5), magnitude, rewind=0), 4),  # 3 steps, then 4 from the beginning
        (7, Pruning(Theta.of, OneShot(0.5), magnitude, rewind=2), 6),
        (9, Pruning(Theta.of, Iterative(0.5, 2), magnitude, rewind=0, k=4), 4),
        (7, Pruning(Theta.of, OneShot(0.5), magnitude, rewind=0, k=0), 7),
        (7, Pruning(Theta.of, OneShot(0.5), magnitude, rewind=0, fresh=True), 4),
    ],
)
def test_the_horizon_is_the_most_steps_between_two_rewinds(
    steps: int, pruning: Pruning, horizon: int, make_space: Any, make_batches: Any, loss: Any
) -> None:
    space = make_space(operations=FEW)
    genotype = space.discretize({kind: torch.zeros(5, 4) for kind in space.alive})
    seen = []

    def fit(network: nn.Module, horizon: int) -> WeightTraining:
        seen.append(horizon)
        return WeightTraining(network, loss, horizon)

    pipeline = Pipeline(Retrain(space.derive, fit, pruning, steps), ticket=Ticket(genotype=genotype))
    assert seen == [horizon]
    furthest = 0
    for batch in make_batches(steps):
        assert not pipeline.done
        before = pipeline.rounds.learner.sgd.t  # type: ignore[attr-defined]
        pipeline.step(*batch)
        furthest = max(furthest, before + 1)
    assert pipeline.done
    assert furthest == horizon


def test_theta_0_of_the_network_depends_on_the_seed_alone(make_space: Any, loss: Any) -> None:
    space = make_space(operations=FEW)
    genotype = space.discretize({kind: torch.zeros(5, 4) for kind in space.alive})
    found = []
    for root, seed in [(1, 5), (2, 5), (1, 6)]:
        torch.manual_seed(root)
        expected = torch.rand(1)
        torch.manual_seed(root)
        fit = partial(lambda network, horizon: WeightTraining(network, loss, horizon))
        pipeline = Pipeline(
            Retrain(space.derive, fit, Pruning(Theta.of, Never(), magnitude), 1, seed), ticket=Ticket(genotype=genotype)
        )
        assert torch.equal(torch.rand(1), expected)
        found.append(pipeline.module.state_dict()["stem.0.weight"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_fresh_weights_are_refused_where_nobody_draws_them() -> None:
    anew = Pruning(Four, OneShot(0.5), magnitude, rewind=0, fresh=True)
    with pytest.raises(ConfigError, match="a search cannot begin anew on fresh weights"):
        Search(None, anew, 4).loop()  # type: ignore[arg-type]
    learner = Counter([])
    with pytest.raises(ConfigError, match="nobody here can draw fresh weights"):
        Rounds(learner, Four(learner), anew, 2)
    for rewind in (None, 1):
        with pytest.raises(ConfigError, match=f"rewind must be 0 with them, not {rewind}"):
            Pruning(Four, OneShot(0.5), magnitude, rewind=rewind, fresh=True)


def test_progress_and_the_ticket_from_stage_to_stage(make_space: Any, make_batches: Any, loss: Any) -> None:
    strategy = Darts(make_space(operations=FEW), loss)
    pipeline = generalized(
        strategy, lambda network, horizon: WeightTraining(network, loss, horizon), alpha=ALPHA, theta=THETA, search=2, train=3
    )
    batches = make_batches(5)
    assert pipeline.progress == Progress("search", "pairs", 0, 2, 0, 2)
    assert pipeline.module is strategy.space
    assert pipeline.optimizers is strategy.optimizers
    assert pipeline.ticket == Ticket()
    pipeline.step(*batches[0])
    pipeline.step(*batches[1])
    assert pipeline.progress == Progress("search", "pairs", 2, 2, 2, 2)
    assert not pipeline.done
    assert pipeline.ticket.genotype is None
    pipeline.advance()
    assert pipeline.progress == Progress("train", "all", 0, 3, 0, 2)
    assert pipeline.ticket.genotype == strategy.genotype()
    assert pipeline.ticket.sparsity == {"alpha": Sparsity(0.75, 0.75)}
    assert pipeline.loss is loss
    pictures = batches[0][0][0]
    assert pipeline.predict(pictures).shape == (4, 3)
    pipeline.advance()  # nothing to close
    for batch in batches[2:]:
        pipeline.step(*batch)
    assert pipeline.progress == Progress("train", "all", 3, 3, 2, 2)
    assert pipeline.done
    ticket = pipeline.ticket
    assert ticket.network is pipeline.module
    assert ticket.sparsity.keys() == {"alpha", "theta"}
    assert ticket.sparsity["theta"].target == 0.75
    assert ticket.sparsity["theta"].attained == pytest.approx(0.75, abs=0.05)
    assert all(torch.equal(mask, pipeline.rounds.target.masks()[name]) for name, mask in ticket.masks.items())
    assert pipeline.ticket is ticket


def test_a_pipeline_without_stages_or_without_an_architecture_is_refused(loss: Any) -> None:
    with pytest.raises(ConfigError, match="at least one stage"):
        Pipeline()
    with pytest.raises(ConfigError, match="there is no architecture to train"):
        Pipeline(
            Retrain(lambda genotype: nn.Linear(1, 1), lambda network, horizon: Counter([]), Pruning(Four, Never(), magnitude), 3)
        )


def test_the_network_of_a_ticket_is_compacted_where_the_target_can(loss: Any) -> None:
    small = nn.Linear(2, 1)

    class Smaller(Four):
        def compact(self, network: nn.Module) -> nn.Module:
            return small

    pipeline = Pipeline(
        Retrain(
            lambda genotype: nn.Linear(4, 1), lambda network, horizon: Counter([]), Pruning(Smaller, OneShot(0.5), magnitude), 2
        ),
        ticket=Ticket(genotype=Genotype({})),
    )
    assert drive(pipeline, [1, 1]) == 2
    assert pipeline.ticket.network is small


def test_a_round_that_cannot_be_met_stops_before_it_changes_anything(make_space: Any, make_batches: Any, loss: Any) -> None:
    strategy = Darts(make_space(operations=FEW), loss)
    pruning = Pruning(partial(Alpha, scope="global"), OneShot(0.95), probability)
    pipeline = Pipeline(Search(strategy, pruning, 1))
    with pytest.raises(SparsityError, match=r"at most 0\.900 \(36 of 40\) is feasible"):
        pipeline.step(*make_batches(1)[0])
    assert all(bits.all() for bits in strategy.space.alive.values())
