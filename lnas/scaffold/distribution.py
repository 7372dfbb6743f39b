"""Writes a new plugin's distribution, whole or not at all."""

import os
import tempfile
from collections.abc import Mapping
from importlib.resources import files as package_files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from lnas import __version__
from lnas.core.errors import ConfigError
from lnas.scaffold.names import Names

USES = {
    "strategy": "lnas run --strategy {}",
    "space": "lnas run --space {}",
    "schedule": "lnas run --prune theta:{}",
    "target": "lnas run --prune {}:one-shot",
    "importance": "lnas run --prune theta:one-shot,importance={}",
    "observer": "lnas run --observe {}",
    "recipe": "lnas run --recipe {} --prune theta:one-shot",
    "dataset": "lnas run --data {}",
    "executor": "lnas sweep --recipe baseline --seeds 2 --executor {}",
}
"""How a part of each kind is used."""

_SUMMARIES = {
    "strategy": "alpha and theta in one step, on the training batch",
    "space": "layers of one width, each a choice of three operations",
    "schedule": "fast early, gentle late",
    "target": "weights with at least so many dimensions, while retraining",
    "importance": "the smallest magnitude goes first, relative to its tensor",
    "observer": "a line in a file for every epoch",
    "recipe": "weights pruned while retraining, and not rewound",
    "dataset": "stripes that lie or stand, made up",
    "executor": "each trial in this process, and a line in a file",
}
_WITHOUT_TORCH = ("schedule", "observer", "executor")


def write(names: Names, into: Path) -> tuple[Path, tuple[str, ...]]:
    """Write the distribution to the folder `into / names.distribution`.

    Returns:
        The folder, and the names of the files in it.

    Raises:
        ConfigError: where that folder is there already, or cannot be written; nothing is left then.
    """
    folder, made = into / names.distribution, contents(names)
    if not into.is_dir():
        raise ConfigError(f"--into {into}: there is no such folder")
    if os.path.lexists(folder):
        raise ConfigError(f"{folder} is there already; choose another name, or another folder with --into")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{names.distribution}-", dir=into) as aside:
            whole = Path(aside, names.distribution)
            for name, text in made.items():
                path = whole / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            whole.rename(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder, tuple(made)


def contents(names: Names) -> Mapping[str, str]:
    """The text of every file, by its path in the distribution."""
    article = "an" if names.kind[0] in "aeio" else "a"
    major, minor, *_ = __version__.split(".")
    facts = {
        "a_kind": f"{article} {names.kind}",
        "distribution": names.distribution,
        "hook": names.hook,
        "kind": names.kind,
        "lnas_range": f">={major}.{minor},<{major}.{int(minor) + 1}",
        "object": names.object,
        "package": names.package,
        "part": names.part,
        "suite": f"{names.kind.capitalize()}Suite",
        "summary": _SUMMARIES[names.kind],
        "title": names.title,
        "torch": names.kind not in _WITHOUT_TORCH,
        "use": USES[names.kind].format(names.part),
    }
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{names.package}/__init__.py": "init.py",
        f"{names.package}/{names.kind}.py": f"{names.kind}.py",
        f"tests/test_{names.package}.py": "test.py",
    }
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    room = package_files("lnas.scaffold").joinpath("templates")
    made = {
        path: environment.from_string(room.joinpath(f"{name}.jinja").read_text(encoding="utf-8")).render(facts)
        for path, name in templates.items()
    }
    return {**made, f"{names.package}/py.typed": "", ".gitignore": "__pycache__/\n/dist/\n/runs/\n"}
