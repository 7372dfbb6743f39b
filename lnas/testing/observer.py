"""What every observer keeps: it hears all of a run, and the run does not notice."""

import contextlib
import io
import os
import statistics
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from lnas.core.errors import NumericalError
from lnas.host.events import EpochDone, Event, Finished, Observer, Pruned, Resumed, RunStarted, Saved, StepDone, Stopped
from lnas.testing.part import PartSuite
from lnas.testing.states import difference
from lnas.testing.suite import require
from lnas.testing.watched import Ear, broken, empty_folder, interrupted, recorded, run, seconds_of


@dataclass(frozen=True)
class FromTheFuture:
    """An event that no version of lnas has."""

    words: str = "something new"


class ObserverSuite(PartSuite):
    """The rules of observers.  Every rule is checked in an empty folder of its own, which is the working directory.

    Attributes:
        most_seconds: what half of the steps and epochs may take the observer at most, each.
    """

    kind = "observer"
    most_seconds: ClassVar[float] = 0.1

    def given(self) -> tuple[Any, ...]:
        """Nothing: an observer has options only."""
        return ()

    def exercise(self) -> None:
        """Make it, and tell it all of a run."""
        with _told() as events:
            observer = self.make()
            for event in events:
                observer.notify(event)

    def test_it_is_an_observer(self) -> None:
        """The part makes an `Observer`."""
        with empty_folder():
            made = self.make()
        require(isinstance(made, Observer), f"{self.label()} made a {type(made).__name__}, which is no Observer")

    def test_making_it_leaves_nothing(self) -> None:
        """It is made for a dry run too, and in every process: files and connections wait for `RunStarted`."""
        with empty_folder() as folder:
            self.make()
            found = sorted(os.listdir(folder))
        require(not found, f"making {self.label()} wrote {', '.join(found)}; open what it needs when it hears RunStarted")

    def test_it_hears_a_whole_run(self) -> None:
        """No event of a run makes it raise."""
        with empty_folder() as folder:
            heard = self._ear()
            run(folder, [heard])
            self._require_calm(heard, "a whole run", (RunStarted, StepDone, Pruned, EpochDone, Saved, Finished))

    def test_it_hears_a_run_that_is_resumed(self) -> None:
        """A run is interrupted, and another observer with the same options, as in a new process, hears it go on."""
        with empty_folder() as folder:
            first, second = self._ear(), self._ear()
            with suppress(KeyboardInterrupt):
                run(folder, [first], interrupted)
            run(folder, [second])
            self._require_calm(first, "a run that was interrupted", (RunStarted, Saved, Stopped))
            self._require_calm(second, "a run that was resumed", (RunStarted, Resumed, EpochDone, Finished))

    def test_it_hears_a_run_that_fails(self) -> None:
        """A run that ends with an error is no error of the observer's."""
        with empty_folder() as folder:
            heard = self._ear()
            with suppress(NumericalError):
                run(folder, [heard], broken)
            self._require_calm(heard, "a run that failed", (RunStarted, Stopped))

    def test_it_changes_nothing(self) -> None:
        """The run ends with the same weights, accuracies, architecture and journal as without it."""
        with empty_folder() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one that raises is another rule
            watched = run(folder, [self.make()])
        found = difference(recorded().outcome, watched, "run")
        require(not found, f"a run that {self.label()} watched ended otherwise: {found}; an observer changes nothing")

    def test_it_is_quick(self) -> None:
        """Half of the steps and epochs take it no longer than `most_seconds`: the run waits for it."""
        with _told() as events:
            taken = seconds_of(self.make(), events)
            often = [s for s, event in zip(taken, events, strict=True) if isinstance(event, StepDone | EpochDone)]
        half = statistics.median(often)
        words = f"half of the steps and epochs took {self.label()} {half:.3f} s or more each"
        require(half <= self.most_seconds, f"{words}, at most {self.most_seconds:g}; leave slow work to a thread or to the end")

    def test_events_it_does_not_know_are_passed_over(self) -> None:
        """A later lnas may tell of more: an unknown type of event is passed over without a word, before, in and after a run."""
        unknown: Any = FromTheFuture()
        with _told() as events, warnings.catch_warnings():
            warnings.simplefilter("error")
            observer, written = self.make(), io.StringIO()
            for known in (None, *events):
                if known is not None:
                    observer.notify(known)
                when = "before a run" if known is None else f"after {type(known).__name__}"
                try:
                    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
                        observer.notify(unknown)
                except Exception as error:
                    what = f"was told of an event of an unknown type, {when}, and raised {type(error).__name__}: {error}"
                    require(False, f"{self.label()} {what}; pass over what it does not know")
        text = written.getvalue()
        require(not text, f"{self.label()} was told of events of an unknown type and printed {text[:60]!r}; pass over them")

    def _ear(self) -> Ear:
        return Ear(self.make())

    def _require_calm(self, heard: Ear, what: str, types: tuple[type, ...]) -> None:
        told = {type(event) for event in heard.events}
        assert told >= set(types), f"{what} told only of {sorted(kind.__name__ for kind in told)}"
        for event, error in heard.errors:
            said = f"{type(error).__name__}: {error}"
            require(False, f"{self.label()} raised at {type(event).__name__} of {what}: {said}; it would hear no more of the run")


@contextmanager
def _told() -> Iterator[list[Event]]:
    """The events of a run that is over; its files are there, and the working directory is another."""
    with empty_folder() as folder:
        events = recorded().written(folder)
        place = folder / "elsewhere"
        place.mkdir()
        with contextlib.chdir(place):
            yield events
