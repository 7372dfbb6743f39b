"""TOML for configuration files: a reader that refuses with one line, and a writer for the few types we have."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from lnas.core.errors import ConfigError
from lnas.host import documents

MOST_BYTES = 256_000
"""Of a configuration; one is a page."""
DEEPEST = 8
"""Tables and lists in each other; a configuration has 3."""

MOST_DOTS = 500
"""Of a line: to read a key of n parts takes n * n steps."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')


def load(path: Path) -> dict[str, object]:
    """Read a TOML file.

    Raises:
        ConfigError: naming the file, where it is missing, a directory, too large, not text or not TOML.
    """
    try:
        content = documents.content(path, most=MOST_BYTES, through_links=True)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a directory; a configuration is a TOML file") from None
    except OSError as error:
        raise ConfigError(f"{path!s:.200} cannot be read: {error.strerror or error}") from None
    return parse(content, where=path)


def parse(content: bytes, *, where: object) -> dict[str, object]:
    """The table that a TOML document holds.

    Args:
        content: the bytes of the file.
        where: the file, for the message.

    Raises:
        ConfigError: where it is not text, not TOML, or nested too deep.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where} is no text: byte {error.start} is not UTF-8; a configuration is a TOML file") from None
    _check_dots(where, text)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is not TOML: {' '.join(str(error).split())}") from None
    if _depth(table) > DEEPEST:
        raise ConfigError(f"{where} is nested too deep; at most {DEEPEST} tables and lists may lie in each other")
    return table


def dump(table: Mapping[str, object]) -> str:
    """A TOML document that `tomllib` reads back as an equal value, but for None, which is left out.

    Args:
        table: of str, int, float, bool, None, lists of those, and tables, which come last.

    Raises:
        TypeError: where a value is of another type.
    """
    return "\n\n".join(block for block in _blocks((), table) if block) + "\n"


def _check_dots(where: object, text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_DOTS:
            raise ConfigError(f"{where} has more than {MOST_DOTS:,} dots in line {number}, the most that are read")


def _depth(table: object) -> int:
    """How many tables and lists lie in each other; counted level by level."""
    depth, level = 0, [table]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [entry for item in level for entry in (item.values() if isinstance(item, dict) else item)]
    return depth


def _blocks(path: tuple[str, ...], table: Mapping[str, object]) -> list[str]:
    lines = [f"[{'.'.join(map(_key, path))}]"] if path else []
    lines += [f"{_key(k)} = {_value(v)}" for k, v in table.items() if v is not None and not isinstance(v, Mapping)]
    blocks = ["\n".join(lines)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            blocks += _blocks((*path, key), value)
    return blocks


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return f"{{{', '.join(pairs)}}}"
    raise TypeError(f"a {type(value).__name__} has no form in a configuration file")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    escaped = _ESCAPED.sub(lambda match: f"\\{match[0]}" if match[0] in '"\\' else f"\\u{ord(match[0]):04x}", text)
    return f'"{escaped}"'
