import sys
import time
import warnings
from pathlib import Path
from typing import Annotated

import pytest
import torch

import lnas
from lnas.testing import ObserverSuite, judge
from lnas.testing.suite import rules


class Sound(lnas.Observer):
    """Writes the name of each event to a file; every class below is this one, but for one thing."""

    def __init__(self, *, path: Annotated[str, "the file"] = "heard.txt") -> None:
        self.path = Path(path)

    def notify(self, event):
        if isinstance(event, lnas.RunStarted | lnas.Resumed | lnas.EpochDone | lnas.Finished | lnas.Stopped):
            with self.path.open("a") as file:
                print(type(event).__name__, file=file)


class NoObserver:
    notify = Sound.notify

    def __init__(self) -> None:
        self.path = Path("heard.txt")


class OpensAtOnce(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.path.touch()


class CannotHearPruning(Sound):
    def notify(self, event):
        if isinstance(event, lnas.Pruned):
            raise KeyError("alpha")


class WantsANewFile(Sound):
    def notify(self, event):
        if isinstance(event, lnas.RunStarted):
            self.path.open("x").close()


class WantsAResult(Sound):
    def notify(self, event):
        if isinstance(event, lnas.Stopped):
            raise RuntimeError("there are no weights")


class Meddles(Sound):
    """The directory of a run is known, and what stands there can be changed."""

    def notify(self, event):
        if isinstance(event, lnas.Finished):
            journal = event.directory / "metrics.jsonl"
            journal.write_text(journal.read_text().replace('"train"', '"Train"'))


class Slow(Sound):
    def notify(self, event):
        time.sleep(0.02)


class Knows(Sound):
    NAMES = ("RunStarted", "Resumed", "StageStarted", "StepDone", "EpochDone", "Pruned", "Saved", "Stopped", "Finished")

    def notify(self, event):
        if type(event).__name__ not in self.NAMES:
            raise TypeError(f"{event!r}")


class Warns(Sound):
    def notify(self, event):
        if not hasattr(event, "progress") and not hasattr(event, "directory"):
            warnings.warn("what is this", stacklevel=2)


class Wonders(Sound):
    def notify(self, event):
        if not hasattr(event, "progress") and not hasattr(event, "directory"):
            print("what is this", file=sys.stderr)


class Prints(Sound):
    def notify(self, event):
        if isinstance(event, lnas.EpochDone):
            print(event.epoch)


class Draws(Sound):
    def notify(self, event):
        torch.rand(1)


BROKEN = {
    NoObserver: {"it_is_an_observer"},
    OpensAtOnce: {"making_it_leaves_nothing"},
    CannotHearPruning: {
        "it_hears_a_whole_run",
        "it_hears_a_run_that_is_resumed",
        "it_hears_a_run_that_fails",
        "nothing_is_printed",
        "the_global_random_state_is_left_alone",
        "global_settings_are_left_alone",
        "it_is_quick",
        "events_it_does_not_know_are_passed_over",
    },
    WantsANewFile: {"it_hears_a_run_that_is_resumed"},
    WantsAResult: {"it_hears_a_run_that_is_resumed", "it_hears_a_run_that_fails"},
    Meddles: {"it_changes_nothing"},
    Slow: {"it_is_quick"},
    Knows: {"events_it_does_not_know_are_passed_over"},
    Warns: {"events_it_does_not_know_are_passed_over"},
    Wonders: {"events_it_does_not_know_are_passed_over"},
    Prints: {"nothing_is_printed"},
    Draws: {"the_global_random_state_is_left_alone"},
}


def found(part: type) -> dict[str, str]:
    suite = type("Of", (ObserverSuite,), {"part": part, "most_seconds": 0.01 if part is Slow else 0.1})
    return {verdict.rule: verdict.message for verdict in judge(suite) if verdict.outcome == "broken"}


def test_a_sound_one_keeps_all() -> None:
    assert found(Sound) == {}


@pytest.mark.parametrize("part", BROKEN, ids=lambda part: part.__name__)
def test_the_broken_rule_is_named(part: type) -> None:
    assert found(part).keys() == BROKEN[part]


def test_every_rule_of_observers_can_be_broken() -> None:
    own = {name.removeprefix("test_") for name, _ in rules(ObserverSuite) if name in vars(ObserverSuite)}
    assert own <= set().union(*BROKEN.values())
