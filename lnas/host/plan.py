"""What a run is going to do, in numbers: for `--dry-run`, and for the head of a progress display."""

from dataclasses import asdict, dataclass
from typing import Any

from lnas import cost
from lnas.core.pipeline import Pipeline
from lnas.core.space import SearchSpace
from lnas.core.types import Task
from lnas.host.stream import Stream


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Attributes:
        name: "search" or "train".
        steps: in all.
        steps_per_epoch: full batches an epoch.
        rounds: n.
        k: steps before each prune.
        sparsities: asked for after each round.
    """

    name: str
    steps: int
    steps_per_epoch: int
    rounds: int
    k: int
    sparsities: tuple[float, ...]

    @property
    def epochs(self) -> float:
        """Steps in epochs."""
        return self.steps / self.steps_per_epoch


@dataclass(frozen=True)
class Plan:
    """A whole run.

    Attributes:
        recipe: its name.
        stages: in order.
        examples: in each split.
        paths: candidate paths of the supernet.
        parameters: of the supernet.
        multiply_adds: of the supernet on one example, every path run.
    """

    recipe: str
    stages: tuple[StagePlan, ...]
    examples: dict[str, int]
    paths: int
    parameters: int
    multiply_adds: int

    def to_json(self) -> dict[str, Any]:
        """A JSON document."""
        return {"schema": 1, **asdict(self)}


def stage_plans(pipeline: Pipeline, stream: Stream) -> tuple[StagePlan, ...]:
    """What the stages of a pipeline are going to do; nothing is computed."""
    stages = []
    for stage in pipeline.stages:
        schedule = stage.pruning.schedule
        sparsities = tuple(schedule.sparsity_after(round) for round in range(1, schedule.rounds + 1))
        k, _ = stage.loop()
        per_epoch = stream.steps_per_epoch(stage.draws)
        stages.append(StagePlan(stage.name, stage.steps, per_epoch, schedule.rounds, k, sparsities))
    return tuple(stages)


def plan(recipe: str, pipeline: Pipeline, stream: Stream, space: SearchSpace, task: Task) -> Plan:
    """The plan of a pipeline that has not begun."""
    return Plan(
        recipe=recipe,
        stages=stage_plans(pipeline, stream),
        examples=dict(stream.sizes),
        paths=sum(alive.numel() for alive in space.alive.values()),
        parameters=cost.parameters(space).total,
        multiply_adds=cost.multiply_adds(space, task.shape).dense,
    )
