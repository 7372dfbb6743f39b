from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lnas.sweep.checks import check
from lnas.sweep.findings import Finding
from lnas.sweep.printed import PRINTED
from lnas.sweep.results import Results, Row, TrialResult

ROWS = (
    Row("baseline", "baseline"),
    Row("variant1 p=0.25", "variant1", 0.25),
    Row("variant1 p=0.5", "variant1", 0.5),
    Row("variant1 p=0.5 random-mask", "variant1", 0.5, control="random-mask", of="variant1 p=0.5"),
    Row("variant1 p=0.5 reinit", "variant1", 0.5, control="reinit", of="variant1 p=0.5"),
    Row("variant1 p=0.5 dense", "variant1", 0.5, control="dense", of="variant1 p=0.5"),
    Row("variant2 p=0.25", "variant2", 0.25),
    Row("variant2 p=0.25 random-alpha", "variant2", 0.25, control="random-alpha", of="variant2 p=0.25"),
    Row("baseline random-search", "baseline", control="random-search", of="baseline"),
)
PRUNE = {
    "baseline": "",
    "variant1 p=0.25": "theta:one-shot,sparsity=0.25",
    "variant1 p=0.5": "theta:one-shot,sparsity=0.5",
    "variant1 p=0.5 random-mask": "theta:one-shot,importance=shuffled,sparsity=0.5",
    "variant1 p=0.5 reinit": "theta:one-shot,rewind=fresh,sparsity=0.5",
    "variant1 p=0.5 dense": "",
    "variant2 p=0.25": "alpha:iterative,rounds=10,sparsity=0.25",
    "variant2 p=0.25 random-alpha": "alpha:iterative,importance=random,rounds=10,sparsity=0.25",
    "baseline random-search": "",
}
OTHERS: Mapping[str, Mapping[str, str]] = {
    "variant1 p=0.5 dense": {"recipe": "baseline", "space": "cells,network_channels=3"},
    "baseline random-search": {"strategy": "random", "epochs": "14:20"},
}


def trial(row: Row, seed: int) -> TrialResult:
    recipe = {"recipe": row.recipe, "seed": str(seed), "prune": PRUNE[row.label], "validation": "0.1", "train.lr": "0.025"}
    common = {"space": "cells,network_channels=6", "strategy": "darts", "epochs": "10:20", "data": "digits", "name": row.label}
    dense = row.sparsity is None or row.control == "dense"
    left = 1.0 if dense else 1 - (row.sparsity or 0)
    return TrialResult(
        f"{row.label} {seed}",
        row.label,
        seed,
        "finished",
        course=(0.5, 0.7, 0.6, 0.8),
        half=0.7,
        end=0.8,
        validation=0.8,
        test=0.79,
        parameters=int(1000 * left),
        macs_dense=9000,
        macs_nonzero=int(9000 * left),
        macs_structural=9000,
        attained={} if dense else {"theta": row.sparsity or 0.0},
        digest=f"{row.label}/{seed}",
        config={**common, **recipe, **OTHERS.get(row.label, {})},
    )


SOUND = Results("s", ROWS, tuple(trial(row, seed) for row in ROWS for seed in range(2)), seeds=(0, 1))


def changed(label: str, *, seed: int | None = 0, config: Mapping[str, str] | None = None, **values: Any) -> Results:
    """The sound sweep, with the trial of a row and a seed (all of its trials where that is None) changed."""
    trials = [
        replace(one, **values, config={**one.config, **(config or {})}) if one.row == label and seed in (None, one.seed) else one
        for one in SOUND.trials
    ]
    return replace(SOUND, trials=tuple(trials))


def found(results: Results) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.rule, finding.where) for finding in check(results)]


def only(results: Results) -> Finding:
    (finding,) = check(results)
    return finding


def test_a_sound_sweep_has_nothing_to_find() -> None:
    assert check(SOUND) == ()


def test_a_sweep_of_one_row_and_one_seed_or_of_nothing_is_sound() -> None:
    assert check(replace(SOUND, rows=ROWS[:1], trials=SOUND.trials[:1], seeds=(0,))) == ()
    assert check(Results("s", (), ())) == ()


# the running best


def test_the_running_best_never_falls() -> None:
    falls, unlike = check(changed("baseline", half=0.7, end=0.6))
    assert (falls.severity, falls.rule, falls.where) == ("violated", "running best", "baseline 0")
    assert "falls from 0.7000 at half-time to 0.6000 at the end" in falls.what
    assert "at the end is 0.6000, and the highest of 4 epochs is 0.8000" in unlike.what


def test_both_columns_are_what_the_course_says() -> None:
    assert "at half-time is 0.6000, and the highest of 2 epochs is 0.7000" in only(changed("baseline", half=0.6)).what
    assert check(changed("baseline", course=(0.5, 0.7, 0.7, 0.6, 0.8))) == ()  # the half of 5 epochs is 3


def test_the_network_before_the_prune_may_have_been_the_best() -> None:
    """It is in the first half or in the second, and in the end it is."""
    for half in (0.7, 0.9):
        assert check(changed("variant1 p=0.5", before=0.9, half=half, end=0.9, ticket=0.8)) == ()
    lost = only(changed("variant1 p=0.5", before=0.9, half=0.7, end=0.8))
    assert "at the end is 0.8000, and the highest of 4 epochs and of 0.9000 before the prune is 0.9000" in lost.what
    assert "at half-time is 0.8000" in only(changed("variant1 p=0.5", before=0.9, half=0.8, end=0.9)).what
    assert check(changed("variant1 p=0.5", before=0.1)) == ()


def test_a_ticket_is_an_epoch_after_the_last_prune() -> None:
    assert check(changed("variant1 p=0.5", ticket=0.6)) == ()
    finding = only(changed("variant1 p=0.5", before=0.75, ticket=0.75))
    assert (finding.rule, finding.where) == ("running best", "variant1 p=0.5 0")
    assert "after the last prune is 0.7500, and no epoch has it" in finding.what


def test_a_course_that_goes_on_is_not_judged_by_its_own_half() -> None:
    """The half of what was planned, which is longer than half of what is there."""
    results = changed("baseline", state="running", course=(0.5, 0.7, 0.75), half=0.75, end=None, test=None)
    assert [finding.rule for finding in check(results)] == ["pairs"]


# accuracies


@pytest.mark.parametrize("value", [-0.01, 1.01, 79.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["test", "validation"])
def test_an_accuracy_is_a_fraction(name: str, value: float) -> None:
    [finding] = [one for one in check(changed("baseline", **{name: value})) if one.rule == "accuracies"]
    assert (finding.severity, finding.where) == ("violated", "baseline 0")
    assert finding.what.startswith(f"{name} is {value!r}")


def test_every_epoch_of_a_course_is_a_fraction() -> None:
    assert "course, epoch 3 is -1.0" in only(changed("baseline", course=(0.5, 0.7, -1.0, 0.8))).what
    assert check(changed("baseline", course=(0.0, 0.7, 0.8, 1.0), end=1.0, validation=1.0)) == ()


# nothing was chosen by the test set


def test_only_a_finished_trial_has_read_the_test_set() -> None:
    read, missing = check(changed("baseline", state="stopped"))
    assert (read.rule, read.where) == ("test set", "baseline 0") and "it is stopped" in read.what
    assert missing.rule == "pairs"
    assert [finding.rule for finding in check(changed("baseline", state="stopped", test=None))] == ["pairs"]


def test_the_best_accuracy_comes_from_a_course_of_validation() -> None:
    assert "no course" in only(changed("baseline", course=())).what


@pytest.mark.parametrize("share", ["0", "0.0", "1.0", "none"])
def test_some_pictures_are_held_out(share: str) -> None:
    finding = check(changed("baseline", seed=None, config={"validation": share}))[0]
    assert (finding.severity, finding.rule) == ("violated", "test set")
    assert f"validation is {share}" in finding.what


# labels


@pytest.mark.parametrize(
    ("label", "config", "words"),
    [
        ("variant1 p=0.25", {"seed": "7"}, "under seed 0, and was run with seed 7"),
        ("variant1 p=0.25", {"recipe": "variant2"}, "under variant1, and was run as variant2"),
        ("variant1 p=0.25", {"prune": "theta:one-shot,sparsity=0.2"}, "under p=0.25, and pruned: theta:one-shot,sparsity=0.2"),
        ("variant1 p=0.25", {"prune": ""}, "pruned: nothing"),
        ("variant1 p=0.25", {"prune": "alpha:x,sparsity=0.25; theta:y,sparsity=0.3"}, "theta:y,sparsity=0.3"),
        ("variant1 p=0.5 random-mask", {"prune": PRUNE["variant1 p=0.5"]}, "without importance=shuffled"),
        ("variant1 p=0.5 reinit", {"prune": PRUNE["variant1 p=0.5"]}, "without rewind=fresh"),
        ("variant1 p=0.5 dense", {"prune": PRUNE["variant1 p=0.5"]}, "a dense control, and prunes"),
        ("variant2 p=0.25 random-alpha", {"prune": PRUNE["variant2 p=0.25"]}, "without importance=random"),
        ("baseline random-search", {"strategy": "darts"}, "its strategy is darts, without random"),
        ("variant1 p=0.25", {"train.lr": "0.1"}, "differs from baseline in what no label says: train.lr 0.1, not 0.025"),
        ("variant1 p=0.5 reinit", {"space": "cells"}, "what no label says: space.network_channels unset, not 6"),
        ("variant1 p=0.5 dense", {"train.lr": "0.1"}, "differs from variant1 p=0.5 in what no label says: train.lr"),
        ("variant1 p=0.5 dense", {"space": "cells,nodes=2,network_channels=3"}, "no label says: space.nodes 2, not unset"),
        ("variant1 p=0.5 dense", {"space": "chain,network_channels=3"}, "no label says: space chain, not cells"),
        ("variant1 p=0.5 dense", {"epochs": "10:40"}, "no label says: epochs.train 40, not 20"),
        ("baseline random-search", {"epochs": "14:40"}, "no label says: epochs.train 40, not 20"),
        ("baseline random-search", {"epochs": "14"}, "no label says: epochs.train 14, not 20"),
        ("baseline random-search", {"space": "cells,network_channels=7"}, "no label says: space.network_channels 7, not 6"),
    ],
)
def test_a_label_that_is_not_what_was_run(label: str, config: Mapping[str, str], words: str) -> None:
    finding = only(changed(label, config=config))
    assert (finding.severity, finding.rule) == ("violated", "labels")
    assert words in finding.what


@pytest.mark.parametrize(
    ("label", "config"),
    [
        ("variant1 p=0.25", {"recipe": "lnas/variant1"}),
        ("variant1 p=0.25", {"prune": "theta:one-shot,sparsity=0.250"}),
        ("variant1 p=0.25", {"prune": "theta:plan,to=0.25,least-sparsity=0.1"}),  # a schedule that has another name for it
        ("variant1 p=0.25", {"keep": "5", "out": "elsewhere"}),
        ("variant1 p=0.5 dense", {"space": "cells,network_channels=4"}),
        ("baseline random-search", {"strategy": "random,alternate=2", "epochs": "214it:20"}),
    ],
)
def test_a_label_that_is_what_was_run(label: str, config: Mapping[str, str]) -> None:
    assert check(changed(label, config=config)) == ()


def test_what_a_label_says_may_differ() -> None:
    rows = tuple(Row(f"baseline batch={size}", "baseline", varied={"batch": size}) for size in ("32", "64"))
    trials = tuple(
        TrialResult(row.label, row.label, 0, "finished", config={"recipe": "baseline", "batch": row.varied["batch"]})
        for row in rows
    )
    assert check(Results("s", rows, trials, seeds=(0,))) == ()
    unsaid = tuple(replace(row, varied={}) for row in rows)
    assert found(Results("s", unsaid, trials, seeds=(0,))) == [("violated", "labels", "baseline batch=64")]


def test_data_sets_and_strategies_may_suggest_what_no_label_says() -> None:
    rows = tuple(Row(f"baseline data={name}", "baseline", varied={"data": name}) for name in ("digits", "mine"))
    trials = tuple(TrialResult(row.label, row.label, 0, "finished", config={"batch": row.varied["data"]}) for row in rows)
    assert check(Results("s", rows, trials, seeds=(0,))) == ()


def test_a_trial_of_no_row_and_a_finished_one_without_a_configuration() -> None:
    stray = replace(SOUND.trials[0], name="stray", row="nowhere")
    assert found(replace(SOUND, trials=(*SOUND.trials, stray))) == [("violated", "labels", "stray")]
    bare = tuple(replace(one, config={}) if one.name == "baseline 0" else one for one in SOUND.trials)
    assert found(replace(SOUND, trials=bare)) == [("violated", "labels", "baseline 0")]


@pytest.mark.parametrize("of", [None, "nowhere", "variant1 p=0.5 reinit"])
def test_a_control_is_held_against_a_row_that_is_none(of: str | None) -> None:
    rows = tuple(replace(row, of=of) if row.control == "random-mask" else row for row in ROWS)
    assert ("violated", "labels", "variant1 p=0.5 random-mask") in found(replace(SOUND, rows=rows))


# twins


def test_two_names_for_one_configuration() -> None:
    rows = (ROWS[0], replace(ROWS[0], label="again"))
    first = replace(trial(ROWS[0], 0), digest="abc")
    second = replace(first, name="again 0", row="again")
    finding = only(Results("s", rows, (first, second), seeds=(0,)))
    assert (finding.severity, finding.rule, finding.where) == ("violated", "twins", "again")
    assert finding.what == "the same weights as baseline with seed 0: one configuration under two names"


def test_two_configurations_may_come_to_one_network() -> None:
    finding = only(changed("variant1 p=0.5", digest="variant1 p=0.25/0"))
    assert (finding.severity, finding.rule, finding.where) == ("noted", "twins", "variant1 p=0.5")
    assert "two configurations that came to one network" in finding.what


def test_a_dense_control_of_the_width_of_another_or_of_the_baseline_is_noted() -> None:
    """Widths are whole numbers, so tickets of almost one size have the same dense network."""
    again = replace(ROWS[5], label="variant1 p=0.25 dense", sparsity=0.25, of="variant1 p=0.25")
    for rows in ((ROWS[5], again), (ROWS[0], again)):
        trials = tuple(replace(trial(rows[0], 0), row=row.label, digest="same") for row in rows)
        [finding] = [one for one in check(Results("s", rows, trials)) if one.rule == "twins"]
        assert (finding.severity, finding.where) == ("noted", "variant1 p=0.25 dense")
        assert finding.what.endswith("with seed 0: the width of both, a whole number, is the same")


def test_equal_weights_of_two_seeds_or_of_none_are_no_twins() -> None:
    assert check(changed("variant1 p=0.5", digest="variant1 p=0.25/1")) == ()
    assert check(changed("variant1 p=0.5", seed=None, digest=None)) == ()


# pairs


def test_a_row_without_one_of_its_seeds() -> None:
    finding = only(changed("variant1 p=0.5 dense", seed=1, state="failed", test=None))
    assert (finding.severity, finding.rule, finding.where) == ("violated", "pairs", "variant1 p=0.5 dense")
    assert finding.what == "1 of 2 seeds did not finish: seed 1 (failed)"
    unplanned = check(replace(SOUND, seeds=(0, 1, 5)))[0]
    assert unplanned.severity == "violated" and "seed 5 (not planned)" in unplanned.what


@pytest.mark.parametrize("state", ["waiting", "running", "stopped"])
def test_a_seed_that_may_still_finish_or_was_given_up_is_noted(state: str) -> None:
    finding = only(changed("variant1 p=0.5 dense", seed=1, state=state, test=None))
    assert (finding.severity, finding.rule, finding.where) == ("noted", "pairs", "variant1 p=0.5 dense")
    assert finding.what == f"1 of 2 seeds are not finished: seed 1 ({state})"
    both = changed("variant1 p=0.5 dense", seed=1, state=state, test=None)
    failed = tuple(
        replace(one, state="failed", test=None) if one.name == "variant1 p=0.5 dense 0" else one for one in both.trials
    )
    assert only(replace(both, trials=failed)).severity == "violated"


def test_a_seed_that_was_run_twice() -> None:
    again = replace(SOUND.trials[0], name="again")
    assert "2 trials of seed 0" in only(replace(SOUND, trials=(*SOUND.trials, again))).what


# costs


@pytest.mark.parametrize("cost", ["parameters", "macs_nonzero", "macs_structural"])
def test_costs_never_rise_with_sparsity(cost: str) -> None:
    finding = only(changed("variant1 p=0.5", seed=None, **{cost: 99_999}))
    assert (finding.severity, finding.rule, finding.where) == ("violated", "costs", "variant1 p=0.5")
    assert "99,999 at p=0.5" in finding.what


@pytest.mark.parametrize(
    ("row", "config"),
    [
        (Row("variant2 p=0.5", "variant2", 0.5), {"prune": "alpha:iterative,rounds=10,sparsity=0.5"}),
        (Row("variant2 p=0.5", "variant2", 0.5), {}),  # by its recipe
    ],
)
def test_where_alpha_is_pruned_costs_may_rise_and_the_reason_is_said(row: Row, config: Mapping[str, str]) -> None:
    """Each level has a search of its own, and so another network."""
    denser = replace(ROWS[6], recipe=row.recipe)
    trials = tuple(
        TrialResult(one.label, one.label, 0, "finished", parameters=number, config={**config, "seed": "0"})
        for one, number in ((denser, 100), (row, 101))
    )
    (finding,) = [one for one in check(Results("s", (denser, row), trials)) if one.rule == "costs"]
    assert (finding.severity, finding.where) == ("noted", "variant2 p=0.5")
    assert "101 at p=0.5; alpha is pruned, so that each sparsity has a search of its own" in finding.what


def test_a_cost_is_a_mean_over_the_seeds_that_both_have() -> None:
    """750 and 500; one seed of p=0.5 has 900: the mean 700 is below 750, and alone it is above."""
    assert check(changed("variant1 p=0.5", parameters=900)) == ()
    left = replace(changed("variant1 p=0.5", parameters=900), seeds=(0,))
    alone = replace(left, trials=tuple(one for one in left.trials if one.seed == 0))
    assert found(alone) == [("violated", "costs", "variant1 p=0.5")]


def test_a_seed_that_one_row_lacks_is_not_in_its_mean() -> None:
    """Seed 1 of p=0.25 has 100 parameters: with its partner the mean is 425, below the 500 of p=0.5; without it, 750."""
    results = changed("variant1 p=0.25", seed=1, parameters=100)
    assert found(results) == [("violated", "costs", "variant1 p=0.5")]
    trials = tuple(replace(one, state="failed", test=None) if one.name == "variant1 p=0.5 1" else one for one in results.trials)
    assert found(replace(results, trials=trials)) == [("violated", "pairs", "variant1 p=0.5")]


def test_the_width_of_a_dense_control_is_no_sparsity() -> None:
    denser = Row("variant1 p=0.25 dense", "variant1", 0.25, control="dense", of="variant1 p=0.25")
    config = {"recipe": "baseline", "space": "cells,network_channels=2"}
    mine = tuple(
        replace(one, name=f"mine {one.seed}", row=denser.label, parameters=10, digest=None, config={**one.config, **config})
        for one in SOUND.trials
        if one.row == "variant1 p=0.5 dense"
    )
    assert check(replace(SOUND, rows=(*ROWS, denser), trials=(*SOUND.trials, *mine))) == ()


@pytest.mark.parametrize(
    ("cost", "prune", "severity"),
    [
        ("macs_nonzero", "theta:iterative,rounds=3,scope=global,sparsity=0.5", "noted"),
        ("macs_structural", '["lnas/theta:iterative,sparsity=0.5"]', "noted"),
        ("parameters", "theta:iterative,rounds=3,sparsity=0.5", "violated"),
        ("macs_nonzero", "theta:one-shot,scope=global,sparsity=0.5", "violated"),
    ],
)
def test_where_weights_are_pruned_in_rounds_multiply_adds_may_rise_and_the_reason_is_said(
    cost: str, prune: str, severity: str
) -> None:
    rows = ROWS[:3]
    trials = [replace(trial(row, 0), config={"recipe": "variant1", "prune": prune}) for row in rows[1:]]
    trials[1] = replace(trials[1], **{cost: getattr(trials[0], cost) + 1})
    [finding] = [one for one in check(Results("s", rows[1:], tuple(trials))) if one.rule == "costs"]
    assert (finding.severity, finding.where) == (severity, "variant1 p=0.5")
    assert finding.what.endswith("masks of its own") == (severity == "noted")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 5}, "its journal has 4 epochs of training, and 5 were planned"),
        ({"best": 0.7}, "its best validation accuracy is 0.7000 in summary.json, and 0.8000 in its journal"),
        ({"validation": 0.7}, "its last validation accuracy is 0.7000 in summary.json, and 0.8000 in its journal"),
    ],
)
def test_the_journal_and_the_summary_say_the_same(change: Mapping[str, Any], words: str) -> None:
    whole = replace(trial(ROWS[0], 0), epochs=4, best=0.8)
    alone = Results("s", ROWS[:1], (whole,))
    assert check(alone) == ()
    [finding] = check(replace(alone, trials=(replace(whole, **change),)))
    assert (finding.severity, finding.rule, finding.where, finding.what) == ("violated", "running best", whole.name, words)


def test_dense_costs_and_those_of_other_recipes_are_not_compared() -> None:
    assert check(changed("variant1 p=0.5", seed=None, macs_dense=99_999)) == ()
    assert check(changed("variant2 p=0.25", seed=None, parameters=99_999)) == ()
    assert check(changed("variant1 p=0.5 dense", seed=None, parameters=99_999)) == ()


# sparsity attained


def test_a_sparsity_that_was_not_attained_is_told_with_both_numbers() -> None:
    finding = only(changed("variant2 p=0.25", seed=None, attained={"alpha": 0.2}))
    assert (finding.severity, finding.rule, finding.where) == ("noted", "attained", "variant2 p=0.25")
    assert finding.what == "alpha attained 0.2, not the 0.25 asked for"
    assert "attained 0.2 to 0.25" in only(changed("variant2 p=0.25", attained={"theta": 0.2})).what


def test_a_whole_number_of_weights_is_near_enough() -> None:
    assert check(changed("variant2 p=0.25", attained={"theta": 0.2496})) == ()


# the order, and the paper


def test_what_is_violated_comes_first() -> None:
    results = changed("variant2 p=0.25", seed=None, attained={"alpha": 0.2}, parameters=10)
    results = replace(results, seeds=(0, 1, 2))
    severities = [finding.severity for finding in check(results)]
    assert severities == sorted(severities, reverse=True) and set(severities) == {"violated", "noted"}


def test_the_papers_own_table_fails_the_check_of_its_best_and_of_its_costs() -> None:
    rows = tuple(
        Row(recipe if level is None else f"{recipe} p={level:g}", recipe, level) for recipe, level in PRINTED
    )  # as printed, with one trial a row
    trials = tuple(
        TrialResult(f"{row.label} 0", row.label, 0, "finished", half=said.half, end=said.end, macs_nonzero=said.cost)
        for row, said in zip(rows, PRINTED.values(), strict=True)
    )
    findings = [
        finding for finding in check(Results("paper", rows, trials, seeds=(0,))) if finding.rule in ("running best", "costs")
    ]
    assert [(finding.severity, finding.rule, finding.where) for finding in findings] == [
        ("violated", "running best", "variant1 p=0.95 0"),
        ("violated", "costs", "variant1 p=0.95"),
        ("noted", "costs", "variant2 p=0.95"),
    ]
    assert "falls from 0.6658 at half-time to 0.4643 at the end" in findings[0].what
    assert "76,171,000 at p=0.875, 84,050,000 at p=0.95" in findings[1].what
