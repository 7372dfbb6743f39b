"""Runs a suite without pytest, and says of every rule whether the part keeps it."""

import unittest
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lnas.host.foreign import in_one_line
from lnas.testing.suite import Suite, Violation, rules
from lnas.testing.surroundings import put_back

Outcome: TypeAlias = Literal["kept", "broken", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """What came of one rule.

    Attributes:
        rule: its name: "masks_are_nested".
        says: the rule in words.
        outcome: "kept", "broken", or "skipped" where it does not apply.
        message: why, in one line; empty where it is kept.
    """

    rule: str
    says: str
    outcome: Outcome
    message: str = ""


def judge(suite: type[Suite]) -> Iterator[Verdict]:
    """Check every rule of a suite, each on a fresh instance; an error of whatever type is a broken rule.

    What a part changes in the process is put back after each rule, so that the next one finds it out, too.
    """
    for name, check in rules(suite):
        rule, says = name.removeprefix("test_"), " ".join((check.__doc__ or "").split())
        try:
            with put_back():
                check(suite())
        except unittest.SkipTest as reason:
            yield Verdict(rule, says, "skipped", in_one_line(reason).removeprefix("SkipTest: "))
        except Violation as violation:
            yield Verdict(rule, says, "broken", in_one_line(violation).removeprefix("Violation: "))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the part's own, raised where it must not; it may even exit
            yield Verdict(rule, says, "broken", in_one_line(error))
        else:
            yield Verdict(rule, says, "kept")
