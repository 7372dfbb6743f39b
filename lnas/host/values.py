"""The text of an option becomes a value of its type here, and a type becomes words for the message where it does not."""

import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic
from pydantic import BeforeValidator, ConfigDict

from lnas.core.errors import ConfigError
from lnas.host.spec import shown

_ONE = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path", type(None): "none"}
_MANY = {int: "whole numbers", float: "numbers", str: "words", Path: "paths"}
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)


def converted(annotation: Any, value: object) -> Any:
    """One value, or the text of one, as a value of the type.

    Raises:
        ConfigError: "must be a whole number, not 'x'", for the caller to put a name in front.
    """
    try:
        adapter = pydantic.TypeAdapter(readable(annotation), config=ConfigDict(strict=True, allow_inf_nan=False))
        return adapter.validate_python(value)
    except pydantic.ValidationError as error:
        raise ConfigError(must_be(error.errors()[0], annotation, value)) from None


def form_of(annotation: Any) -> str:
    """What a user may type for a type, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return form_of(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(form_of(argument) for argument in sorted(arguments, key=lambda a: a is type(None)))
    if origin is Literal:
        return " or ".join(_typed(argument) for argument in arguments)
    if origin is tuple or annotation is tuple:
        if ... in arguments:
            return f"{_MANY.get(arguments[0], form_of(arguments[0]))} joined by +"
        return " + ".join(form_of(argument) for argument in arguments)
    return _ONE.get(annotation, getattr(annotation, "__name__", str(annotation)))


def must_be(detail: Any, annotation: Any, value: object) -> str:
    """What is wrong with a value, in words that follow its name."""
    if detail["type"] == "finite_number":
        return f"must be a finite number, not {shown(value)}"
    if detail["msg"].startswith("Input should be ") and set(detail.get("ctx", ())) & {"gt", "ge", "lt", "le", "multiple_of"}:
        return f"must be {detail['msg'].removeprefix('Input should be ')}, not {shown(value)}"
    if detail["type"] in ("value_error", "assertion_error"):
        return f"must not be {shown(value)}: {' '.join(detail['msg'].split())}"
    return f"must be {form_of(annotation)}, not {shown(value)}"


def readable(annotation: Any) -> Any:
    """The type for pydantic, with text read as a value of it first."""
    return Annotated[annotation, BeforeValidator(lambda value: _read(value, annotation))]


def _read(value: object, annotation: Any) -> object:
    """Text as a value of the type; as it is where it is no such text, for the strict model to refuse."""
    if isinstance(value, list) and get_origin(annotation) is tuple:
        return tuple(value)
    if not isinstance(value, str):
        return value
    for member in _members(annotation):
        read = _read_as(value, member)
        if read is not _NOTHING:
            return read
    return value


_NOTHING = object()


def _members(annotation: Any) -> list[Any]:
    """The types that a text is tried as, the narrowest first."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _members(arguments[0])
    if origin in (Union, types.UnionType):
        order = [Literal, type(None), bool, int, float]
        members = [member for argument in arguments for member in _members(argument)]
        return sorted(members, key=lambda m: order.index(key) if (key := get_origin(m) or m) in order else len(order))
    return [annotation]


def _read_as(text: str, annotation: Any) -> object:
    origin, arguments = get_origin(annotation), get_args(annotation)
    word = text.strip()
    if origin is Literal:
        return next((argument for argument in arguments if _typed(argument) == word), _NOTHING)
    if origin is tuple:
        return _read_tuple(text, arguments)
    if annotation is type(None) and word == "none":
        return None
    if annotation is bool and word in ("true", "false"):
        return word == "true"
    if annotation is int and _WHOLE.fullmatch(word) and len(word) < 1000:
        return int(word)
    if annotation is float and _DECIMAL.fullmatch(word):
        return float(word)
    if annotation is Path:
        return Path(text)
    return text if annotation is str else _NOTHING


def _read_tuple(text: str, arguments: tuple[Any, ...]) -> object:
    """`a+b+c`.  The plus of an exponent (1e+5) is none."""
    items = re.split(r"(?<![0-9.][eE])\+", text) if text else []
    kinds = [arguments[0]] * len(items) if ... in arguments else list(arguments)
    if len(kinds) != len(items):
        return _NOTHING
    return tuple(_read(item, kind) for item, kind in zip(items, kinds, strict=True))


def _typed(value: object) -> str:
    """A constant as a user types it."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
