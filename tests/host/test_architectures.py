import json
from pathlib import Path

import pytest
import torch

from lnas.builtin.genotypes import GENOTYPES
from lnas.core.errors import ConfigError, GenotypeError, RunError
from lnas.core.types import Task
from lnas.cost import parameters
from lnas.host.architectures import genotype, network, supernet
from lnas.host.plugins import Host

SKIPS = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(entry_points=False)


@pytest.mark.parametrize("name", GENOTYPES)
def test_a_published_name_is_its_genotype(name: str, host: Host) -> None:
    assert genotype(name) == GENOTYPES[name]
    made, task = network(name, host, channels=2, layers=3)
    assert task == Task()
    assert parameters(made).total > 0


def test_a_file_is_the_genotype_that_it_holds(tmp_path: Path, host: Host) -> None:
    path = tmp_path / "v1.json"
    path.write_text(json.dumps(GENOTYPES["DARTS_V1"].to_json()))
    assert genotype(str(path)) == GENOTYPES["DARTS_V1"]
    (a, _), (b, _) = (network(name, host, channels=2, layers=3) for name in (str(path), "DARTS_V1"))
    assert {name: t.shape for name, t in a.state_dict().items()} == {name: t.shape for name, t in b.state_dict().items()}


def test_a_string_and_its_genotype_in_a_file_are_nas_bench_201(tmp_path: Path, host: Host) -> None:
    path = tmp_path / "cell.json"
    path.write_text(json.dumps(genotype(SKIPS).to_json()))
    for text in (SKIPS, f" {SKIPS}\n", str(path)):
        assert parameters(network(text, host)[0]).total == 73_306  # C=16, N=5, computed independently
    task = Task((1, 8, 8), 3)
    made, made_for = network(SKIPS, host, task=task, channels=4, layers=1)
    assert made_for == task and len(made.body) == 5  # 3 stages of one cell, and two residual blocks between


def test_sizes_below_one_are_refused(host: Host) -> None:
    with pytest.raises(ConfigError, match="channels must be a whole number of at least 1, not 0"):
        network("DARTS_V1", host, channels=0)
    with pytest.raises(ConfigError, match="cells must be a whole number of at least 1, not 0"):
        network(SKIPS, host, layers=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DARTS_V3", r"unknown architecture 'DARTS_V3'; did you mean 'DARTS_V\d'\?"),
        ("", "unknown architecture ''"),
        ("x" * 5000, "unknown architecture 'xxx"),
        ("a\0b", "unknown architecture"),
        ("|none~0|", "NAS-Bench-201"),
        ("|" + "9" * 5000, "an architecture string of 5001 characters is too long"),
    ],
)
def test_what_is_no_architecture_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((GenotypeError, RunError), match=message):
        network(text, host)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\x00", "is no text: byte 0 is not UTF-8"),
        (b"", "not a JSON document"),
        (b"[" * 100_000, "not a JSON document"),
        (b" " * 10_000_001, "cannot be read: larger than 10,000,000 bytes"),
        (b'{"schema": 1, "groups": {}}', "the genotype has no 'normal' cell"),
        (b'{"schema": 2, "groups": {}}', "genotype schema 2"),
    ],
)
def test_a_file_that_is_no_genotype_is_named(content: bytes, message: str, tmp_path: Path, host: Host) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(GenotypeError, match=f"x.json.*{message}"):
        network(str(path), host)


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path, host: Host) -> None:
    with pytest.raises(RunError, match="is no run"):
        network(str(tmp_path), host)
    with pytest.raises(ConfigError, match="is a run, and its network has its own sizes"):
        network(str(tmp_path), host, channels=3)


def test_a_network_that_is_not_trained_is_the_same_each_time_and_nothing_of_it_counts_as_pruned(host: Host) -> None:
    for make, text in ((network, "DARTS_V1"), (network, SKIPS), (supernet, "cells")):
        one, two = (make(text, host, channels=2, layers=3)[0] for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
        counted = parameters(one)
        assert counted.nonzero == counted.total > 0


def test_a_space_is_its_supernet(host: Host) -> None:
    task = Task((1, 6, 6), 3)
    one, made_for = supernet("cells,nodes=2", host, task=task, channels=2, layers=3)
    two, _ = supernet("cells,nodes=2,channels=2,layers=3", host, task=task)
    assert made_for == task
    assert parameters(one) == parameters(two)
    with pytest.raises(ConfigError, match="channels is given twice, in cells,channels=4 and by itself"):
        supernet("cells,channels=4", host, channels=4)
    with pytest.raises(ConfigError, match="unknown space 'cels'; did you mean 'cells'"):
        supernet("cels", host)
