"""From options that may be lists to rows: every combination once, in the order in which they were typed."""

import itertools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from lnas.core.errors import ConfigError, UnknownNameError
from lnas.host.fields import READERS
from lnas.host.prune_lines import RECIPES, short
from lnas.host.spec import shown
from lnas.sweep.planned import PlannedRow
from lnas.sweep.results import Row

LISTS = ("prune", "observe", "cost", "plugins")
"""Options whose one value is a list: a list of lists has several of them."""

NOT_OF_A_TRIAL: Mapping[str, str] = MappingProxyType(
    {
        "seed": "seeds are given by their number, as seeds = 3",
        "out": "--out is the directory of the sweep",
        "name": "it is called after its row and its seed",
    }
)
"""Options of a run that a sweep sets by itself, and what to do instead."""

ROWS_AT_MOST = 1000


def rows(settings: Mapping[str, object]) -> tuple[PlannedRow, ...]:
    """A row for every combination of the values of all lists.

    A recipe that prunes nothing takes no sparsity, and has one row whatever sparsities there are.  The label of a row names
    its recipe, its sparsity, and every other option that has several values.

    Args:
        settings: by option, "sparsity" too.

    Raises:
        ConfigError: where a list is empty or holds a value twice, a sparsity is out of range, nothing is pruned to one, two rows
            would have one label, or there are too many.
    """
    axes = {key: _values(key, value) for key, value in settings.items()}
    number = math.prod(len(values) for values in axes.values())
    if number > ROWS_AT_MOST:
        raise ConfigError(f"these lists make {number:,} rows; at most {ROWS_AT_MOST:,} are run: leave out some values")
    combinations = [dict(zip(axes, combination, strict=True)) for combination in itertools.product(*axes.values())]
    if "sparsity" in axes and all(map(_prunes_nothing, combinations)):
        raise ConfigError(
            f"sparsity {_word(axes['sparsity'][0])} has nothing to prune; add a recipe or a prune line, e.g. --recipe variant1"
        )
    several = [key for key, values in axes.items() if len(values) > 1]
    words = _short([_sparsity(value) for value in axes.get("sparsity", ())])
    found: dict[str, PlannedRow] = {}
    for chosen in combinations:
        if _prunes_nothing(chosen):
            chosen.pop("sparsity", None)
        planned = _row(chosen, [key for key in several if key in chosen], words)
        other = found.setdefault(planned.row.label, planned)
        if other.settings != planned.settings:
            raise ConfigError(f"two rows would be called {shown(planned.row.label)}; give their values different words")
    return tuple(found.values())


def listed(key: str, text: str) -> list[str]:
    """The values of an option that was typed with commas between them.

    Raises:
        ConfigError: where one is empty.
    """
    values = [value.strip() for value in text.split(",")]
    if not all(values):
        raise ConfigError(f"{key} {shown(text)} has an empty value; write them with one comma between two, as in a,b")
    return values


def fractions(key: str, texts: Sequence[object]) -> tuple[float, ...]:
    """Sparsities, each in [0, 1).

    Raises:
        ConfigError: naming the first that is none.
    """
    return tuple(_sparsity(text, key) for text in texts)


def _values(key: str, value: object) -> tuple[object, ...]:
    """The values of an option, each of them once."""
    if key in NOT_OF_A_TRIAL:
        raise ConfigError(f"{key} is set by the sweep for each trial; {NOT_OF_A_TRIAL[key]}")
    if key != "sparsity" and key not in READERS:
        raise UnknownNameError("option", key, [*READERS, "sparsity"])
    values = tuple(value) if is_axis(key, value) else (value,)  # type: ignore[arg-type]
    if not values:
        raise ConfigError(f"{key} has an empty list; give it at least one value, or leave it out")
    words = [_word(one) for one in values]
    for word in words:
        if words.count(word) > 1:
            raise ConfigError(f"{key} {word} is given {words.count(word)} times; give each value once: it is run with every seed")
    if key == "sparsity":
        numbers = [_sparsity(one) for one in values]
        for number in numbers:
            if numbers.count(number) > 1:
                raise ConfigError(f"sparsity {number!r} is given {numbers.count(number)} times; give each value once")
    return values


def is_axis(key: str, value: object) -> bool:
    """Whether the value of an option is a list of several."""
    if not _is_list(value):
        return False
    assert isinstance(value, Sequence)
    return key not in LISTS or (bool(value) and all(map(_is_list, value)))


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _sparsity(value: object, key: str = "sparsity") -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number < 1:
        raise ConfigError(f"{key} must be a number in [0, 1), not {shown(value)}")
    return number


def _prunes_nothing(chosen: Mapping[str, object]) -> bool:
    recipe = short(str(chosen.get("recipe", "baseline")))
    return not chosen.get("prune") and recipe in RECIPES and not RECIPES[recipe]


def _short(numbers: Sequence[float]) -> Mapping[float, str]:
    """Each with as few digits as tell it from the others."""
    texts = [f"{number:g}" for number in numbers]
    return {number: text if texts.count(text) == 1 else repr(number) for number, text in zip(numbers, texts, strict=True)}


def _row(chosen: Mapping[str, object], several: Sequence[str], short_of: Mapping[float, str]) -> PlannedRow:
    recipe = str(chosen["recipe"]) if "recipe" in chosen else None
    sparsity = _sparsity(chosen["sparsity"]) if "sparsity" in chosen else None
    varied = {key: _word(chosen[key]) for key in several if key not in ("recipe", "sparsity")}
    words = [recipe or ("pruned" if chosen.get("prune") else "baseline")]
    words += [] if sparsity is None else [f"p={short_of[sparsity]}"]
    words += [f"{key}={word}" for key, word in varied.items()]
    return PlannedRow(Row(" ".join(words), recipe or "", sparsity, varied=varied), chosen)


def _word(value: object) -> str:
    """A value as a label shows it."""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_word(one)}" for key, one in value.items())
    if _is_list(value):
        assert isinstance(value, Sequence)
        return ";".join(map(_word, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
