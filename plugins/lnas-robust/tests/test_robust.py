"""The strategy: it is DARTS until it stops, and then nothing moves; its state is all there is to it."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from lnas_robust import RobustDarts
from torch import Tensor

import lnas

pytestmark = pytest.mark.filterwarnings("ignore:the search is over at step")


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """All leaves of a state, by a path of keys."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in flat(inner, f"{path}/{key}").items()}
    if isinstance(value, list):
        return {k: v for key, inner in enumerate(value) for k, v in flat(inner, f"{path}/{key}").items()}
    return {path: value}


def same(mine: Any, theirs: Any) -> bool:
    a, b = flat(mine), flat(theirs)
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) if isinstance(v, Tensor) else v == b[k] for k, v in a.items())


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """`scripted(values)`: what the measurements give, one after the other."""

    def use(values: list[float]) -> None:
        given: Iterator[float] = iter(values)
        monkeypatch.setattr(RobustDarts, "eigenvalue", lambda self, val: next(given))

    return use


@pytest.mark.parametrize("options", [{}, {"alternate": 2}, {"unrolled": "exact"}])
def test_until_it_stops_it_is_darts_bitwise(cells: Callable[..., lnas.CellSpace], batches: Any, options: dict[str, Any]) -> None:
    robust = RobustDarts(cells(), lnas.cross_entropy, 4, 1, every=1, window=1, ratio=0.0, iterations=2, **options)
    darts = lnas.Darts(cells(), lnas.cross_entropy, 4, 1, **options)
    for t, pair in enumerate(batches(4)):
        mine, theirs = dict(robust.step(*pair)), dict(darts.step(*pair))
        eigenvalue = mine.pop("eigenvalue", None)
        assert (eigenvalue is not None) == (t > 0)
        assert eigenvalue is None or (eigenvalue.dim() == 0 and float(eigenvalue) != 0)
        assert same(mine, theirs)
        state = robust.state_dict()
        assert same({key: state[key] for key in darts.state_dict()}, darts.state_dict())
    assert len(robust.series.eigenvalues) == 2, "as many as two windows"


def test_it_measures_where_it_is_due(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    pairs = batches(1) * 9
    robust = RobustDarts(cells(), lnas.cross_entropy, 12, every=0.25, iterations=1)
    assert robust.every == 3
    assert [t for t, pair in enumerate(pairs) if "eigenvalue" in robust.step(*pair)] == [3, 6]
    assert RobustDarts(cells(), lnas.cross_entropy, 12, every=4).every == 4
    assert RobustDarts(cells(), lnas.cross_entropy, 12, every=0.001).every == 1


def test_what_it_measures_is_the_eigenvalue_at_the_alpha_before_the_step(
    cells: Callable[..., lnas.CellSpace], batches: Any
) -> None:
    first, second = batches(2)
    robust = RobustDarts(cells(), lnas.cross_entropy, 12, every=1)
    robust.step(*first)
    expected = robust.eigenvalue(second[1])
    assert float(robust.step(*second)["eigenvalue"]) == pytest.approx(expected, rel=1e-6)
    assert robust.series.eigenvalues == [expected]


def test_where_the_eigenvalue_rises_alpha_goes_back_and_stays(
    cells: Callable[..., lnas.CellSpace], batches: Any, scripted: Any
) -> None:
    """A window of 2: m = 1, 1, 1.25, 1.5 around measurements 1 to 4, and 1 / 1.5 < 0.75 sends alpha back to measurement 2."""
    scripted([1.0, 1.0, 1.0, 1.5, 1.5])
    robust = RobustDarts(cells(), lnas.cross_entropy, 20, 1, every=1, window=2, alpha_lr=0.1)
    alphas: list[dict[str, Tensor]] = []
    for pair in batches(6):
        alphas.append({group: alpha.detach().clone() for group, alpha in robust.alpha.items()})
        theta = copy.deepcopy(robust.space.state_dict())
        metrics = robust.step(*pair)
    # steps 0 to 5; measurement number m is at the beginning of step m + 1
    assert robust.stopped
    assert set(metrics) == {"eigenvalue"}
    assert float(metrics["eigenvalue"]) == 1.5
    assert same(dict(robust.alpha), alphas[3])
    assert not same(alphas[3], alphas[5])
    assert same(dict(robust.space.state_dict()), dict(theta)), "theta stays as it is"
    assert robust.genotype() == robust.space.discretize(alphas[3])
    before = copy.deepcopy(robust.state_dict())
    for pair in batches(3):
        assert robust.step(*pair) == {}
    assert same(before, robust.state_dict())


def test_it_says_once_that_the_search_is_over_and_why(cells: Callable[..., lnas.CellSpace], batches: Any, scripted: Any) -> None:
    scripted([1.0, 1.0, 1.0, 1.5, 1.5])
    robust = RobustDarts(cells(), lnas.cross_entropy, 20, 1, every=1, window=2)
    for pair in batches(5):
        robust.step(*pair)
    why = "the curvature rose, and alpha is again what it was 2 measurements ago"
    with pytest.warns(UserWarning, match=f"^the search is over at step 5: {why}; the rest of it costs nothing$") as told:
        for pair in batches(4):
            robust.step(*pair)
    assert len(told) == 1


def test_prune_rounds_go_on_after_it_has_stopped(cells: Callable[..., lnas.CellSpace], batches: Any, scripted: Any) -> None:
    scripted([1.0, 2.0])
    robust = RobustDarts(cells(), lnas.cross_entropy, 20, 1, every=1, window=1, alpha_lr=0.1)
    pruning = lnas.Pruning(lnas.Alpha, lnas.Iterative(sparsity=0.75, rounds=2), lnas.probability)
    rounds = lnas.Rounds(robust, lnas.Alpha(robust), pruning, 4, 1)
    seen: list[Tensor] = []
    for t, pair in enumerate(batches(9)):
        rounds.step(*pair)
        assert robust.stopped == (t >= 2)
        seen.append(robust.alpha["normal"].detach().clone())
    assert rounds.done
    assert all(int(bits.sum()) == 2 * 5 for bits in robust.space.alive.values())
    alive = robust.space.alive["normal"]
    assert torch.equal(seen[-1], seen[2] * alive)
    assert robust.genotype() == robust.space.discretize(robust.alpha)


def test_a_rewind_to_before_the_stop_searches_on(cells: Callable[..., lnas.CellSpace], batches: Any, scripted: Any) -> None:
    scripted([1.0, 2.0, 1.0, 1.0, 1.0])
    robust = RobustDarts(cells(), lnas.cross_entropy, 20, 1, every=1, window=1)
    pruning = lnas.Pruning(lnas.Alpha, lnas.OneShot(sparsity=0.5), lnas.probability, rewind=1)
    rounds = lnas.Rounds(robust, lnas.Alpha(robust), pruning, 4, 2)
    stopped = []
    for pair in batches(6):
        rounds.step(*pair)
        stopped.append(robust.stopped)
    assert stopped == [False, False, True, False, False, False], "the last of four steps ends with the rewind"
    assert robust.t == 3


def test_a_prune_begins_the_series_anew(cells: Callable[..., lnas.CellSpace], batches: Any, scripted: Any) -> None:
    """Another Hessian: 2 after 1 is no rise where paths have died between the two."""
    scripted([1.0, 2.0, 2.0, 2.1])
    robust = RobustDarts(cells(), lnas.cross_entropy, 20, 1, every=1, window=1)
    first, second, *others = batches(5)
    robust.step(*first)
    robust.step(*second)
    lnas.prune(lnas.Alpha(robust), 0.5)
    for pair in others:
        robust.step(*pair)
        assert not robust.stopped
    assert robust.series.eigenvalues == [2.0, 2.1]


def test_too_many_skip_connections_end_the_search(cells: Callable[..., lnas.CellSpace], batches: Any, scripted: Any) -> None:
    scripted([1.0] * 4)
    robust = RobustDarts(cells(), lnas.cross_entropy, 20, 1, every=1, skips=2, alpha_lr=0.0)
    skip = robust.space.operations["normal"].index("skip_connect")
    first, second, third, fourth = batches(4)
    with torch.no_grad():
        for group, rows in robust.alpha.items():
            rows[:, skip] = -5.0
            rows[:, 4] = 1.0
            rows[[0, 2], skip] = 5.0 if group == "reduce" else -5.0
        robust.alpha["normal"][0, skip] = 5.0
    robust.step(*first)
    robust.step(*second)
    assert not robust.stopped, "one in the normal cell, and two in the other"
    with torch.no_grad():
        robust.alpha["normal"][2, skip] = 5.0
    alpha = robust.alpha["normal"].detach().clone()
    assert set(robust.step(*third)) == {"eigenvalue"}
    assert robust.stopped
    assert torch.equal(robust.alpha["normal"], alpha), "alpha stays where it is"
    assert sum(gene.operation == "skip_connect" for gene in robust.genotype().groups["normal"]) == 2
    assert robust.step(*fourth) == {}


def test_a_stable_ranking_ends_the_search(cells: Callable[..., lnas.CellSpace], batches: Any, scripted: Any) -> None:
    scripted([1.0] * 9)
    robust = RobustDarts(cells(), lnas.cross_entropy, 20, 1, every=1, stable=2, alpha_lr=0.0)
    stopped = []
    for t, pair in enumerate(batches(6)):
        if t == 2:
            with torch.no_grad():
                robust.alpha["reduce"][3] = robust.alpha["reduce"][3].flip(0)
        robust.step(*pair)
        stopped.append(robust.stopped)
    assert stopped == [False] * 4 + [True] * 2, "measured at 1, another ranking at 2, the same at 3 and 4"


@pytest.mark.parametrize(
    "options", [{"ratio": 0.0}, {"ratio": 1.0, "alpha_lr": 0.5}, {"stable": 2, "ratio": 0.0, "alpha_lr": 0.0}]
)
def test_the_state_is_all_that_steers_the_next_step(
    cells: Callable[..., lnas.CellSpace], batches: Any, options: dict[str, Any]
) -> None:
    settings = {"every": 1, "window": 1, "iterations": 2, **options}
    straight = RobustDarts(cells(), lnas.cross_entropy, 5, 1, **settings)
    for t, pair in enumerate(batches(5)):
        state = copy.deepcopy(straight.state_dict())
        resumed = RobustDarts(cells(seed=t + 5), lnas.cross_entropy, 5, 1, **settings)
        resumed.load_state_dict(state)
        assert same(resumed.state_dict(), straight.state_dict())
        mine, theirs = resumed.step(*pair), straight.step(*pair)
        assert same(dict(mine), dict(theirs))
        assert same(resumed.state_dict(), straight.state_dict())
    assert straight.stopped == ("alpha_lr" in options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0.0}, "every must be finite and above 0, not 0.0"),
        ({"every": float("nan")}, "every must be finite and above 0, not nan"),
        ({"every": 2.5}, "every must be a whole number of steps, or below 1, not 2.5"),
        ({"window": 0}, "window must be at least 1, not 0"),
        ({"ratio": 1.5}, r"ratio must be in \[0, 1\], not 1.5"),
        ({"ratio": float("nan")}, r"ratio must be in \[0, 1\], not nan"),
        ({"which": "least"}, "which must be magnitude or largest, not 'least'"),
        ({"iterations": 0}, "iterations must be at least 1, not 0"),
        ({"skips": -1}, "skips must be at least 0, not -1"),
        ({"skips": 2, "group": "cell"}, "group must be one of normal, reduce, for skips=2, not 'cell'"),
        ({"stable": -1}, "stable must be at least 0, not -1"),
        ({"alternate": 0}, "alternate must be at least 1, not 0"),
    ],
)
def test_what_is_out_of_range_is_refused(cells: Callable[..., lnas.CellSpace], options: dict[str, Any], message: str) -> None:
    with pytest.raises(lnas.ConfigError, match=message):
        RobustDarts(cells(), lnas.cross_entropy, 5, **options)


def test_what_does_not_fit_the_space_or_the_search_is_refused(
    cells: Callable[..., lnas.CellSpace], choice: Callable[..., lnas.ChoiceSpace]
) -> None:
    with pytest.raises(lnas.ConfigError, match="skips must be 0 where the group has no skip_connect, not 2: choice has none"):
        RobustDarts(choice(1.0, 2.0), lnas.cross_entropy, 5, skips=2, group="choice")
    with pytest.raises(lnas.ConfigError, match="every must be a number of steps where the length of the search is not known"):
        RobustDarts(cells(), lnas.cross_entropy)
