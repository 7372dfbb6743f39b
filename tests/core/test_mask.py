"""Oracle 6: exact counts, ties, nesting, order, and what is refused; against a selection in plain Python."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lnas.core.errors import ConfigError, NumericalError, PluginError, SparsityError
from lnas.core.mask import MaskTarget, Pool, check_feasible, prune, sparsity_of


@dataclass
class Bag(MaskTarget):
    """Tensors with any pools and any required entries."""

    values: dict[str, Tensor]
    contests: Sequence[Pool] = ()
    must_stay: Mapping[str, Tensor] = field(default_factory=dict)
    bits: dict[str, Tensor] = field(init=False)
    applied: int = 0

    name: ClassVar[str] = "bag"
    stage: ClassVar[Literal["search", "train"]] = "train"

    def __post_init__(self) -> None:
        self.bits = {name: torch.ones_like(value, dtype=torch.bool) for name, value in self.values.items()}

    def tensors(self) -> Mapping[str, Tensor]:
        return self.values

    def masks(self) -> Mapping[str, Tensor]:
        return self.bits

    def pools(self) -> Sequence[Pool]:
        return self.contests or MaskTarget.pools(self)

    def required(self, scores: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {name: mask & self.bits[name] for name, mask in self.must_stay.items()}

    def apply(self) -> None:
        self.applied += 1
        for name, value in self.values.items():
            value *= self.bits[name]


def scores_are(scores: Mapping[str, Tensor]) -> Callable[..., Mapping[str, Tensor]]:
    return lambda tensors, masks, loss: scores


def as_lists(target: MaskTarget) -> dict[str, list[Any]]:
    return {name: mask.tolist() for name, mask in target.masks().items()}


def clear(target: MaskTarget) -> int:
    return sum(int((~mask).sum()) for mask in target.masks().values())


# Counts, by numbers one can check by hand -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "sparsity", "gone"),
    [
        (10, 0.0, 0),
        (10, 0.3, 3),
        (10, 0.34, 3),
        (10, 0.36, 4),
        (8, 0.625, 5),
        (5, 0.5, 2),
        (7, 0.5, 4),
        (3, 0.99, 3),
        (266200, 0.488, 129906),
    ],
)
def test_the_count_is_the_rounded_product(size: int, sparsity: float, gone: int) -> None:
    target = Bag({"a": torch.arange(1.0, size + 1)})
    prune(target, sparsity)
    assert target.bits["a"].tolist() == [False] * gone + [True] * (size - gone)
    assert sparsity_of(target.masks()) == gone / size
    assert target.applied == 1
    assert int((target.values["a"] == 0).sum()) == gone


def test_the_smallest_magnitudes_go_first_unless_another_importance_is_given() -> None:
    values = {"a": torch.tensor([[3.0, -1.0], [-4.0, 2.0]])}
    target = Bag({"a": values["a"].clone()})
    prune(target, 0.5)
    assert as_lists(target) == {"a": [[True, False], [True, False]]}
    target = Bag({"a": values["a"].clone()})
    prune(target, 0.5, importance=lambda tensors, masks, loss: tensors)
    assert as_lists(target) == {"a": [[True, False], [False, True]]}


def test_ties_fall_by_name_then_index() -> None:
    target = Bag({"b": torch.ones(3), "a": torch.ones(2, 2)})
    prune(target, 4 / 7 + 0.15)  # 5 of 7
    assert as_lists(target) == {"a": [[False, False], [False, False]], "b": [False, True, True]}


def test_pools_of_rows_are_counted_apart() -> None:
    target = Bag({"a": torch.tensor([[1.0, 2, 3, 4], [40, 30, 20, 10]])}, [Pool((("a", 1),)), Pool((("a", 0),), floor=3)])
    prune(target, 0.5)
    assert as_lists(target) == {"a": [[False, True, True, True], [True, True, False, False]]}


def test_required_entries_are_spared_and_others_go_instead() -> None:
    target = Bag({"a": torch.arange(1.0, 5)}, must_stay={"a": torch.tensor([True, False, False, False])})
    prune(target, 0.5)
    assert as_lists(target) == {"a": [True, False, False, True]}


def test_a_pool_with_its_own_rate_loses_that_share_of_its_survivors_in_each_round() -> None:
    target = Bag(
        {"a": torch.arange(1.0, 1001), "b": torch.arange(1.0, 1001)}, [Pool((("a", None),)), Pool((("b", None),), rate=0.5)]
    )
    counts = []
    sparsities = [1 - 0.8**r for r in range(1, 5)]
    for r, sparsity in enumerate(sparsities):
        prune(target, sparsity, earlier=sparsities[:r])
        counts.append((int(target.bits["a"].sum()), int(target.bits["b"].sum())))
    assert counts == [(800, 900), (640, 810), (512, 729), (410, 656)]  # 0.8^r and 0.9^r


def test_a_rate_of_zero_prunes_nothing() -> None:
    target = Bag({"a": torch.arange(1.0, 9)}, [Pool((("a", None),), rate=0.0)])
    prune(target, 0.75, earlier=[0.5])
    assert as_lists(target) == {"a": [True] * 8}


def test_a_lower_sparsity_brings_nothing_back() -> None:
    target = Bag({"a": torch.arange(1.0, 9)})
    prune(target, 0.75)
    before = as_lists(target)
    prune(target, 0.25, importance=scores_are({"a": -torch.arange(1.0, 9)}))
    assert as_lists(target) == before


def test_nothing_has_no_sparsity() -> None:
    assert sparsity_of({}) == 0.0


# The same for everything that hypothesis can think of -----------------------------------------------------------------


@st.composite
def problems(draw: Any) -> tuple[dict[str, list[list[int]]], list[Pool], dict[str, list[list[bool]]]]:
    """Tensors of few distinct scores, split into pools of whole tensors and of rows; a few required entries."""
    scores: dict[str, list[list[int]]] = {}
    members: list[tuple[str, int | None]] = []
    for name in draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)):
        rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 6))
        scores[name] = [[draw(st.integers(0, 3)) for _ in range(columns)] for _ in range(rows)]
        members += [(name, row) for row in range(rows)] if draw(st.booleans()) else [(name, None)]
    cuts = (
        draw(st.lists(st.integers(1, max(1, len(members) - 1)), max_size=3, unique=True).map(sorted)) if len(members) > 1 else []
    )
    members = draw(st.permutations(members))
    pools = [
        Pool(tuple(members[start:end]), floor=draw(st.integers(0, 2)))
        for start, end in zip([0, *cuts], [*cuts, len(members)], strict=True)
    ]
    must_stay = {name: [[draw(st.integers(0, 9)) == 0 for _ in row] for row in rows] for name, rows in scores.items()}
    return scores, pools, must_stay


def entries(pool: Pool, scores: Mapping[str, list[list[int]]]) -> list[tuple[str, int, int]]:
    return [
        (name, i, j)
        for name, row in pool.members
        for i, values in enumerate(scores[name])
        if row is None or row == i
        for j in range(len(values))
    ]


def by_hand(
    scores: Mapping[str, list[list[int]]],
    pools: Sequence[Pool],
    must_stay: Mapping[str, list[list[bool]]],
    sparsity: float,
    dead: set[tuple[str, int, int]],
) -> set[tuple[str, int, int]] | None:
    """The dead entries after pruning; None where too many must stay."""
    dead = set(dead)
    for pool in pools:
        members = entries(pool, scores)
        aim = min(round(sparsity * len(members)), len(members) - pool.floor)
        free = sorted((scores[n][i][j], n, i, j) for n, i, j in members if (n, i, j) not in dead and not must_stay[n][i][j])
        missing = max(aim - sum(member in dead for member in members), 0)
        if missing > len(free):
            return None
        dead |= {(n, i, j) for _, n, i, j in free[:missing]}
    return dead


def bag(scores: Mapping[str, list[list[int]]], pools: Sequence[Pool], must_stay: Mapping[str, list[list[bool]]]) -> Bag:
    return Bag(
        {name: torch.tensor(rows, dtype=torch.float32) for name, rows in scores.items()},
        pools,
        {name: torch.tensor(rows) for name, rows in must_stay.items()},
    )


def dead_in(target: Bag) -> set[tuple[str, int, int]]:
    return {(name, i, j) for name, mask in target.bits.items() for i, j in (~mask).nonzero().tolist()}


SPARSITIES = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4)


@given(problems(), SPARSITIES, st.randoms())
def test_selection_equals_the_one_in_plain_python(problem: Any, sparsities: list[float], shuffler: Any) -> None:
    """Counts, ties, floors, spared entries, nesting, refusals; and neither the order of names nor of pools matters."""
    scores, pools, must_stay = problem
    names, other_pools = list(scores), list(pools)
    shuffler.shuffle(names)
    shuffler.shuffle(other_pools)
    mixed = [Pool(tuple(shuffler.sample(pool.members, len(pool.members))), pool.rate, pool.floor) for pool in other_pools]
    first, second = bag(scores, pools, must_stay), bag({name: scores[name] for name in names}, mixed, must_stay)
    dead: set[tuple[str, int, int]] = set()
    for sparsity in sparsities:
        importance = scores_are({name: torch.tensor(rows, dtype=torch.float32) for name, rows in scores.items()})
        expected = by_hand(scores, pools, must_stay, sparsity, dead)
        for target in (first, second):
            if expected is None:
                with pytest.raises(SparsityError, match="must stay"):
                    prune(target, sparsity, importance=importance)
                with pytest.raises(SparsityError, match="must stay"):
                    check_feasible(target, sparsity)
                assert dead_in(target) == dead
            else:
                check_feasible(target, sparsity)
                assert dead_in(target) == dead
                prune(target, sparsity, importance=importance)
                assert dead_in(target) == expected
        if expected is not None:
            assert dead <= expected
            dead = expected


@given(problems())
def test_the_sparsity_that_a_refusal_names_is_the_largest_there_is(problem: Any) -> None:
    scores, pools, must_stay = problem
    target = bag(scores, [Pool(pool.members) for pool in pools], must_stay)
    rooms = [
        (len(members), sum(not must_stay[n][i][j] for n, i, j in members))
        for members in (entries(pool, scores) for pool in pools)
    ]
    asked = 0.999999
    if all(room == total for total, room in rooms):
        prune(target, asked)
        assert clear(target) == sum(total for total, _ in rooms)
        return
    with pytest.raises(SparsityError) as caught:
        prune(target, asked)
    message = str(caught.value)
    named = float(message.split("at most ")[1].split(" ")[0])
    largest = min(room / total for total, room in rooms)
    assert named <= largest < named + 0.001
    gone = sum(round(largest * total) for total, _ in rooms)
    assert f"({gone} of {sum(total for total, _ in rooms)}) is feasible" in message
    check_feasible(target, named)
    prune(target, largest)
    assert clear(target) == gone


# What is refused ------------------------------------------------------------------------------------------------------


def test_a_refusal_says_what_was_asked_and_what_is_possible() -> None:
    must_stay = {"a": torch.tensor([True, False, False, False]), "b": torch.tensor([True, False])}
    target = Bag({"a": torch.ones(4), "b": torch.ones(2)}, [Pool((("a", None),)), Pool((("b", None),))], must_stay)
    with pytest.raises(SparsityError) as caught:
        prune(target, 0.9)
    assert str(caught.value) == (
        "bag sparsity 0.9 would remove 6 of 6 entries, but 2 must stay; at most 0.500 (3 of 6) is feasible"
    )
    assert as_lists(target) == {"a": [True] * 4, "b": [True] * 2}
    assert target.applied == 0


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan"), float("inf")])
def test_a_sparsity_outside_its_range_is_refused(sparsity: float) -> None:
    target = Bag({"a": torch.ones(4)})
    for refused in (prune, check_feasible):
        with pytest.raises(SparsityError, match=r"outside \[0, 1\)"):
            refused(target, sparsity)  # type: ignore[operator]
    assert as_lists(target) == {"a": [True] * 4}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_refused_unless_its_entry_is_dead(bad: float) -> None:
    target = Bag({"a": torch.arange(1.0, 5), "b": torch.arange(5.0, 7)})
    prune(target, 1 / 6)
    poisoned = {"a": torch.tensor([bad, 2, 3, 4]), "b": torch.tensor([5.0, 6])}
    prune(target, 2 / 6, importance=scores_are(poisoned))
    assert as_lists(target) == {"a": [False, False, True, True], "b": [True, True]}
    poisoned["b"][1] = bad
    with pytest.raises(NumericalError, match="importance of b is not finite"):
        prune(target, 3 / 6, importance=scores_are(poisoned))
    assert clear(target) == 2


NO_SCORES = {
    "None": (None, "it returned NoneType"),
    "a list": ([torch.ones(4)], "it returned list"),
    "a tensor": (torch.ones(4), "it returned Tensor"),
    "nothing": ({}, "'a' is missing"),
    "another name": ({"b": torch.ones(4)}, "'a' is missing"),
    "a name too many": ({"a": torch.ones(4), "b": torch.ones(1)}, "'b' is none of the names"),
    "another shape": ({"a": torch.ones(2, 2)}, "that of a has shape (2, 2), not (4,)"),
    "numbers": ({"a": [1.0, 2, 3, 4]}, "that of a is list"),
    "complex": ({"a": torch.ones(4, dtype=torch.complex64)}, "that of a is complex"),
}


@pytest.mark.parametrize(("scores", "found"), NO_SCORES.values(), ids=NO_SCORES)
def test_what_is_no_score_for_every_entry_is_refused(scores: Any, found: str) -> None:
    target = Bag({"a": torch.ones(4)})
    with pytest.raises(PluginError) as caught:
        prune(target, 0.5, importance=scores_are(scores))
    assert str(caught.value) == (
        f"an importance must return one score for every entry, a tensor of its shape by each name; {found}"
    )
    assert clear(target) == 0


def test_an_importance_may_ask_for_the_loss_and_its_gradient() -> None:
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    target = Bag({"a": weights})
    target.apply = lambda: None  # type: ignore[method-assign]

    def saliency(tensors: Any, masks: Any, loss: Any) -> Any:
        (slope,) = torch.autograd.grad(loss(), [tensors["a"]])
        return {"a": (slope * tensors["a"]).abs()}

    prune(target, 0.5, importance=saliency, loss=lambda: (weights * torch.tensor([9.0, 1, 2, 0])).sum())  # scores 9, 2, 6, 0
    assert as_lists(target) == {"a": [True, False, True, False]}
    with pytest.raises(ConfigError, match="needs a loss"):
        prune(target, 0.75, importance=saliency)


@pytest.mark.parametrize("scores", [torch.tensor([3, 0, 2, 1]), torch.tensor([True, False, True, False])], ids=["ranks", "bool"])
def test_scores_may_be_whole_numbers(scores: torch.Tensor) -> None:
    target = Bag({"a": torch.ones(4)})
    prune(target, 0.5, importance=scores_are({"a": scores}))
    assert as_lists(target) == {"a": [True, False, True, False]}
