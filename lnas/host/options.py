"""An option is a typed parameter of a part: this reads them off its signature, and checks what a user gave.

The help text of an option stands in its annotation, `Annotated[float, "fraction removed"]`.  Text is turned into a value by
that type; what the type cannot say (a range) the part checks itself, since embedders call it without a host.
"""

import dataclasses
import difflib
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin

import pydantic
from pydantic import ConfigDict, Field

from lnas.core.errors import ConfigError, PluginError
from lnas.host.foreign import in_one_line
from lnas.host.registry import Component
from lnas.host.spec import shown
from lnas.host.values import form_of, must_be, readable

KEYWORD_ONLY = ("strategy", "space", "target", "importance", "cost", "executor")
"""Kinds that are given leading arguments; their options are the keyword-only parameters."""

LEADING: Mapping[str, int] = {
    **{"strategy": 4, "space": 1, "importance": 3, "cost": 2, "executor": 1},
    **{"schedule": 0, "dataset": 0, "observer": 0},
}
"""How many leading arguments a kind is given; a target has one of a strategy, and two of a network."""

ALL = ("schedule", "dataset", "observer")
"""Kinds of which every parameter is an option.  A recipe has none: its prune lines are."""

_SETTINGS = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a part.

    Attributes:
        name: the key a user types.
        type: its annotation, without the help text.
        default: None where it is required.
        required: whether there is no default.
        help: the text in the annotation; empty where there is none.
    """

    name: str
    type: Any
    default: object
    required: bool
    help: str

    @property
    def form(self) -> str:
        """What a user may type, in words: "a whole number"."""
        return form_of(self.type)


def options_of(part: Callable[..., Any], kind: str) -> tuple[Option, ...]:
    """The options of a part, in the order of its signature.

    Raises:
        PluginError: where the signature cannot be read, or an option has no type.
    """
    label = f"{kind} {getattr(part, '__qualname__', type(part).__qualname__)}"
    try:
        parameters = [p for p in inspect.signature(part).parameters.values() if _is_option(p, kind)]
        hints = _hints(part, {p.name: p.annotation for p in parameters})
        options = tuple(_option(part, p, hints[p.name]) for p in parameters if p.annotation is not inspect.Parameter.empty)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # annotations and defaults are foreign code: it may even exit
        raise PluginError(f"the options of {label} cannot be read: {in_one_line(error)}") from error
    untyped = [p.name for p in parameters if p.annotation is inspect.Parameter.empty]
    if untyped:
        raise PluginError(f'option {untyped[0]!r} of {label} has no type; annotate it, e.g. Annotated[int, "help text"]')
    return options


def validate(component: Component, options: Mapping[str, object]) -> dict[str, object]:
    """The options that were given, as values of the component's types; those not given stay out.

    Args:
        component: is loaded.
        options: text as a user types it, or values.

    Raises:
        ConfigError: one line, naming the component, the option, what was given and what is allowed.
        PluginError: where the component or its options cannot be read.
    """
    known = options_of(component.load(), component.kind)
    return checked(f"{component.kind} {component.name}", known, options)


def checked(label: str, known: Iterable[Option], options: Mapping[str, object]) -> dict[str, object]:
    """`validate` for options that belong to no component; `label` begins the message."""
    known = tuple(known)
    # The fields are numbered, since an option may be called what a pydantic model has a method for.
    fields: dict[str, Any] = {
        f"option{number}": (readable(option.type), Field(... if option.required else option.default, alias=option.name))
        for number, option in enumerate(known)
    }
    try:
        model = pydantic.create_model("Options", __config__=_SETTINGS, **fields)
        values = model.model_validate(dict(options))
    except pydantic.ValidationError as error:
        raise ConfigError(f"{label}: {_explained(error, known, options)}") from None
    except pydantic.errors.PydanticUserError as error:
        raise PluginError(f"the options of {label} have a type that cannot be checked: {in_one_line(error)}") from error
    return {option.name: getattr(values, f"option{n}") for n, option in enumerate(known) if option.name in options}


def _is_option(parameter: inspect.Parameter, kind: str) -> bool:
    if kind in KEYWORD_ONLY:
        return parameter.kind is inspect.Parameter.KEYWORD_ONLY
    return kind in ALL and parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _hints(part: Callable[..., Any], annotations: Mapping[str, object]) -> dict[str, Any]:
    """The annotations of the options alone, evaluated: those of other parameters may exist for type checkers only."""
    owner: Any = part
    if isinstance(part, type):
        owner = owner.__init__
    elif not inspect.isroutine(part):
        owner = type(part).__call__
    function = inspect.unwrap(owner)
    names = function.__globals__ if hasattr(function, "__globals__") else vars(sys.modules[part.__module__])

    def carrier() -> None:
        """Only its annotations matter."""

    carrier.__annotations__ = {name: hint for name, hint in annotations.items() if hint is not inspect.Parameter.empty}
    return typing.get_type_hints(carrier, names, include_extras=True)


def _option(part: Callable[..., Any], parameter: inspect.Parameter, hint: Any) -> Option:
    required = parameter.default is inspect.Parameter.empty
    default = None if required else parameter.default
    if dataclasses.is_dataclass(part):
        made = {field.name: field.default_factory for field in dataclasses.fields(part)}.get(parameter.name)
        if callable(made):
            default = made()
    if get_origin(hint) is not Annotated:
        return Option(parameter.name, hint, default, required, "")
    inner, *extras = get_args(hint)
    texts = [extra for extra in extras if isinstance(extra, str)]
    for extra in extras:
        inner = inner if isinstance(extra, str) else Annotated[inner, extra]
    return Option(parameter.name, inner, default, required, texts[0] if texts else "")


def _explained(error: pydantic.ValidationError, known: tuple[Option, ...], given: Mapping[str, object]) -> str:
    details = error.errors()
    names = [option.name for option in known]
    for detail in details:
        if detail["type"] == "extra_forbidden":
            name = str(detail["loc"][0])
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            return f"option {shown(name)} does not exist; {hint}options: {', '.join(names) or 'none'}"
    option = next(option for option in known if option.name == details[0]["loc"][0])
    if details[0]["type"] == "missing":
        return f"option {option.name!r} is needed: {option.help or option.form}; write {option.name}=VALUE"
    return f"{option.name} {must_be(details[0], option.type, given[option.name])}"
