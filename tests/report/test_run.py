"""`lnas.Run`: a run directory as a value, its journal as records and frames, and its table for a notebook."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lnas
from lnas.core.errors import ConfigError, RunError
from lnas.host import models
from lnas.report.frame import frame, kind_of
from lnas.report.notebook import table_html
from lnas.report.settings import settings

HOSTILE = '</td><script>alert("x")</script>\x1b[31m&'


def test_a_record_is_an_epoch_and_all_have_the_same_keys(make_run) -> None:
    run = lnas.Run(make_run("variant2", name="mine"))
    records = run.to_records()
    journal = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    epochs = [event for event in journal if event["event"] == "epoch"]
    assert len(records) == len(epochs) == 20
    assert list(records[0]) == [
        *("run", "recipe", "seed", "stage", "epoch", "step", "round", "rounds", "sparsity", "live_paths"),
        *("validation_accuracy", "seconds", "alpha_loss", "loss"),
    ]
    for record, epoch in zip(records, epochs, strict=True):
        assert (record["run"], record["recipe"], record["seed"]) == ("mine", "variant2", 0)
        assert {key: epoch.get(key) for key in record if key not in ("run", "recipe", "seed")} == {
            key: value for key, value in record.items() if key not in ("run", "recipe", "seed")
        }
    assert records[-1]["live_paths"] is None and records[-1]["alpha_loss"] is None


def test_a_frame_says_the_same_and_its_columns_hold_what_they_are_said_to(make_run) -> None:
    pandas = pytest.importorskip("pandas")
    run = lnas.Run(make_run("variant2"))
    found = run.to_dataframe()
    assert found.shape == (20, 14)
    kinds = {name: str(kind) for name, kind in found.dtypes.items()}
    assert (kinds["stage"], kinds["epoch"], kinds["live_paths"], kinds["loss"]) == ("string", "Int64", "Int64", "float64")
    back = [
        {key: None if pandas.isna(value) else value for key, value in row.items()}
        for row in found.astype(object).to_dict("records")
    ]
    assert back == run.to_records()
    both = pandas.concat([found, lnas.Run(make_run("variant1", name="other")).to_dataframe()])
    assert both.groupby("run")["epoch"].max().to_dict() == {"run": 10, "other": 10}


def test_without_pandas_there_are_records_and_one_line(make_run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    run = lnas.Run(make_run("baseline"))
    assert len(run.to_records()) == 20
    with pytest.raises(ConfigError) as caught:
        run.to_dataframe()
    assert str(caught.value) == (
        "a data frame needs pandas, which is not installed; install it: pip install pandas, or use to_records()"
    )


def test_a_run_that_has_begun_has_no_records_but_the_columns(make_run) -> None:
    pytest.importorskip("pandas")
    run = make_run("baseline")
    for name in ("metrics.jsonl", "summary.json"):
        (run / name).unlink()
    (run / "status.json").write_text('{"state": "interrupted"}')
    found = lnas.Run(run)
    assert (found.to_records(), found.summary, found.state) == ([], None, "interrupted")
    assert list(found.to_dataframe().columns)[:4] == ["run", "recipe", "seed", "stage"]
    assert repr(found) == f"Run({str(run)!r}, interrupted)"
    assert "interrupted" in found._repr_html_() and "Accuracy" not in found._repr_html_()


@pytest.mark.parametrize(
    ("cells", "declared", "kind"),
    [
        ([1, None], int, int),
        ([1, 2**63], int, float),
        ([1, 10**400], int, str),
        (["x", 1], int, str),
        ([True, None], None, bool),
        ([True], int, bool),
        ([True, 1], None, str),
        ([1, 2.5], None, float),
        ([None], None, float),
        ([], float, float),
    ],
)
def test_a_column_holds_what_all_of_its_cells_are(cells: list, declared: type | None, kind: type) -> None:
    assert kind_of(cells, declared) is kind
    pytest.importorskip("pandas")
    words = [str(cell) if kind is str else cell for cell in cells]
    assert len(frame({"x": kind}, [{"x": cell} for cell in words])) == len(cells)


def test_what_a_journal_says_of_another_kind_stays_readable(make_run) -> None:
    pytest.importorskip("pandas")
    run = make_run("baseline")
    line = {"event": "epoch", "stage": "train", "epoch": 11, "round": "first", "run": "forged", "note": "a", "list": [1]}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    last = lnas.Run(run).to_records()[-1]
    assert (last["run"], last["round"], last["note"], "list" in last) == ("run", "first", "a", False)
    assert lnas.Run(run).to_dataframe()["round"].tolist()[-2:] == ["0", "first"]


def test_a_table_for_a_notebook_has_no_markup_of_a_run(make_run) -> None:
    run = make_run("generalized", hostile=HOSTILE)
    (run / "config.toml").write_text(f"recipe = {json.dumps(HOSTILE)}\n")
    shown = lnas.Run(run)._repr_html_()
    assert "<script" not in shown and "\x1b" not in shown
    assert "&lt;script&gt;" in shown and "97.50 %" in shown
    assert "#" not in shown.replace("&#34;", "").replace("&#39;", ""), "no colour: it is read in light and in dark"


def test_a_table_is_its_rows() -> None:
    shown = table_html("a & b", [("x", "1 < 2")], head=("", "one"), notes=["below"])
    assert shown.count("<tr>") == 2 and shown.count("<th") == 3 and shown.count("<td") == 1
    assert "a &amp; b" in shown and "1 &lt; 2" in shown
    assert shown.index("</table>") < shown.index("below")
    assert "<table" not in table_html("none", [])


def test_a_run_is_one_line(make_run) -> None:
    run = make_run("variant1")
    assert repr(lnas.Run(str(run))) == f"Run({str(run)!r}, finished, test 97.50 %)"


def test_the_latest_is_the_one_whose_status_changed_last(make_run) -> None:
    make_run("baseline", name="first")
    second = make_run("baseline", name="second")
    (second.parent / "first" / "status.json").touch()
    assert lnas.Run.latest(second.parent).name == "first"
    with pytest.raises(RunError, match="cannot read"):
        lnas.Run.latest(second.parent / "nowhere")


def test_what_is_no_run_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run: a run is a directory that lnas made"):
        lnas.Run(tmp_path)


def test_a_network_is_the_one_of_load_model(make_run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_model", lambda path: ("network of", path))
    run = make_run("baseline")
    assert lnas.Run(run).network() == ("network of", run)


def test_settings_are_flat_and_the_options_of_a_part_are_keys() -> None:
    text = 'seed = 3\ndeterministic = true\nprune = ["alpha:one-shot", "theta:never"]\nspace = "cells,channels=2"\ndata = "?"\n'
    assert settings(text + '[strategy]\nname = "darts"\nunrolled = "exact"\n[train]\nlr = 0.1\n', where="x") == {
        "seed": "3",
        "deterministic": "true",
        "prune": "alpha:one-shot; theta:never",
        "space": "cells",
        "space.channels": "2",
        "data": "?",
        "strategy": "darts",
        "strategy.unrolled": "exact",
        "train.lr": "0.1",
    }
    with pytest.raises(ConfigError, match=r"^config\.toml is not TOML"):
        settings("=", where="config.toml")


@pytest.mark.parametrize(("said", "seed"), [("7", 7), ("-1", None), ('"x"', None), (str(2**63 - 1), 2**63 - 1), ("9" * 30, None)])
def test_a_seed_is_a_number(make_run, said: str, seed: int | None) -> None:
    run = make_run("baseline")
    (run / "config.toml").write_text(f"seed = {said}\n")
    assert lnas.Run(run).seed == seed


def test_to_read_a_run_takes_neither_torch_nor_pandas(make_run) -> None:
    code = "import lnas, sys; run = lnas.Run(sys.argv[1]); run.to_records(); run._repr_html_(); lnas.Sweep"
    report = "; print(*{'torch', 'pandas', 'scipy', 'matplotlib', 'numpy'} & sys.modules.keys())"
    arguments = [sys.executable, "-c", code + report, str(make_run("variant2"))]
    assert subprocess.run(arguments, capture_output=True, text=True, check=True).stdout == "\n"
