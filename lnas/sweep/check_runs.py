"""What each trial by itself must not say."""

from collections.abc import Iterator

from lnas.sweep.figures import count, read
from lnas.sweep.findings import Finding
from lnas.sweep.results import Results, TrialResult

CLOSE = 0.005
"""Sparsities that differ by less are one: a layer loses a whole number of weights."""


def running_best(results: Results) -> Iterator[Finding]:
    """The best accuracy so far never falls, and its columns are what the course and the network before the prune say.

    The course is of the journal.  The summary, which is written apart from it, must say the same.
    """
    for trial in results.trials:
        yield from _journal_and_summary(trial)
        if trial.half is not None and trial.end is not None and trial.half > trial.end:
            what = f"the best validation accuracy falls from {trial.half:.4f} at half-time to {trial.end:.4f} at the end"
            yield Finding("violated", "running best", trial.name, what)
        if not trial.course or trial.state != "finished":
            continue
        first = trial.course[: -(-len(trial.course) // 2)]
        for name, epochs, said in (("half-time", first, trial.half), ("the end", trial.course, trial.end)):
            alone = max(epochs)
            highest = alone if trial.before is None else max(alone, trial.before)
            # the first prune may be in either half of the epochs
            if said is not None and said != highest and (name == "the end" or said != alone):
                what = f"the best validation accuracy at {name} is {said:.4f}, and the highest of {count(len(epochs), 'epoch')}"
                before = "" if trial.before is None else f" and of {trial.before:.4f} before the prune"
                yield Finding("violated", "running best", trial.name, f"{what}{before} is {highest:.4f}")
        if trial.ticket is not None and trial.ticket not in trial.course:
            what = f"the best validation accuracy after the last prune is {trial.ticket:.4f}, and no epoch has it"
            yield Finding("violated", "running best", trial.name, what)


def _journal_and_summary(trial: TrialResult) -> Iterator[Finding]:
    if trial.state != "finished":
        return
    if trial.epochs is not None and len(trial.course) != trial.epochs:
        what = f"its journal has {count(len(trial.course), 'epoch')} of training, and {trial.epochs} were planned"
        yield Finding("violated", "running best", trial.name, what)
    if not trial.course:
        return
    for name, said, found in (("best", trial.best, max(trial.course)), ("last", trial.validation, trial.course[-1])):
        if said is not None and said != found:
            what = f"its {name} validation accuracy is {said:.4f} in summary.json, and {found:.4f} in its journal"
            yield Finding("violated", "running best", trial.name, what)


def accuracies(results: Results) -> Iterator[Finding]:
    """Every accuracy is a fraction of 1."""
    for trial in results.trials:
        named = (("half", trial.half), ("end", trial.end), ("ticket", trial.ticket))
        last = (("before", trial.before), ("validation", trial.validation), ("test", trial.test))
        values = [*named, *last, *((f"course, epoch {epoch}", value) for epoch, value in enumerate(trial.course, 1))]
        for name, value in values:
            if value is not None and not 0 <= value <= 1:  # nan is found too
                yield Finding("violated", "accuracies", trial.name, f"{name} is {value!r}, and an accuracy lies within 0 and 1")


def nothing_chosen_by_test(results: Results) -> Iterator[Finding]:
    """Nothing was chosen by the test set, as far as the files show it.

    What chooses (alpha, the best epoch, a rule that stops early) looks at pictures of the training set that were held out,
    so there must be some; and a trial that is not at its end has not read the test set yet.
    """
    for trial in results.trials:
        if trial.test is not None and trial.state != "finished":
            yield Finding(
                "violated", "test set", trial.name, f"it is {trial.state}, and has a test accuracy: it was read too early"
            )
        if trial.state == "finished" and trial.end is not None and not trial.course:
            what = "its best accuracy has no course of validation accuracies to come from"
            yield Finding("violated", "test set", trial.name, what)
        share = trial.config.get("validation")
        if share is not None and not 0 < read(share) < 1:
            what = f"validation is {share}: without pictures that are held out, the test set is what is left to choose by"
            yield Finding("violated", "test set", trial.name, what)


def attained(results: Results) -> Iterator[Finding]:
    """The sparsity that was reached is the one that was asked for; where it cannot be, both are said."""
    for row in results.rows:
        if row.sparsity is None:
            continue
        by_target: dict[str, list[float]] = {}
        for trial in results.of(row.label).values():
            for target, value in trial.attained.items():
                by_target.setdefault(target, []).append(value)
        for target, values in by_target.items():
            if max(abs(value - row.sparsity) for value in values) > CLOSE:
                low, high = f"{min(values):.4g}", f"{max(values):.4g}"
                reached = low if low == high else f"{low} to {high}"
                yield Finding("noted", "attained", row.label, f"{target} attained {reached}, not the {row.sparsity:g} asked for")
