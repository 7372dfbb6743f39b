import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import lnas.host.durable
from lnas.core.errors import ConfigError, LnasError, RunError, RunInUseError
from lnas.core.pipeline import Progress
from lnas.host.rundir import RunDirectory

CONFIG = 'recipe = "variant2"\n'


def make(out: Path, name: str | None = None, recipe: str = "variant2", data: str = "digits", seed: int = 0) -> RunDirectory:
    return RunDirectory.create(out, name=name, recipe=recipe, data=data, seed=seed, config=CONFIG)


def tree(path: Path) -> set[str]:
    return {str(entry.relative_to(path)) for entry in path.rglob("*")}


def test_a_new_run_holds_its_configuration_and_a_status(tmp_path: Path) -> None:
    run = make(tmp_path / "deep" / "runs", "mine")
    assert run.path == tmp_path / "deep" / "runs" / "mine"
    assert tree(run.path) == {".lnas-run", "config.toml", "status.json"}
    assert run.read_config() == CONFIG
    status = json.loads(run.status.read_text())
    assert status.pop("updated").endswith("+00:00")
    assert status == {"schema": 1, "state": "running", "stage": None, "step": 0, "steps": 0, "pid": os.getpid()}
    assert RunDirectory.open(run.path).path == run.path


def test_names_are_made_of_recipe_data_and_seed_and_counted(tmp_path: Path) -> None:
    names = [make(tmp_path, seed=3).path.name for _ in range(3)]
    assert names == ["variant2-digits-3", "variant2-digits-3-2", "variant2-digits-3-3"]
    assert make(tmp_path, recipe="extras/own", data="../<x>").path.name == "extras-own-..-x-0"
    assert make(tmp_path, recipe="..", data="..").path.name == "0"
    assert len(make(tmp_path, data="x" * 500).path.name) <= 100


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "/x", "[/x]", "<script>", "a/b", "a\\b", ".x", "-x", "\x1b[31m", "a\n", "ü", "a b", "a\0", "x" * 300],
)
def test_a_name_that_is_none_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="^run name must be 1 to 100 of the letters") as refused:
        make(tmp_path / "runs", name)
    assert len(str(refused.value)) < 250
    assert str(refused.value).isprintable()
    assert tree(tmp_path) == set()


@pytest.mark.parametrize("name", ["x", "0", "_a.b-C", "x" * 100])
def test_a_name_of_letters_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    assert make(tmp_path, name).path == tmp_path / name


def test_a_place_that_is_taken_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "run")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = tree(tmp_path)
    for name in ("run", "folder", "file", "link"):
        with pytest.raises(RunError, match=f"{name} is there already; choose another name, or go on with it: lnas resume"):
            make(tmp_path, name)
    assert tree(tmp_path) == before


def test_where_nothing_can_be_written_nothing_is_begun(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(RunError, match="cannot write runs into .*file.*choose another --out"):
            make(out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="no folder that this user may write"):
        make(tmp_path / "runs")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("at", range(7))
def test_a_full_disk_leaves_no_half_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    left = [at]

    def fsync(descriptor: int) -> None:
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        left[0] -= 1

    monkeypatch.setattr(lnas.host.durable.os, "fsync", fsync)
    with pytest.raises(RunError, match="cannot write .*No space left on device; free space"):
        make(tmp_path, "run")
    assert tree(tmp_path) == set()


def test_the_marker_is_written_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Stands for SIGKILL."""

    def killed(path: Path, text: str) -> None:
        written.append(path.name)
        if len(written) > 1:
            raise Killed
        path.write_text(text)

    written: list[str] = []
    monkeypatch.setattr(lnas.host.durable, "write_text", killed)
    with pytest.raises(Killed):
        make(tmp_path, "run")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".lnas-run"]
    assert not (tmp_path / "run").exists()


def test_free_says_where_and_writes_nothing(tmp_path: Path) -> None:
    assert RunDirectory.free(tmp_path / "runs", name=None, recipe="a", data="b", seed=1) == tmp_path / "runs" / "a-b-1"
    assert tree(tmp_path) == set()


class Killed(BaseException):
    """Stands for SIGKILL: nothing that catches errors catches it."""


def test_a_process_that_is_killed_while_it_makes_a_run_takes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*given: object) -> None:
        raise Killed

    for what in ("os.rename", "lnas.host.rundir.RunDirectory.write_status", "lnas.host.durable.write_text"):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(what, kill)
            make(tmp_path, "run")
        assert not (tmp_path / "run").exists()
        with pytest.raises(RunError, match="there is no run"):
            RunDirectory.latest(tmp_path)
    run = make(tmp_path, "run")
    assert RunDirectory.latest(tmp_path).path == run.path == tmp_path / "run"


def test_what_is_no_run_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    for path in (tmp_path, tmp_path / "missing", tmp_path / "config.toml"):
        with pytest.raises(RunError, match="is no run: a run is a directory that lnas made"):
            RunDirectory.open(path)


def test_latest_is_the_run_whose_status_changed_last(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one"), make(tmp_path, "two")
    (tmp_path / "other").mkdir()
    os.utime(one.status, ns=(5, 5))
    os.utime(two.status, ns=(4, 4))
    assert RunDirectory.latest(tmp_path).path == one.path
    for out in (tmp_path / "other", tmp_path / "missing"):
        with pytest.raises(LnasError, match="start .* with: lnas run"):
            RunDirectory.latest(out)


def test_the_status_names_stage_and_step(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.write_status("interrupted", Progress("train", "all", 7, 20, 1, 2))
    status = json.loads(run.status.read_text())
    assert (status["state"], status["stage"], status["step"], status["steps"]) == ("interrupted", "train", 7, 20)


def test_the_journal_grows_by_lines_and_is_cut_to_a_length(tmp_path: Path) -> None:
    run = make(tmp_path)
    assert run.rows() == []
    assert run.keep_metrics()[0] == 0
    run.append({"event": "start", "loss": 0.1})
    length, _ = run.keep_metrics()
    assert length == len('{"event":"start","loss":0.1}\n') == run.metrics.stat().st_size
    run.append({"event": "epoch"})
    with open(run.metrics, "a") as file:
        file.write('{"event":"ep')  # torn
    assert run.rows() == [{"event": "start", "loss": 0.1}, {"event": "epoch"}]
    run.cut_metrics(length)
    assert run.rows() == [{"event": "start", "loss": 0.1}]
    run.append({"event": "epoch", "epoch": 1})
    assert len(run.rows()) == 2


def test_a_journal_that_lost_lines_is_not_gone_on_with(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.append({"event": "start"})
    with pytest.raises(RunError, match="has 18 bytes, but the checkpoint was made after 19"):
        run.cut_metrics(19)
    assert run.metrics.stat().st_size == 18


def test_what_is_no_number_does_not_reach_the_journal(tmp_path: Path) -> None:
    run = make(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.append({"loss": float("nan")})
    assert not run.metrics.exists()


@pytest.mark.parametrize(
    ("text", "words"), [("nonsense\n{}\n", "a line that is no JSON"), ("{}\n[]\n", "line 2: not a JSON object")]
)
def test_a_broken_journal_is_named(tmp_path: Path, text: str, words: str) -> None:
    run = make(tmp_path)
    run.metrics.write_text(text)
    with pytest.raises(RunError, match=words):
        run.rows()


def test_a_configuration_that_is_no_text_is_named(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.config.write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="cannot read .*config.toml"):
        run.read_config()


def test_there_is_one_writer(tmp_path: Path) -> None:
    run = make(tmp_path)
    with run.locked():
        with run.locked():
            pass
        other = RunDirectory.open(run.path)
        with pytest.raises(RunInUseError, match=f"is in use by process {os.getpid()}; wait") as refused, other.locked():
            pass
        assert refused.value.exit_code == 4
    with RunDirectory.open(run.path).locked():
        pass


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    run = make(tmp_path)
    with pytest.raises(KeyError), run.locked():
        raise KeyError
    with run.locked():
        pass


def test_the_kernel_frees_the_lock_of_a_process_that_died(tmp_path: Path) -> None:
    run = make(tmp_path)
    code = (
        "import fcntl, os, sys, time\n"
        f"d = os.open({str(run.path / 'lock')!r}, os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(d, fcntl.LOCK_EX); os.pwrite(d, f'{os.getpid()}\\n'.encode(), 0)\n"
        "print(flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(RunInUseError, match=f"process {holder.pid};"), run.locked():
            pass
        holder.kill()
        holder.wait()
        with run.locked():
            assert (run.path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_run_that_vanished_is_an_error_in_one_line(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.path.rename(tmp_path / "away")
    for write in (lambda: run.append({}), lambda: run.write_status("running", None), lambda: run.locked().__enter__()):
        with pytest.raises(RunError, match="cannot write .*No such file or directory|metrics.jsonl is gone; put it back"):
            write()


def test_two_that_take_a_name_at_once_get_two_runs(tmp_path: Path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(make(tmp_path).path)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8
