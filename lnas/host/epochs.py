"""How long the two stages run, as a user writes it: 10:20, 10ep, 500it:20.  Inside there are steps."""

import re
from dataclasses import dataclass
from typing import Literal

from lnas.core.errors import ConfigError
from lnas.host.spec import shown

_LENGTH = re.compile(r"([0-9]{1,9})(ep|it)?")
_FORM = 'SEARCH:TRAIN, or one value for both, in epochs ("10" or "10ep") or steps ("500it"), each at least 1'


@dataclass(frozen=True)
class Length:
    """A number of epochs (ep) or of steps (it), at least 1."""

    number: int
    unit: Literal["ep", "it"] = "ep"

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ConfigError(f"a stage needs at least 1 epoch or step, not {self.number}")

    def steps(self, per_epoch: int) -> int:
        """In steps, of which an epoch has `per_epoch`."""
        return self.number * per_epoch if self.unit == "ep" else self.number

    def __str__(self) -> str:
        """As a user writes it."""
        return f"{self.number}{'it' if self.unit == 'it' else ''}"


@dataclass(frozen=True)
class Epochs:
    """The lengths of the search and of the retraining."""

    search: Length
    train: Length

    @classmethod
    def of(cls, value: object) -> "Epochs":
        """From whatever form it was given in: one already, 10, "10" or "10:500it".

        Raises:
            ConfigError: where it is none, or a length is below 1.
        """
        if isinstance(value, Epochs):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9:
            value = str(value)
        parts = value.split(":") if isinstance(value, str) else []
        matches = [_LENGTH.fullmatch(part.strip()) for part in parts]
        lengths = [Length(int(match[1]), "it" if match[2] == "it" else "ep") for match in matches if match and int(match[1])]
        if len(lengths) != len(matches) or len(lengths) not in (1, 2):
            raise ConfigError(f"must be {_FORM}, not {shown(value)}")
        return cls(lengths[0], lengths[-1])

    def __str__(self) -> str:
        """The form that `of` reads back."""
        return f"{self.search}:{self.train}"
