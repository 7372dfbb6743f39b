import pytest

from lnas.core.errors import ConfigError
from lnas.sweep.stopping import Halving, Median, Nobody, rule


def test_halving_keeps_one_of_eta_rounded_up_and_of_equals_the_first() -> None:
    halving = Halving(eta=3, first=1)
    assert halving.rungs(10) == (1, 3, 9)
    assert halving.rungs(9) == (1, 3)
    courses = {"a": [0.1], "b": [0.5, 0.2], "c": [0.4], "d": [0.5]}
    assert halving.survivors(courses) == {"b", "d"}
    assert Halving(eta=4).survivors(courses) == {"b"}
    assert halving.survivors({"a": []}) == {"a"}


def test_the_median_rule_compares_the_best_with_the_means_of_the_others() -> None:
    median = Median(first=2, every=3)
    assert median.rungs(9) == (2, 5, 8)
    # means: a .2, b .5, c .7; a's best .3 is below the median .6 of b and c; b's best .6 is not below .45
    assert median.survivors({"a": [0.1, 0.3], "b": [0.4, 0.6], "c": [0.7, 0.7]}) == {"b", "c"}
    assert median.survivors({"a": [0.1]}) == {"a"}


def test_a_rule_by_its_words() -> None:
    assert rule(None) == Nobody()
    assert (Nobody().rungs(9), Nobody().survivors({"a": []})) == ((), {"a"})
    assert rule("halving,eta=2") == Halving(eta=2)
    assert rule("median") == Median()
    for words, message in (
        ("halvng", "did you mean 'halving'"),
        ("halving,eta=1", "eta of at least 2"),
        ("median,first=0", "at least 1"),
        ("halving,et=2", "eta"),
    ):
        with pytest.raises(ConfigError, match=message):
            rule(words)
