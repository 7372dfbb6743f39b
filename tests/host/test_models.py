"""A finished run gives back its network, bit for bit, and says what is wrong where it cannot."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import lnas
from lnas.core.errors import ConfigError, RunError
from lnas.core.types import Task
from lnas.host.assemble import build, load_dataset, reopen, resolve
from lnas.host.config import to_toml
from lnas.host.models import check_task, measured
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory
from lnas.host.spec import Spec

TINY = "cells,channels=2,layers=3,nodes=2,network_channels=3,network_layers=3"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, torch.nn.Module]:
    host = Host(entry_points=False)
    given = {"space": TINY, "epochs": "3it:6it", "prune": ("alpha:one-shot,sparsity=0.5", "theta:one-shot,sparsity=0.5")}
    merged, dataset = resolve(host, command_line=given)
    made = build(merged.config, host, dataset)
    out = tmp_path_factory.mktemp("runs")
    directory = RunDirectory.create(out, name="one", recipe="generalized", data="digits", seed=0, config=to_toml(merged.config))
    summary = made.run(directory, command=["lnas", "run"])
    return directory.path, summary, made.pipeline.ticket.network


def test_the_network_comes_back_bitwise(finished) -> None:
    path, summary, network = finished
    loaded = lnas.load_model(path)
    assert not loaded.training
    assert loaded.state_dict().keys() == network.state_dict().keys()
    assert all(value.equal(network.state_dict()[name]) for name, value in loaded.state_dict().items())
    dataset = load_dataset(Host(entry_points=False), Spec("digits"), seed=0)
    accuracy, examples = measured(loaded, dataset, precision="float32", device=torch.device("cpu"))
    assert (accuracy, examples) == (summary["accuracy"]["test"], 355)


def test_the_summary_is_what_was_written_and_counts_the_network(finished) -> None:
    path, summary, network = finished
    assert json.loads((path / "summary.json").read_text()) == summary
    weights = [x for name, x in network.named_parameters() if name.endswith("weight") and x.dim() > 1]
    assert summary["parameters"]["total"] == sum(x.numel() for x in network.parameters())
    assert summary["parameters"]["nonzero"] == sum(int((x != 0).sum()) for x in network.parameters())
    kept = sum(x.numel() - round(0.5 * x.numel()) for x in weights)
    assert summary["sparsity"]["theta"]["attained"] == pytest.approx(1 - kept / sum(x.numel() for x in weights))
    assert summary["macs"]["nonzero"] < summary["macs"]["structural"] <= summary["macs"]["dense"]
    assert summary["baseline"]["what"].startswith("the same network before pruning")


def test_a_finished_run_can_be_reopened_and_gives_the_same_summary(finished, tmp_path: Path) -> None:
    path, summary, _ = finished
    copy = tmp_path / "one"
    shutil.copytree(path, copy)
    (copy / "summary.json").unlink()
    made, directory = reopen(copy, Host(entry_points=False))
    again = made.run(directory)
    same = ("recipe", "accuracy", "baseline", "sparsity", "parameters", "macs", "digest")
    assert {key: again[key] for key in same} == {key: summary[key] for key in same}


def test_what_is_no_finished_run_is_named(finished, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run"):
        lnas.load_model(tmp_path)
    copy = tmp_path / "two"
    shutil.copytree(finished[0], copy)
    (copy / "model.safetensors").write_bytes(b"\x80\x04not tensors")
    with pytest.raises(RunError, match=r"cannot read .*model\.safetensors"):
        lnas.load_model(copy)
    (copy / "model.json").write_text("{}")
    with pytest.raises(RunError, match="no network recipe of schema 1"):
        lnas.load_model(copy)
    (copy / "model.json").unlink()
    with pytest.raises(RunError, match="is not finished; go on with: lnas resume"):
        lnas.load_model(copy)


def test_data_of_another_shape_are_refused() -> None:
    check_task(Task((1, 8, 8), 10), Task((1, 8, 8), 10))
    with pytest.raises(ConfigError, match=r"reads 1x8x8 pictures of 10 classes, the data set has 3x32x32 pictures of 10 classes"):
        check_task(Task((1, 8, 8), 10), Task((3, 32, 32), 10))
