import json

import pytest

from lnas.host.hookspecs import HOOKS
from lnas.host.options import options_of
from lnas.host.plugins import Host


def test_the_list_holds_every_part_once_with_its_summary_and_source(lnas) -> None:
    text = lnas("components").stdout
    parts = [part for kind in HOOKS for part in Host().registry.all(kind)]
    assert len(text.splitlines()) == 2 + len(parts) + 1  # the head, its rule, and the retraining
    for part in parts:
        (row,) = (line for line in text.splitlines() if line.split()[:2] == [part.kind, part.name])
        assert part.summary in row
        assert row.rstrip().endswith(f"{part.distribution or part.plugin} {part.version}")


def test_a_kind_shows_its_parts_alone(lnas) -> None:
    parts = json.loads(lnas("components", "--kind", "schedule", "--json").stdout)["components"]
    assert [part["name"] for part in parts][:3] == ["iterative", "never", "one-shot"]
    assert {part["kind"] for part in parts} == {"schedule"}
    assert "options" not in parts[0]


def test_a_name_shows_docstring_and_options(lnas) -> None:
    text = lnas("components", "darts").stdout
    assert text.startswith("strategy darts (lnas ")
    options = options_of(Host().registry.get("strategy", "darts").load(), "strategy")
    assert options
    for option in options:
        (row,) = (line for line in text.splitlines() if line.split()[:1] == [option.name])
        assert option.help in row and option.form in row


def test_a_name_of_several_kinds_shows_each(lnas) -> None:
    shown = json.loads(lnas("components", "random", "--json").stdout)["components"]
    assert [part["kind"] for part in shown] == ["strategy", "importance"]
    (one,) = json.loads(lnas("components", "random", "--kind", "importance", "--json").stdout)["components"]
    assert [option["name"] for option in one["options"]] == ["seed"]
    assert "the run's" in lnas("components", "random", "--kind", "importance").stdout


def test_a_qualified_name_is_a_name(lnas) -> None:
    (one,) = json.loads(lnas("components", "lnas/darts", "--json").stdout)["components"]
    assert one["name"] == "darts" and one["documentation"]
    unrolled = next(option for option in one["options"] if option["name"] == "unrolled")
    assert set(unrolled) == {"name", "form", "default", "required", "help"}
    assert unrolled["required"] is False


def test_a_required_option_says_so(lnas) -> None:
    (one,) = json.loads(lnas("components", "folder", "--json").stdout)["components"]
    root = next(option for option in one["options"] if option["name"] == "root")
    assert (root["required"], root["default"]) == (True, None)
    (row,) = (line for line in lnas("components", "folder").stdout.splitlines() if line.split()[:1] == ["root"])
    assert "needed" in row


def test_the_retraining_is_described(lnas) -> None:
    text = lnas("components", "train").stdout
    for name in ("lr", "momentum", "weight_decay"):
        assert any(line.startswith(f"{name} ") for line in text.splitlines())


def test_a_target_shows_the_options_of_every_prune_line(lnas) -> None:
    text = lnas("components", "theta").stdout
    for name in ("importance", "rewind", "k"):
        assert any(line.startswith(f"{name} ") for line in text.splitlines())


@pytest.mark.parametrize("name", sorted({part.name for kind in HOOKS for part in Host(entry_points=False).registry.all(kind)}))
def test_every_part_can_be_described(lnas, name: str) -> None:
    assert lnas("components", name).exit_code == 0
    for part in json.loads(lnas("components", name, "--json").stdout)["components"]:
        assert part["documentation"], f"{part['kind']} {name} has no docstring"
        assert all(option["help"] for option in part["options"])


def test_an_executor_shows_its_options(lnas) -> None:
    shown = json.loads(lnas("components", "process", "--json").stdout)["components"]
    assert [(part["kind"], part["options"]) for part in shown] == [("executor", [])]
    assert lnas("components", "serial").stdout.startswith("executor serial (lnas ")


def test_a_part_that_is_not_installed_comes_with_a_command(lnas) -> None:
    result = lnas("components", "ray")
    command = "it comes with lnas-ray; install it with: pip install 'lnas[ray]'"
    assert (result.exit_code, result.stderr) == (2, f"lnas: error: executor 'ray' is not available: {command}\n")
