import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lnas.core.errors import RunError
from lnas.report.read import read

MakeRun = Callable[..., Path]


def test_the_files_of_a_run_are_read(make_run: MakeRun) -> None:
    files = read(make_run("generalized", name="mine"))

    assert files.name == "mine"
    assert files.config.startswith('recipe = "generalized"\n')
    assert [start.stage for start in files.starts] == ["search", "train"]
    assert [(epoch.stage, epoch.epoch) for epoch in files.epochs] == [(s, e) for s in ("search", "train") for e in range(1, 11)]
    assert [prune.target for prune in files.prunes] == ["alpha"] * 10 + ["theta"] * 5
    assert files.prunes[-1].rewind == 0 and files.prunes[0].rewind is None
    assert files.summary is not None and files.summary.parameters is not None and files.summary.parameters.nonzero == 170_003
    assert files.genotype is not None and set(files.genotype.groups) == {"normal", "reduce"}
    assert files.status is not None and files.status.state == "finished"
    assert files.environment["torch"] == "2.14.0"


def test_a_document_keeps_what_the_report_does_not_know(make_run: MakeRun) -> None:
    run = make_run("baseline")
    known = json.loads((run / "summary.json").read_text())
    known["accuracy"]["of_a_plugin"] = 0.5
    (run / "summary.json").write_text(json.dumps(known))

    summary = read(run).summary
    assert summary is not None
    assert summary.model_dump(mode="json", exclude_unset=True) == known


def test_a_run_that_has_only_begun_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("seed = 0\n")
    files = read(tmp_path)
    assert (files.starts, files.epochs, files.prunes, files.environment) == ((), (), (), {})
    assert (files.genotype, files.summary, files.status) == (None, None, None)


@pytest.mark.parametrize("torn", ['{"event": "epoch", "sta', "\x00\x00\x00\x00", "7"])
def test_a_torn_last_line_is_left_out(make_run: MakeRun, torn: str) -> None:
    run = make_run("baseline")
    whole = read(run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write(torn)
    assert read(run) == whole


def test_a_broken_line_elsewhere_is_named(make_run: MakeRun) -> None:
    run = make_run("baseline")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    lines[3] = lines[3][:40]
    (run / "metrics.jsonl").write_text("\n".join(lines))
    with pytest.raises(RunError, match=r"metrics\.jsonl line 4: not a JSON document"):
        read(run)


def test_an_epoch_that_was_done_again_counts_once_as_it_was_last(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    rows = [{"event": "epoch", "stage": "train", "epoch": e, "validation_accuracy": a} for e, a in ((1, 0.1), (2, 0.2), (2, 0.3))]
    rows.insert(1, {"event": "of a plugin", "stage": 7})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(epoch.epoch, epoch.validation_accuracy) for epoch in read(tmp_path).epochs] == [(1, 0.1), (2, 0.3)]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: None], ids=["empty folder", "file", "nothing"])
def test_what_is_no_run_is_refused_by_name(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "other")
    with pytest.raises(RunError, match=r"other is no run directory: it holds no config\.toml"):
        read(tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("summary.json", "{", "not a JSON document"),
        ("summary.json", "[1]", "a JSON object was expected"),
        (
            "summary.json",
            '{"parameters": {"total": "many", "nonzero": 1}}',
            r"parameters\.total: Input should be a valid integer",
        ),
        ("status.json", '{"stage": "search"}', "state: Field required"),
        ("environment.json", "null", "a JSON object was expected"),
        ("genotype.json", '{"schema": 1, "groups": {"normal": {"genes": [["x", 3, 2]]}}}', "edges go to a later node"),
        ("genotype.json", "[" * 100_000, "not a JSON document"),
        ("metrics.jsonl", '{"event": "prune"}\n{}\n', "line 1: stage: Field required"),
    ],
)
def test_a_file_that_cannot_be_understood_is_named(make_run: MakeRun, name: str, text: str, message: str) -> None:
    run = make_run("baseline")
    (run / name).write_text(text)
    with pytest.raises(RunError, match=message) as caught:
        read(run)
    assert str(run / name) in str(caught.value)
    assert "\n" not in str(caught.value)
