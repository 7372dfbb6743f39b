from dataclasses import replace

import pytest

from lnas.report.sweep_controls import held, kinds
from lnas.report.sweep_numbers import accuracy, compact, n_of, seconds, tick
from lnas.report.sweep_series import series
from lnas.report.sweep_table import Entry, accuracy_table, cost_table
from lnas.sweep.results import Results, Row, TrialResult

BASELINE, LEVEL = Row("baseline", "lnas/baseline"), Row("variant1 p=0.95", "variant1", 0.95)
CONTROL = Row("variant1 p=0.95 reinit", "variant1", 0.95, "reinit", "variant1 p=0.95")


def trial(row: Row, seed: int, value: float, parameters: int = 100) -> TrialResult:
    return TrialResult(
        *(f"{row.label}-{seed}", row.label, seed, "finished"),
        half=value - 0.1,
        end=value,
        ticket=value - 0.2,
        validation=value - 0.3,
        test=value + 0.05,
        parameters=parameters,
    )


def table1(*trials: TrialResult, rows: tuple[Row, ...] = (BASELINE, LEVEL, CONTROL)) -> Results:
    return Results("t", rows, trials, kind="table1", scale="tiny", seeds=(0, 1, 2))


def test_a_mean_stands_with_its_interval_and_n() -> None:
    results = table1(trial(BASELINE, 0, 0.5), trial(BASELINE, 1, 0.5), trial(BASELINE, 2, 0.8), rows=(BASELINE,))
    (line,) = accuracy_table(results).lines
    # mean 0.6, standard deviation 0.173205, over the root of 3: 0.1; Student's t of 2 is 4.302653
    assert line.entries[0] == Entry("n = 3")
    assert [entry.text for entry in line.entries[1::2]] == ["50.00 ± 43.03", "60.00 ± 43.03", "40.00 ± 43.03", "65.00 ± 43.03"]
    assert line.entries[6] == Entry("30.00 ± 43.03")
    titles = [column.title for column in accuracy_table(results).columns]
    assert (titles[5], titles[6]) == ("validation, best after the last prune", "validation, last weights")


def test_one_seed_has_no_interval_and_says_so() -> None:
    failed = TrialResult("baseline-1", "baseline", 1, "failed", "out of memory")
    (line,) = accuracy_table(table1(trial(BASELINE, 0, 0.5), failed, rows=(BASELINE,))).lines
    assert line.entries[0] == Entry("n = 1", "no interval, 1 missing")
    assert not any("±" in entry.text for entry in line.entries)


def test_where_a_figure_has_fewer_seeds_than_its_row_it_says_so() -> None:
    other = TrialResult("baseline-1", "baseline", 1, "finished", test=0.5)
    (line,) = accuracy_table(table1(trial(BASELINE, 0, 0.5), other, rows=(BASELINE,))).lines
    assert line.entries[3] == Entry("50.00", "n = 1")


def test_equal_values_are_called_equal() -> None:
    (line,) = accuracy_table(table1(trial(BASELINE, 0, 0.5), trial(BASELINE, 1, 0.5), rows=(BASELINE,))).lines
    assert line.entries[3] == Entry("50.00", "all equal")


def test_of_trials_that_were_stopped_early_there_are_no_intervals() -> None:
    trials = [trial(row, seed, 0.5 + 0.1 * seed) for row in (LEVEL, CONTROL) for seed in range(3)]
    trials[0] = replace(trials[0], test=0.9)
    results = replace(table1(*trials), stopped_early="halving")
    assert not any("±" in entry.text for line in accuracy_table(results).lines for entry in line.entries)
    assert accuracy_table(results).lines[1].entries[3].text == "60.00"
    (one,) = held(results, accuracy(results))
    assert one.difference == Entry("+11.67 points", "n = 3, no interval")


def test_the_printed_table_stands_beside_ours_and_is_marked() -> None:
    table, costs = accuracy_table(table1()), cost_table(table1())
    marked = [[index for index, column in enumerate(one.columns) if column.printed] for one in (table, costs)]
    assert marked == [[2, 4], [6, 9]]
    printed = [[line.entries[index].text for index in marked[0]] for line in table.lines]
    assert printed == [["74.04", "78.90"], ["66.58", "46.43"], ["–", "–"]]
    assert [[line.entries[index].text for index in marked[1]] for line in costs.lines] == [
        ["752.355M", "around 2 h"],
        ["84.050M", "around 2 h"],
        ["–", "–"],
    ]
    assert all(len(line.entries) == len(one.columns) for one in (table, costs) for line in one.lines)


def test_a_sweep_of_its_own_has_no_printed_column() -> None:
    results = Results("s", (BASELINE,), (trial(BASELINE, 0, 0.5),))
    for table in (accuracy_table(results), cost_table(results)):
        assert not any(column.printed for column in table.columns)
        assert all(len(line.entries) == len(table.columns) for line in table.lines)


def test_a_cost_is_a_mean_with_the_range_of_its_seeds() -> None:
    results = table1(trial(BASELINE, 0, 0.5, 100), trial(BASELINE, 1, 0.5, 300), rows=(BASELINE,))
    (line,) = cost_table(results).lines
    assert line.entries[:3] == (Entry("n = 2"), Entry("200", "100 to 300"), Entry("–"))
    fewer = table1(*results.trials, TrialResult("b", "baseline", 2, "finished"), rows=(BASELINE,))
    assert cost_table(fewer).lines[0].entries[:2] == (Entry("n = 3"), Entry("200", "100 to 300, n = 2"))


def test_a_control_is_paired_with_its_row_seed_by_seed() -> None:
    trials = [trial(LEVEL, seed, value) for seed, value in enumerate((0.5, 0.6, 0.7))]
    trials += [trial(CONTROL, seed, value) for seed, value in ((1, 0.5), (2, 0.5))]
    (one,) = held(table1(*trials), accuracy(table1(*trials)))
    assert (one.control, one.of) == (CONTROL, LEVEL.label)
    # differences 0.1 and 0.2: mean 0.15, half width 12.706205 x 0.05
    assert one.difference == Entry("+15.00 points", "-48.53 to +78.53, n = 2")
    assert one.accuracy == Entry("55.00", "all equal")
    assert kinds(table1()) == (("reinit", "theta_0 matters (the ticket beats fresh weights under its mask)"),)


def test_a_control_of_one_pair_or_none_claims_nothing() -> None:
    single = table1(trial(LEVEL, 0, 0.5), trial(CONTROL, 0, 0.4))
    assert held(single, accuracy(single))[0].difference == Entry("+10.00 points", "n = 1, no interval")
    apart = table1(trial(LEVEL, 0, 0.5), trial(CONTROL, 1, 0.4))
    assert held(apart, accuracy(apart))[0].difference == Entry("–", "n = 0")
    orphan = table1(trial(CONTROL, 0, 0.4), rows=(CONTROL,))
    assert held(orphan, accuracy(orphan))[0].difference == Entry("–")


def test_rows_are_lines_by_recipe_and_by_what_else_varies() -> None:
    rows = (
        *(Row("b", "baseline"), Row("v p=0.5", "v", 0.5), Row("v p=0.25", "v", 0.25), CONTROL),
        Row("v p=0.5 space=s", "v", 0.5, varied={"space": "s"}),
    )
    found = series(Results("s", rows, ()))
    assert [(one.name, [row.label for row in one.rows]) for one in found] == [
        ("baseline", ["b"]),
        ("v", ["v p=0.25", "v p=0.5"]),
        ("v space=s", ["v p=0.5 space=s"]),
    ]
    assert (
        len({(one.colour, one.marker) for one in series(Results("s", tuple(Row(f"{i}", f"{i}") for i in range(28)), ()))}) == 28
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (0.5, "0.5"), (99_999, "99,999"), (104_217, "104.2 k"), (752_355_000, "752.4 M"), (5e9, "5 G"), (2e13, "20 T")],
)
def test_costs_are_written_with_four_digits(number: float, words: str) -> None:
    assert compact(number) == words


def test_times_and_ticks() -> None:
    assert [seconds(value) for value in (0.042, 4.04, 75)] == ["0.04 s", "4.0 s", "1 min 15 s"]
    assert [tick(value) for value in (0.5, 0.925)] == ["50 %", "92.5 %"]


def test_n_of_one_row_or_several() -> None:
    assert [n_of(numbers) for numbers in ((), (3, 3), (2, 3, 5))] == ["n = 0", "n = 3", "n from 2 to 5"]
