"""The fields of a configuration: how each is read from whatever form it was given in, and what it may be."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from lnas.core.errors import ConfigError, UnknownNameError
from lnas.host.epochs import Epochs
from lnas.host.on_nan import OnNan
from lnas.host.prune_lines import RECIPES, short
from lnas.host.requirements import requirement
from lnas.host.run_name import run_name
from lnas.host.spec import Spec, as_text, check_name, format_options, has_control, parse_options, shown
from lnas.host.values import converted

Precision: TypeAlias = Literal["float32", "tf32", "bf16", "float64"]
PRECISIONS: tuple[str, ...] = get_args(Precision)

_DEVICE = re.compile(r"[a-z]+(:[0-9]{1,3})?")


_MOST_KEPT = 1000


def read(key: str, value: object, where: str) -> Any:
    """A field's value in its own type, whatever form it was given in.

    Args:
        key: of the field.
        value: text, a number, a table, or the value itself.
        where: begins the message: "x.toml: batch".

    Raises:
        ConfigError: naming what was given and what is allowed.
    """
    if key not in READERS:
        raise UnknownNameError("key", key, READERS)
    try:
        return READERS[key](value)
    except ConfigError as error:
        raise ConfigError(f"{where}{' ' if str(error).startswith('must ') else ': '}{error}") from None


def _recipe(value: object) -> str | None:
    if value is None:
        return None
    name = check_name("recipe", _text(value))
    return short(name) if short(name) in RECIPES else name


def _part(value: object) -> Spec:
    spec = Spec.of(value)
    if spec.schedule is not None:
        raise ConfigError(f"{spec.name}:{spec.schedule} has a schedule, which only a prune line takes")
    return spec


def _prune(value: object) -> tuple[Spec, ...]:
    lines = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return tuple(Spec.of(line) for line in lines)


def _parts(value: object) -> tuple[Spec, ...]:
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return tuple(_part(part) for part in parts)


def _plugins(value: object) -> tuple[str, ...]:
    """The table of a file, whose one key is `require`; or the requirements themselves."""
    if isinstance(value, Mapping):
        for key in value:
            if key != "require":
                raise UnknownNameError("key of [plugins]", str(key), ("require",))
        value = value.get("require", ())
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Sequence):
        raise ConfigError(f"must be a list of requirements such as lnas-cubic>=0.2, not {shown(value)}")
    return tuple(requirement(_text(text)) for text in texts)


def _train(value: object) -> dict[str, str]:
    if isinstance(value, str):
        return parse_options(value)
    if isinstance(value, Mapping):
        return parse_options(format_options({str(key): as_text(str(key), item) for key, item in value.items()}))
    raise ConfigError(f"must be KEY=VALUE,... or a table, not {shown(value)}")


def _batch(value: object) -> int:
    batch: int = converted(int, value)
    if batch < 1:
        raise ConfigError(f"must be at least 1, not {batch}")
    return batch


def _validation(value: object) -> float:
    fraction: float = converted(float, value)
    if not 0 < fraction < 1:
        raise ConfigError(f"must be between 0 and 1, both excluded, not {fraction:g}")
    return fraction


def _seed(value: object) -> int:
    seed: int = converted(int, value)
    if not 0 <= seed < 2**63:
        raise ConfigError(f"must be from 0 to {2**63 - 1}, not {seed}")
    return seed


def _device(value: object) -> str:
    if not isinstance(value, str) or not _DEVICE.fullmatch(value):
        raise ConfigError(f"must be auto, cpu, cuda, cuda:N or another device of torch, not {shown(value)}")
    return value


def _precision(value: object) -> str:
    if value not in PRECISIONS:
        raise ConfigError(f"must be {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, not {shown(value)}")
    return str(value)


def _deterministic(value: object) -> bool:
    wanted: bool = converted(bool, value)
    return wanted


def _keep(value: object) -> int:
    number: int = converted(int, value)
    if not 1 <= number <= _MOST_KEPT:
        raise ConfigError(f"must be from 1 to {_MOST_KEPT}, not {number}")
    return number


def _out(value: object) -> str:
    folder = _text(os.fspath(value) if isinstance(value, os.PathLike) else value)
    if not folder or has_control(folder):
        raise ConfigError(f"must be a folder, not {shown(folder)}")
    return os.path.expanduser(folder)


def _name(value: object) -> str | None:
    if value is None:
        return None
    return run_name(_text(value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"must be text, not {shown(value)}")
    return value


READERS: Mapping[str, Callable[[object], object]] = {
    "recipe": _recipe,
    "strategy": _part,
    "prune": _prune,
    "space": _part,
    "data": _part,
    "epochs": Epochs.of,
    "batch": _batch,
    "validation": _validation,
    "train": _train,
    "seed": _seed,
    "device": _device,
    "precision": _precision,
    "deterministic": _deterministic,
    "on_nan": OnNan.of,
    "keep": _keep,
    "observe": _parts,
    "cost": _parts,
    "plugins": _plugins,
    "out": _out,
    "name": _name,
}
"""How each field is read, by its key."""
