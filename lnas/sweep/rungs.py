"""Who goes on where trials are compared on their way: a function of the journals, so that it is decided once and for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lnas.sweep.planned import Trial
from lnas.sweep.stopping import Stopping


@dataclass
class Rungs:
    """The epochs of comparison of a sweep, and how far it is with them.

    Attributes:
        stopping: the rule.
        trials: in the order of the plan.
        courses: name -> validation accuracy after each epoch of the training so far.
        given_up: name -> the epoch after which it was.
        out: names of those that failed, and came no further.
        judged: how many rungs all have passed that came as far.
    """

    stopping: Stopping
    trials: Sequence[Trial]
    courses: dict[str, tuple[float, ...]] = field(default_factory=dict)
    given_up: dict[str, int] = field(default_factory=dict)
    out: set[str] = field(default_factory=set)
    judged: int = 0

    def until(self, trial: Trial) -> int | None:
        """The epoch at which it is compared next; None where it runs to its end."""
        done = len(self.courses.get(trial.name, ()))
        return next((epoch for epoch in self.stopping.rungs(trial.epochs) if epoch > done), None)

    def waits(self, trial: Trial) -> bool:
        """Whether it stands at a rung at which nobody was judged yet."""
        done = len(self.courses.get(trial.name, ()))
        return done in self.stopping.rungs(trial.epochs)[self.judged :]

    def judge(self) -> dict[str, int]:
        """Those that are given up now, with the epoch after which they are: at every rung to which all have come.

        One that comes late to a rung, since it failed before, is judged against all that were there; what was decided stays.
        """
        losers: dict[str, int] = {}
        for number in range(max((len(self.stopping.rungs(trial.epochs)) for trial in self.trials), default=0)):
            there = self._competitors(number)
            if any(len(self.courses.get(name, ())) < epoch for name, epoch in there.items() if name not in self.out):
                break
            courses = {
                name: course[:epoch] for name, epoch in there.items() if len(course := self.courses.get(name, ())) >= epoch
            }
            survivors = self.stopping.survivors(courses) if courses else frozenset()
            for name in courses.keys() - survivors:
                if len(self.courses[name]) == there[name] and name not in self.given_up:
                    losers[name] = self.given_up[name] = there[name]
            self.judged = max(self.judged, number + 1)
        return losers

    def _competitors(self, number: int) -> Mapping[str, int]:
        """Those that come to a rung, and its epoch for each."""
        found = {}
        for trial in self.trials:
            rungs = self.stopping.rungs(trial.epochs)
            if number < len(rungs) and self.given_up.get(trial.name, rungs[number]) >= rungs[number]:
                found[trial.name] = rungs[number]
        return found
