"""What a check of a sweep finds."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["violated", "noted"]


@dataclass(frozen=True)
class Finding:
    """Something in the results that does not fit.

    Attributes:
        severity: "violated" where it cannot be right or must not be; "noted" where it may be right and a reader should know.
        rule: which check found it, in a few words: "running best", "costs", "labels".
        where: label of a row, or name of a trial.
        what: what is wrong, in one line, with its numbers.
    """

    severity: Severity
    rule: str
    where: str
    what: str
