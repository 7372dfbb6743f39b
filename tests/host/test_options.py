from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from lnas.core.errors import ConfigError, PluginError
from lnas.host.options import Option, checked, options_of, validate
from lnas.host.registry import Component

if TYPE_CHECKING:
    from elsewhere import Space


@dataclass(frozen=True)
class Cubic:
    sparsity: Annotated[float, "fraction removed"]
    rounds: Annotated[int, "how many"] = 10
    levels: tuple[float, ...] = field(default_factory=lambda: (0.5,))


class Search:
    def __init__(
        self,
        space: "Space",
        loss: Callable[..., Any],
        *,
        unrolled: Annotated[Literal["exact", "finite"] | None, "how"] = None,
        clip: "Annotated[float, 'largest norm']" = 5.0,
        flag: bool = False,
        words: tuple[str, ...] = (),
        betas: tuple[float, float] = (0.5, 0.999),
        width: Annotated[int | None, "pixels", Field(ge=1)] = None,
        size: Annotated[int, Field(gt=0), "pixels"] = 1,
        root: Path = Path("."),
        mixed: int | float | str = 1,
        layers: Literal[1, 2] = 1,
        copy: str = "",
        check: Callable[[int], int] | None = None,
    ) -> None:
        self.given = unrolled


def importance(tensors: Any, masks: Any, loss: Any, *, seed: Annotated[int, "root"] = 0) -> Any:
    return tensors


def component(name: str, kind: str) -> Component:
    return Component(kind, name.lower(), f"{__name__}:{name}", "", "toys", "lnas-toys", "0.1")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are found by name, and this file is no module that can be imported."""
    monkeypatch.setattr("lnas.host.registry.import_module", lambda name: FakeModule if name == __name__ else __import__(name))


class FakeModule:
    Cubic, Search, importance = Cubic, Search, staticmethod(importance)


def test_every_parameter_of_a_schedule_is_an_option() -> None:
    assert options_of(Cubic, "schedule") == (
        Option("sparsity", float, None, True, "fraction removed"),
        Option("rounds", int, 10, False, "how many"),
        Option("levels", tuple[float, ...], (0.5,), False, ""),
    )


def test_only_what_the_host_does_not_give_is_an_option_elsewhere() -> None:
    options = options_of(Search, "strategy")
    assert [option.name for option in options][:3] == ["unrolled", "clip", "flag"]
    assert options[0] == Option("unrolled", Literal["exact", "finite"] | None, None, False, "how")
    assert options[1] == Option("clip", float, 5.0, False, "largest norm")
    assert [option.name for option in options_of(importance, "importance")] == ["seed"]
    assert options_of(importance, "recipe") == ()


class Callable2:
    def __call__(self, tensors: Any, *, power: Annotated[float, "exponent"] = 2.0) -> Any:
        return tensors


def test_an_object_that_is_called_has_options_too() -> None:
    assert options_of(Callable2(), "importance") == (Option("power", float, 2.0, False, "exponent"),)


def test_a_class_without_a_constructor_has_no_options() -> None:
    assert options_of(type("Empty", (), {}), "schedule") == ()


def test_the_form_of_an_option_is_said_in_words() -> None:
    assert {option.name: option.form for option in options_of(Search, "strategy")} == {
        "unrolled": "exact or finite or none",
        "clip": "a number",
        "flag": "true or false",
        "words": "words joined by +",
        "betas": "a number + a number",
        "width": "a whole number or none",
        "size": "a whole number",
        "root": "a path",
        "mixed": "a whole number or a number or text",
        "layers": "1 or 2",
        "copy": "text",
        "check": "Callable or none",
    }


GOOD = [
    ("unrolled", "exact", "exact"),
    ("unrolled", "none", None),
    ("clip", "2", 2.0),
    ("clip", "1e-3", 1e-3),
    ("clip", "-.5", -0.5),
    ("clip", 3, 3.0),
    ("flag", "true", True),
    ("flag", "false", False),
    ("flag", True, True),
    ("words", "a+b", ("a", "b")),
    ("words", "", ()),
    ("words", ["a"], ("a",)),
    ("betas", "0.5+1e+1", (0.5, 10.0)),
    ("width", "none", None),
    ("width", "7", 7),
    ("width", None, None),
    ("root", "a,b=c", Path("a,b=c")),
    ("mixed", "3", 3),
    ("mixed", "3.5", 3.5),
    ("mixed", "3x", "3x"),
    ("layers", "2", 2),
    ("copy", "none", "none"),
    ("copy", "5", "5"),
    ("check", abs, abs),
]


@pytest.mark.parametrize(("option", "text", "value"), GOOD, ids=lambda value: repr(value)[:20])
def test_text_becomes_a_value_of_its_type(option: str, text: object, value: object) -> None:
    result = validate(component("Search", "strategy"), {option: text})
    assert result == {option: value}
    assert type(result[option]) is type(value)


BAD = [
    ("unroled", "exact", "option 'unroled' does not exist; did you mean 'unrolled'? options: unrolled, clip, flag, words, "),
    ("zzz\n", "1", "option 'zzz\\n' does not exist; options: unrolled, "),
    ("unrolled", "both", "unrolled must be exact or finite or none, not 'both'"),
    ("clip", "half", "clip must be a number, not 'half'"),
    ("clip", "", "clip must be a number, not ''"),
    ("clip", "nan", "clip must be a finite number, not 'nan'"),
    ("clip", "-inf", "clip must be a finite number, not '-inf'"),
    ("clip", "1e999", "clip must be a finite number, not '1e999'"),
    ("clip", float("inf"), "clip must be a finite number, not inf"),
    ("clip", True, "clip must be a number, not True"),
    ("clip", "1_0", "clip must be a number, not '1_0'"),
    ("flag", "yes", "flag must be true or false, not 'yes'"),
    ("flag", 1, "flag must be true or false, not 1"),
    ("size", "1.5", "size must be a whole number, not '1.5'"),
    ("size", 2.0, "size must be a whole number, not 2.0"),
    ("size", True, "size must be a whole number, not True"),
    ("size", "true", "size must be a whole number, not 'true'"),
    ("size", "9" * 5000, "size must be a whole number, not '9999"),
    ("size", "0", "size must be greater than 0, not '0'"),
    ("width", "0", "width must be greater than or equal to 1, not '0'"),
    ("width", "half", "width must be a whole number or none, not 'half'"),
    ("betas", "0.5", "betas must be a number + a number, not '0.5'"),
    ("betas", "0.5+x", "betas must be a number + a number, not '0.5+x'"),
    ("layers", "3", "layers must be 1 or 2, not '3'"),
    ("copy", 5, "copy must be text, not 5"),
    ("check", "abs", "check must be Callable or none, not 'abs'"),
    ("copy", ["a\x1b"], "copy must be text, not ['a\\x1b']"),
]


@pytest.mark.parametrize(("option", "value", "message"), BAD, ids=lambda value: repr(value)[:20])
def test_a_value_that_is_none_is_refused_in_one_line(option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(component("Search", "strategy"), {option: value})
    assert str(caught.value).startswith(f"strategy search: {message}")
    assert "\n" not in str(caught.value)


def test_an_option_without_a_default_is_needed() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(component("Cubic", "schedule"), {"rounds": "2"})
    assert str(caught.value) == "schedule cubic: option 'sparsity' is needed: fraction removed; write sparsity=VALUE"
    assert validate(component("Cubic", "schedule"), {"sparsity": "0.5"}) == {"sparsity": 0.5}


def test_a_misspelt_option_is_named_before_the_one_that_is_missing() -> None:
    with pytest.raises(ConfigError, match="schedule cubic: option 'sparsty' does not exist; did you mean 'sparsity'"):
        validate(component("Cubic", "schedule"), {"sparsty": "0.5"})


def test_options_of_no_component_are_checked_alike() -> None:
    known = options_of(Cubic, "schedule")
    assert checked("train", known, {"sparsity": "0.5", "levels": "0.1+0.2"}) == {"sparsity": 0.5, "levels": (0.1, 0.2)}
    with pytest.raises(ConfigError, match="^train: sparsity must be a number, not 'x'$"):
        checked("train", known, {"sparsity": "x"})


def untyped(tensors: Any, *, power=2.0) -> Any:  # type: ignore[no-untyped-def]
    return tensors


def misnamed(tensors: Any, *, power: "Flaot" = 2.0) -> Any:  # type: ignore[name-defined]  # noqa: F821
    return tensors


def test_an_option_that_cannot_be_described_is_the_plugins_fault() -> None:
    with pytest.raises(PluginError, match="option 'power' of importance untyped has no type; annotate it"):
        options_of(untyped, "importance")
    with pytest.raises(PluginError, match="the options of importance misnamed cannot be read: NameError: name 'Flaot'"):
        options_of(misnamed, "importance")
    with pytest.raises(PluginError, match="the options of importance partial cannot be read"):
        options_of(partial(misnamed, 1), "importance")
