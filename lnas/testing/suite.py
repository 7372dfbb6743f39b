"""What every suite has: a part to check, its options, and rules that are read off its methods.

A rule is a method `test_*` without arguments; its docstring says the rule in one line.  It returns where the part keeps it,
raises `Violation` where not, and `unittest.SkipTest` where it does not apply.  pytest runs the rules of a subclass as tests,
and `lnas plugins check` runs the same ones without pytest.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar

from lnas.host.options import Option, checked, options_of


class Violation(AssertionError):
    """A rule is broken; the message says what was done, what came out, and what should have."""


def require(kept: bool, message: str) -> None:
    """Say that a rule is broken.

    Raises:
        Violation: with the message, unless `kept`.
    """
    if not kept:
        raise Violation(message)


class Suite:
    """Inherit the suite of a kind, name the part, and every rule of that kind is a test of yours.

        class TestCubic(ScheduleSuite):
            part = "lnas_cubic:Cubic"
            plugin = "lnas_cubic"

    Attributes:
        kind: of the part: "schedule".
        part: "module:Object", as it is registered, or the class or function itself.
        options: values by the names of options; those left out have their defaults.
        plugin: the module of the entry point; rules on registering and importing are skipped where it is None.
    """

    kind: ClassVar[str]
    part: ClassVar[Any]
    options: ClassVar[Mapping[str, object]] = {}
    plugin: ClassVar[str | None] = None

    @classmethod
    def loaded(cls) -> Callable[..., Any]:
        """The part itself.

        Raises:
            Violation: where the name leads nowhere.
        """
        part = vars(cls).get("part", cls.part)
        if isinstance(part, staticmethod):
            part = part.__func__
        if not isinstance(part, str):
            return part  # type: ignore[no-any-return]
        module, _, path = part.partition(":")
        try:
            found: Any = import_module(module)
            for name in path.split("."):
                found = getattr(found, name)
        except (ImportError, AttributeError) as error:
            raise Violation(f"{part} cannot be imported: {error}") from error
        require(callable(found), f"{part} is a {type(found).__name__} and cannot be called")
        return found  # type: ignore[no-any-return]

    @classmethod
    def declared(cls) -> tuple[Option, ...]:
        """The options of the part, as a user sees them."""
        return options_of(cls.loaded(), cls.kind)

    @classmethod
    def make(cls, *given: Any, **options: object) -> Any:
        """Call the part as lnas does: its leading arguments by position, its options by name, checked and converted.

        An option called `seed` is 0 unless it is given.
        """
        part, known = cls.loaded(), cls.declared()
        wanted = {**cls.options, **options}
        if any(option.name == "seed" for option in known):
            wanted = {"seed": 0, **wanted}
        return part(*given, **checked(f"{cls.kind} {getattr(part, '__name__', part)}", known, wanted))


def rules(suite: type[Suite]) -> Iterator[tuple[str, Callable[[Suite], None]]]:
    """The rules of a suite by name, in the order in which they are defined, the general ones first."""
    seen: dict[str, Callable[[Suite], None]] = {}
    for base in reversed(suite.__mro__):
        for name in vars(base):
            if name.startswith("test_"):
                seen[name] = getattr(suite, name)
    yield from seen.items()
