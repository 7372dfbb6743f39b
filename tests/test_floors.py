"""Imports point down.  Every import of every file is read, so that a house of four floors stays one."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TypeGuard

import pytest

import lnas

ROOT = Path(__file__).parent.parent
STANDARD = sys.stdlib_module_names

# What a room may import besides itself and the standard library.  The longest name that fits a module is its room.
ROOMS = {
    "lnas.core": {"torch"},
    "lnas.builtin": {"lnas.core", "torch", "torchvision", "PIL", "numpy", "pluggy"},
    "lnas.cost": {"lnas.core", "torch", "ptflops"},
    "lnas.testing": {"lnas.core", "lnas.builtin", "lnas.host", "lnas.cost", "torch"},
    "lnas.host": {"lnas.core", "lnas.cost", "torch", "packaging", "pluggy", "pydantic", "safetensors"},
    "lnas.sweep": {"lnas.core", "lnas.cost", "lnas.host", "torch", "numpy", "pydantic", "scipy"},
    "lnas.report": {
        "lnas.core",
        "lnas.cost",
        "lnas.host",
        "lnas.sweep",
        "torch",
        "jinja2",
        "matplotlib",
        "markupsafe",
        "networkx",
        "numpy",
        "pydantic",
        "rich",
    },
    "lnas.scaffold": {"lnas.core", "lnas.host", "jinja2"},
    "lnas.cli": {
        "lnas.core",
        "lnas.cost",
        "lnas.host",
        "lnas.report",
        "lnas.scaffold",
        "lnas.sweep",
        "lnas.testing",
        "torch",
        "click",
        "rich",
    },
    "lnas.__main__": {"lnas.cli"},
    "lnas": {
        "lnas.core",
        "lnas.builtin",
        "lnas.cost",
        "lnas.host",
        "lnas.report",
        "lnas.sweep",
    },  # the table of contents, for type checkers only: see test_public.py
}
FOLDERS = {path.stem for path in (ROOT / "lnas").iterdir() if path.is_dir() or path.suffix == ".py"} - {"__init__", "__pycache__"}
PUBLIC_MODULES = ("lnas.cost", "lnas.testing")
PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
PICKLING = {("torch", "load"), ("torch", "save"), ("torch.hub", "load"), ("torch.jit", "load"), ("numpy", "load")}
READS_WEIGHTS_OF_OTHERS = Path("lnas/host/foreign_weights.py")
"""The one module that may call `torch.load`, and only with weights_only=True."""


def sources() -> list[Path]:
    folders = ("lnas", "plugins", "examples")
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[tuple[str, str | None, int]]:
    """(module, name or None, line), also of imports inside functions and of those for type checkers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                is_room = module == "lnas" and alias.name in FOLDERS
                yield (f"lnas.{alias.name}", None, node.lineno) if is_room else (module, alias.name, node.lineno)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def room_of(module: str) -> str | None:
    fitting = [room for room in ROOMS if (within(module, room) if room != "lnas" else module == "lnas")]
    return max(fitting, key=len, default=None)


def violations(path: Path, text: str) -> list[str]:
    """What is wrong with a file at `path` (from the root of the checkout) that says `text`."""
    tree = ast.parse(text)
    faults = _inside(module_of(path), tree) if path.parts[0] == "lnas" else _outside(tree)
    return [f"{path}:{line}: {fault}" for fault, line in (*faults, *_pickling(path, tree))]


def _inside(module: str, tree: ast.AST) -> Iterator[tuple[str, int]]:
    room = room_of(module)
    if room is None:
        yield f"{module} is on no floor; give it one in ROOMS", 1
        return
    allowed = ROOMS[room] if room == "lnas" else {room, *ROOMS[room]}
    for imported, name, line in imports(tree):
        if imported.split(".")[0] in STANDARD or any(within(imported, other) for other in allowed):
            continue
        if (imported, name) == ("lnas", "__version__") and room not in ("lnas.core", "lnas.builtin"):
            continue
        yield f"{room} may not import {imported}", line


def _outside(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Plugins and examples import the public `lnas` and nothing below it."""
    public = (*lnas.__all__, "__version__", *(module.removeprefix("lnas.") for module in PUBLIC_MODULES))
    for imported, name, line in imports(tree):
        if within(imported, "lnas") and imported not in ("lnas", *PUBLIC_MODULES):
            yield f"{imported} is not public; import lnas", line
        elif imported == "lnas" and name is not None and name not in public:
            yield f"lnas.{name} is not public", line
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "lnas" and node.attr not in public:
            yield f"lnas.{node.attr} is not public", node.lineno


def _pickling(path: Path, tree: ast.AST) -> Iterator[tuple[str, int]]:
    """No pickle is read or written anywhere, nor anything that hides one, but for weights where a user asks for it."""
    named = {"np": "numpy"}
    allowed = {id(node.func) for node in ast.walk(tree) if path == READS_WEIGHTS_OF_OTHERS and _reads_weights_only(node)}
    for imported, name, line in imports(tree):
        if imported.split(".")[0] in PICKLES or (imported, name) in PICKLING:
            yield f"{imported} reads or writes pickles", line
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in allowed:
            owner = ast.unparse(node.value)
            if (named.get(owner, owner), node.attr) in PICKLING:
                yield f"{owner}.{node.attr} reads or writes pickles", node.lineno


def _reads_weights_only(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and ast.unparse(node.func) == "torch.load"
        and any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
    )


@pytest.mark.parametrize("path", sources(), ids=str)
def test_a_file_imports_only_from_its_own_floor_and_below(path: Path) -> None:
    assert violations(path, (ROOT / path).read_text()) == []


def test_every_package_that_lnas_imports_is_a_dependency_that_it_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[^\w-]", line)[0].lower() for line in declared}
    inside = [path for path in sources() if path.parts[0] == "lnas"]
    found = {module.split(".")[0] for path in inside for module, _, _ in imports(ast.parse((ROOT / path).read_text()))}
    distributions = packages_distributions()
    foreign = {module: {name.lower() for name in distributions[module]} for module in found - STANDARD - {"lnas"}}
    assert {module: owners for module, owners in foreign.items() if not owners & names} == {}


BREAKS = {
    "core reaches up": ("lnas/core/mask.py", "from lnas.host.plugins import Host"),
    "core reaches up inside a function": ("lnas/core/mask.py", "def f():\n    import lnas.builtin.cells"),
    "core uses the terminal": ("lnas/core/mask.py", "import click"),
    "core needs more than torch": ("lnas/core/mask.py", "import numpy"),
    "core goes through the front door": ("lnas/core/mask.py", "import lnas"),
    "builtin reaches up": ("lnas/builtin/darts.py", "from lnas.host import plugins"),
    "builtin prints with rich": ("lnas/builtin/darts.py", "from rich.table import Table"),
    "host names a built-in": ("lnas/host/assemble.py", "from lnas.builtin.darts import Darts"),
    "host names a built-in through the front door": ("lnas/host/assemble.py", "from lnas import builtin"),
    "host uses a public name": ("lnas/host/assemble.py", "from lnas import Theta"),
    "host reaches the report": ("lnas/host/runner.py", "import lnas.report"),
    "host knows of sweeps": ("lnas/host/runner.py", "import lnas.sweep.results"),
    "a sweep draws": ("lnas/sweep/results.py", "import matplotlib"),
    "host prints": ("lnas/host/runner.py", "import rich.progress"),
    "cost knows the cells": ("lnas/cost.py", "from lnas.builtin import cells"),
    "the report parses arguments": ("lnas/report/html.py", "import click"),
    "the command line names a built-in": ("lnas/cli/run.py", "import lnas.builtin.darts"),
    "a relative import": ("lnas/core/mask.py", "from .errors import LnasError"),
    "a room nobody planned": ("lnas/utils.py", "import os"),
    "a plugin goes behind the door": ("plugins/a/a.py", "from lnas.core.mask import prune"),
    "a plugin goes behind the door of cost": ("plugins/a/a.py", "import lnas.cost.counter"),
    "a plugin imports a floor": ("plugins/a/a.py", "from lnas import core"),
    "a plugin uses a private name": ("plugins/a/a.py", "from lnas import _MODULE_OF"),
    "an example uses a private name": ("examples/a.py", "import lnas\nlnas.core.mask.prune"),
    "pickle": ("lnas/host/checkpoint.py", "import pickle"),
    "pickle by another name": ("plugins/a/a.py", "from cloudpickle import dumps"),
    "torch.load": ("lnas/host/checkpoint.py", "import torch\ntorch.load('x', weights_only=True)"),
    "torch.load beside its one reader": ("lnas/cli/import_weights.py", "import torch\ntorch.load('x', weights_only=True)"),
    "torch.load of anything": ("lnas/host/foreign_weights.py", "import torch\ntorch.load('x')"),
    "torch.load of anything, said": ("lnas/host/foreign_weights.py", "import torch\ntorch.load('x', weights_only=False)"),
    "torch.load under another name": ("lnas/host/foreign_weights.py", "import torch\nf = torch.load\nf('x')"),
    "pickle in the reader of weights": ("lnas/host/foreign_weights.py", "import pickle"),
    "torch.save in the reader of weights": ("lnas/host/foreign_weights.py", "import torch\ntorch.save(1, 'x')"),
    "from torch import load": ("lnas/host/checkpoint.py", "from torch import load"),
    "np.load": ("lnas/builtin/digits.py", "import numpy as np\nnp.load('x', allow_pickle=True)"),
}


@pytest.mark.parametrize(("path", "text"), BREAKS.values(), ids=BREAKS)
def test_a_broken_floor_is_seen(path: str, text: str) -> None:
    assert violations(Path(path), text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("lnas/core/mask.py", "import torch.nn\nfrom lnas.core.errors import LnasError"),
        ("lnas/host/job.py", "from lnas import __version__, cost"),
        ("lnas/host/foreign_weights.py", "import torch\ntorch.load('x', weights_only=True)"),
        ("lnas/host/builtins.py", "DARTS = 'lnas.builtin.darts:Darts'"),
        ("lnas/cli/run.py", "import click, rich.progress\nfrom lnas.report import html\nfrom lnas import __version__"),
        (
            "plugins/a/a.py",
            "import lnas, numpy\nfrom lnas import Theta, cost\nfrom lnas.cost import latency\nlnas.prune(Theta, 0.5)",
        ),
        ("plugins/a/tests/test_a.py", "import lnas.testing"),
    ],
)
def test_a_sound_file_is_let_through(path: str, text: str) -> None:
    assert violations(Path(path), text) == []
