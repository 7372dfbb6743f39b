from collections.abc import Callable
from pathlib import Path

from lnas.report.layers import layer_sparsities
from lnas.report.read import read

MakeRun = Callable[..., Path]


def test_each_target_stands_as_its_last_round_left_it(make_run: MakeRun) -> None:
    files = read(make_run("generalized"))
    alpha, theta = layer_sparsities(files)
    assert (alpha.target, alpha.rounds, alpha.asked, alpha.attained) == ("alpha", 10, 0.75, 0.75)
    assert alpha.layers == (("normal", 0.75), ("reduce", 0.75))
    assert (theta.target, theta.rounds, len(theta.layers)) == ("theta", 5, 50)
    assert theta.layers[0] == ("stem.0.weight", (files.prunes[-1].layers or {})["stem.0.weight"])


def test_a_run_that_pruned_nothing_has_none(make_run: MakeRun) -> None:
    assert layer_sparsities(read(make_run("baseline"))) == ()
