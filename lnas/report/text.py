"""Text from a run, made safe to show: a name or a command may hold anything that JSON can."""

import re

# CSI ... letter, OSC ... terminated, and the two-byte sequences of ECMA-48
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?|\x9b[0-?]*[ -/]*[@-~]")
# control characters but tab and newline, and the marks that turn the direction of what follows
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def plain(text: str) -> str:
    """`text` without terminal escape sequences, control characters (tab and newline stay) and lone surrogates."""
    text = text.replace("\r\n", "\n")
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _ESCAPES.sub("", text)))


def line(text: str, *, most: int | None = None) -> str:
    """`plain` on one line; longer than `most` characters, its middle is left out, as the ends tell names apart."""
    text = " ".join(plain(text).split())
    if most is None or len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"
