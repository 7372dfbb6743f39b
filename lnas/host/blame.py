"""Whose code an error came out of: a plugin is named with its version, and lnas does not take the blame."""

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from lnas.core.errors import ContractError, LnasError, NumericalError, PluginFailedError
from lnas.host.foreign import in_one_line
from lnas.host.registry import BUILT_IN, Component

_OF_ALL = {"lnas", "torch", "torchvision", "numpy", *sys.stdlib_module_names}
"""Packages that a part may lie in without their being its plugin's: code of theirs is not its plugin's doing."""


def attributed(
    error: BaseException, parts: Iterable[Component], where: str = "", *, ours: bool = False
) -> PluginFailedError | None:
    """The error as one of a plugin's part; None where it is none, or one that says what is wrong already.

    Args:
        error: as it was raised, with its traceback.
        parts: that may be to blame; of two of one plugin, the one in whose module it happened, else the first.
        where: "after search step 12".
        ours: whether an `LnasError` that a plugin raised itself is its failure too: in a run it is; before one, it is the way
            to refuse an option.
    """
    parts = [part for part in parts if part.plugin != BUILT_IN]
    after = f", {where}" if where else ""
    if isinstance(error, ContractError):
        guilty = " or ".join(str(part) for part in parts if part.kind == error.kind) or " or ".join(map(str, parts))
        return PluginFailedError(f"{guilty} broke its contract: {error}{after}") if guilty else None
    if isinstance(error, KeyboardInterrupt | NumericalError):
        return None
    if isinstance(error, LnasError) and not (ours and _raised_by_one(error, parts)):
        return None
    found = _innermost(error, parts)
    return None if found is None else PluginFailedError(f"{found} raised {in_one_line(error)}{after}")


def _raised_by_one(error: LnasError, parts: list[Component]) -> bool:
    """Whether the very frame that raised belongs to a plugin."""
    if isinstance(error, PluginFailedError):
        return False
    module = str(_frames(error)[-1].f_globals.get("__name__", ""))
    return any(_within(module, _package(part)) for part in parts)


@contextmanager
def attributing(
    parts: Callable[[], Iterable[Component]], where: Callable[[], str] = str, *, ours: bool = False
) -> Iterator[None]:
    """Raise what comes out of a plugin's part as a `PluginFailedError`, and anything else as it is.

    Args:
        parts: gives those that may be to blame, once somebody is.
        where: says it once it is needed: "after search step 12; go on with ...".
        ours: see `attributed`.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # foreign code: it may even exit
        there = tuple(parts())
        if (blamed := attributed(error, there, where(), ours=ours)) is not None:
            raise blamed from error
        if isinstance(error, LnasError):
            raise
        if suspects := [str(part) for part in there if part.plugin != BUILT_IN]:
            error.add_note(" or ".join(suspects))  # for whoever says what to make of it
        raise


def _innermost(error: BaseException, parts: list[Component]) -> Component | None:
    """The part whose package the innermost frame belongs to; of several, the one whose own code it is, else whose module."""
    for frame in reversed(_frames(error)):
        module = str(frame.f_globals.get("__name__", ""))
        fitting = [part for part in parts if _within(module, _package(part))]
        if fitting:
            return max(fitting, key=lambda part: _nearness(part, module, frame.f_code.co_qualname))
    return None


def _nearness(part: Component, module: str, code: str) -> int:
    place, _, name = part.target.partition(":")
    return (place == module) + (place == module and code.partition(".")[0] == name.partition(".")[0])


def _frames(error: BaseException) -> list[FrameType]:
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)]


def _package(part: Component) -> str:
    """The outermost package of a part that is one distribution's own: a namespace, which many share, is not."""
    words = part.target.partition(":")[0].split(".")
    if words[0] in _OF_ALL:
        return ""
    for length in range(1, len(words)):
        name = ".".join(words[:length])
        if getattr(sys.modules.get(name), "__file__", None):
            return name
    return ".".join(words)


def _within(module: str, package: str) -> bool:
    """Never where the package is nobody's own."""
    return bool(package) and (module == package or module.startswith(f"{package}."))
