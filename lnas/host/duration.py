"""How long something may take, as people type it: 90s, 45m, 2h30m, 1d, 1:30:00, or 1-12:00:00 as batch systems write it."""

import re

from lnas.core.errors import ConfigError
from lnas.host.spec import shown

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PARTS = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6}(?:\.[0-9]{1,6})?)s)?")
_CLOCK = re.compile(r"(?:([0-9]{1,6})-)?([0-9]{1,6}):([0-5]?[0-9]):([0-5]?[0-9])")


def seconds_of(text: str) -> float:
    """The seconds that a text stands for, more than 0.  A number alone is none: others read it as minutes.

    Raises:
        ConfigError: where it is no duration.
    """
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        total = 86400.0 * days + 3600 * hours + 60 * minutes + seconds
    else:
        parts = _PARTS.fullmatch(text)
        values = parts.groups() if parts else ()
        total = sum(float(value) * unit for value, unit in zip(values, _UNITS.values(), strict=False) if value)
    if total <= 0:
        raise ConfigError(f"must be a duration such as 90s, 45m, 2h30m or 1:30:00, not {shown(text)}")
    return total
