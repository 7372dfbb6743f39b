"""One validated, frozen Config out of a file, the environment, the command line and what data set and strategy suggest.

Defaults < the data set's suggestion < the strategy's < TOML file < environment (LNAS_*) < command line.  A later source
replaces a value; the options of a part merge key by key as long as it is the same part, and the options of the retraining
always do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lnas.host import toml
from lnas.host.epochs import Epochs
from lnas.host.fields import READERS, Precision, read
from lnas.host.layers import Layer, from_command_line, from_data_set, from_environment, from_strategy, read_toml
from lnas.host.on_nan import OnNan
from lnas.host.prune_lines import RECIPES, expand_recipe, recipe_of, short
from lnas.host.spec import Spec

__all__ = ["Config", "Layer", "Merged", "expand_recipe", "merge", "read_toml", "recipe_of", "to_toml"]

_PARTS = ("strategy", "space", "data")
_DARTS, _CELLS, _DIGITS, _EPOCHS = Spec("darts"), Spec("cells"), Spec("digits"), Epochs.of("10:20")
_STOP = OnNan()


@dataclass(frozen=True)
class Config:
    """A run, in strings and numbers.  Whatever form a field is given in (text, a table), it holds the type below.

    Attributes:
        recipe: the paper's name for what is pruned, or a plugin's recipe; inferred from `prune` where it is None.
        strategy: the search strategy.
        prune: what is pruned and when, one line for each target; the recipe's own where none is given.
        space: the search space.
        data: the data set.
        epochs: the lengths of search and retraining.
        batch: pictures in a batch, at least 1.
        validation: fraction of the training pictures that is held out, in (0, 1).
        train: options of the retraining.
        seed: the root of all random streams, 0 to 2**63 - 1.
        device: "auto", or a device of torch; whether it is there is seen when the run begins.
        precision: the number format of the training.
        deterministic: whether a GPU uses only algorithms that give the same bytes every time.
        on_nan: what is done where an update is not finite.
        keep: how many of the newest checkpoints stay, beside the best; at least 1.
        observe: observers of plugins that are told what happens.
        cost: what a network costs by the measures of plugins.
        plugins: requirements on plugins, as pip writes them; `[plugins] require` in a file.
        out: the folder of the run directories.
        name: of the run directory; made up where it is None.

    Raises:
        ConfigError: naming the field, what it was given and what is allowed.
    """

    recipe: str | None = None
    strategy: Spec = _DARTS
    prune: tuple[Spec, ...] = ()
    space: Spec = _CELLS
    data: Spec = _DIGITS
    epochs: Epochs = _EPOCHS
    batch: int = 64
    validation: float = 0.1
    train: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    precision: Precision = "float32"
    deterministic: bool = True
    on_nan: OnNan = _STOP
    keep: int = 2
    observe: tuple[Spec, ...] = ()
    cost: tuple[Spec, ...] = ()
    plugins: tuple[str, ...] = ()
    out: str = "runs"
    name: str | None = None

    def __post_init__(self) -> None:
        for key in READERS:
            object.__setattr__(self, key, read(key, getattr(self, key), key))
        object.__setattr__(self, "prune", expand_recipe(self.recipe, None, self.prune))
        object.__setattr__(self, "recipe", self.recipe or recipe_of(self.prune))


@dataclass(frozen=True)
class Merged:
    """The configuration, and where each value came from.

    Attributes:
        config: the result.
        origins: by key, and by "space.layers" or "train.lr" for options: "default", "data set digits", "strategy pc-darts",
            "file x.toml", "environment LNAS_SEED" or "command line".
    """

    config: Config
    origins: Mapping[str, str]


def merge(
    file: Layer | None = None,
    environment: Mapping[str, str] | None = None,
    command_line: Mapping[str, object] | None = None,
    suggested: Mapping[str, object] | None = None,
    by_strategy: Mapping[str, object] | None = None,
) -> Merged:
    """Merge the sources, the strongest last.

    The data set is only known after a first merge; its suggestion goes into a second one.  It may name a strategy, whose
    suggestion goes into a third.

    Args:
        file: what `read_toml` gave.
        environment: `os.environ`, or any part of it; only LNAS_* counts, and a variable that is empty is unset.
        command_line: by the keys of `Config`, and "sparsity"; None and () are not given.
        suggested: the data set's own fragment.  It lies below all that the user says.
        by_strategy: the strategy's.  It lies on the data set's.

    Raises:
        ConfigError: naming the source and the key that is wrong.
    """
    user = [file or Layer(), from_environment(environment or {}), from_command_line(command_line or {})]
    base = [Layer({f.name: getattr(_DEFAULT, f.name) for f in fields(Config) if f.name not in ("recipe", "prune")})]
    data, origins = _merged_part("data", base, user)
    names = {key: getattr(_DEFAULT, key).name for key in _PARTS}
    base.append(from_data_set(suggested or {}, data.name, names))
    (strategy, _), (space, _) = (_merged_part(key, base, user) for key in ("strategy", "space"))
    base.append(from_strategy(by_strategy or {}, strategy.name, names, short(space.name)))
    values: dict[str, Any] = {"data": data}
    for key in ("strategy", "space"):
        values[key], part_origins = _merged_part(key, base, user)
        origins |= part_origins
    values["train"] = {}
    for key in base[0].values:
        for layer in (*base, *user):
            if key not in layer.values or key in _PARTS:
                continue
            origins[key] = layer.origins.get(key, "default")
            if key == "train":
                values[key] |= layer.values[key]
                origins |= {f"train.{option}": layer.origins[key] for option in layer.values[key]}
            else:
                values[key] = layer.values[key]
    values["recipe"], values["prune"], pruning_origins = _merged_pruning(user)
    config = Config(**values)
    origins |= pruning_origins
    order = [f.name for f in fields(Config)]
    return Merged(config, dict(sorted(origins.items(), key=lambda item: order.index(item[0].partition(".")[0]))))


def to_toml(config: Config) -> str:
    """The configuration as a file that `read_toml` reads back as an equal one."""
    table: dict[str, object] = {f.name: getattr(config, f.name) for f in fields(Config) if f.name != "train"}
    table |= {key: str(table[key]) for key in (*_PARTS, "epochs", "on_nan")} | {
        key: [str(part) for part in getattr(config, key)] for key in ("prune", "observe", "cost")
    }
    table["plugins"] = {"require": list(config.plugins)} if config.plugins else None
    return toml.dump(table | {"train": {key: _natural(value) for key, value in config.train.items()}})


def _merged_part(key: str, base: Iterable[Layer], user: Iterable[Layer]) -> tuple[Spec, dict[str, str]]:
    """One part out of all layers.  What the user says is put together first, so that it lies on the suggestion as a whole."""
    parts = [part for part in (_stacked(key, base), _stacked(key, user)) if part is not None]
    return parts[0] if len(parts) == 1 else _laid(key, *parts)


def _stacked(key: str, layers: Iterable[Layer]) -> tuple[Spec, dict[str, str]] | None:
    result = None
    for layer in layers:
        if key in layer.values:
            spec, origin = layer.values[key], layer.origins.get(key, "default")
            part = spec, {key: origin} | {f"{key}.{option}": origin for option in spec.options}
            result = part if result is None else _laid(key, result, part)
    return result


def _laid(key: str, lower: tuple[Spec, dict[str, str]], upper: tuple[Spec, dict[str, str]]) -> tuple[Spec, dict[str, str]]:
    """`upper` on `lower`: key by key where both are the same part."""
    if short(lower[0].name) != short(upper[0].name):
        return upper
    return replace(upper[0], options={**lower[0].options, **upper[0].options}), lower[1] | upper[1]


def _merged_pruning(user: Iterable[Layer]) -> tuple[str | None, tuple[Spec, ...], dict[str, str]]:
    """Recipe and prune lines say the same thing, so a source that gives one of them overrules the other of a weaker source."""
    recipe: str | None = None
    lines: tuple[Spec, ...] = ()
    origins = {"recipe": "default", "prune": "default"}
    sparsity = None
    for layer in user:
        given = layer.values
        if "prune" in given:
            lines, origins["prune"] = given["prune"], layer.origins["prune"]
            if recipe is None or recipe in RECIPES:
                recipe, origins["recipe"] = None, origins["prune"]
        if "recipe" in given:
            recipe, origins["recipe"] = given["recipe"], layer.origins["recipe"]
            if recipe in RECIPES and "prune" not in given and recipe_of(lines) != recipe:
                lines, origins["prune"] = (), origins["recipe"]
        if "sparsity" in given:
            sparsity = given["sparsity"]
            origins["prune.sparsity"] = "command line"
            if "prune" not in given:
                lines = tuple(_without(line, "sparsity") for line in lines)
    return recipe, expand_recipe(recipe, sparsity, lines), origins


def _without(line: Spec, option: str) -> Spec:
    return replace(line, options={key: value for key, value in line.options.items() if key != option})


def _natural(text: str) -> object:
    """The text of an option as the number or truth value it stands for, where reading that back gives the same text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text:
            return value
    return text


_DEFAULT = Config()
