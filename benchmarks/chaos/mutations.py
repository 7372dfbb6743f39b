"""The mutation matrix: without any one item of what a checkpoint holds, the run would end otherwise, or be refused.

Runs are left in the middle of a round and of an epoch, in the search and in the training, and at their last checkpoint.  Each
item of the newest checkpoint (all momentum of theta is one item, each setting of an optimizer another) is set to what it is in
a fresh start, and, where that is the same or makes no difference, to something else.  The checkpoint is sealed again, and the run
goes on.  It must be refused with an error of ours, or the digest, the journal, the summary or the steps of the checkpoints must
differ from those of the run that was left alone, at one moment at least; any other error is a finding.  `NOT_NEEDED` lists what
makes no difference, and why it is there; that it makes none is tried too.
"""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.chaos import small
from benchmarks.chaos.damage import same
from benchmarks.chaos.items import HOUR, another, entry, items, put, without
from benchmarks.chaos.outcome import Outcome, progress
from lnas import Genotype, LnasError, Ticket
from lnas.host import checkpoint, runtime
from lnas.host.foreign import in_one_line
from lnas.host.memory import Memory
from lnas.host.rundir import RunDirectory

LONG = 1000
"""All: there are fewer."""

MOMENTS: Mapping[str, tuple[int, Mapping[str, object]]] = {
    "search": (3, {}),
    "training": (13, {}),
    "after the last round": (15, {}),
    "end": (18, {}),
    "alternating search": (3, {"strategy": "darts,lr=0.2,alternate=2"}),
    "wider search": (3, {"space": small.WIDE}),
    "search that stands still": (5, {"strategy": "darts,lr=0.2,alpha_lr=1e-9"}),
}
"""After how many steps the run is left, and with which settings beside those of `small`."""

_OVERWRITTEN = "written again before every update, from the number of updates"
_WARNING = "says whether the warning of a collapse is due or was given, and a warning is in no file"
NOT_NEEDED: Mapping[str, str] = {
    "pipeline/rounds/learner/space: buffers num_batches_tracked": "counts for a kind of batch norm that no space has",
    "pipeline/rounds/learner/sgd/optimizer/settings/lr": _OVERWRITTEN,
    "memory/course/*/since": _WARNING,
    "memory/course/*/told": _WARNING,
    "pipeline/rounds/origin/sgd/optimizer/settings/lr": _OVERWRITTEN,
}

SHORT: Mapping[str, str] = {
    "pipeline/rounds/learner/space: theta": "search",
    "pipeline/rounds/learner/alpha": "search",
    "pipeline/rounds/learner/alpha_optimizer/moments/*/exp_avg": "search",
    "pipeline/rounds/learner/sgd/optimizer/moments/*/momentum_buffer": "search",
    "pipeline/rounds/masks": "search",
    "pipeline/rounds/round": "search",
    "memory/means/sums": "search",
    "metrics": "search",
    "config": "search",
    "random/cpu": "search",
    "random/python/words": "search",
    "random/numpy/words": "search",
}
"""Those that the short form draws from, and a moment at which they are needed."""
ALWAYS = (
    "memory/means/sums",
    "pipeline/rounds/learner/sgd/optimizer/moments/*/momentum_buffer",
    "pipeline/rounds/round",
    "random/cpu",
)
"""Those that are in every short form of at least so many: nothing else in the tests misses them."""


class UnsaidError(Exception):
    """A run ended with an error that is not ours: nobody can tell that the checkpoint is to blame."""


class Run(NamedTuple):
    """What is compared."""

    digest: str
    rows: list[dict[str, Any]]
    """The journal without seconds."""
    summary: dict[str, Any]
    """Without what a clock says."""
    seconds: list[float]
    steps: list[str]
    """The names of the checkpoints."""


def measure(count: int, seed: int, folder: Path) -> Outcome:
    moments = Moments(folder)
    if count <= len(SHORT):
        drawn = random.Random(seed).sample([name for name in sorted(SHORT) if name not in ALWAYS], max(0, count - len(ALWAYS)))
        names = [*ALWAYS, *drawn][:count]
        return _tried(moments, {name: [SHORT[name]] for name in names})
    held: dict[str, list[str]] = {}
    for moment in MOMENTS:
        for item in items(moments.state(moment)):
            held.setdefault(item.name, []).append(moment)
    outcome = _tried(moments, {name: where for name, where in held.items() if name not in NOT_NEEDED})
    broken = [f"{name} is listed as not needed, and no checkpoint holds it" for name in NOT_NEEDED if name not in held]
    for name in [name for name in NOT_NEEDED if name in held]:
        try:
            found = _first(moments, name, held[name])
        except UnsaidError as error:
            found = str(error)
        if found != _NONE:
            broken.append(f"{name} is listed as not needed, but: {found}")
    not_needed = {f"not needed: {name}": reason for name, reason in NOT_NEEDED.items()}
    return Outcome(
        outcome.tried + len(not_needed),
        outcome.held + len(not_needed) - len(broken),
        {"items": outcome.tried + len(not_needed), **outcome.figures, **not_needed},
        [*outcome.broken, *broken],
    )


def _tried(moments: "Moments", names: Mapping[str, list[str]]) -> Outcome:
    """Each item, at one moment after the other until it makes a difference."""
    figures, broken = {}, []
    for name, where in names.items():
        try:
            figures[name] = _first(moments, name, where)
        except UnsaidError as error:
            figures[name] = str(error)
            broken.append(f"{name}: {error}")
        progress(f"mutations: {name}: {figures[name]}")
    broken += [f"{name} {_NONE} at any moment" for name, figure in figures.items() if figure == _NONE]
    return Outcome(len(names), len(names) - len(broken), figures, broken)


_NONE = "makes no difference"


def _first(moments: "Moments", name: str, where: Sequence[str]) -> str:
    """The first moment at which the item makes a difference, and which."""
    found = ((moment, moments.without(name, moment)) for moment in where)
    return next((f"{moment}: {outcome}" for moment, outcome in found if outcome), _NONE)


class Moments:
    """The runs that were left, and those that were not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self.left = cache(self._left)
        self.straight = cache(self._straight)
        self.state = cache(self._state)
        self.fresh = cache(self._fresh)

    def without(self, name: str, moment: str) -> str | None:
        """What gives it away that the item is lost; None where nothing does.

        Raises:
            UnsaidError: where the run ends with an error of another kind.
        """
        return self._tried(name, moment, dropped=True) or self._tried(name, moment, dropped=False)

    def _tried(self, name: str, moment: str, *, dropped: bool) -> str | None:
        self._number += 1
        how = "dropped" if dropped else "changed"
        run = small.copy(self.left(moment), self._folder / f"try-{self._number}")
        newest = checkpoint.latest(run.checkpoints)
        assert newest is not None
        state, meta = checkpoint.load(newest), checkpoint.describe(newest)
        [item] = [item for item in items(state) if item.name == name]
        for keys in item.leaves:
            value = entry(state, keys)
            fresh = entry(self.fresh(moment), keys)
            put(state, keys, without(value, fresh) if dropped else another(value, far=name == "memory/seconds"))
        if same(state, self.state(moment)):
            return None
        newest.rename(self._folder / f"whole-{self._number}")
        checkpoint.save(run.checkpoints, state, step=int(newest.name.removeprefix("step-")), meta=meta)
        try:
            other = _finished(run, MOMENTS[moment][1])
        except LnasError as error:
            return f"{how}, refused: {in_one_line(error).replace(str(self._folder), '')[:70]}"
        except Exception as error:
            raise UnsaidError(f"{moment}: {how}, ended by a {in_one_line(error)[:90]}") from error
        difference = _difference(other, self.straight(moment))
        return difference and f"{how}, {difference}"

    def _left(self, moment: str) -> RunDirectory:
        steps, settings = MOMENTS[moment]
        return small.left_after(steps, self._folder / f"left, {moment}", **settings)

    def _straight(self, moment: str) -> Run:
        """The run that was left, gone on with: that it ends as one that was never left is another experiment's."""
        return _finished(small.copy(self.left(moment), self._folder / f"straight, {moment}"), MOMENTS[moment][1])

    def _state(self, moment: str) -> Any:
        newest = checkpoint.latest(self.left(moment).checkpoints)
        assert newest is not None
        return checkpoint.load(newest)

    def _fresh(self, moment: str) -> Any:
        """A state of the same stage, before its first step."""
        job, pipeline = small.job(**MOMENTS[moment][1]), self.state(moment)["pipeline"]
        rounds = job.pipeline.rounds
        if pipeline["stage"]:
            ticket = Ticket(genotype=Genotype.from_json(pipeline["genotype"]))
            rounds = job.pipeline.stages[pipeline["stage"]].begin(ticket)
        with runtime.undisturbed():
            runtime.seed_globally(job.config.seed + 1)
            drawn = runtime.random_state()
        return {
            "pipeline": {**job.pipeline.state_dict(), "rounds": rounds.state_dict()},
            "memory": Memory().state_dict(),
            "metrics": 0,
            "random": drawn,
        }


def _finished(run: RunDirectory, settings: Mapping[str, object]) -> Run:
    with small.saving_often():
        summary = small.job(**settings).run(run)
    seconds = [*summary.pop("seconds").values(), *(row.get("seconds", 0.0) for row in run.rows())]
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in run.rows()]
    rest = {key: value for key, value in summary.items() if key not in ("run", "latency", "digest")}
    return Run(summary["digest"], rows, rest, seconds, sorted(path.name for path in run.checkpoints.iterdir()))


def _difference(one: Run, other: Run) -> str | None:
    """The first thing in which two runs differ."""
    if one.digest != other.digest:
        return "another digest"
    if one.rows != other.rows:
        return "another journal"
    if wrong := [key for key, value in one.summary.items() if value != other.summary[key]]:
        return f"another {wrong[0]} in the summary"
    if any(abs(a - b) > HOUR for a, b in zip(one.seconds, other.seconds, strict=True)):
        return "other seconds"
    return "other steps of checkpoints" if one.steps != other.steps else None
