"""What a run does with plugins: it records who takes part, and does not go on without them."""

import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest

SMALL = ["--epochs", "2it:2it", "--space", "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3", "--name", "r"]

SOURCE = """
    import lnas

    @lnas.hookimpl
    def lnas_strategies(register):
        register("mine", "{module}:Mine", summary="DARTS by another name")

    @lnas.hookimpl
    def lnas_costs(register):
        register("layers", "{module}:layers", summary="modules of the network")
        register("broken", "{module}:broken", summary="no meter")

    @lnas.hookimpl
    def lnas_report_sections(register):
        register("notes", "{module}:notes", summary="Notes of mine")

    class Mine(lnas.Darts):
        pass

    def layers(network, task):
        return sum(1 for _ in network.modules())

    def broken(network, task):
        raise OSError("no meter")

    def notes(run):
        return f"{len(run.epochs)} epochs & more"
"""


@pytest.fixture
def mine(install) -> Path:
    return install("mine", SOURCE)


@pytest.mark.filterwarnings("always:cost broken:RuntimeWarning")
@pytest.mark.usefixtures("mine")
def test_a_run_records_the_plugins_that_take_part_and_no_others(install, lnas, tmp_path: Path) -> None:
    install("idle", SOURCE.replace('"mine"', '"idle"'))
    result = lnas("run", "--strategy", "mine", "--cost", "mine/layers", "--cost", "mine/broken", *SMALL, "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["costs"]["mine/broken"] is None and summary["costs"]["mine/layers"] > 20
    assert "cost broken of plugin mine (lnas-mine 0.3) raised OSError: no meter; it is left out" in result.stderr
    environment = json.loads((tmp_path / "runs/r/environment.json").read_text())
    assert environment["plugins"] == [{"name": "mine", "version": "0.3"}]
    shown = lnas("show", "r").stdout
    assert f"Cost, mine/layers {summary['costs']['mine/layers']:,.6g}" in " ".join(shown.split())
    assert "Cost, mine/broken could not be measured" in " ".join(shown.split())
    report = (tmp_path / "runs/r/report.html").read_text()
    assert report.count("Notes of mine") == 2 and "2 epochs &amp; more" in report


@pytest.mark.usefixtures("mine")
def test_cost_measures_any_network(lnas) -> None:
    arguments = ("cost", "DARTS_V1", "--channels", "2", "--layers", "3", "--cost", "layers")
    figures = json.loads(lnas(*arguments, "--json").stdout)
    assert figures["costs"]["layers"] > 20
    assert "Cost, layers" in lnas(*arguments).stdout
    result = lnas(*arguments[:-1], "broken")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cost broken of plugin mine (lnas-mine 0.3) raised OSError: no meter" in result.stderr
    result = lnas(*arguments[:-1], "layer")
    assert result.exit_code == 2 and "unknown cost 'layer'; did you mean 'layers'?" in result.stderr


def stopped(lnas, path: Path) -> str:
    """A run that failed at the end of its search, after the checkpoint of its last step."""
    text = path.read_text()
    asked = "asked = 0\n    def genotype(self):\n        Mine.asked += 1\n"
    asked += "        return super().genotype() if Mine.asked == 1 else 1 / 0"
    path.write_text(text.replace("class Mine(lnas.Darts):\n    pass", f"class Mine(lnas.Darts):\n    {asked}"))
    result = lnas("run", "--strategy", "mine", *SMALL)
    assert result.exit_code == 1, result.stderr
    del sys.modules["lnas_mine"]
    return text


def test_a_run_does_not_go_on_without_its_plugin(mine: Path, lnas, tmp_path: Path) -> None:
    text = stopped(lnas, mine)
    mine.write_text(text)
    before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    result = lnas("resume", "r", "--disable-plugin", "mine")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "lnas: error: runs/r was made with plugin mine 0.3, which is disabled: switched off by --disable-plugin mine\n"
    )
    assert {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()} == before
    assert lnas("resume", "r").exit_code == 0


def test_another_version_of_a_plugin_is_not_exact(mine: Path, lnas) -> None:
    text = stopped(lnas, mine)
    mine.write_text(text)
    metadata = mine.with_name("lnas_mine-0.3.dist-info") / "METADATA"
    metadata.write_text(metadata.read_text().replace("0.3", "0.4"))
    mine.with_name("lnas_mine-0.3.dist-info").rename(mine.with_name("lnas_mine-0.4.dist-info"))
    result = lnas("resume", "r", "--require-exact")
    assert result.exit_code == 2 and "plugins (mine-0.3, now mine-0.4)" in result.stderr
    resumed = json.loads(lnas("resume", "r", "--json").stdout)
    assert resumed["exact"] is False


def test_a_file_takes_part_and_is_asked_for_again(lnas, tmp_path: Path) -> None:
    path = tmp_path / "my_mine.py"
    path.write_text(dedent(SOURCE).replace("{module}", "my_mine").replace("    pass", "    def genotype(self): 1 / 0"))
    result = lnas("run", "--strategy", "mine", "--plugin", "my_mine.py", *SMALL)
    assert result.exit_code == 1 and "strategy mine of plugin my_mine raised ZeroDivisionError" in result.stderr
    del sys.modules["my_mine"]
    path.write_text(dedent(SOURCE).replace("{module}", "my_mine"))
    result = lnas("resume", "r")
    assert result.exit_code == 2
    assert "runs/r was made with plugin my_mine unknown, which is not there; install it, or where it is a single" in result.stderr
    assert lnas("resume", "r", "--plugin", "my_mine.py").exit_code == 0


@pytest.mark.usefixtures("mine")
def test_a_configuration_that_requires_plugins(lnas, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('[plugins]\nrequire = ["lnas-mine>=0.3"]\n')
    (tmp_path / "y.toml").write_text('[plugins]\nrequire = ["lnas-mine>=0.4"]\n')
    shown = json.loads(lnas("config", "--config", "x.toml", "--json").stdout)
    assert shown["config"]["plugins"] == ["lnas-mine>=0.3"] and shown["origins"]["plugins"] == "file x.toml"
    assert "lnas-mine>=0.3" in lnas("config", "--config", "x.toml").stdout
    for command in (["run", "--dry-run"], ["config"]):
        result = lnas(*command, "--config", "y.toml")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "lnas: error: plugins.require: lnas-mine>=0.4 is needed, and lnas-mine is 0.3\n"
