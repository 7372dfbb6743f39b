"""What a run does where an update is not finite: stop, or go back and try the step on another batch."""

import re
from dataclasses import dataclass

from lnas.core.errors import ConfigError
from lnas.host.spec import shown

MOST = 1000
_ROLLBACK = re.compile(r"rollback:([0-9]{1,6})")


@dataclass(frozen=True)
class OnNan:
    """`stop`, or `rollback:N`.

    Attributes:
        rollbacks: how often a run may go back to its last checkpoint; 0 is `stop`.
    """

    rollbacks: int = 0

    @classmethod
    def of(cls, value: object) -> "OnNan":
        """Read one, or the text of one.

        Raises:
            ConfigError: where it is neither.
        """
        if isinstance(value, OnNan):
            return value
        if value == "stop":
            return cls()
        match = _ROLLBACK.fullmatch(value) if isinstance(value, str) else None
        if match is None or not 1 <= int(match[1]) <= MOST:
            raise ConfigError(f"must be stop or rollback:N, with N from 1 to {MOST}, not {shown(value)}")
        return cls(int(match[1]))

    def __str__(self) -> str:
        return f"rollback:{self.rollbacks}" if self.rollbacks else "stop"
