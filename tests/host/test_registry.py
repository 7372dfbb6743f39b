import pytest

from lnas.core.errors import ConfigError, PluginError, UnknownNameError
from lnas.host.foreign import in_one_line
from lnas.host.registry import Component, PluginRecord, Registry


def plugin(name: str, *parts: str, **more: object) -> PluginRecord:
    """A plugin that offers schedules."""
    offered = tuple(Component("schedule", part, "math:sqrt", "", name, f"lnas-{name}", "1.2") for part in parts)
    return PluginRecord(name, f"lnas-{name}", "1.2", "entry point", components=offered, **more)  # type: ignore[arg-type]


REGISTRY = Registry([plugin("lnas", "never", "iterative"), plugin("b", "cubic", "never"), plugin("a", "cubic", "linear")])


def test_all_is_sorted_by_name_with_the_built_in_part_first() -> None:
    assert [part.qualified for part in REGISTRY.all("schedule")] == [
        *("a/cubic", "b/cubic", "lnas/iterative", "a/linear", "lnas/never", "b/never"),
    ]
    assert REGISTRY.all("observer") == ()


@pytest.mark.parametrize(
    ("name", "qualified"),
    [
        ("linear", "a/linear"),
        ("never", "lnas/never"),
        ("lnas/never", "lnas/never"),
        ("b/never", "b/never"),
        ("a/cubic", "a/cubic"),
        ("b/cubic", "b/cubic"),
    ],
)
def test_a_name_finds_its_part(name: str, qualified: str) -> None:
    assert REGISTRY.get("schedule", name).qualified == qualified


@pytest.mark.parametrize(
    ("kind", "name", "error", "message"),
    [
        (
            "schedule",
            "cubic",
            ConfigError,
            "schedule 'cubic' is offered by plugin a (lnas-a 1.2) and by plugin b (lnas-b 1.2); write a/cubic or b/cubic",
        ),
        (
            "schedule",
            "iteratve",
            UnknownNameError,
            "unknown schedule 'iteratve'; did you mean 'iterative'? there are: cubic, iterative, linear, never",
        ),
        ("schedule", "c/cubic", UnknownNameError, "unknown plugin 'c'; there are: a, b, lnas"),
        (
            "schedule",
            "a/liner",
            UnknownNameError,
            "unknown schedule of plugin a 'liner'; did you mean 'linear'? there are: cubic, linear",
        ),
        ("observer", "x", UnknownNameError, "unknown observer 'x'; there are: none"),
        ("schedul", "x", UnknownNameError, "unknown kind of component 'schedul'; did you mean 'schedule'? there are: command, "),
        (
            "schedul",
            "a/x",
            UnknownNameError,
            "unknown kind of component 'schedul'; did you mean 'schedule'? there are: command, ",
        ),
    ],
)
def test_a_name_that_finds_none_says_what_there_is(kind: str, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        REGISTRY.get(kind, name)
    assert str(caught.value).startswith(message)
    assert type(caught.value) is error


def test_a_plugin_that_failed_takes_no_name_from_one_that_works() -> None:
    registry = Registry([plugin("a", "cubic", status="failed", error="E: x"), plugin("b", "cubic")])
    assert registry.get("schedule", "cubic").qualified == "b/cubic"


def component(target: str) -> Component:
    return Component("schedule", "cubic", target, "", "extras", "lnas-extras", "1.2")


def test_a_part_is_imported_by_its_path() -> None:
    assert component("json.decoder:JSONDecoder.decode").load().__qualname__ == "JSONDecoder.decode"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:X", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:X", "AttributeError: module 'json' has no attribute 'X'"),
        ("json.decoder:JSONDecoder.nothing", "AttributeError: type object 'JSONDecoder' has no attribute 'nothing'"),
        ("lnas_that_exits:X", "SystemExit: 1"),
    ],
)
def test_a_part_that_cannot_be_imported_names_plugin_and_version(
    target: str, message: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lnas_that_exits.py").write_text("import sys; sys.exit(1)")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError) as caught:
        component(target).load()
    assert str(caught.value) == f"schedule cubic of plugin extras (lnas-extras 1.2) ({target}) cannot be loaded: {message}"


def test_a_part_that_cannot_be_called_is_none() -> None:
    with pytest.raises(PluginError, match=r"schedule cubic of plugin extras .* is a float and cannot be called"):
        component("math:pi").load()


def test_a_foreign_error_is_one_short_line() -> None:
    assert in_one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert in_one_line(ValueError()) == "ValueError"
    assert in_one_line(PluginError("ours")) == "ours"
    assert in_one_line(ValueError("x\x1b[2J\u202e")) == "ValueError: x?[2J?"
    assert len(in_one_line(ValueError("x" * 5000))) == 300
