"""A time limit as one types it for Slurm, or as elsewhere in lnas, in minutes, which is what Slurm counts in."""

import math
import re

import lnas

_PARTS = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_DAYS = re.compile(r"([0-9]{1,6})-([0-9]{1,6})(?::([0-9]{1,6}))?(?::([0-9]{1,6}))?")
_CLOCK = re.compile(r"(?:([0-9]{1,6}):)?([0-9]{1,6}):([0-9]{1,6})")
_SECONDS = (86400, 3600, 60, 1)


def minutes_of(text: str) -> int:
    """Whole minutes, rounded up: of 90 (minutes), 2h30m, 1d, 1:30:00, 30:00 (minutes and seconds), 1-12 or 1-12:00:00.

    Raises:
        ConfigError: where it is no such time, or none at all.
    """
    if text.isascii() and text.isdecimal():
        seconds = 60 * int(text)
    else:
        clock = _CLOCK.fullmatch(text)
        found = _DAYS.fullmatch(text) or _PARTS.fullmatch(text)
        values = ("0", *clock.groups()) if clock else found.groups() if found else ()
        seconds = sum(int(value or 0) * unit for value, unit in zip(values, _SECONDS, strict=False))
    if not seconds:
        raise lnas.ConfigError(f"time must be minutes, or a time such as 2h30m, 1:30:00 or 1-12:00:00, not {text!r}")
    return math.ceil(seconds / 60)
