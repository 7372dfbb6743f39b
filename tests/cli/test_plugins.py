import json
from pathlib import Path

import pytest


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed plugin that fails when it is imported."""
    place = tmp_path / "site"
    metadata = place / "lnas_broken-1.5.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lnas-broken\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text("[lnas]\nbroken = lnas_broken_module\n")
    (place / "lnas_broken_module.py").write_text("raise RuntimeError('[/x] is\\nbroken')\n")
    monkeypatch.syspath_prepend(place)


def test_lnas_itself_is_a_plugin(lnas) -> None:
    first, *_ = json.loads(lnas("plugins", "list", "--json").stdout)["plugins"]
    assert (first["name"], first["origin"], first["status"], first["error"]) == ("lnas", "built-in", "active", None)
    assert {"kind": "strategy", "name": "darts"} in first["components"]
    assert lnas("plugins", "list").stdout.splitlines()[2].split()[:2] == ["lnas", "lnas"]


@pytest.mark.usefixtures("broken")
def test_a_plugin_that_fails_is_one_warning_and_the_rest_goes_on(lnas) -> None:
    error = "RuntimeError: [/x] is broken; see lnas plugins info broken"
    warning = f"lnas: warning: plugin broken (lnas-broken 1.5) cannot be used: {error}\n"
    for arguments in (
        ["components"],
        ["plugins", "list"],
        ["config", "--json"],
        ["cost", "DARTS_V1", "--channels", "2", "--layers", "3"],
    ):
        result = lnas(*arguments)
        assert (result.exit_code, result.stderr) == (0, warning)
    assert lnas("--help").stderr == ""


@pytest.mark.usefixtures("broken")
def test_the_list_says_why_a_plugin_failed(lnas) -> None:
    (row,) = (line for line in lnas("plugins", "list").stdout.splitlines() if line.startswith("broken"))
    assert row.split() == ["broken", "lnas-broken", "1.5", "failed", "see", "lnas", "plugins", "info", "broken"]
    record = json.loads(lnas("plugins", "list", "--json").stdout)["plugins"][-1]
    assert (record["name"], record["status"], record["components"]) == ("broken", "failed", [])


@pytest.mark.usefixtures("broken")
def test_info_shows_the_traceback_and_what_is_known(lnas) -> None:
    for name in ("broken", "lnas-broken"):
        shown = lnas("plugins", "info", name)
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert "Place       lnas_broken_module" in shown.stdout and "lnas-broken 1.5 (entry point)" in shown.stdout
        assert "Traceback (most recent call last):" in shown.stdout
        assert 'lnas_broken_module.py", line 1, in <module>' in shown.stdout
    (record,) = json.loads(lnas("plugins", "info", "broken", "--json").stdout)["plugins"]
    assert record["status"] == "failed" and "Traceback" in record["traceback"] and record["milliseconds"] > 0


def test_info_shows_the_parts(lnas) -> None:
    shown = lnas("plugins", "info", "lnas").stdout
    assert "lnas.builtin.darts:Darts" in shown and "Status      active" in shown
    result = lnas("plugins", "info", "lans")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "lnas: error: unknown plugin 'lans'; did you mean 'lnas'? there are: lnas\n"


@pytest.mark.usefixtures("broken")
def test_strict_ends_every_command_that_loads_plugins(lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNAS_PLUGINS_STRICT", "1")
    result = lnas("components")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "lnas: error: plugin broken (lnas-broken 1.5) failed: RuntimeError: [/x] is broken\n"


def test_a_variable_that_is_a_slip_of_the_finger(lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNAS_DISABLE_PLUGIN", "x")
    result = lnas("config")
    assert result.exit_code == 2
    assert result.stderr == (
        "lnas: error: there is no environment variable LNAS_DISABLE_PLUGIN; did you mean LNAS_DISABLE_PLUGINS?\n"
    )
