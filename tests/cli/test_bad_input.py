"""Bad input: one line, exit code 2, nothing written, before the first step."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

TINY = "--epochs 1:1 --space cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3"

RUN = {
    "--strategy drats": "unknown strategy 'drats'; did you mean 'darts'?",
    "--prune alfa:iterative": "unknown target 'alfa'; did you mean 'alpha'?",
    "--prune alpha:itertive": "unknown schedule 'itertive'; did you mean 'iterative'?",
    "--prune alpha": "prune line 'alpha' names no schedule",
    "--prune alpha:iterative,importance=magnitud": "unknown importance 'magnitud'; did you mean 'magnitude'?",
    "--prune alpha:iterative,spasity=0.5": "unknown option 'spasity'; did you mean 'sparsity'?",
    "--prune alpha:iterative --prune alpha:one-shot": "alpha has 2 prune lines",
    "--recipe varient1": "unknown recipe 'varient1'; did you mean 'variant1'?",
    "--recipe variant1 --prune alpha:iterative": "recipe variant1 contradicts the prune lines alpha:iterative",
    "--data digit": "unknown dataset 'digit'; did you mean 'digits'?",
    "--strategy darts,unroled=exact": "option 'unroled' does not exist; did you mean 'unrolled'?",
    "--space cels": "unknown space 'cels'; did you mean 'cells'?",
    "--space cells,chanels=4": "option 'chanels' does not exist; did you mean 'channels'?",
    "--data digits,crap=1": "option 'crap' does not exist; did you mean 'crop'?",
    "--train lrr=1": "option 'lrr' does not exist; did you mean 'lr'?",
    "--prune theta:one-shot,sparsity=-0.1": "sparsity must be in [0, 1), not -0.1",
    "--prune theta:one-shot,sparsity=1": "sparsity must be in [0, 1), not 1",
    "--prune alpha:iterative,sparsity=1.5": "sparsity must be in [0, 1), not 1.5",
    "--prune alpha:iterative,sparsity=nan": "sparsity must be a finite number, not 'nan'",
    "--prune alpha:iterative,sparsity=half": "sparsity must be a number, not 'half'",
    "--prune alpha:iterative,scope=global,sparsity=0.98": "alpha sparsity 0.98",
    "--recipe variant1 --sparsity half": "sparsity must be a number in [0, 1), not 'half'",
    "--recipe variant1 --sparsity -0.1": "sparsity must be a number in [0, 1), not '-0.1'",
    "--recipe variant1 --sparsity 1": "sparsity must be a number in [0, 1), not '1'",
    "--recipe variant1 --sparsity nan": "sparsity must be a number in [0, 1), not 'nan'",
    "--recipe variant1 --sparsity inf": "sparsity must be a number in [0, 1), not 'inf'",
    "--sparsity 0.5": "sparsity 0.5 has nothing to prune",
    "--prune alpha:iterative,rounds=0": "rounds must be a whole number of at least 1, not 0",
    "--prune alpha:iterative,rounds=99": "99 prune rounds do not fit into 20 search steps",
    "--prune theta:iterative,rounds=99": "99 prune rounds do not fit into 40 train steps",
    "--space cells,channels=0": "channels must be a whole number of at least 1, not 0",
    "--space cells,layers=0": "layers must be a whole number of at least 1, not 0",
    "--space cells,channels=x": "channels must be a whole number, not 'x'",
    "--epochs 0": "--epochs must be SEARCH:TRAIN",
    "--epochs 1:0": "--epochs must be SEARCH:TRAIN",
    "--epochs ten": "--epochs must be SEARCH:TRAIN",
    "--batch 0": "--batch must be at least 1, not 0",
    "--batch 1.5": "--batch must be a whole number, not '1.5'",
    "--batch 9999": "batch is 9999, but each half of the training examples left by validation number 648",
    "--validation 0": "--validation must be between 0 and 1",
    "--validation 1": "--validation must be between 0 and 1",
    "--validation nan": "--validation must be a finite number",
    "--train lr=fast": "lr must be a number, not 'fast'",
    "--train lr=-1": "lr must be",
    "--seed -1": "--seed must be from 0 to",
    "--seed x": "--seed must be a whole number, not 'x'",
    "--data folder": "option 'root' is needed",
    "--data folder,root=missing": "'missing' does not exist",
    "--data folder,root=empty": "'empty' holds no class folders",
    "--data folder,root=one": "'one' holds one class, 'a'",
    "--data folder,root=broken": "'broken/a/z.png' is not a picture",
    "--data folder,root=text": "'text/a/notes.txt' is not a picture",
    "--data cifar10,root=missing": "'missing' of CIFAR10 is not a folder; get it once with",
    "--data cifar10,root=empty": "'empty' does not hold a complete CIFAR10; get it once with",
    "--config missing.toml": "missing.toml: there is no such file",
    "--config binary.toml": "binary.toml is no text",
    "--config broken.toml": "broken.toml is not TOML",
    "--config key.toml": "key.toml: unknown key 'stratgy'; did you mean 'strategy'?",
    "--config type.toml": "type.toml: batch must be a whole number, not 'many'",
    "--config nan.toml": "nan.toml: validation must be a finite number",
    "--config empty": "empty is a directory",
    "--device gpu": "device 'gpu' is not there",
    "--device cuda:999": "device 'cuda:999' is not there",
    "--precision float16": "--precision must be float32, tf32, bf16 or float64, not 'float16'",
    "--out file": "cannot write runs into file",
    "--out file/below": "cannot write runs into file/below",
    "--name taken": "runs/taken is there already",
    "--name ../x": "--name must be a single folder name",
    "--name '[/x]'": "--name must be a single folder name",
    "--name '<script>'": "run name '<script>' cannot be used",
    "--name 'a\x1b[31mb'": "--name must be a single folder name",
    f"--name {'x' * 300}": "--name must have at most 100 characters, not 300",
}

OTHERS = {
    "config --batch 0": "--batch must be at least 1, not 0",
    "config --config key.toml": "key.toml: unknown key 'stratgy'",
    "cost": "cost needs either a GENOTYPE, FILE or RUN, or --space SPEC",
    "cost DARTS_V2 --space cells": "cost needs either a GENOTYPE, FILE or RUN, or --space SPEC",
    "cost DARTS_V3": "unknown architecture 'DARTS_V3'; did you mean 'DARTS_V",
    "cost operation.json": "operation.json: normal cell: unknown operation 'skip_conect'; did you mean 'skip_connect'?",
    "cost later.json": "later.json: group 'normal': skip_connect goes from node 4 to node 3",
    "cost cell.json": "cell.json: the genotype has no 'reduce' cell",
    "cost binary.toml": "binary.toml is no text",
    "cost file": "file: not a JSON document",
    "cost '|x~0|'": "unknown NAS-Bench-201 operation 'x'",
    "cost empty": "empty is no run",
    "cost DARTS_V2 --size 0": "cost: invalid value for '--size': 0 is not in the range x>=1",
    "cost DARTS_V2 --channels x": "cost: invalid value for '--channels': 'x' is not a valid integer range",
    "cost DARTS_V2 --against fvcore": "unknown counter 'fvcore'",
    "cost DARTS_V2 --data digit": "unknown dataset 'digit'; did you mean 'digits'?",
    "cost --space cels": "unknown space 'cels'; did you mean 'cells'?",
    "cost --space cells,channels=4 --channels 8": "channels is given twice",
    "show missing": "missing is no run",
    "show empty": "empty is no run",
    "show file": "file is no run",
    "show latest": "there is no run in runs",
    "eval missing": "missing is no run",
    "report missing": "missing is no run",
    "resume missing": "missing is no run",
    "resume latest": "there is no run in runs",
    "components drats": "unknown part 'drats'; did you mean 'darts'?",
    "components --kind strat": "unknown kind of component 'strat'; did you mean 'strategy'?",
    "completion csh": "unknown shell 'csh'",
}


def picture(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade, shade, shade)).save(path)


def genotype(change: Callable[[dict[str, Any]], object]) -> str:
    cell = {"genes": [["skip_connect", 0, 2], ["skip_connect", 1, 2]], "output": [2]}
    document = {"schema": 1, "groups": {kind: json.loads(json.dumps(cell)) for kind in ("normal", "reduce")}}
    change(document["groups"])
    return json.dumps(document)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All that the tables above name."""
    for name in ("broken", "text"):
        for kind in "ab":
            for index in range(5):
                picture(tmp_path / name / kind / f"{index}.png", index)
    (tmp_path / "broken" / "a" / "z.png").write_bytes(b"\x89PNG and no more")
    (tmp_path / "text" / "a" / "notes.txt").write_text("not a picture")
    picture(tmp_path / "one" / "a" / "0.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("a file")
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "broken.toml").write_text("batch =\n")
    (tmp_path / "key.toml").write_text('stratgy = "darts"\n')
    (tmp_path / "type.toml").write_text('batch = "many"\n')
    (tmp_path / "nan.toml").write_text("validation = nan\n")
    (tmp_path / "operation.json").write_text(genotype(lambda groups: groups["normal"]["genes"].append(["skip_conect", 0, 3])))
    (tmp_path / "later.json").write_text(genotype(lambda groups: groups["normal"]["genes"].append(["skip_connect", 4, 3])))
    (tmp_path / "cell.json").write_text(genotype(lambda groups: groups.pop("reduce")))
    return tmp_path


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        *((f"run {TINY} {options}", message) for options, message in RUN.items()),
        *((f"run {TINY} --dry-run {options}", message) for options, message in list(RUN.items())[:1]),
        *OTHERS.items(),
    ],
)
def test_bad_input_is_one_line_and_leaves_the_disk_alone(lnas, folder: Path, line: str, message: str) -> None:
    before = tree(folder)
    result = lnas(*shlex.split(line))
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith("lnas: error: ") and message in result.stderr
    assert result.stderr.count("\n") == 1 and result.stderr.isprintable() is False  # the newline, and nothing else
    assert result.stderr.rstrip("\n").isprintable()
    assert tree(folder) == before


def test_an_environment_variable_that_is_wrong_is_named(lnas, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNAS_BATCH", "many")
    result = lnas("config")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "lnas: error: LNAS_BATCH must be a whole number, not 'many'\n"


@pytest.mark.parametrize("line", ["run --config empty.toml --batch 0", "run --data folder,root=missing --dry-run"])
def test_nothing_of_a_traceback_is_shown_unless_debug_asks_for_it(lnas, folder: Path, line: str) -> None:
    (folder / "empty.toml").write_text("")
    assert "Traceback" not in lnas(*shlex.split(line)).stderr
    assert "Traceback" in lnas(*shlex.split(line), "--debug").stderr
