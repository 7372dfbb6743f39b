import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lnas.core.errors import ConfigError, LnasError, RunError, RunInUseError
from lnas.core.pipeline import Progress
from lnas.host import runs
from lnas.host.rundir import RunDirectory, RunState

CONFIG = 'recipe = "variant2"\n'


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    yield


def make(out: Path, name: str, state: RunState = "interrupted", *, age: int = 0) -> RunDirectory:
    run = RunDirectory.create(out, name=name, recipe="variant2", data="digits", seed=0, config=CONFIG)
    run.write_status(state, Progress("search", "pairs", 3, 10, 0, 0))
    os.utime(run.status, ns=(age, age))
    return run


def finish(run: RunDirectory) -> None:
    run.write_status("finished", Progress("train", "all", 10, 10, 0, 0))
    run.summary.write_text(json.dumps({"accuracy": {"validation": 0.5, "test": 0.25}}))


def tree(path: Path) -> set[str]:
    return {str(entry.relative_to(path)) for entry in path.rglob("*")}


def test_a_list_has_the_newest_last_and_says_where_each_stands(tmp_path: Path) -> None:
    make(tmp_path, "a", age=3)
    finish(make(tmp_path, "c"))
    make(tmp_path, "b", "failed", age=5)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()
    a, b, c = runs.listed(tmp_path)
    assert [entry.path.name for entry in (a, b, c)] == ["a", "b", "c"]
    assert (a.state, a.stage, a.step, a.steps, a.recipe, a.validation) == ("interrupted", "search", 3, 10, "variant2", None)
    assert b.state == "failed"
    assert (c.state, c.stage, c.validation, c.test, c.reason) == ("finished", "train", 0.5, 0.25, "")
    assert c.updated is not None and c.updated.endswith("+00:00")
    assert c.path == RunDirectory.latest(tmp_path).path
    assert a.size == sum(path.stat().st_size for path in (tmp_path / "a").iterdir())


def test_a_run_that_nobody_holds_is_stopped(tmp_path: Path) -> None:
    run = make(tmp_path, "a", "running")
    assert runs.listed(tmp_path)[0].state == "stopped"
    with run.locked():
        assert runs.listed(tmp_path)[0].state == "running"
    assert runs.listed(tmp_path)[0].state == "stopped"
    assert json.loads(run.status.read_text())["state"] == "running"


BROKEN: dict[str, tuple[Callable[[RunDirectory], object], str]] = {
    "status missing": (lambda run: run.status.unlink(), "status.json: missing"),
    "status no JSON": (lambda run: run.status.write_text("{"), "status.json: not a JSON document"),
    "status of other things": (lambda run: run.status.write_text("[]"), "status.json: it does not say what it should"),
    "status of other kinds": (
        lambda run: run.status.write_text('{"state": 1, "stage": 2, "step": 3, "steps": 4, "updated": 5}'),
        "status.json: it does not say what it should",
    ),
    "status a directory": (lambda run: (run.status.unlink(), run.status.mkdir()), "status.json: cannot be read: Is a directory"),
    "config missing": (lambda run: run.config.unlink(), "config.toml: cannot be read"),
    "config no TOML": (lambda run: run.config.write_text("="), "config.toml: cannot be read"),
    "summary of other things": (lambda run: run.summary.write_text('{"accuracy": null}'), "summary.json: it does not say"),
    "made by half": (lambda run: (run.status.unlink(), run.config.unlink()), "status.json: missing"),
}


@pytest.mark.parametrize(("damage", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_run_is_a_row_with_its_reason(tmp_path: Path, damage: Callable[[RunDirectory], object], reason: str) -> None:
    make(tmp_path, "whole")
    run = make(tmp_path, "broken")
    finish(run)
    damage(run)
    found = {entry.path.name: entry for entry in runs.listed(tmp_path)}
    assert found["whole"].state == "interrupted"
    assert found["broken"].state == "broken"
    assert reason in found["broken"].reason
    runs.remove(runs.removable([run.path]))
    assert not run.path.exists()


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot read .*missing: No such file or directory"):
        runs.listed(tmp_path / "missing")
    assert runs.leftovers(tmp_path / "missing") == ()


def test_what_is_removed_is_gone_and_all_else_stays(tmp_path: Path) -> None:
    one, two, three = (make(tmp_path, name) for name in ("one", "two", "three"))
    (tmp_path / "precious").write_text("mine")
    (one.path / "link").symlink_to(tmp_path / "precious")
    (one.path / "folder").symlink_to(three.path)
    (one.path / "checkpoints" / "step-00000001").mkdir(parents=True)
    before = tree(three.path)
    runs.remove(runs.removable([one.path, two.path, one.path]))
    assert sorted(os.listdir(tmp_path)) == ["precious", "three"]
    assert (tmp_path / "precious").read_text() == "mine"
    assert tree(three.path) == before


def refused(tmp_path: Path, path: Path, error: type[LnasError], words: str) -> None:
    """Also where it stands behind a run that could be removed: nothing is."""
    good = make(tmp_path, "good")
    before = tree(tmp_path)
    for paths in ([path], [good.path, path], [path, good.path]):
        with pytest.raises(error, match=words):
            runs.remove(runs.removable(paths))
    assert tree(tmp_path) == before


def test_what_has_no_marker_is_not_removed(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    run.marker.unlink()
    refused(tmp_path, run.path, RunError, "holds no .lnas-run, so it is no run that lnas made; nothing is removed")


def test_a_marker_that_is_a_link_is_none(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    run.marker.rename(tmp_path / "marker")
    run.marker.symlink_to(tmp_path / "marker")
    refused(tmp_path, run.path, RunError, "holds no .lnas-run")


def test_a_link_to_a_run_is_not_removed(tmp_path: Path) -> None:
    make(tmp_path, "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    refused(tmp_path, tmp_path / "link", RunError, "is a link; nothing is removed")


def test_what_is_not_there_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(tmp_path, tmp_path / "file", RunError, "file is no run; nothing is removed")
    shutil.rmtree(tmp_path / "good")
    refused(tmp_path, tmp_path / "missing", RunError, "missing is no run; nothing is removed")


def test_a_path_that_goes_up_or_names_nothing_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a")
    refused(tmp_path, tmp_path / "a" / ".." / "a", ConfigError, "is not the name of a run")
    shutil.rmtree(tmp_path / "good")
    refused(tmp_path, Path("."), ConfigError, "is not the name of a run")


def test_a_run_in_a_run_is_refused_together_with_it(tmp_path: Path) -> None:
    outer = make(tmp_path, "a")
    make(outer.path, "inner")
    with pytest.raises(ConfigError, match="inner lies in .*a; nothing is removed"):
        runs.removable([outer.path, outer.path / "inner"])


def test_a_run_that_is_in_use_is_not_removed(tmp_path: Path) -> None:
    run = make(tmp_path, "a", "running")
    with run.locked():
        refused(tmp_path, run.path, RunInUseError, f"is in use by process {os.getpid()}; nothing is removed")


def test_a_run_that_begins_meanwhile_keeps_all(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one"), make(tmp_path, "two")
    chosen = runs.removable([one.path, two.path])
    with RunDirectory(two.path).locked(), pytest.raises(RunInUseError):
        runs.remove(chosen)
    assert one.status.exists() and two.status.exists()


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.parametrize("at", range(8))
def test_a_kill_leaves_a_run_whole_or_under_a_hidden_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    run = make(tmp_path, "a")
    (run.path / "checkpoints").mkdir()
    before, seen = tree(run.path), [0]

    def counted(function: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object, **keywords: object) -> None:
            seen[0] += 1
            if seen[0] > at:
                raise Killed
            function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "rmdir"):
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        patch.setattr(Path, "rmdir", counted(Path.rmdir))
        with pytest.raises(Killed):
            runs.remove(runs.removable([run.path]))
    if run.path.exists():
        assert at == 0
        assert tree(run.path) - {"lock"} == before
        assert runs.leftovers(tmp_path) == ()
    else:
        assert runs.listed(tmp_path) == ()
        [left] = runs.leftovers(tmp_path)
        runs.discard(left)
        assert os.listdir(tmp_path) == []


def test_a_removal_that_goes_on_is_no_leftover(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    doomed = run.path.rename(tmp_path / ".a.1.removed")
    with RunDirectory(doomed).locked():
        assert runs.leftovers(tmp_path) == ()
    assert runs.leftovers(tmp_path) == (doomed,)


def test_a_run_that_was_killed_in_its_making_is_a_leftover_after_an_hour(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    half = run.path.rename(tmp_path / ".a.77.tmp")
    assert runs.leftovers(tmp_path) == ()
    os.utime(half, (0, 0))
    assert runs.leftovers(tmp_path) == (half,)
    assert runs.listed(tmp_path) == ()
    runs.discard(half)
    assert os.listdir(tmp_path) == []


def test_a_hidden_folder_of_others_is_no_leftover(tmp_path: Path) -> None:
    (tmp_path / ".a.1.removed").mkdir()
    (tmp_path / ".a.1.removed" / "precious").touch()
    assert runs.leftovers(tmp_path) == ()


def test_two_that_remove_the_same_leave_nothing_and_say_no_nonsense(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def remove(path: Path) -> None:
        try:
            runs.remove(runs.removable([path]))
        except LnasError as error:
            errors.append(error)

    for number in range(10):
        run = make(tmp_path, f"r{number}")
        threads = [threading.Thread(target=remove, args=[run.path]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert os.listdir(tmp_path) == []
    assert all(isinstance(error, RunError) for error in errors)
