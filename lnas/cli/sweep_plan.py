"""`--dry-run` of a sweep: its rows, what they share, and how long it will take by a step that was measured."""

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnas.cli import output
from lnas.cli.tables import table
from lnas.report.table import duration

if TYPE_CHECKING:
    from lnas.core.stages import Retrain, Search
    from lnas.host.job import Job
    from lnas.sweep.planned import SweepPlan
    from lnas.sweep.results import Row

REPEATS = 3
"""Steps of which the median is taken, after one that is not counted."""


@dataclass(frozen=True)
class Cost:
    """Of one trial of a row.

    Attributes:
        search: steps of its search.
        train: steps of its training.
        search_seconds, train_seconds: that these will take, about.
    """

    search: int
    train: int
    search_seconds: float
    train_seconds: float


@dataclass
class Preview:
    """Looks at every row's job while the plan is made.

    Attributes:
        measuring: whether there will be a plan to show.
        threads: of torch, while steps are taken.
        costs: by label of a row.
    """

    measuring: bool
    threads: int = 1
    costs: "dict[str, Cost]" = field(default_factory=dict)

    def look(self, row: "Row", job: "Job") -> None:
        """Called with every row, whose job is forgotten afterwards; without measuring, nobody asks for the costs."""
        if not self.measuring:
            return
        steps = {stage.name: stage.steps for stage in job.plan().stages}
        search, train = steps.get("search", 0), steps.get("train", 0)
        seconds = _measured(job, self.threads)
        self.costs[row.label] = Cost(search, train, search * seconds[0], train * seconds[1])

    def show(self, plan: "SweepPlan", path: Path, workers: int, *, there: bool, as_json: bool) -> None:
        """Print the plan.

        Args:
            plan: whose rows were looked at.
            path: of the sweep.
            workers: trials at a time.
            there: whether it was begun already.
            as_json: for a program.
        """
        document = self.document(plan, path, workers, there=there)
        if as_json:
            output.document(document)
            return
        rows = [
            (
                row["label"],
                str(row["trials"]),
                f"{row['search']:,}{', shared' * row['shared']}",
                f"{row['train']:,}",
                duration(row["seconds"]),
            )
            for row in document["rows"]
        ]
        left = [("Left", f"{document['left']:,} trials")] if there else []
        total = [
            ("Trials", f"{len(plan.trials):,}: {len(plan.rows)} rows, {len(plan.seeds)} seeds"),
            *left,
            ("Shared searches", f"{len(plan.searches):,} for {document['sharing']:,} trials"),
            ("Steps", f"{document['steps']['search']:,} of searches, {document['steps']['train']:,} of training"),
            ("Threads of a trial", str(plan.threads)),
            ("Time", f"about {duration(document['seconds'])} with {workers} worker{'s' * (workers != 1)}, by steps measured now"),
            ("Directory", str(path)),
        ]
        head = ("row", "trials", "search steps", "training steps", "training takes")
        output.result("Plan (nothing is written)", table(total), "", table(rows, head=head))

    def document(self, plan: "SweepPlan", path: Path, workers: int, *, there: bool) -> dict[str, Any]:
        """The plan as one JSON document; a search that is shared counts once, and the time is that of what is left."""
        left, done = _left(plan, path) if there else ({trial.name for trial in plan.trials}, set[str]())
        rows, search_steps = [], 0
        seen: set[str] = set()
        for row in plan.rows:
            cost = self.costs[row.label]
            keys = [trial.search for trial in plan.trials if trial.row == row.label]
            own = sum(key is None or key not in seen for key in keys)
            seen |= {key for key in keys if key is not None}
            search_steps += own * cost.search
            rows.append(
                {
                    "label": row.label,
                    "trials": len(keys),
                    "search": cost.search,
                    "shared": own < len(keys),
                    "train": cost.train,
                    "seconds": cost.train_seconds,
                }
            )
        train_steps = sum(self.costs[trial.row].train for trial in plan.trials)
        return {
            "schema": 1,
            "kind": plan.kind,
            "scale": plan.scale,
            "directory": str(path),
            "trials": len(plan.trials),
            "left": len(left),
            "seeds": list(plan.seeds),
            "searches": len(plan.searches),
            "sharing": sum(trial.search is not None for trial in plan.trials),
            "steps": {"search": search_steps, "train": train_steps},
            "threads": plan.threads,
            "workers": workers,
            "seconds": self._seconds(plan, left, done) / workers,
            "rows": rows,
        }

    def _seconds(self, plan: "SweepPlan", left: set[str], done: set[str]) -> float:
        """Of the trials that are left, one after the other, and of the searches that are not done."""
        total, over = 0.0, set(done)
        for trial in plan.trials:
            if trial.name in left:
                cost = self.costs[trial.row]
                total += cost.train_seconds + (0.0 if trial.search in over else cost.search_seconds)
                over |= {trial.search} if trial.search is not None else set()
        return total


def _left(plan: "SweepPlan", path: Path) -> tuple[set[str], set[str]]:
    """The trials of a sweep that are not at their end, those that failed too, and the searches that are done."""
    from lnas.sweep.directory import SweepDirectory

    directory = SweepDirectory.open(path)

    def state(name: str) -> object:
        return (directory.outcome(name) or {}).get("state")

    left = {trial.name for trial in plan.trials if not directory.finished(trial.name) and state(trial.name) != "stopped"}
    return left, {key for key in plan.searches if state(f"search-{key}") == "done"}


def _measured(job: "Job", threads: int) -> tuple[float, float]:
    """`_steps` with so many threads of torch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _steps(job)
    finally:
        torch.set_num_threads(before)


def _steps(job: "Job") -> tuple[float, float]:
    """Seconds of a step of the search, the mean of before and after its pruning, and of one of the training."""
    import torch

    from lnas.core.mask import magnitude, prune
    from lnas.core.stages import Retrain, Search, Ticket

    space, search = job.space, 0.0
    for stage in job.pipeline.stages:
        if isinstance(stage, Search):
            before = _step(job, job.pipeline.rounds.learner, stage)
            schedule = stage.pruning.schedule
            if schedule.rounds:
                target = stage.pruning.target(stage.strategy)
                prune(target, schedule.sparsity_after(schedule.rounds), importance=magnitude)
                target.apply()
            after = _step(job, job.pipeline.rounds.learner, stage) if schedule.rounds else before
            search = (before + after) / 2
        elif isinstance(stage, Retrain):
            genotype = space.discretize({group: torch.zeros(alive.shape) for group, alive in space.alive.items()})
            return search, _step(job, stage.begin(Ticket(genotype=genotype)).learner, stage)
    return search, 0.0


def _step(job: "Job", learner: Any, stage: "Search | Retrain") -> float:
    seconds = []
    for step in range(REPEATS + 1):
        batches = job.stream.draw(stage.draws, step)
        began = time.monotonic()
        learner.step(*batches)
        if job.device.type == "cuda":
            import torch

            torch.cuda.synchronize(job.device)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds[1:])
