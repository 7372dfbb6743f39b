import json
from pathlib import Path

import pytest

from lnas.host.config import read_toml


def origins(result) -> dict[str, tuple[object, str]]:
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    return {key: (document["config"].get(key), origin) for key, origin in document["origins"].items()}


def test_each_source_overrules_the_one_before(lnas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.toml").write_text("batch = 8\nseed = 1\nvalidation = 0.2\n")
    monkeypatch.setenv("LNAS_SEED", "2")
    monkeypatch.setenv("LNAS_VALIDATION", "0.3")
    shown = origins(lnas("config", "--config", "x.toml", "--validation", "0.4", "--json"))
    assert shown["batch"] == (8, "file x.toml")
    assert shown["seed"] == (2, "environment LNAS_SEED")
    assert shown["validation"] == (0.4, "command line")
    assert shown["device"] == ("auto", "default")
    assert shown["space"][1] == "data set digits"


def test_the_table_says_what_the_json_says(lnas) -> None:
    arguments = ["config", "--recipe", "variant1", "--sparsity", "0.3", "--train", "lr=0.1", "--space", "cells,layers=3"]
    rows = {line.split()[0]: line.split()[1:] for line in lnas(*arguments).stdout.splitlines()[2:]}
    assert rows["recipe"] == ["variant1", "command", "line"]
    assert rows["prune"] == ["theta:one-shot,sparsity=0.3", "command", "line"]
    assert rows["prune.sparsity"] == ["0.3", "command", "line"]
    assert rows["train.lr"] == ["0.1", "command", "line"]
    assert rows["space.layers"] == ["3", "command", "line"]
    assert rows["batch"] == ["32", "data", "set", "digits"]
    assert set(rows) == set(origins(lnas(*arguments, "--json")))


def test_the_json_is_a_configuration_again(lnas, tmp_path: Path) -> None:
    arguments = ["--prune", "alpha:iterative,rounds=3", "--train", "lr=0.1", "--epochs", "5:50it", "--name", "x"]
    config = json.loads(lnas("config", *arguments, "--json").stdout)["config"]
    lines = [f"{key} = {json.dumps(value)}" for key, value in config.items() if key != "train" and value is not None]
    table = [f"{key} = {json.dumps(value)}" for key, value in config["train"].items()]
    (tmp_path / "again.toml").write_text("\n".join([*lines, "[train]", *table]))
    assert str(read_toml("again.toml").values["epochs"]) == "5:50it"
    assert json.loads(lnas("config", "--config", "again.toml", "--json").stdout)["config"] == config


def test_nothing_is_written(lnas, tmp_path: Path) -> None:
    assert lnas("config").exit_code == 0
    assert list(tmp_path.iterdir()) == []
