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
    warning = "lnas: warning: plugin broken (lnas-broken 1.5) is switched off: RuntimeError: [/x] is broken\n"
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
    assert "lnas-broken 1.5" in row and "RuntimeError: [/x] is broken" in row
    record = json.loads(lnas("plugins", "list", "--json").stdout)["plugins"][-1]
    assert (record["name"], record["status"], record["components"]) == ("broken", "failed", [])
