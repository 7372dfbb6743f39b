"""Damage to checkpoints: the short form of the experiment, and a table of what may stand in their place."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.chaos import damage
from lnas import RunError
from lnas.host import checkpoint
from lnas.host.rundir import RunDirectory

FILES = ("MANIFEST.json", "state.json", "tensors.safetensors")


def test_one_bit_or_one_end_is_noticed(tmp_path: Path) -> None:
    outcome = damage.measure(60, 0, tmp_path)
    assert outcome.held == outcome.tried == 60 and not outcome.broken, outcome.broken
    theirs = {what: number for what, number in outcome.figures.items() if "torch.load" in what}
    assert sum(int(number) for number in theirs.values()) == 60
    assert int(outcome.figures["truncations, torch.load: an error"]) == 10


def test_the_experiment_sees_a_checkpoint_that_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        def __init__(self, data: bytes = b"") -> None: ...

        def update(self, data: bytes) -> None: ...

        def hexdigest(self) -> str:
            return "0" * 64

    monkeypatch.setattr(checkpoint, "hashlib", SimpleNamespace(sha256=Blind))
    outcome = damage.measure(20, 0, tmp_path)
    assert outcome.held < 20 and any("it was loaded" in line for line in outcome.broken)


def pair(directory: Path) -> tuple[Path, Path]:
    one, two = (
        checkpoint.save(directory, {"x": torch.full((4,), float(step)), "step": step}, step=step, meta={}) for step in (1, 2)
    )
    return one, two


def exchange(one: Path, other: Path) -> None:
    middle = one.with_name("between")
    one.rename(middle), other.rename(one), middle.rename(other)


def in_place_of(file: str, make: Callable[[Path], object]) -> Callable[[Path, Path], None]:
    def change(older: Path, newer: Path) -> None:
        (newer / file).rename(newer.parent / "moved")
        make(newer / file)

    return change


def both_of(files: tuple[str, ...]) -> Callable[[Path, Path], None]:
    def change(older: Path, newer: Path) -> None:
        for file in files:
            exchange(older / file, newer / file)

    return change


ONE: dict[str, Callable[[Path, Path], None]] = {
    **{f"{file} of the older": (lambda a, b, file=file: shutil.copyfile(a / file, b / file)) for file in FILES},  # type: ignore[misc]
    "two files exchanged": lambda a, b: exchange(b / "state.json", b / "tensors.safetensors"),
    "all of the older under the newer name": lambda a, b: (shutil.rmtree(b), shutil.copytree(a, b)),
    **{f"{file} missing": (lambda a, b, file=file: (b / file).unlink()) for file in FILES},  # type: ignore[misc]
    "all missing": lambda a, b: [path.unlink() for path in b.iterdir()],
    "a file more": lambda a, b: (b / "notes.txt").write_text("mine"),
    "a folder more": lambda a, b: (b / "notes").mkdir(),
    "a hidden file more": lambda a, b: (b / ".state.json.tmp").touch(),
    **{f"a folder as {file}": in_place_of(file, Path.mkdir) for file in FILES},
    **{f"a pipe as {file}": in_place_of(file, os.mkfifo) for file in FILES},  # to open one is to wait for ever
    **{f"a link to the same as {file}": in_place_of(file, lambda p: p.symlink_to(p.parents[1] / "moved")) for file in FILES},
    **{f"a link to nothing as {file}": in_place_of(file, lambda p: p.symlink_to("nothing")) for file in FILES},
    **{f"a link to /dev/zero as {file}": in_place_of(file, lambda p: p.symlink_to("/dev/zero")) for file in FILES},
}


@pytest.mark.parametrize("change", ONE.values(), ids=ONE)
def test_what_is_no_checkpoint_any_more_is_set_aside(tmp_path: Path, change: Callable[[Path, Path], None]) -> None:
    older, newer = pair(tmp_path / "checkpoints")
    change(older, newer)
    left = sorted(os.listdir(newer))
    with pytest.raises(RunError, match="step-00000002"):
        checkpoint.load(newer)
    with pytest.warns(RuntimeWarning, match="kept as step-00000002.damaged"):
        assert checkpoint.latest(newer.parent) == older
    assert sorted(os.listdir(f"{newer}.damaged")) == left
    assert int(checkpoint.load(older)["step"]) == 1


def test_of_two_that_exchanged_files_neither_is_taken(tmp_path: Path) -> None:
    for number in range(1, 2 ** len(FILES) - 1):
        place = tmp_path / str(number)
        older, newer = pair(place)
        both_of(tuple(file for bit, file in enumerate(FILES) if number >> bit & 1))(older, newer)
        with pytest.warns(RuntimeWarning):
            assert checkpoint.latest(place) is None
        assert sorted(os.listdir(place)) == ["step-00000001.damaged", "step-00000002.damaged"]


def test_a_file_in_place_of_the_directory_is_said_and_left(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.checkpoints.write_text("mine")
    with pytest.raises(RunError, match="checkpoints is no directory, as that of the checkpoints is; move it away"):
        checkpoint.latest(run.checkpoints)
    with pytest.raises(RunError, match="cannot write .*checkpoints"):
        checkpoint.save(run.checkpoints, {}, step=1, meta={})
    assert run.checkpoints.read_text() == "mine"


def test_a_file_in_place_of_a_checkpoint_is_none(tmp_path: Path) -> None:
    older, newer = pair(tmp_path)
    shutil.rmtree(newer)
    newer.write_text("mine")
    with pytest.raises(RunError, match="is no checkpoint"):
        checkpoint.load(newer)
    assert checkpoint.latest(tmp_path) == older and newer.read_text() == "mine"
