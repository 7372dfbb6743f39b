"""The sources of a configuration: what each says, in the types of its fields, and where each value came from."""

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lnas.core.errors import ConfigError, UnknownNameError
from lnas.host import toml
from lnas.host.fields import READERS, read
from lnas.host.spec import shown
from lnas.host.switches import VARIABLES

ENVIRONMENT = "LNAS_"
SUGGESTED = ("strategy", "space", "epochs", "batch", "validation", "train")
"""What a data set may suggest."""
BY_STRATEGY = SUGGESTED[1:]
"""What a strategy may suggest."""

_IN_ENVIRONMENT = (
    *("recipe", "strategy", "prune", "space", "data", "epochs", "batch", "validation", "train"),
    *("seed", "device", "precision", "deterministic", "on_nan", "keep", "observe", "cost", "out"),
)


@dataclass(frozen=True)
class Layer:
    """What one source says: values by key, in the types of `Config`, and the origin of each in words."""

    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)


def read_toml(path: str | os.PathLike[str]) -> Layer:
    """Read a configuration file.

    Raises:
        ConfigError: one line with the file, and the key where one is unknown or has a wrong value.
    """
    return from_table(toml.load(Path(path)), Path(path))


def from_table(table: Mapping[str, object], path: Path) -> Layer:
    """What the table of a configuration file says.  Raises as `read_toml` does."""
    if "sparsity" in table:
        raise ConfigError(f'{path}: sparsity belongs to a prune line, e.g. prune = ["theta:one-shot,sparsity=0.5"]')
    for key in table:
        if key not in READERS:
            raise ConfigError(f"{path}: {UnknownNameError('key', key, READERS)}")
    return _layer(table, lambda key: f"{path}: {key}", lambda key: f"file {path}")


def from_environment(environment: Mapping[str, str]) -> Layer:
    """What LNAS_* variables say; one that is empty is unset.

    Raises:
        ConfigError: naming the variable with a wrong value, or one that looks like a misspelt name.
    """
    variables = {f"{ENVIRONMENT}{key.upper()}": key for key in _IN_ENVIRONMENT}
    values: dict[str, object] = {}
    for variable, text in environment.items():
        name = variable.removeprefix(ENVIRONMENT)
        if variable in variables and text.strip():
            values[variables[variable]] = (
                [line for line in text.split(";") if line.strip()] if name in ("PRUNE", "OBSERVE", "COST") else text
            )
        elif variable in (f"{ENVIRONMENT}MAX_TIME", f"{ENVIRONMENT}STOP_SIGNAL") and text.strip():
            option = name.lower().replace("_", "-")
            raise ConfigError(f"{variable} is not read: it is no setting of the run; write --{option} {text.strip()}")
        elif variable == f"{ENVIRONMENT}SPARSITY" and text.strip():
            raise ConfigError(f"{variable} is not read; write LNAS_PRUNE='theta:one-shot,sparsity={text}', or --sparsity")
        elif name != variable and variable not in (*variables, *VARIABLES):
            # Others may keep settings under LNAS_ too, but a slip of the finger is not skipped in silence.
            names = [other.removeprefix(ENVIRONMENT) for other in (*variables, *VARIABLES)]
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
            if near:
                given = shown(variable)[1:-1]
                raise ConfigError(f"there is no environment variable {given}; did you mean {ENVIRONMENT}{near[0]}?")
    return _layer(values, lambda key: f"{ENVIRONMENT}{key.upper()}", lambda key: f"environment {ENVIRONMENT}{key.upper()}")


def from_command_line(given: Mapping[str, object]) -> Layer:
    """What was typed; None and () are not given.  "sparsity" stays as it is, for the recipe.

    Raises:
        ConfigError: naming the option with a wrong value.
    """
    values = {key: value for key, value in given.items() if value is not None and value != ()}
    sparsity = values.pop("sparsity", None)
    layer = _layer(values, lambda key: f"--{key.replace('_', '-')}", lambda key: "command line")
    return layer if sparsity is None else replace(layer, values={**layer.values, "sparsity": sparsity})


def from_data_set(suggested: Mapping[str, object], data: str, names: Mapping[str, str]) -> Layer:
    """What a data set suggests.

    Args:
        suggested: its fragment of configuration.
        data: its name.
        names: the parts that are meant where the fragment has options for a part and no name.

    Raises:
        ConfigError: naming what it may not suggest, or a wrong value.
    """
    return _suggestion(suggested, "data set", data, SUGGESTED, names)


def from_strategy(suggested: Mapping[str, object], strategy: str, names: Mapping[str, str], space: str) -> Layer:
    """What a strategy suggests.

    Args:
        suggested: its fragment of configuration.
        strategy: its name.
        names: as in `from_data_set`.
        space: the short name of the space that is searched.  Options without a name count only where it is the one meant.

    Raises:
        ConfigError: naming what it may not suggest, or a wrong value.
    """
    options = suggested.get("space")
    if isinstance(options, Mapping) and "name" not in options and space != names["space"]:
        suggested = {key: value for key, value in suggested.items() if key != "space"}
    return _suggestion(suggested, "strategy", strategy, BY_STRATEGY, names)


def _suggestion(suggested: Mapping[str, object], kind: str, name: str, allowed: Sequence[str], names: Mapping[str, str]) -> Layer:
    origin = f"{kind} {name}"
    values = dict(suggested)
    for key, value in values.items():
        if key not in allowed:
            raise ConfigError(f"{origin} suggests {shown(key)}; a {kind} may suggest {', '.join(allowed)}")
        if key in names and isinstance(value, Mapping):
            values[key] = {"name": names[key], **value}
    return _layer(values, lambda key: f"{origin}: suggested {key}", lambda key: origin)


def _layer(values: Mapping[str, object], where: Callable[[str], str], origin: Callable[[str], str]) -> Layer:
    parsed = {key: read(key, value, where(key)) for key, value in values.items()}
    return Layer(parsed, {key: origin(key) for key in parsed})
