"""Plans: names, limits, and controls that cannot be."""

import sys
from collections.abc import Sequence

import pytest

from lnas.core.errors import ConfigError, LnasError
from lnas.host.plugins import Host
from lnas.host.run_name import LONGEST, run_name
from lnas.sweep.axes import rows
from lnas.sweep.planned import SweepPlan, check_names, trial_name
from lnas.sweep.planning import Planner
from lnas.sweep.results import Row

from .conftest import TINY, planned


def test_the_name_of_a_trial() -> None:
    assert trial_name("variant1 p=0.25", 3) == "variant1-p0.25-seed3"
    fits = "a" * (LONGEST - len("-seed0"))
    assert trial_name(fits, 0) == f"{fits}-seed0"


def test_a_name_that_is_too_long_is_cut_and_stays_distinct() -> None:
    label = "baseline space=cells,channels=4,layers=3,nodes=1,network_channels=8,network_layers=3,stem=3 batch="
    names = [trial_name(f"{label}{number}", seed) for number in (16, 32) for seed in (0, 9, 999)]
    assert len(set(names)) == 6
    assert all(run_name(name) == name and len(name) <= LONGEST for name in names)
    assert [name.rpartition("-")[2] for name in names] == ["seed0", "seed9", "seed999"] * 2
    check_names([f"{label}16", f"{label}32"])
    spaces = [f"{TINY['space']},operations=skip_connect+max_pool_3x3+avg_pool_3x3+{last}" for last in ("none", "sep_conv_3x3")]
    assert all(run_name(trial.name) for trial in planned(space=spaces).trials)


@pytest.mark.parametrize("labels", [["a b", "a-b"], ["A", "a"], ["same", "".join("same")]])
def test_two_rows_whose_trials_share_a_name_are_refused(labels: list[str]) -> None:
    with pytest.raises(ConfigError, match="would both be called"):
        check_names(labels)


def test_the_limits_of_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="seeds must be 1 to 1000, not 1001"):
        planned(seeds=1001)
    monkeypatch.setattr("lnas.sweep.planning.TRIALS_AT_MOST", 3)
    planner = Planner(Host(), look=lambda row, job: pytest.fail("a row was built"))
    settings = rows({**TINY, "recipe": "variant1", "sparsity": 0.5})
    with pytest.raises(ConfigError, match="3 rows with 2 seeds are 6 trials; at most 3 are run"):
        planner.plan(settings, seeds=2, controls=["random-mask", "reinit"])


def with_controls(controls: Sequence[str], *, lenient: bool, **settings: object) -> tuple[SweepPlan, list[str]]:
    planner = Planner(Host())
    plan = planner.plan(rows({**TINY, **settings}), seeds=1, controls=controls, lenient=lenient)
    return plan, planner.notes


def test_of_all_controls_those_that_cannot_be_are_left_out_with_a_note() -> None:
    lines = [["theta:one-shot,rewind=2it,sparsity=0.5"], ["theta:one-shot,rewind=3it,sparsity=0.5"]]
    plan, notes = with_controls(["random-mask", "reinit", "random-alpha", "random-search"], lenient=True, prune=lines)
    assert [row.control for row in plan.rows] == [None, "random-mask"] * 2
    assert len(notes) == 1
    assert notes[0].startswith("control reinit is left out behind 2 rows; row 'variant1 prune=theta:one-shot,rewind=2it")
    assert "rewind=2it; leave the control out" in notes[0]


def test_a_control_that_is_named_is_refused_with_its_row() -> None:
    with pytest.raises(ConfigError, match="^row 'variant1 reinit': reinit begins at step 0"):
        with_controls(["reinit"], lenient=False, prune=["theta:one-shot,rewind=2it,sparsity=0.5"])


def test_a_control_that_is_named_and_applies_nowhere_is_a_note() -> None:
    plan, notes = with_controls(["random-alpha", "reinit"], lenient=False, recipe="variant1", sparsity=0.5)
    assert [row.control for row in plan.rows] == [None, "reinit"]
    assert notes == ["control random-alpha applies to no row of this sweep"]
    assert with_controls(["random-alpha"], lenient=True, recipe="variant1", sparsity=0.5)[1] == []


@pytest.mark.parametrize(("recipe", "sparsity"), [("variant1", None), ("generalized", 0.5)])
def test_a_dense_row_has_a_sparsity_only_where_alpha_is_pruned(recipe: str, sparsity: float | None) -> None:
    plan, _ = with_controls(["dense"], lenient=False, recipe=recipe, sparsity=0.5)
    assert [(row.control, row.sparsity) for row in plan.rows] == [(None, 0.5), ("dense", sparsity)]
    assert [trial.sparsity for trial in plan.trials] == [0.5, sparsity or 0.0]


def test_who_looks_at_a_job_is_in_its_row_and_may_not_print_results(capsys: pytest.CaptureFixture[str]) -> None:
    def look(row: Row, job: object) -> None:
        print("looked", file=sys.stdout)
        raise LnasError("no step can be taken")

    with pytest.raises(LnasError, match="^row 'baseline': no step can be taken"):
        Planner(Host(), look).plan(rows(TINY), seeds=1)
    assert capsys.readouterr() == ("", "looked\n")
