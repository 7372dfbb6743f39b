r"""The one line that names a part and its options, the same on the command line, in Python and in a file.

    [plugin/]name[:schedule]{,key=value}            alpha:iterative,sparsity=0.75,rounds=10

A value may hold any character but a control character.  A comma inside a value is written `\,`; of the backslashes in
front of a comma, two stand for one, and everywhere else a backslash is itself, so that paths need no doubling.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lnas.core.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""What a part or a plugin may be called."""

MOST_CHARACTERS = 8192
MOST_OPTIONS = 64

_QUALIFIED = re.compile(rf"(?:{NAME.pattern}/)?{NAME.pattern}")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_COMMA = re.compile(r"(\\*),")


@dataclass(frozen=True)
class Spec:
    """A part by name, with its options as text.

    Attributes:
        name: of the part, as "name" or "plugin/name".
        schedule: of a prune line; None elsewhere.
        options: what the user typed; `lnas.host.options.validate` gives it types.

    Raises:
        ConfigError: where a name, a key or a value is none, or the line is too long.
    """

    name: str
    schedule: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if self.schedule is not None:
            check_name("schedule", self.schedule)
        object.__setattr__(self, "options", _checked(self.options))
        _check_length(str(self))

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Read one line.

        Raises:
            ConfigError: naming what is wrong with it.
        """
        _check_length(text)
        head, *rest = _split(text)
        name, colon, schedule = head.partition(":")
        if "=" in name:
            raise ConfigError(f"{shown(text)} does not begin with a name; write NAME,KEY=VALUE")
        return cls(name.strip(), schedule.strip() if colon else None, _pairs(rest, text))

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> "Spec":
        """Read a TOML table: "name", perhaps "schedule", and every other key an option.

        Raises:
            ConfigError: where the name is missing, or a value is not text, a number, a truth value or a list of those.
        """
        name, schedule = table.get("name"), table.get("schedule")
        if not isinstance(name, str):
            raise ConfigError(f'the table needs a "name" that is text, not {shown(name)}')
        if schedule is not None and not isinstance(schedule, str):
            raise ConfigError(f"the schedule must be text, not {shown(schedule)}")
        return cls(name, schedule, {key: as_text(key, table[key]) for key in table if key not in ("name", "schedule")})

    @classmethod
    def of(cls, value: object) -> "Spec":
        """A specification from whatever form it was given in: one already, a line, or a table."""
        if isinstance(value, Spec):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, Mapping):
            return cls.from_table(value)
        raise ConfigError(f"must be NAME,KEY=VALUE or a table with a name, not {shown(value)}")

    def __str__(self) -> str:
        """The line that `parse` reads back as an equal value."""
        head = self.name if self.schedule is None else f"{self.name}:{self.schedule}"
        return f"{head},{format_options(self.options)}" if self.options else head


def parse_options(text: str) -> dict[str, str]:
    """Read a list of `key=value` without a name, e.g. `lr=0.01,cutout=8`; an empty text has none.

    Raises:
        ConfigError: naming what is wrong with it.
    """
    _check_length(text)
    return _checked(_pairs(_split(text), text)) if text.strip() else {}


def format_options(options: Mapping[str, str]) -> str:
    """The list that `parse_options` reads back as an equal value."""
    pairs = [f"{key}={_COMMA.sub(_escaped, value)}" for key, value in options.items()]
    closed = [pair + "\\" * (len(pair) - len(pair.rstrip("\\"))) for pair in pairs[:-1]]  # a comma follows these
    return ",".join([*closed, *pairs[-1:]])


def as_text(key: str, value: object) -> str:
    """An option's value from a file as a user would type it: true, 0.5, a+b.

    Raises:
        ConfigError: where it is a table, a date or a nested list.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        items = [as_text(key, item) for item in value]
        if any("+" in item for item in items):
            raise ConfigError(f'{key}: an item of a list may not hold "+", which separates the items')
        return "+".join(items)
    raise ConfigError(f"{key} must be text, a number, true, false or a list of those, not {shown(value)}")


def check_name(what: str, name: str) -> str:
    """The name, where it can be one: "name" or "plugin/name".

    Raises:
        ConfigError: naming the characters that are allowed.
    """
    if not name:
        raise ConfigError(f"the {what} is empty")
    if not _QUALIFIED.fullmatch(name):
        raise ConfigError(f'{shown(name)} is no {what}; a name is letters, digits, "_", "-" and ".", or PLUGIN/NAME')
    return name


def has_control(text: str) -> bool:
    """Whether a control character, a line separator or half a surrogate pair is in the text."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def shown(value: object) -> str:
    """A value for an error message: on one line, without control characters, and short."""
    try:
        text = ascii(value) if isinstance(value, str) and has_control(value) else repr(value)
    except Exception:  # foreign code has its own repr
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _escaped(match: re.Match[str]) -> str:
    return match[1] * 2 + "\\,"


def _split(text: str) -> Iterator[str]:
    """The parts between the commas that are not escaped, with the others unescaped."""
    part, start = "", 0
    for match in _COMMA.finditer(text):
        part += text[start : match.start()] + match[1][: len(match[1]) // 2]
        start = match.end()
        if len(match[1]) % 2:
            part += ","
        else:
            yield part
            part = ""
    yield part + text[start:]


def _pairs(parts: "list[str] | Iterator[str]", text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip()
        if not key:
            raise ConfigError(f"an option without a key in {shown(text)}; write KEY=VALUE")
        if not equals:
            raise ConfigError(f"option {shown(key)} has no value in {shown(text)}; write {shown(key)[1:-1]}=VALUE")
        if key in options:
            raise ConfigError(f"option {shown(key)} is given twice in {shown(text)}")
        options[key] = value
    return options


def _checked(options: Mapping[str, str]) -> dict[str, str]:
    if len(options) > MOST_OPTIONS:
        raise ConfigError(f"{len(options)} options are too many; at most {MOST_OPTIONS}")
    for key, value in options.items():
        if not _KEY.fullmatch(key):
            raise ConfigError(f'{shown(key)} is no key; a key is letters, digits, "_" and "-"')
        if has_control(value):
            raise ConfigError(f"option {key!r} has a control character in its value {shown(value)}")
    return dict(options)


def _check_length(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"a line of {len(text)} characters is too long; at most {MOST_CHARACTERS}")
