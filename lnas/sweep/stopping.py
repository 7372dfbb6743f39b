"""Which trials of an exploration are given up before their end.  A sweep that does so draws no verdicts.

All trials that are left come to the same epoch before any is judged, so that the same ones go on whichever engine runs them.
"""

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from lnas.core.errors import ConfigError, UnknownNameError
from lnas.host.options import checked, options_of
from lnas.host.spec import Spec


class Stopping(ABC):
    """A rule: a pure function of the validation accuracies so far."""

    @abstractmethod
    def rungs(self, epochs: int) -> tuple[int, ...]:
        """The epochs of the training, rising and below `epochs`, after which trials are compared."""

    @abstractmethod
    def survivors(self, courses: Mapping[str, Sequence[float]]) -> frozenset[str]:
        """The names of those that go on, at least one.

        Args:
            courses: name -> validation accuracy after each epoch so far, of all that came to this rung, in order of the plan.
        """


@dataclass(frozen=True)
class Nobody(Stopping):
    """Nothing is compared, and nobody given up."""

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """None."""
        return ()

    def survivors(self, courses: Mapping[str, Sequence[float]]) -> frozenset[str]:
        """All."""
        return frozenset(courses)


@dataclass(frozen=True)
class Halving(Stopping):
    """Successive halving (Jamieson and Talwalkar 2016): the best of every `eta` go on, after 1, eta, eta² ... epochs."""

    eta: Annotated[int, "one of so many goes on, at least 2"] = 3
    first: Annotated[int, "epochs before the first comparison, at least 1"] = 1

    def __post_init__(self) -> None:
        if self.eta < 2 or self.first < 1:
            raise ConfigError(f"halving takes an eta of at least 2 and a first of at least 1, not {self.eta} and {self.first}")

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """first, first * eta, first * eta² ..."""
        found, rung = [], self.first
        while rung < epochs:
            found.append(rung)
            rung *= self.eta
        return tuple(found)

    def survivors(self, courses: Mapping[str, Sequence[float]]) -> frozenset[str]:
        """The ceil(n / eta) with the highest accuracy so far; of equals, those that come first."""
        ranked = sorted(courses, key=lambda name: -max(courses[name], default=0.0))
        return frozenset(ranked[: math.ceil(len(ranked) / self.eta)])


@dataclass(frozen=True)
class Median(Stopping):
    """The median rule (Golovin et al. 2017): a trial whose best is below the median of the others' means so far is given up.

    A departure: the others are those that have come as far, while the paper's are all that were ever begun.
    """

    first: Annotated[int, "epochs before the first comparison, at least 1"] = 3
    every: Annotated[int, "epochs between two comparisons, at least 1"] = 1

    def __post_init__(self) -> None:
        if self.first < 1 or self.every < 1:
            raise ConfigError(f"median takes a first and an every of at least 1, not {self.first} and {self.every}")

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """first, first + every, ..."""
        return tuple(range(self.first, epochs, self.every))

    def survivors(self, courses: Mapping[str, Sequence[float]]) -> frozenset[str]:
        """Those that are not below; a trial that is alone goes on."""
        means = {name: statistics.fmean(course) for name, course in courses.items() if course}

        def holds(name: str) -> bool:
            others = [mean for other, mean in means.items() if other != name]
            return not others or max(courses[name], default=0.0) >= statistics.median(others)

        return frozenset(name for name in courses if holds(name))


RULES: Mapping[str, type[Stopping]] = {"halving": Halving, "median": Median}
"""By the name a user types."""


def rule(text: str | None) -> Stopping:
    """The rule of a specification such as "halving,eta=3"; `Nobody` where there is none.

    Raises:
        ConfigError: where there is no such rule, or it has no such option.
    """
    if text is None:
        return Nobody()
    spec = Spec.parse(text)
    if spec.name not in RULES or spec.schedule is not None:
        raise UnknownNameError("stopping rule", str(spec.name), RULES)
    made = RULES[spec.name]
    return made(**checked(f"stopping {spec.name}", options_of(made, "schedule"), spec.options))
