"""A sweep as CSV: what is written is read back, number by number."""

import csv
import io
import math
import statistics
from dataclasses import replace

from lnas.report.csv_table import rows_csv, trials_csv
from lnas.report.frame import Cell
from lnas.report.trials import trial_records
from lnas.sweep.results import Results, Row, TrialResult

TESTS = {0: 0.1 + 0.2, 1: 0.5, 2: 0.6}
RESULTS = Results(
    name="mine",
    rows=(
        Row("baseline", "baseline"),
        Row('=HYPERLINK(1), "x"\nnext', "variant1", sparsity=0.25, control="reinit", of="baseline", varied={"train.lr": "0.1"}),
    ),
    trials=(
        *(
            TrialResult(f"b{seed}", "baseline", seed, "finished", test=test, parameters=10 + seed, exact=True, digest="sha256:a")
            for seed, test in TESTS.items()
        ),
        TrialResult("v0", '=HYPERLINK(1), "x"\nnext', 0, "failed", reason="-1 is out of range", attained={"theta": 0.25}),
    ),
)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_a_line_is_a_trial_and_its_numbers_are_not_rounded() -> None:
    lines = table(trials_csv(RESULTS))
    assert [line["name"] for line in lines] == ["b0", "b1", "b2", "v0"]
    assert [float(line["test"]) for line in lines[:3]] == list(TESTS.values())
    assert lines[0]["test"] == "0.30000000000000004"
    assert (lines[0]["sweep"], lines[0]["exact"], lines[0]["parameters"]) == ("mine", "true", "10")
    assert (lines[3]["test"], lines[3]["exact"]) == ("", "")
    assert (lines[3]["sparsity"], lines[3]["attained.theta"], lines[3]["varied.train.lr"]) == ("0.25", "0.25", "0.1")
    assert list(lines[0]) == list(trial_records(RESULTS)[0])


def test_a_text_that_is_a_formula_is_marked_and_a_number_is_not() -> None:
    last = table(trials_csv(RESULTS))[3]
    assert (last["row"], last["reason"]) == ('\'=HYPERLINK(1), "x" next', "'-1 is out of range")
    below = Results("n", (Row("b", "baseline"),), (TrialResult("t", "b", 0, "finished", validation=-0.5),))
    assert table(trials_csv(below))[0]["validation"] == "-0.5"


def test_lines_end_as_the_standard_says() -> None:
    text = trials_csv(RESULTS)
    assert text.endswith("\r\n") and text.count("\n") == text.count("\r\n") == 5


def test_a_row_has_the_mean_and_the_interval_of_its_finished_trials() -> None:
    baseline, control = table(rows_csv(RESULTS))
    mean, spread = statistics.fmean(TESTS.values()), statistics.stdev(TESTS.values())
    half = 4.302652729749464 * spread / math.sqrt(3)  # Student's t of 2 degrees of freedom at 97.5 %
    assert (baseline["row"], baseline["planned"], baseline["finished"], baseline["test.n"]) == ("baseline", "3", "3", "3")
    assert float(baseline["test"]) == mean
    assert math.isclose(float(baseline["test.low"]), mean - half, rel_tol=1e-12)
    assert math.isclose(float(baseline["test.high"]), mean + half, rel_tol=1e-12)
    assert (control["row"], control["of"], control["varied.train.lr"]) == ('\'=HYPERLINK(1), "x" next', "baseline", "0.1")
    assert (control["planned"], control["finished"], control["test"], control["test.n"], control["test.low"]) == (
        *("1", "0", "", "0", ""),
    )


def test_one_trial_has_no_interval() -> None:
    one = Results("n", (Row("b", "baseline"),), (TrialResult("t", "b", 0, "finished", test=0.5),))
    line = table(rows_csv(one))[0]
    assert (line["test"], line["test.n"], line["test.low"], line["test.high"]) == ("0.5", "1", "", "")


def test_equal_values_and_trials_that_were_left_have_no_interval() -> None:
    equal = tuple(TrialResult(f"t{seed}", "b", seed, "finished", test=0.5) for seed in range(3))
    (line,) = table(rows_csv(Results("n", (Row("b", "baseline"),), equal)))
    assert (line["test"], line["test.n"], line["test.low"], line["test.high"]) == ("0.5", "3", "", "")
    left = table(rows_csv(replace(RESULTS, stopped_early="median")))[0]
    assert (left["test.n"], left["test.low"], left["test.high"]) == ("3", "", "") and left["test"] != ""


def test_a_sweep_without_trials_is_its_head() -> None:
    empty = Results("n", (), ())
    assert table(trials_csv(empty)) == [] and table(rows_csv(empty)) == []
    assert trials_csv(empty).startswith("sweep,row,recipe,") and rows_csv(empty).startswith("row,recipe,sparsity,")


def test_a_record_has_a_cell_for_every_field_of_a_trial_that_is_one() -> None:
    columns, records = trial_records(RESULTS)
    fields = set(TrialResult.__dataclass_fields__) - {"attained", "course", "config"}
    assert fields <= set(columns) and all(list(record) == list(columns) for record in records)
    kinds: dict[str, set[type]] = {name: {type(record[name]) for record in records} - {type(None)} for name in columns}
    assert all(found <= {columns[name]} for name, found in kinds.items())
    cell: Cell = records[3]["reason"]
    assert cell == "-1 is out of range", "records hold what was said"
