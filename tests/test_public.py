"""`import lnas` is a table of contents: sorted, complete, documented, and so light that it does not import torch."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import lnas


def tree_of(module: str) -> ast.Module:
    return ast.parse(Path(str(importlib.import_module(module).__file__)).read_text())


def documentation(module: str, name: str) -> str | None:
    """The docstring of a class or function, or the string below an assignment, where `module` defines `name`."""
    body = tree_of(module).body
    for node, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return ast.get_docstring(node)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            text = after.value if isinstance(after, ast.Expr) else None
            return text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else None
    return None


def test_the_table_of_contents_is_sorted_and_says_everything_once() -> None:
    assert lnas.__all__ == sorted(set(lnas.__all__))
    assert list(lnas._MODULE_OF) == lnas.__all__
    assert set(dir(lnas)) == {*lnas.__all__, "__version__", "cost"}


def test_no_public_name_hides_a_module() -> None:
    assert set(lnas.__all__).isdisjoint(module.name for module in pkgutil.iter_modules(lnas.__path__))


def test_type_checkers_see_the_same_names_at_the_same_places() -> None:
    (block,) = (node for node in tree_of("lnas").body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {**lnas._MODULE_OF, "cost": "lnas"}


@pytest.mark.parametrize("name", lnas.__all__)
def test_a_public_name_resolves_and_is_documented_where_it_is_defined(name: str) -> None:
    module = lnas._MODULE_OF[name]
    assert getattr(lnas, name) is getattr(importlib.import_module(module), name)
    assert documentation(module, name), f"{module} does not say what {name} is"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lnas' has no attribute 'Theta_'"):
        _ = lnas.Theta_


def loaded(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after `code`, which must leave with 0."""
    report = "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr))"
    program = f"import atexit\nimport sys\n{report}\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["components"],
        ["components", "--json"],
        ["plugins", "list"],
    ],
    ids=" ".join,
)
def test_the_command_line_answers_without_torch(arguments: list[str]) -> None:
    modules = loaded(f"import runpy\nsys.argv = {['lnas', *arguments]!r}\nrunpy.run_module('lnas', run_name='__main__')")
    assert "lnas" in modules
    assert modules.isdisjoint({"torch", "torchvision", "numpy", "matplotlib", "networkx"})


def test_importing_lnas_imports_nothing_else() -> None:
    modules = loaded("import lnas\nassert 'Theta' in dir(lnas)")
    assert "lnas" in modules
    assert modules.isdisjoint({"torch", "torchvision", "numpy", "click", "rich", "pluggy", "pydantic"})


def test_a_name_brings_what_it_needs() -> None:
    assert "torch" in loaded("import lnas\nlnas.SearchSpace")
    assert "torch" in loaded("import lnas\nlnas.cost.multiply_adds")
