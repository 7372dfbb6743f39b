import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lnas.core.errors import ConfigError, ContractError, NumericalError, PluginFailedError
from lnas.host.blame import attributed, attributing
from lnas.host.registry import BUILT_IN, Component


def part(kind: str, name: str, module: str, plugin: str = "odd") -> Component:
    return Component(kind, name, f"{module}:Part", "", plugin, f"lnas-{plugin}", "0.3")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[..., object]]:
    """`package("lnas_odd.one")`: a function of that module, which calls what it is given."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def function(module: str) -> Callable[..., object]:
        folder = tmp_path / module.partition(".")[0]
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / f"{module.partition('.')[2]}.py").write_text("def call(other, *rest):\n    return other(*rest)\n")
        importlib.invalidate_caches()
        return importlib.import_module(module).call  # type: ignore[no-any-return]

    return function


def caught(call: Callable[..., object], *arguments: object) -> BaseException:
    with pytest.raises(BaseException) as info:
        call(*arguments)
    return info.value


ONE, TWO, OTHER = (
    part("strategy", "one", "lnas_odd.one"),
    part("space", "two", "lnas_odd.two"),
    part("target", "x", "lnas_x.x", "x"),
)


def test_the_innermost_frame_of_a_plugin_is_to_blame(package) -> None:
    one, two, x = package("lnas_odd.one"), package("lnas_odd.two"), package("lnas_x.x")
    error = caught(x, one, two, int, "three")
    assert str(attributed(error, [OTHER, ONE, TWO])) == (
        "space two of plugin odd (lnas-odd 0.3) raised ValueError: invalid literal for int() with base 10: 'three'"
    )
    assert str(attributed(error, [OTHER, ONE], "after step 3")) == (
        "strategy one of plugin odd (lnas-odd 0.3) raised ValueError: invalid literal for int() with base 10: 'three',"
        " after step 3"
    )
    assert str(attributed(error, [OTHER])).startswith("target x of plugin x (lnas-x 0.3) raised")


def test_what_no_plugin_had_a_hand_in_is_not_blamed_on_one(package) -> None:
    package("lnas_odd.one")
    assert attributed(caught(int, "three"), [ONE]) is None
    inside = caught(package("lnas_x.x"), int, "three")
    assert attributed(inside, [ONE]) is None
    assert attributed(inside, [part("target", "x", "lnas_x.x", BUILT_IN)]) is None
    assert attributed(inside, []) is None


def test_an_error_of_lnas_keeps_its_words_and_an_interrupt_its_way(package) -> None:
    def fail(error: BaseException) -> None:
        raise error

    one = package("lnas_odd.one")
    for error in (ConfigError("lr must be positive"), NumericalError("nan"), KeyboardInterrupt()):
        assert attributed(caught(one, fail, error), [ONE]) is None
    exit_ = attributed(caught(one, fail, SystemExit(3)), [ONE])
    assert str(exit_) == "strategy one of plugin odd (lnas-odd 0.3) raised SystemExit: 3"


def test_a_broken_contract_is_that_of_the_part_of_its_kind() -> None:
    error = ContractError("space", "alive must be bool")
    assert (
        str(attributed(error, [ONE, OTHER, TWO]))
        == "space two of plugin odd (lnas-odd 0.3) broke its contract: alive must be bool"
    )
    cells = part("space", "cells", "lnas.builtin.cells", BUILT_IN)
    assert str(attributed(error, [ONE, cells])).startswith("strategy one of plugin odd")  # what is built in keeps its contract
    assert attributed(error, [cells]) is None


def test_attributing_raises_what_is_blamed_and_leaves_the_rest(package) -> None:
    one = package("lnas_odd.one")
    with (
        pytest.raises(PluginFailedError, match="strategy one .*, after step 7$") as info,
        attributing(lambda: [ONE], lambda: "after step 7"),
    ):
        one(int, "three")
    assert isinstance(info.value.__cause__, ValueError) and info.value.exit_code == 1
    with pytest.raises(ValueError, match="three"), attributing(lambda: [ONE]):
        int("three")


def test_an_error_of_lnas_that_a_plugin_raises_itself_is_its_failure_in_a_run(package, tmp_path: Path) -> None:
    one = package("lnas_odd.one")
    (tmp_path / "lnas_odd" / "raises.py").write_text("import lnas\ndef call(*_):\n    raise lnas.ConfigError('not today')\n")
    raises = importlib.import_module("lnas_odd.raises").call
    error = caught(one, raises)
    assert attributed(error, [ONE]) is None
    assert str(attributed(error, [ONE], ours=True)) == "strategy one of plugin odd (lnas-odd 0.3) raised not today"

    def fail() -> None:
        raise ConfigError("raised by lnas, for a plugin")

    assert attributed(caught(one, fail), [ONE], ours=True) is None


def test_of_several_parts_of_a_module_the_one_whose_code_it_is(package, tmp_path: Path) -> None:
    package("lnas_odd.one")
    source = (
        "class First:\n    def step(self): return 1 / 0\n\ndef second(): return First().step()\n\ndef third(): return int('x')\n"
    )
    (tmp_path / "lnas_odd" / "both.py").write_text(source)
    both = importlib.import_module("lnas_odd.both")
    parts = [Component("cost", name, f"lnas_odd.both:{name}", "", "odd") for name in ("second", "First", "third")]
    assert str(attributed(caught(both.second), parts)).startswith("cost First of plugin odd raised ZeroDivisionError")
    assert str(attributed(caught(both.third), parts)).startswith("cost third of plugin odd raised ValueError")


def test_plugins_that_share_a_namespace_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("one", "two"):
        (tmp_path / "shared_space" / name).mkdir(parents=True)
        (tmp_path / "shared_space" / name / "__init__.py").write_text("def call(): return 1 / 0\n")
    importlib.invalidate_caches()
    call = importlib.import_module("shared_space.two").call
    importlib.import_module("shared_space.one")
    parts = [part("strategy", name, f"shared_space.{name}", name) for name in ("one", "two")]
    assert str(attributed(caught(call), parts)).startswith("strategy two of plugin two")


def test_a_breach_is_of_every_part_that_may_have_made_it() -> None:
    others = [part("importance", name, f"lnas_{name}", name) for name in ("a", "b")]
    message = str(attributed(ContractError("importance", "it returned None"), others))
    assert (
        message
        == "importance a of plugin a (lnas-a 0.3) or importance b of plugin b (lnas-b 0.3) broke its contract: it returned None"
    )
