"""Reads a sweep's directory into its results.  Nothing is trusted that a run did not write whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnas.core.errors import LnasError
from lnas.host import documents, lock, toml
from lnas.host.record import flat
from lnas.host.rundir import RunDirectory
from lnas.host.spec import shown
from lnas.sweep.call import Call
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.planned import SweepPlan, Trial
from lnas.sweep.results import Results, TrialResult, TrialState

MOST = 2**63
"""What a run measures is less: multiply-adds are the largest."""

STATES: Mapping[str, TrialState] = {"done": "finished", "failed": "failed", "stopped": "stopped"}


def collect(path: Path) -> Results:
    """What a sweep came to so far.

    Raises:
        RunError: where there is no sweep at `path`, or its plan cannot be read.
    """
    directory = SweepDirectory.open(path)
    plan, call = directory.plan(), Call.said(directory.read_status())
    return Results(
        name=path.resolve().name,
        rows=plan.rows,
        trials=tuple(_trial(directory, plan, trial) for trial in in_order(plan)),
        kind="table1" if plan.kind == "table1" else "sweep",
        scale=plan.scale,
        command="" if call is None else call.command,
        config=_text(directory.config),
        seeds=plan.seeds,
        stopped_early=plan.stopping,
        seconds=directory.seconds() or None,
        workers=1 if call is None else max(1, call.most_workers),
    )


def in_order(plan: SweepPlan) -> list[Trial]:
    """The trials by row, then by seed."""
    labels = [row.label for row in plan.rows]
    return sorted(plan.trials, key=lambda trial: (labels.index(trial.row), plan.seeds.index(trial.seed)))


def course(run: RunDirectory) -> tuple[float, ...]:
    """Validation accuracy after each epoch of the training; what cannot be read is left out."""
    return _Training.of(run).course


@dataclass(frozen=True)
class _Training:
    """What a journal says of the training.

    Attributes:
        course: validation accuracy after each epoch.
        steps: done by the end of each of them.
        first, last: the steps at which weights were pruned first and last; None where they were not.
    """

    course: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()
    first: int | None = None
    last: int | None = None

    @classmethod
    def of(cls, run: RunDirectory) -> "_Training":
        """That of a run; empty where its journal cannot be read."""
        try:
            rows = [row for row in run.rows() if row.get("stage") == "train"]
            epochs = [row for row in rows if row.get("event") == "epoch"]
            prunes = [int(row["step"]) for row in rows if row.get("event") == "prune"]
            accuracies = tuple(row["validation_accuracy"] for row in epochs)
            if not all(map(_is_number, accuracies)):
                return cls()
            steps = tuple(int(row["step"]) for row in epochs)
        except (LnasError, OSError, KeyError, TypeError, ValueError):
            return cls()
        return cls(accuracies, steps, min(prunes, default=None), max(prunes, default=None))

    def half(self, epochs: int, before: float | None) -> float | None:
        """The highest in the first half of so many epochs, once that is over."""
        number = -(-epochs // 2)
        if len(self.course) < number:
            return None
        early = before is not None and self.first is not None and self.first <= self.steps[number - 1]
        return max(*self.course[:number], before) if early and before is not None else max(self.course[:number])

    def ticket(self) -> float | None:
        """The highest at the end of an epoch after the last prune; that epoch itself ends with the rewound network."""
        left = [value for value, step in zip(self.course, self.steps, strict=True) if self.last is None or step > self.last]
        return max(left, default=None)


def _trial(directory: SweepDirectory, plan: SweepPlan, trial: Trial) -> TrialResult:
    run, outcome = directory.run_of(trial.name), directory.outcome(trial.name)
    state: TrialState = STATES.get(outcome["state"], "waiting") if outcome else "waiting"
    reason = str(outcome.get("reason", "")) if outcome else ""
    measured: dict[str, Any] = {}
    if state == "finished":
        try:
            summary = documents.read(run.summary)
            if not run.finished() or not isinstance(summary, dict):
                raise ValueError("it is not finished")
            measured = _measured(summary)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            state, reason = "failed", f"summary.json cannot be read: {getattr(error, 'strerror', None) or error}"
    elif state == "waiting" and _held(run):
        state = "running"
    finished, training = state == "finished", _Training.of(run)
    compat = outcome["figures"].get("nni_compat") if outcome else None
    before = measured.pop("before", None)
    highest = [*training.course, *([] if before is None else [before])]
    return TrialResult(
        name=trial.name,
        row=trial.row,
        seed=trial.seed,
        state=state,
        reason=reason,
        path=f"trials/{trial.name}",
        course=training.course,
        before=before,
        half=training.half(trial.epochs, before),
        end=max(highest) if finished and highest else None,
        ticket=training.ticket() if finished else None,
        epochs=trial.epochs,
        nni_compat=compat if finished and _is_number(compat) else None,
        search=trial.search,
        config=_config(run, trial),
        **measured,
    )


def _is_number(value: object) -> bool:
    """Whether it is one that can be summed up."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _measured(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What summary.json says, by field of a `TrialResult`.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: where it is not what a run writes.
    """
    accuracy, seconds = summary.get("accuracy") or {}, summary.get("seconds") or {}
    macs, parameters = summary.get("macs") or {}, summary.get("parameters") or {}
    numbers = {
        "before": (summary.get("baseline") or {}).get("validation"),
        "best": accuracy.get("best_validation"),
        "validation": accuracy.get("validation"),
        "test": accuracy.get("test"),
        "parameters": parameters.get("nonzero"),
        "macs_dense": macs.get("dense"),
        "macs_nonzero": macs.get("nonzero"),
        "macs_structural": macs.get("structural"),
        "search_seconds": seconds.get("search"),
        "train_seconds": seconds.get("train"),
    }
    attained = {str(name): value["attained"] for name, value in (summary.get("sparsity") or {}).items()}
    for name, value in (*((name, value) for name, value in numbers.items() if value is not None), *attained.items()):
        if not _is_number(value):
            raise ValueError(f"{name} is {shown(value)}, and no number that a run measures")
    exact, digest = summary.get("exact"), summary.get("digest")
    if not isinstance(exact, bool | None) or not isinstance(digest, str | None):
        raise ValueError("exact must be true or false, and digest text")
    return {**numbers, "attained": attained, "exact": exact, "digest": digest}


def _held(run: RunDirectory) -> bool:
    """Whether somebody runs it now."""
    try:
        return lock.holder(run.lock) is not None
    except OSError:
        return False


def _config(run: RunDirectory, trial: Trial) -> Mapping[str, str]:
    """What the run's own config.toml says; the plan's where it has none yet."""
    text = _text(run.config) or trial.config
    try:
        return dict(flat(toml.parse(text.encode(), where=run.config)))
    except LnasError:
        return {}


def _text(path: Path) -> str:
    try:
        return documents.content(path, most=toml.MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""
