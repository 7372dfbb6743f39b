import itertools
import statistics

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from lnas.core.errors import ConfigError
from lnas.sweep.statistics import Mean, Paired, holm, interval, paired, side, smallest

# Student's sleep data (Student 1908), as R prints its paired t test:
# t = 4.0621, df = 9, p-value = 0.002833, 95 percent confidence interval 0.7001142 to 2.4598858, mean difference 1.58
FIRST = dict(enumerate((1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)))
SECOND = dict(enumerate((0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)))


def test_a_published_example() -> None:
    found = paired(FIRST, SECOND)
    assert (found.n, found.degenerate, found.disagree) == (10, False, False)
    assert found.mean == pytest.approx(1.58, abs=1e-12)
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert found.interval == pytest.approx((0.7001142, 2.4598858), abs=5e-8)


def test_it_is_scipys_paired_t_test() -> None:
    oracle = scipy.stats.ttest_rel(list(FIRST.values()), list(SECOND.values()))
    found = paired(FIRST, SECOND)
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-12)
    assert found.interval == pytest.approx(tuple(oracle.confidence_interval(0.95)), rel=1e-12)


def test_a_bound_is_what_the_mean_is_tested_against() -> None:
    differences = [FIRST[seed] - SECOND[seed] for seed in FIRST]
    assert paired(FIRST, SECOND, bound=0.7).p == pytest.approx(scipy.stats.ttest_1samp(differences, 0.7).pvalue, rel=1e-12)


def test_only_seeds_that_both_have_are_pairs() -> None:
    found = paired({0: 0.9, 1: 0.8, 7: 0.1}, {0: 0.5, 1: 0.6, 3: 0.9})
    assert (found.n, found.mean) == (2, pytest.approx(0.3))
    assert found.interval is not None and found.bootstrap is not None


@pytest.mark.parametrize("seeds", [(), (4,)])
def test_fewer_than_two_pairs_have_no_interval(seeds: tuple[int, ...]) -> None:
    found = paired(dict.fromkeys(seeds, 0.75), {4: 0.5, 5: 0.5})
    assert found == Paired(len(seeds), 0.25 if seeds else None)
    assert not found.disagree


def test_differences_that_are_all_equal_are_no_proof() -> None:
    first, second = {0: 0.9, 1: 0.8, 2: 0.7}, {0: 0.8, 1: 0.7, 2: 0.6}  # 0.1 but for the last bits
    assert len({first[seed] - second[seed] for seed in first}) > 1
    found = paired(first, second)
    assert (found.n, found.degenerate, found.interval, found.bootstrap, found.p) == (3, True, None, None, None)
    assert found.mean == pytest.approx(0.1)
    assert paired(first, first) == Paired(3, 0.0, degenerate=True)


def test_one_picture_of_a_difference_is_not_degenerate() -> None:
    assert not paired({0: 0.9001, 1: 0.9}, {0: 0.8, 1: 0.8}).degenerate


def test_the_bootstrap_of_three_pairs_reaches_from_the_lowest_to_the_highest() -> None:
    """Each extreme has a chance of 1/27, more than the 2.5 % that a tail leaves out."""
    found = paired({0: 0.01, 1: 0.02, 2: 0.05}, dict.fromkeys(range(3), 0.0))
    assert found.bootstrap == pytest.approx((0.01, 0.05), abs=1e-15)
    # t: 0.0267 -+ 4.303 * 0.0208 / sqrt(3)
    assert found.interval == pytest.approx((-0.0250, 0.0784), abs=1e-4)
    assert found.disagree


def test_the_bootstrap_cuts_its_tails_where_all_resamples_say() -> None:
    differences = (0.01, 0.02, 0.04, 0.08, 0.16)
    found = paired(dict(enumerate(differences)), dict.fromkeys(range(5), 0.0)).bootstrap
    assert found is not None
    means = np.array([statistics.fmean(drawn) for drawn in itertools.product(differences, repeat=5)])
    share = (means < found[0] - 1e-12).mean(), (means <= found[0] + 1e-12).mean()
    assert share[0] <= 0.025 + 0.005 and share[1] >= 0.025 - 0.005  # of 9,999 draws: 3 standard errors
    share = (means < found[1] - 1e-12).mean(), (means <= found[1] + 1e-12).mean()
    assert share[0] <= 0.975 + 0.005 and share[1] >= 0.975 - 0.005


def test_the_same_differences_give_the_same_numbers_whatever_their_seeds() -> None:
    shuffled = {seed + 100: FIRST[9 - seed] for seed in FIRST}, {seed + 100: SECOND[9 - seed] for seed in SECOND}
    np.random.seed(5)  # the global stream is nobody's business
    assert paired(*shuffled) == paired(FIRST, SECOND)


def test_the_intervals_may_disagree_on_a_bound_alone() -> None:
    first, second = {0: 0.01, 1: 0.02, 2: 0.05}, dict.fromkeys(range(3), 0.0)
    assert paired(first, second).disagree
    assert not paired(first, second, bound=0.02).disagree  # both include it
    assert not paired(first, second, bound=-0.5).disagree  # both lie above it


@pytest.mark.parametrize(
    ("span", "where"),
    [((0.1, 0.2), "above"), ((-0.2, -0.1), "below"), ((-0.1, 0.1), "both"), ((0.0, 0.1), "both"), (None, "both")],
)
def test_the_side_of_an_interval(span: tuple[float, float] | None, where: str) -> None:
    assert side(span, 0.0) == where


def test_the_interval_of_a_row() -> None:
    # mean 2, deviation 1: 2 -+ 4.302653 / sqrt(3)
    assert interval([1.0, 2.0, 3.0]) == Mean(3, 2.0, pytest.approx((-0.484138, 4.484138), abs=1e-6))
    assert interval([0.75]) == Mean(1, 0.75, None)
    assert interval([]) == Mean(0, None, None)
    assert interval([1.0, 2.0, 3.0]).half == pytest.approx(2.484138, abs=1e-6) and interval([0.75]).half is None
    assert interval([5, 5, 5]) == Mean(3, 5.0, None, equal=True)
    assert interval([0.1 + 0.2, 0.3]).equal and not interval([0.9001, 0.9]).equal
    assert interval([0.0, 0.0]) == Mean(2, 0.0, None, equal=True)
    assert interval(iter((3.0, 1.0, 2.0))) == interval([1.0, 2.0, 3.0])


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 and never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()


def test_how_large_a_difference_has_to_be() -> None:
    # Student's table: two-sided 5 % and 1 % at 2 and 4 degrees of freedom
    assert [smallest(3, 1), smallest(5, 1), smallest(5, 5)] == pytest.approx([4.302653, 2.776445, 4.604095], abs=1e-6)
    assert smallest(1, 1) == smallest(0, 9) == float("inf")


@pytest.mark.parametrize("tests", [1, 7, 53])
def test_a_difference_of_the_smallest_size_is_just_significant(tests: int) -> None:
    differences = np.array([-1.0, 0.5, 0.5, 0.0, 0.0])
    error = differences.std(ddof=1) / 5**0.5
    for factor, significant in ((1 + 1e-9, True), (1 - 1e-9, False)):
        found = paired(dict(enumerate(differences + factor * smallest(5, tests) * error)), dict.fromkeys(range(5), 0.0))
        assert found.p is not None and (holm([found.p, *[1.0] * (tests - 1)])[0] <= 0.05) == significant


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=3, max_size=4))
def test_the_bootstrap_of_three_or_four_lies_within_students_interval(differences: list[int]) -> None:
    found = paired(dict(enumerate(differences)), dict.fromkeys(range(4), 0.0))
    if found.interval is not None and found.bootstrap is not None:
        assert found.interval[0] < found.bootstrap[0] <= found.bootstrap[1] < found.interval[1]


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    with pytest.raises(ConfigError, match="outside"):
        holm([0.5, p])


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.05, 0.2, 0.5, 1.0]), min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p_values: list[float]) -> None:
    """A hypothesis falls where every intersection that it is in does (Marcus, Peritz and Gabriel 1976)."""
    places = range(len(p_values))
    sets = [some for size in places for some in itertools.combinations(places, size + 1)]
    closed = [max(min(1.0, len(some) * min(p_values[i] for i in some)) for some in sets if place in some) for place in places]
    assert holm(p_values) == pytest.approx(closed, abs=1e-15)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=8), st.integers(-50, 50))
def test_what_is_true_of_all_pairs(counts: list[tuple[int, int]], bound: int) -> None:
    first = {seed: one / 1000 for seed, (one, _) in enumerate(counts)}
    second = {seed: other / 1000 for seed, (_, other) in enumerate(counts)}
    found, turned = paired(first, second, bound=bound / 1000), paired(second, first, bound=-bound / 1000)
    differences = [first[seed] - second[seed] for seed in first]
    assert found.mean == pytest.approx(statistics.fmean(differences), abs=1e-12)
    assert found.degenerate == (len({one - other for one, other in counts}) == 1)
    if found.interval is None or found.bootstrap is None or found.p is None:
        return
    assert min(differences) - 1e-12 <= found.bootstrap[0] <= found.bootstrap[1] <= max(differences) + 1e-12
    assert found.interval[0] < found.mean < found.interval[1]
    assert turned.p == pytest.approx(found.p, abs=1e-9)
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]), abs=1e-12)
    if abs(found.p - 0.05) > 1e-9:
        assert (found.p < 0.05) == (side(found.interval, bound / 1000) != "both")
