import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lnas.core.errors import PluginError, RunError
from lnas.host.plugins import Host
from lnas.host.present import check_present
from lnas.host.rundir import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, name="run", recipe="a", data="b", seed=0, config="")


def test_a_run_that_wrote_no_environment_yet_has_no_plugins(run: RunDirectory) -> None:
    check_present(run, Host().plugins)


def test_a_plugin_that_is_not_there_is_named(run: RunDirectory) -> None:
    run.environment.write_text(json.dumps({"plugins": [{"name": "mine", "version": "0.3"}]}))
    with pytest.raises(PluginError, match="was made with plugin mine 0.3, which is not there; install it"):
        check_present(run, Host().plugins)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_text('{"plugins": [{"name": "mi'),
    "empty": lambda path: path.write_text(""),
    "binary": lambda path: path.write_bytes(b"\xff\x00"),
    "another document": lambda path: path.write_text("[]"),
    "without plugins": lambda path: path.write_text("{}"),
    "plugins without names": lambda path: path.write_text('{"plugins": [1]}'),
    "a directory": Path.mkdir,
    "a link": lambda path: path.symlink_to(path.with_name("config.toml")),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_environment_is_refused_in_one_line(run: RunDirectory, damage: Callable[[Path], object]) -> None:
    """It may be that of a run with plugins: to go on without them would be another run."""
    damage(run.environment)
    with pytest.raises(RunError, match=r"environment.json: .*; put it back, or remove it to go on") as refused:
        check_present(run, Host().plugins)
    assert "\n" not in str(refused.value)
    shutil.rmtree(run.environment) if run.environment.is_dir() else run.environment.unlink()
    check_present(run, Host().plugins)
