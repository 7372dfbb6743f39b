"""`lnas verify` on runs that are whole: finished, killed, only begun, read-only, and while the run goes on."""

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lnas.core.errors import RunError
from lnas.core.types import State
from lnas.host import checkpoint
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory
from lnas.host.verify import verify

Look = Callable[[Path], Any]

ALWAYS = {"config.toml", "environment.json", "status.json", "metrics.jsonl", "NEWEST"}
AT_THE_END = {"summary.json", "model.safetensors", "masks.safetensors", "model.json", "report.html", "SHA256SUMS"}


def test_a_finished_run_is_whole(finished: Path, look: Look) -> None:
    found = look(finished)
    assert not found.files("wrong") | found.files("absent") | found.files("noted"), found.words
    assert found.files("ok") >= {"genotype.json", *ALWAYS, *AT_THE_END}
    digest = json.loads((finished / "summary.json").read_text())["digest"]
    assert f"model.safetensors: digest {digest}" in found.words


def test_a_killed_run_is_whole(killed: Path, look: Look) -> None:
    found = look(killed)
    assert found.files("wrong") == set(), found.words
    assert found.files("ok") == ALWAYS
    assert found.files("absent") == {"genotype.json", *AT_THE_END}
    assert "status.json: running, search step" in found.words
    assert "search step 2 of 6" in found.words


@pytest.mark.parametrize("name", ["finished", "killed"])
def test_random_numbers_go_on_as_if_nobody_had_looked(runs: Path, host: Host, name: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    verify(runs / name, host)
    assert torch.rand(1) == expected


def test_a_run_that_was_only_begun_is_whole(runs: Path, tmp_path: Path, look: Look) -> None:
    config = (runs / "finished" / "config.toml").read_text()
    run = RunDirectory.create(tmp_path, name="new", recipe="generalized", data="digits", seed=0, config=config)
    found = look(run.path)
    assert found.files("wrong") == set(), found.words
    assert "checkpoints: resumed, the run begins anew" in found.words


def test_what_is_no_run_is_refused(tmp_path: Path, host: Host) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError, match="is no run"):
            verify(path, host)


def test_a_copy_that_is_read_only_and_locked_is_read(finished: Path, look: Look) -> None:
    paths = [finished, *finished.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with open(finished / "lock") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert look(finished).files("wrong") == set()
    finally:
        for path in paths:
            path.chmod(0o755)


def test_a_checkpoint_that_the_run_removes_meanwhile_is_left_out(
    killed: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    [path] = checkpoint.every(killed / "checkpoints")
    real = checkpoint.load

    def load(asked: Path) -> State:
        """The writer saves the next one and removes this one while it is read."""
        if path.exists():
            state, meta = real(path), checkpoint.describe(path)
            state["pipeline"]["rounds"]["t"] += 1
            shutil.rmtree(path)
            checkpoint.save(path.parent, state, step=3, meta=meta)
        return real(asked)

    monkeypatch.setattr(checkpoint, "load", load)
    found = verify(killed, host)
    assert [finding.words for finding in found if finding.verdict == "wrong"] == []
    assert [finding.file for finding in found if finding.file.startswith("check")] == ["checkpoints/step-00000003"]


def test_what_is_in_nobodys_way_is_noted(finished: Path, look: Look) -> None:
    (finished / "notes.txt").touch()
    (finished / ".status.json.tmp").touch()
    (finished / "checkpoints" / ".step-00000099.tmp").mkdir()
    (finished / "checkpoints" / "step-00000002.damaged").mkdir()
    (finished / "checkpoints" / "mine").mkdir()
    found = look(finished)
    assert found.files("wrong") == set()
    assert {finding.file: finding.words for finding in found.findings if finding.verdict == "noted"} == {
        "notes.txt": "not of lnas, or of a plugin",
        ".status.json.tmp": "left by a write that was interrupted, or that goes on",
        "checkpoints/.step-00000099.tmp": "left by a write that was interrupted, or that goes on",
        "checkpoints/step-00000002.damaged": "a checkpoint that was found damaged",
        "checkpoints/mine": "not of lnas, or of a plugin",
    }


def test_a_kill_among_the_last_files_is_none(finished: Path, look: Look) -> None:
    for name in ("report.html", "summary.json", "model.json", "masks.safetensors"):  # from the last that is written back
        (finished / name).unlink()
        found = look(finished)
        assert found.files("wrong") == set(), found.words
        assert name in found.files("absent")
    assert "status.json: finished, train step 6 of 6; lnas resume writes the last files" in found.words


def test_a_run_whose_status_has_no_schema_number_is_read(finished: Path, look: Look) -> None:
    status = json.loads((finished / "status.json").read_text())
    assert status.pop("schema") == 1
    (finished / "status.json").write_text(json.dumps(status))
    assert look(finished).files("wrong") == set()


def test_a_finished_run_without_checkpoints_is_whole(finished: Path, look: Look) -> None:
    shutil.rmtree(finished / "checkpoints")
    found = look(finished)
    assert found.files("wrong") == set(), found.words
    assert "checkpoints: the result is compared with none; nothing else needs one" in found.words


def test_a_marker_that_is_missing_or_a_link_is_noted(finished: Path, look: Look) -> None:
    marker = finished / ".lnas-run"
    for damage in (marker.unlink, lambda: marker.symlink_to("config.toml")):
        damage()
        found = look(finished)
        assert (found.files("wrong"), found.files("noted")) == (set(), {".lnas-run"}), found.words
