"""JSON that somebody else may have written: what it holds is bounded before anything is built of it.

The one place that calls `json.loads` on a file.  It is stricter than JSON as Python reads it: a number is finite, a key
stands once in an object.
"""

import json
import math
from typing import Any

DEEPEST = 64
"""Lists and objects in each other.  A state of ours has about 12."""
MOST_VALUES = 1_000_000
"""Values of a document.  A value of one byte takes about 70 in memory, so that a document takes 70 MB at most beside its text."""
MOST_DIGITS = 40
"""Of a whole number; 128 bits have 39."""


def parse(text: str | bytes, *, most_values: int = MOST_VALUES) -> Any:
    """The value of a JSON document.

    Args:
        text: bytes are UTF-8, with or without a byte order mark.
        most_values: refused before it is read where it has more commas and brackets than this.

    Raises:
        ValueError: in one line, to follow the name of the document and a colon: "not a JSON document: ...".
    """
    try:
        words = text if isinstance(text, str) else text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not a JSON document: byte {error.start} is not UTF-8") from None
    if sum(map(words.count, ",[{")) > most_values:
        raise ValueError(f"more than {most_values:,} values, the most that are read")
    try:
        value = json.loads(
            words, parse_int=_whole, parse_float=_finite, parse_constant=_no_number, object_pairs_hook=_each_key_once
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as error:
        raise ValueError(f"not a JSON document: {' '.join(str(error).split())}") from None
    _check_depth(value)
    return value


_TOO_DEEP = f"not a JSON document: nested too deep; at most {DEEPEST} lists and objects may lie in each other"


def _check_depth(value: object) -> None:
    """Level by level, for a value that is too deep is too deep to walk by recursion."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            entry
            for item in level
            for entry in (item.values() if type(item) is dict else item if type(item) is list else ())
            if type(entry) in (dict, list)
        ]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number has {len(digits):,} digits; at most {MOST_DIGITS}")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits) if len(digits) < 1000 else math.inf
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is no finite number")
    return number


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no finite number")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {ascii(twice)[:60]} stands twice in an object")
    return made
