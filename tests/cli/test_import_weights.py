"""`lnas import-weights`: the file it writes and what it says.  What it refuses to read: tests/host/test_foreign_weights.py."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lnas.host import checkpoint


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("ran"),)


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, torch.Tensor]:
    """In DataParallel's names, beside other things, in theirs.pt."""
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    torch.save({"epoch": 3, "state_dict": nn.DataParallel(module).state_dict()}, tmp_path / "theirs.pt")
    return module.state_dict()


FULL = ["import-weights", "theirs.pt", "ours.safetensors", "--key", "state_dict", "--strip-prefix", "module."]


def test_the_tensors_are_written_and_counted(lnas, weights: dict[str, torch.Tensor]) -> None:
    result = lnas(*FULL)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "ours.safetensors: 7 tensors, 22 values (21 float32, 1 int64)\n"
    written = load_file("ours.safetensors")
    assert set(written) == set(weights)
    assert all(torch.equal(written[name], weights[name]) for name in weights)
    assert sorted(os.listdir()) == ["ours.safetensors", "theirs.pt"]


def test_json_is_one_line_with_the_digest(lnas, weights: dict[str, torch.Tensor]) -> None:
    assert json.loads(lnas(*FULL, "--json").stdout) == {
        "schema": 1,
        "file": "theirs.pt",
        "out": "ours.safetensors",
        "tensors": 7,
        "values": 22,
        "dtypes": {"float32": 21, "int64": 1},
        "digest": checkpoint.digest(weights),
    }


def test_code_is_not_run(lnas) -> None:
    for legacy in (False, True):
        torch.save({"w": torch.ones(2), "x": Payload()}, "theirs.pt", _use_new_zipfile_serialization=not legacy)
        result = lnas("import-weights", "theirs.pt", "ours.safetensors")
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert "nothing in it was run" in result.stderr
        assert os.listdir() == ["theirs.pt"]
    torch.load("theirs.pt", weights_only=False)
    assert Path("ran").exists(), "the payload is none, and the test shows nothing"


def test_a_damaged_file_is_one_line_and_writes_nothing(lnas, weights: dict[str, torch.Tensor]) -> None:
    data = bytearray(Path("theirs.pt").read_bytes())
    data[data.index(weights["0.weight"].numpy().tobytes()) + 2] ^= 1
    Path("theirs.pt").write_bytes(data)
    result = lnas(*FULL)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "lnas: error: theirs.pt is a broken archive: Bad CRC-32 for file 'theirs/data/0'\n"
    assert os.listdir() == ["theirs.pt"]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_tensor_is_one_line_without_words_of_torch(lnas) -> None:
    torch.save({"a": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, "theirs.pt")
    result = lnas("import-weights", "theirs.pt", "ours.safetensors")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "lnas: error: theirs.pt: 'a' is a nested tensor, which a safetensors file cannot hold\n"


def test_what_does_not_fit_on_the_disk_is_not_built(lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    """It claims 4 GB out of 2 kB, and the disk has one byte less."""
    torch.save({"a": torch.zeros(1).expand(10**5, 10**4)}, "theirs.pt")
    usage = shutil.disk_usage(".")
    monkeypatch.setattr("lnas.host.documents.most_of_tensors", lambda: 2**40)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=4 * 10**9 - 1))
    monkeypatch.setattr(checkpoint, "save_tensors", lambda path, tensors: pytest.fail("built"))
    result = lnas("import-weights", "theirs.pt", "ours.safetensors")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "and about 4,000.0 MB are needed; free space" in result.stderr
    assert os.listdir() == ["theirs.pt"]


BAD = {
    "theirs.pt ours.safetensors": "theirs.pt holds its tensors under a key; add --key state_dict",
    "theirs.pt ours.pt --key state_dict": "ours.pt must end with .safetensors",
    "theirs.pt deep/ours.safetensors --key state_dict": "deep is no folder; make it first",
    "theirs.pt there.safetensors --key state_dict": "there.safetensors is there already; choose another name, or add --force",
    "missing.pt ours.safetensors": "'missing.pt' cannot be read: No such file or directory",
    "theirs.pt ours.safetensors --key state_dict --max-size 0": "--max-size '0' must be a number of GiB above 0",
    "theirs.pt ours.safetensors --key state_dict --max-size nan": "--max-size 'nan' must be a number of GiB above 0",
    "theirs.pt ours.safetensors --key state_dict --max-size 1e-7": "theirs.pt has ",
    "theirs.pt": "import-weights: missing argument 'OUT.safetensors'",
}


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("arguments", "words"), BAD.items(), ids=BAD)
def test_bad_input_is_one_line_and_writes_nothing(lnas, arguments: str, words: str) -> None:
    Path("there.safetensors").write_text("mine")
    result = lnas("import-weights", *arguments.split())
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"lnas: error: {words}")
    assert sorted(os.listdir()) == ["theirs.pt", "there.safetensors"]
    assert Path("there.safetensors").read_text() == "mine"


@pytest.mark.usefixtures("weights")
def test_a_file_that_is_there_is_replaced_with_force_alone(lnas) -> None:
    Path("ours.safetensors").write_text("mine")
    assert lnas(*FULL).exit_code == 2
    assert Path("ours.safetensors").read_text() == "mine"
    assert lnas(*FULL, "--force").exit_code == 0
    assert len(load_file("ours.safetensors")) == 7
