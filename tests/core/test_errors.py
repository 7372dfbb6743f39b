"""The tree of errors: one root, an exit code each, a nearest name."""

import pytest

from lnas.core import errors
from lnas.core.errors import LnasError, UnknownNameError


def test_every_error_is_an_lnas_error_with_its_exit_code() -> None:
    tree = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert all(issubclass(kind, LnasError) for kind in tree.values())
    assert {name: kind.exit_code for name, kind in tree.items()} == {
        "LnasError": 2,
        "ConfigError": 2,
        "UnknownNameError": 2,
        "DataError": 2,
        "GenotypeError": 2,
        "SparsityError": 2,
        "PluginError": 2,
        "ContractError": 2,
        "PluginFailedError": 1,
        "RunError": 2,
        "RunInUseError": 4,
        "NumericalError": 3,
    }


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    lines = [
        line for line in (errors.__doc__ or "").splitlines() if "Error " in line and ("──" in line or line.startswith("    Lnas"))
    ]
    parents: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in lines:
        name = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ").split()[0]
        depth = line.index(name)
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if stack:
            parents[name] = stack[-1][1]
        stack.append((depth, name))
    assert len(parents) == 11
    for name, parent in parents.items():
        assert getattr(errors, parent) in getattr(errors, name).__bases__


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dart", "unknown strategy 'dart'; did you mean 'darts'? there are: darts, random"),
        ("zzz", "unknown strategy 'zzz'; there are: darts, random"),
    ],
)
def test_an_unknown_name_lists_what_there_is_and_the_nearest(name: str, message: str) -> None:
    assert str(UnknownNameError("strategy", name, {"random", "darts"})) == message


def test_an_unknown_name_where_there_is_none() -> None:
    assert str(UnknownNameError("plugin", "x", ())) == "unknown plugin 'x'; there are: none"
