"""The rules that all kinds share catch a part that breaks them."""

import os
import random
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy
import pytest
import torch

import lnas
from lnas.testing import Suite
from lnas.testing.part import PartSuite

Share = Annotated[float, "a fraction"]


class Sound:
    """Every class below is this one, but for a fault."""

    def __init__(self, share: Share = 0.5, form: Annotated[Literal["even", "late"], "how"] = "even") -> None:
        if not 0 <= share <= 1:
            raise lnas.ConfigError(f"share must be in [0, 1], not {share!r}")
        if form not in ("even", "late"):
            raise lnas.ConfigError(f"form must be even or late, not {form!r}")
        self.work()

    def work(self) -> None:
        pass


class Undescribed(Sound):
    def __init__(self, share: float = 0.5) -> None:
        super().__init__(share)


class Untyped(Sound):
    def __init__(self, share=0.5) -> None:  # type: ignore[no-untyped-def]
        super().__init__(share)


class WrongDefault(Sound):
    def __init__(self, share: Share = "half") -> None:  # type: ignore[assignment]
        super().__init__(0.5 if share == "half" else share)


class TakesAnything(Sound):
    def __init__(self, share: Annotated[Any, "a fraction"] = 0.5) -> None:
        super().__init__(share)


class TakesMore(Sound):
    def __init__(self, share: Share = 0.5, **more: object) -> None:
        super().__init__(share)


class TakesAnyWord(Sound):
    def __init__(self, form: Annotated[Literal["even", "late"], "how"] = "even") -> None:
        super().__init__()


class RaisesValueError(Sound):
    def __init__(self, form: Annotated[Literal["even", "late"], "how"] = "even") -> None:
        if form not in ("even", "late"):
            raise ValueError("form")
        super().__init__()


class NamesNoOption(Sound):
    def __init__(self, form: Annotated[Literal["even", "late"], "how"] = "even") -> None:
        if form not in ("even", "late"):
            raise lnas.ConfigError("that will not do")
        super().__init__()


class TakesNaN(Sound):
    def __init__(self, share: Share = 0.5) -> None:
        if share < 0 or share > 1:
            raise lnas.ConfigError("share must be in [0, 1]")
        super().__init__()


class Prints(Sound):
    def work(self) -> None:
        print("hello")


class DrawsFromTorch(Sound):
    def work(self) -> None:
        torch.rand(1)


class DrawsFromNumpy(Sound):
    def work(self) -> None:
        numpy.random.rand()


class DrawsFromPython(Sound):
    def work(self) -> None:
        random.random()


class ChangesTheDtype(Sound):
    def work(self) -> None:
        torch.set_default_dtype(torch.float64)


class StopsGradients(Sound):
    def work(self) -> None:
        torch.set_grad_enabled(False)


class SetsAVariable(Sound):
    def work(self) -> None:
        os.environ["LNAS_TEST_OF_SURROUNDINGS"] = "1"


class Deterministic(Sound):
    def work(self) -> None:
        torch.use_deterministic_algorithms(True)


class Fails(Sound):
    def work(self) -> None:
        raise RuntimeError("out of order")


# what breaks, the rule, and words of the message
BREAKS: list[tuple[Any, str, str]] = [
    ("no_such_module:Part", "it_can_be_imported", "no_such_module:Part cannot be imported"),
    (Undescribed, "options_are_typed_and_described", "option share of schedule Undescribed has no help text"),
    (Untyped, "options_are_typed_and_described", "option 'share' of schedule Untyped has no type"),
    (WrongDefault, "defaults_fit_their_types", "the default 'half' of option share does not fit its own type"),
    (TakesAnything, "values_of_the_wrong_type_are_refused", "takes anything at all"),
    (TakesMore, "unknown_options_are_refused", "take no **keywords"),
    (TakesAnyWord, "words_that_are_no_choice_are_refused", "Nothing was raised; it must raise lnas.ConfigError"),
    (RaisesValueError, "words_that_are_no_choice_are_refused", "It raised ValueError (form); it must raise lnas.ConfigError"),
    (NamesNoOption, "words_that_are_no_choice_are_refused", "it must name the option form"),
    (TakesNaN, "not_a_number_is_refused", "made with share=nan; no range holds it. Nothing was raised"),
    (Prints, "nothing_is_printed", "printed 'hello"),
    (DrawsFromTorch, "the_global_random_state_is_left_alone", "the global generator of torch"),
    (DrawsFromNumpy, "the_global_random_state_is_left_alone", "the global generator of numpy"),
    (DrawsFromPython, "the_global_random_state_is_left_alone", "the global generator of python"),
    (ChangesTheDtype, "global_settings_are_left_alone", "default dtype from torch.float32 to torch.float64"),
    (StopsGradients, "global_settings_are_left_alone", "gradient mode from True to False"),
    (SetsAVariable, "global_settings_are_left_alone", "changed the environment"),
    (Deterministic, "global_settings_are_left_alone", "torch's deterministic algorithms"),
    (Fails, "nothing_is_printed", "RuntimeError('out of order')"),
]


def suite_of(it: Any, module: str | None = None) -> type[Suite]:
    class OfIt(PartSuite):
        kind = "schedule"
        part = it
        plugin = module

        def given(self) -> tuple[Any, ...]:
            return ()

        def exercise(self) -> None:
            self.make()

    return OfIt


def test_a_sound_part_keeps_all_rules(broken: Any) -> None:
    assert broken(suite_of(Sound)) == {}


@pytest.mark.parametrize(("part", "rule", "words"), BREAKS, ids=[getattr(b[0], "__name__", b[0]) for b in BREAKS])
def test_a_broken_part_is_found_out(part: Any, rule: str, words: str, broken: Any) -> None:
    found = broken(suite_of(part))
    assert words in found[rule]
    if isinstance(part, type) and part not in (Untyped, WrongDefault, Fails):  # of these nothing else can be made or read
        assert set(found) == {rule}


@pytest.mark.parametrize("part", [DrawsFromTorch, DrawsFromNumpy, DrawsFromPython, ChangesTheDtype, StopsGradients])
def test_what_was_changed_is_put_back(part: type, broken: Any) -> None:
    torch_state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    python_state, numpy_state, before = random.getstate(), numpy.random.get_state()[1].copy(), dict(os.environ)
    broken(suite_of(part))
    assert torch.get_default_dtype() == dtype
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert random.getstate() == python_state
    assert (numpy.random.get_state()[1] == numpy_state).all()
    assert dict(os.environ) == before


REGISTERS = """
    import lnas

    @lnas.hookimpl
    def lnas_schedules(register: lnas.Register) -> None:
        register("x", "{module}_part:Part", summary="{summary}")
    """
PART = """
    class Part:
        pass
    """


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], type[Suite]]:
    """`write(name, plugin, part)`: the suite of a plugin of two modules that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def made(name: str, plugin: str, part: str = PART) -> type[Suite]:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(plugin))
        (tmp_path / f"{name}_part.py").write_text(textwrap.dedent(part))
        return suite_of(f"{name}_part:Part", name)

    return made


def test_a_sound_plugin_keeps_all_rules(write: Any, broken: Any) -> None:
    assert broken(write("sound_one", REGISTERS.format(module="sound_one", summary="a part"))) == {}


PLUGINS = {
    "other": (
        REGISTERS.format(module="something", summary="one"),
        "it_is_registered",
        "it offers schedule x (something_part:Part)",
    ),
    "silent": (REGISTERS.format(module="silent", summary=""), "it_is_registered", "schedule x has no summary"),
    "hookless": ("x = 1", "it_is_registered", "it implements no hook"),
    "heavy": (
        "import numpy\n" + textwrap.dedent(REGISTERS.format(module="heavy", summary="one")),
        "importing_the_plugin_is_light",
        "import heavy imports numpy, and with it",
    ),
    "eager": (
        "import eager_part\n" + textwrap.dedent(REGISTERS.format(module="eager", summary="one")),
        "importing_the_plugin_is_light",
        "import eager imports eager_part",
    ),
    "loud": (
        "print('hi')\n" + textwrap.dedent(REGISTERS.format(module="loud", summary="one")),
        "importing_the_plugin_is_light",
        "import loud prints ['hi']",
    ),
}


@pytest.mark.parametrize("name", PLUGINS)
def test_a_broken_plugin_is_found_out(name: str, write: Any, broken: Any) -> None:
    plugin, rule, words = PLUGINS[name]
    found = broken(write(name, plugin))
    assert words in found[rule]
    assert set(found) == {rule}


def test_a_plugin_that_needs_what_is_not_there_is_found_out(write: Any, broken: Any) -> None:
    found = broken(write("lacking", "import no_such_module_at_all"))
    assert "No module named 'no_such_module_at_all'" in found["importing_the_plugin_is_light"]


def test_a_module_that_changes_the_process_when_it_is_imported_is_found_out(write: Any, broken: Any) -> None:
    part = "import torch\ntorch.set_default_dtype(torch.float64)\n" + textwrap.dedent(PART)
    found = broken(write("changing", REGISTERS.format(module="changing", summary="one"), part))
    assert "importing changing_part:Part changed torch's default dtype" in found["it_can_be_imported"]
    assert torch.get_default_dtype() == torch.float32


def test_every_rule_has_a_part_that_breaks_it(names: Any) -> None:
    assert names(PartSuite) == {rule for _, rule, _ in BREAKS} | {rule for _, rule, _ in PLUGINS.values()}
