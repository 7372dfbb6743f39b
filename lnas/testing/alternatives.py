"""Other values that an option may take, tried to see that it does something and that nonsense is refused."""

import dataclasses
import itertools
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from lnas.core.errors import LnasError
from lnas.host.options import Option
from lnas.testing.states import difference

MOST_SETTINGS = 16
"""Of the words and truth values of the other options, so many combinations are tried."""


def alternatives(option: Option) -> list[Any]:
    """Values of the option's type that are not its default; [] for types of which nothing is known, as text."""
    found: list[Any] = []
    for member in _members(option.type):
        found += _values(member, option.default)
    kept: list[Any] = []
    for value in found:
        if not any(type(value) is type(other) and value == other for other in (*kept, option.default)):
            kept.append(value)
    return kept


def extremes(option: Option) -> list[Any]:
    """Values of the option's type that few options can take: below zero, and large."""
    found: list[Any] = []
    for member in _members(option.type):
        if member is int:
            found += [-1, 0, 2, 10**6]
        if member is float:
            found += [-1.0, 0.0, 1.0, 2.0, 1e9, math.inf]
    return found


def without_effect(
    options: Iterable[Option], given: Mapping[str, object], outcome: Callable[[Mapping[str, object]], object]
) -> list[str]:
    """Names of the options of which values are accepted, and none of them changes what comes out.

    Args:
        options: of the part.
        given: the values that some have; the others have their defaults.
        outcome: what comes of a part with such options, as a nested state; raises `LnasError` where it refuses them.
    """
    known = [dataclasses.replace(option, default=given.get(option.name, option.default)) for option in options]
    return [option.name for option in known if _is_idle(option, known, outcome)]


def _is_idle(option: Option, known: list[Option], outcome: Callable[[Mapping[str, object]], object]) -> bool:
    accepted = False
    for setting in itertools.islice(_settings([other for other in known if other is not option]), MOST_SETTINGS):
        try:
            before = outcome(setting)
        except LnasError:
            continue
        for value in alternatives(option):
            try:
                after = outcome({**setting, option.name: value})
            except LnasError:
                continue
            accepted = True
            if difference(before, after):
                return False
    return accepted


def _settings(options: list[Option]) -> Iterator[dict[str, object]]:
    """Every combination of the options that are a choice of words or true or false, the defaults first."""
    named = {option.name: alternatives(option) for option in options if all(map(_is_choice, _members(option.type)))}
    defaults = {option.name: option.default for option in options}
    for values in itertools.product(*([defaults[name], *others] for name, others in named.items())):
        yield {name: value for name, value in zip(named, values, strict=True) if value != defaults[name]}


def _is_choice(member: Any) -> bool:
    return member is bool or get_origin(member) is Literal


def _members(annotation: Any) -> list[Any]:
    """The types that make up a type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _members(arguments[0])
    if origin in (Union, types.UnionType):
        return [member for argument in arguments for member in _members(argument)]
    return [annotation]


def _values(member: Any, default: object) -> list[Any]:
    if get_origin(member) is Literal:
        return list(get_args(member))
    if member is bool:
        return [False, True]
    if member is int:
        near = [default - 1, default + 1, 2 * default] if type(default) is int else []
        return [*near, 1, 2, 3, 5]
    if member is float:
        scaled = [default / 2, default * 2] if isinstance(default, float) else []
        return [*scaled, 0.1, 0.25, 0.5, 0.9, 1.0, 2.0]
    return []
