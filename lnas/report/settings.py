"""The configuration of a run as one flat table, so that two of them can be laid side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

from lnas.core.errors import ConfigError
from lnas.host import toml
from lnas.host.spec import Spec

_PARTS = ("strategy", "space", "data")
"""Their options are keys of their own: one of them differs more often than the part."""


def settings(config: str, *, where: object) -> dict[str, str]:
    """What config.toml says, as text by key: "recipe", "prune", "space", "space.channels", "train.lr".

    Args:
        config: the text of the file.
        where: the file, for the message.

    Raises:
        ConfigError: where it is not TOML.
    """
    return dict(_flat(toml.parse(config.encode(), where=where), ""))


def _flat(table: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        key = f"{before}{name}"
        if key in _PARTS and (part := _part(value)) is not None:
            yield key, part.name
            yield from ((f"{key}.{option}", text) for option, text in part.options.items())
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        else:
            yield key, _text(value)


def _part(value: object) -> Spec | None:
    try:
        return Spec.of(value)
    except ConfigError:  # shown as it stands: to compare a run is not to run it
        return None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return str(value)
