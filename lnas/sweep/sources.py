"""What a file, the environment and the command line say of all trials, as one: in a file any option may be a list.

The order is that of a run: file < environment < command line.  What comes of it stands in sweep.toml, so that it says all.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lnas.core.errors import ConfigError, UnknownNameError
from lnas.host import toml
from lnas.host.fields import READERS, read
from lnas.host.layers import from_command_line, from_environment, from_table
from lnas.host.prune_lines import RECIPES, recipe_of, short
from lnas.host.spec import Spec, shown
from lnas.sweep.axes import NOT_OF_A_TRIAL, is_axis

HOW = ("seeds", "controls", "executor", "workers", "threads", "stopping", "out")
"""Keys of a sweep's file that no run has: how it is run."""

_PARTS = ("strategy", "space", "data")


def of_file(path: Path) -> tuple[dict[str, object], dict[str, object]]:
    """The settings that a file has, and how it says that the sweep is run.

    Raises:
        ConfigError: in one line with the file, and the key that is unknown, wrong, or not of a sweep.
    """
    table = toml.load(path)
    if "reproduce" in table:
        raise ConfigError(f"{path} is of lnas reproduce; to make it again: lnas reproduce {table['reproduce']} --config {path}")
    how = {key: table.pop(key) for key in HOW if key in table}
    for key in table:
        if key in NOT_OF_A_TRIAL:
            raise ConfigError(f"{path}: {key} is set by the sweep for each trial; {NOT_OF_A_TRIAL[key]}")
        if key not in READERS and key != "sparsity":
            raise ConfigError(f"{path}: {UnknownNameError('key', key, [*READERS, *HOW, 'sparsity'])}")
    lists = {key: value for key, value in table.items() if key == "sparsity" or is_axis(key, value)}
    for key, value in lists.items():
        if key != "sparsity" and isinstance(value, Sequence):
            for one in value:
                read(key, one, f"{path}: {key}")
    single = from_table({key: value for key, value in table.items() if key not in lists}, path)
    return {**_plain_all(single.values), **lists}, how


@dataclass(frozen=True)
class OfTable1:
    """What the file of a Table 1 has.

    Attributes:
        settings: of all rows.
        how: it says that the sweep is run.
        scale: None where it names none.
        levels: None where it names none.
    """

    settings: Mapping[str, object] = field(default_factory=dict)
    how: Mapping[str, object] = field(default_factory=dict)
    scale: str | None = None
    levels: Sequence[object] | None = None

    @classmethod
    def read(cls, path: Path, scales: Collection[str], fixed: Mapping[str, object]) -> "OfTable1":
        """That of the file at `path`.

        Args:
            path: of a file such as sweep.toml of a Table 1.
            scales: those that there are.
            fixed: keys that the table sets itself, and what to; a file may say the same.

        Raises:
            ConfigError: in one line with the file, and the key that is unknown or wrong.
        """
        table = toml.load(path)
        table.pop("command", None)  # of an earlier version
        what, scale, levels = table.pop("reproduce", "table1"), table.pop("scale", None), table.pop("levels", None)
        if what != "table1":
            raise ConfigError(f"{path}: reproduce must be 'table1', not {shown(what)}")
        if not isinstance(scale, str | None):
            raise ConfigError(f"{path}: scale must be text, not {shown(scale)}")
        if scale is not None and scale not in scales:
            raise ConfigError(f"{path}: {UnknownNameError('scale', scale, scales)}")
        if not isinstance(levels, list | None):
            raise ConfigError(f"{path}: levels must be a list of fractions, not {shown(levels)}")
        how = {key: table.pop(key) for key in HOW if key in table}
        for key in [key for key in fixed if key in table]:
            if (value := table.pop(key)) != fixed[key]:
                raise ConfigError(f"{path}: {key} cannot be {shown(value)}: table1 sets it itself; use lnas sweep for that")
        for key in table:
            if key not in READERS:
                known = [*(key for key in READERS if key not in fixed), *HOW, "scale", "levels"]
                raise ConfigError(f"{path}: {UnknownNameError('key', key, known)}")
        return cls(_plain_all(from_table(table, path).values), how, scale, levels)


def of_environment(environment: Mapping[str, str], without: Sequence[str] = tuple(NOT_OF_A_TRIAL)) -> dict[str, object]:
    """The settings that LNAS_* variables have.

    Args:
        environment: `os.environ`.
        without: keys that are left aside.

    Raises:
        ConfigError: naming the variable that is wrong.
    """
    return _plain_all({key: value for key, value in from_environment(environment).values.items() if key not in without})


def of_command_line(typed: Mapping[str, object]) -> dict[str, object]:
    """The settings that were typed; recipe and sparsity may be lists.

    Raises:
        ConfigError: naming the option that is wrong.
    """
    lists = {key: value for key, value in typed.items() if is_axis(key, value)}
    single = from_command_line({key: value for key, value in typed.items() if key not in lists})
    return {**_plain_all(single.values), **lists}


def laid(*sources: Mapping[str, object]) -> dict[str, object]:
    """One source on the other, the strongest last, as `lnas.host.config.merge` does.

    A value replaces a weaker one, and so does a list; the options of a part merge key by key as long as both are the same part
    and no list.  Recipe and prune lines say the same, so either overrules the other of a weaker source.
    """
    result: dict[str, object] = {}
    for source in sources:
        result = _laid(result, source)
    return result


def _laid(lower: Mapping[str, object], upper: Mapping[str, object]) -> dict[str, object]:
    result = {**_pruning(lower, upper), **upper}
    for key in (*_PARTS, "train"):
        if key in lower and key in upper and not is_axis(key, lower[key]) and not is_axis(key, upper[key]):
            result[key] = _options(key, lower[key], upper[key])
    return result


def _options(key: str, lower: object, upper: object) -> object:
    if key == "train":
        return {**read(key, lower, key), **read(key, upper, key)}
    below, above = Spec.of(lower), Spec.of(upper)
    same = short(below.name) == short(above.name)
    return str(replace(above, options={**below.options, **above.options}) if same else above)


def _pruning(lower: Mapping[str, object], upper: Mapping[str, object]) -> dict[str, object]:
    """What is left of the weaker source."""
    left = dict(lower)
    if "prune" in upper:
        if "recipe" not in upper and all(short(str(recipe)) in RECIPES for recipe in _several("recipe", lower)):
            left.pop("recipe", None)
        return left
    lines = [read("prune", value, "prune") for value in _several("prune", lower)]
    known = [short(str(recipe)) for recipe in _several("recipe", upper) if short(str(recipe)) in RECIPES]
    if any(recipe_of(value) != recipe for value in lines for recipe in known):
        left.pop("prune", None)
    elif lines and "sparsity" in upper:
        bare = [[str(_without_sparsity(line)) for line in value] for value in lines]
        left["prune"] = bare if is_axis("prune", lower["prune"]) else bare[0]
    return left


def _several(key: str, settings: Mapping[str, object]) -> Sequence[object]:
    """The values of an option; none where it is not given."""
    value = settings.get(key, [])
    if key in settings and not is_axis(key, value):
        return [value]
    assert isinstance(value, Sequence)
    return value


def _without_sparsity(line: Spec) -> Spec:
    return replace(line, options={key: value for key, value in line.options.items() if key != "sparsity"})


def _plain_all(values: Mapping[str, object]) -> dict[str, object]:
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: object) -> object:
    """As TOML holds it."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value if isinstance(value, bool | int | float | str) else str(value)
