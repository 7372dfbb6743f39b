"""Rules of every kind of part: how it is registered, imported, and described, and that it leaves the process alone."""

import contextlib
import importlib
import io
import json
import math
import os
import subprocess
import sys
import unittest
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from lnas.core.errors import ConfigError, LnasError, PluginError, SparsityError
from lnas.host.options import Option, checked
from lnas.host.plugins import Host
from lnas.host.registry import Component
from lnas.testing.suite import Suite, Violation, require
from lnas.testing.surroundings import ENVIRONMENT, put_back, same_random_state, same_settings

HEAVY = ("torch", "torchvision", "numpy", "scipy", "pandas", "sklearn", "matplotlib", "jax", "tensorflow")
"""What `import lnas` does without, and what no plugin may import before one of its parts is used."""

_BUILT_IN = "lnas.builtin.plugin"
_REPORT = "import sys; before = set(sys.modules); import {plugin}; print(*sorted(set(sys.modules) - before))"


class PartSuite(Suite, ABC):
    """What the suites of all kinds have in common.

    A suite of a kind says what its part is given (`given`), and does with it all that can be done (`exercise`).
    """

    @abstractmethod
    def given(self) -> tuple[Any, ...]:
        """The leading arguments that lnas gives the part, fresh ones at every call."""

    @abstractmethod
    def exercise(self) -> None:
        """Make the part and call everything it has, once."""

    @classmethod
    def label(cls) -> str:
        """The part in a message: "strategy Darts"."""
        part = cls.loaded()
        return f"{cls.kind} {getattr(part, '__name__', type(part).__name__)}"

    def setup_method(self) -> None:
        """pytest calls this before every rule: what a part changes in the process is put back after it."""
        self._surroundings = contextlib.ExitStack()
        self._surroundings.enter_context(put_back())

    def teardown_method(self) -> None:
        """pytest calls this after every rule."""
        self._surroundings.close()

    def test_it_can_be_imported(self) -> None:
        """The part's name leads to something that can be called, and importing it changes nothing in the process."""
        what = f"importing {self.part}"
        with same_random_state(what), same_settings(what, but=(ENVIRONMENT,)):  # many a library leaves a variable there
            self.loaded()

    def test_it_is_registered(self) -> None:
        """The plugin's hooks offer the part, under its kind, with a one-line summary."""
        found = [part for part in self._registered() if part.kind == self.kind and self._is_it(part)]
        offered = ", ".join(f"{part.kind} {part.name} ({part.target})" for part in self._registered()) or "nothing"
        require(bool(found), f"{self.plugin} does not register {self.label()} as a {self.kind}; it offers {offered}")
        silent = [part.name for part in found if not part.summary]
        require(not silent, f'{self.kind} {", ".join(silent)} has no summary; register(name, target, summary="one line")')

    def test_importing_the_plugin_is_light(self) -> None:
        """Importing the plugin imports neither torch nor the module of the part, and prints nothing."""
        module, plugin = _module_of(self.part), self._plugin()
        code = _REPORT.format(plugin=plugin)
        places = [*filter(None, sys.path), _folder(plugin)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        require(done.returncode == 0, f"import {plugin} fails in a fresh interpreter: {last}")
        *printed, modules = done.stdout.splitlines()
        require(not printed, f"import {plugin} prints {printed}; a plugin prints nothing")
        heavy = {*HEAVY, *([module] if module not in (plugin, "lnas") else [])} & set(modules.split())
        require(
            not heavy,
            f"import {plugin} imports {', '.join(sorted(heavy))}, and with it every `lnas --help`; register the part as"
            ' "module:Object" and leave that module alone until it is used',
        )

    def test_options_are_typed_and_described(self) -> None:
        """Every option has a type and a help text."""
        try:
            options = self.declared()
        except PluginError as error:
            require(False, str(error))
            raise
        for option in options:
            require(
                bool(option.help.strip()),
                f'option {option.name} of {self.label()} has no help text; write {option.name}: Annotated[TYPE, "what it does"]',
            )

    def test_defaults_fit_their_types(self) -> None:
        """The default of every option is a value that its own type accepts."""
        for option in self.declared():
            if option.required:
                continue
            try:
                value = checked(self.label(), [option], {option.name: option.default})[option.name]
            except LnasError as error:
                require(False, f"the default {option.default!r} of option {option.name} does not fit its own type: {error}")
                raise
            require(
                value == option.default,
                f"the default {option.default!r} of option {option.name} is read as {value!r}; give it the type that it has",
            )

    def test_values_of_the_wrong_type_are_refused(self) -> None:
        """Every option has a type that refuses something: no `Any`, no `object`."""
        for option in self.declared():
            require(
                self._refuses(option, object()),
                f"option {option.name} of {self.label()} takes anything at all; its type must say what it takes",
            )

    def test_unknown_options_are_refused(self) -> None:
        """An option that does not exist is an error, also for those who call the part themselves: no `**options`."""
        name = "no_such_option"
        try:
            self._bare(**{name: 1})
        except TypeError:
            return
        except LnasError:
            return
        require(False, f"{self.label()}({name}=1) was accepted without a word; take no **keywords")

    def test_words_that_are_no_choice_are_refused(self) -> None:
        """An option that is a choice of words refuses every other word with a ConfigError that names it, at construction."""
        for option in self.declared():
            if words := _words(option.type):
                self._must_refuse(option, "no-such-word", f"it must be one of {', '.join(words)}")

    def test_not_a_number_is_refused(self) -> None:
        """An option that is a float refuses NaN with a ConfigError that names it, at construction."""
        for option in self.declared():
            if option.type is float:
                self._must_refuse(option, math.nan, "no range holds it")

    def test_nothing_is_printed(self) -> None:
        """The part writes nothing to standard output: what is there may be read by a program."""
        written = io.StringIO()
        with contextlib.redirect_stdout(written):
            self._exercised()
        text = written.getvalue()
        require(not text, f"{self.label()} printed {text[:60]!r} to standard output; report it as a metric, or log it")

    def test_the_global_random_state_is_left_alone(self) -> None:
        """No global generator moves, neither torch's nor numpy's nor Python's, at construction or in any call."""
        with same_random_state(self.label()):
            self._exercised()

    def test_global_settings_are_left_alone(self) -> None:
        """Default dtype, threads, gradient mode, deterministic flags and the environment stay as they are."""
        with same_settings(self.label()):
            self._exercised()

    def _exercised(self) -> None:
        try:
            self.exercise()
        except unittest.SkipTest:
            raise
        except Exception as error:
            raise Violation(f"it failed when everything it has was called, so that nothing can be said: {error!r}") from error

    def _plugin(self) -> str:
        if self.plugin is None:
            raise unittest.SkipTest('the suite does not say which plugin it is of: plugin = "my_plugin"')
        return self.plugin

    def _registered(self) -> Iterator[Component]:
        """What the plugin registers, of all kinds."""
        module = importlib.import_module(self._plugin())
        host = Host([] if self.plugin == _BUILT_IN else [module], entry_points=False)
        record = host.plugins[-1]
        require(record.status == "active", f"{self.plugin} cannot be loaded as a plugin: {record.error}")
        return iter(record.components)

    def _is_it(self, component: Component) -> bool:
        return component.target == self.part if isinstance(self.part, str) else component.load() is self.loaded()

    def _bare(self, **options: object) -> Any:
        """The part called as by an embedder, without the host's checks."""
        given = self.make_options(**options)
        return self.loaded()(*self.given(), **given)

    @classmethod
    def make_options(cls, **options: object) -> dict[str, object]:
        """The options of the suite, checked and converted, and over them `options` as they are."""
        known = cls.declared()
        wanted = {**({"seed": 0} if any(option.name == "seed" for option in known) else {}), **cls.options}
        return {**checked(cls.label(), known, wanted), **options}

    def _refuses(self, option: Option, value: object) -> bool:
        try:
            checked(self.label(), [option], {option.name: value})
        except ConfigError:
            return True
        return False

    def _must_refuse(self, option: Option, value: object, why: str) -> None:
        did = f"{self.label()} was made with {option.name}={value!r}; {why}"
        try:
            self._bare(**{option.name: value})
        except (ConfigError, SparsityError) as error:
            message = str(error)
            require(
                option.name in message and "\n" not in message,
                f"{did}. The ConfigError says {json.dumps(message)}; it must name the option {option.name}, in one line",
            )
        except Exception as error:
            require(False, f"{did}. It raised {type(error).__name__} ({error}); it must raise lnas.ConfigError")
        else:
            require(False, f"{did}. Nothing was raised; it must raise lnas.ConfigError")


def _folder(module: str) -> str:
    """Where a module is that may have been loaded from a file outside the import path."""
    root = importlib.import_module(module.partition(".")[0])
    place = Path(getattr(root, "__file__", None) or "")
    return str(place.parent.parent if place.name == "__init__.py" else place.parent)


def _module_of(part: Any) -> str:
    return part.partition(":")[0] if isinstance(part, str) else str(part.__module__)


def _words(type_: Any) -> tuple[str, ...]:
    """The words of a Literal of text; () for any other type."""
    words = get_args(type_) if get_origin(type_) is Literal else ()
    return words if all(isinstance(word, str) for word in words) else ()
