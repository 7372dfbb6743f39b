"""Whether a checkpoint belongs to its run: loaded into what the configuration describes, and looked at from all sides."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lnas.core.errors import LnasError, RunError
from lnas.core.genotype import Genotype
from lnas.core.learner import SearchStrategy
from lnas.core.mask import Tensors, prune, sparsity_of
from lnas.core.pipeline import Pipeline
from lnas.core.types import State
from lnas.host import checkpoint, runtime
from lnas.host.final import final_tensors
from lnas.host.memory import Memory
from lnas.host.verify_journal import Journal, Rows

KEYS = {"pipeline", "memory", "metrics", "journal", "config", "random"}


@dataclass(frozen=True)
class Held:
    """What a checkpoint says that the other files of its run must agree with.

    Attributes:
        words: where the run stood.
        stage: the index of the open one.
        genotype: that the run had found, or None.
        digest: of the final tensors, where the run was over.
        masks: the digest of those of the final network, where the run was over.
    """

    words: str
    stage: int
    genotype: Genotype | None
    digest: str | None
    masks: str | None


def opened(path: Path) -> State:
    """The state of a checkpoint, of which every byte is the one that was written.

    Raises:
        RunError: saying what is wrong.
    """
    state = checkpoint.load(path)
    if missing := KEYS - set(state):
        raise RunError(f"it lacks {', '.join(sorted(missing))}")
    if not isinstance(state["config"], str) or type(state["metrics"]) is not int or not isinstance(state["journal"], str):
        raise RunError("it lacks the text of config, or the length or the sha256 of metrics")
    return state


def fits(path: Path, state: State, pipeline: Pipeline, journal: Journal) -> Held:
    """Load a state into a pipeline fresh from the run's configuration, which is of no use afterwards.

    Raises:
        RunError: saying what does not fit.
    """
    stages, saved = pipeline.stages, state["pipeline"]
    if not isinstance(saved, dict) or type(index := saved.get("stage")) is not int or not 0 <= index < len(stages):
        raise RunError(f"it is not of one of the {len(stages)} stages that the configuration describes")
    memory = _load("memory", lambda: Memory.from_state(state["memory"]))
    _load("pipeline", lambda: pipeline.load_state_dict(saved))
    _load("random state", lambda: _check_random(state["random"]))
    alone = memory.exact and checkpoint.describe(path).get("processes", 1) == 1
    _check_counters(path, pipeline, memory, index, planned=alone)
    _check_masks(pipeline, saved["rounds"])
    _check_sparsity(pipeline, journal.until(state["metrics"]) if journal.size >= state["metrics"] else ())
    if (origin := pipeline.rounds.origin) is not None:
        _load("state to rewind to", lambda: pipeline.rounds.learner.load_state_dict(origin))
        _check_finite(pipeline, "to rewind to ")
    _load("pipeline", lambda: pipeline.load_state_dict(saved))
    progress = pipeline.progress
    words = f"{progress.stage} step {progress.step:,} of {progress.steps:,}"
    ticket = pipeline.ticket
    if not pipeline.done:
        return Held(words, index, ticket.genotype, None, None)
    return Held(
        words, index, ticket.genotype, checkpoint.digest(final_tensors(pipeline, ticket)), checkpoint.digest(ticket.masks)
    )


def _load(what: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except LnasError:
        raise
    except (Exception, SystemExit) as error:  # a part may raise whatever it likes on a state that is not its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise RunError(f"its {what} does not fit what the configuration describes: {reason}") from error


def _check_random(state: State) -> None:
    """The generators of this process take it, and are put back; GPUs are left alone."""
    if any(not isinstance(words, Tensor) or words.dtype != torch.uint8 for words in state["cuda"]):
        raise ValueError("no state of a generator")
    with runtime.undisturbed():
        runtime.restore_random_state({**state, "cuda": []})


def _check_counters(path: Path, pipeline: Pipeline, memory: Memory, index: int, *, planned: bool) -> None:
    """Steps and rounds are within the plan and go with each other.

    Args:
        path: of the checkpoint; its name has the step.
        pipeline: with the state.
        memory: of the loop.
        index: of the open stage.
        planned: whether the run always had one process: with several, a stage given in epochs has fewer steps than here.
    """
    rounds, progress = pipeline.rounds, pipeline.progress
    if any(type(count) is not int for count in (rounds.t, rounds.round, memory.closed)):
        raise RunError("its counters are no whole numbers")
    if path.name != f"step-{memory.closed + rounds.t:08d}":
        raise RunError(f"it stands after step {memory.closed} + {rounds.t}, and its name says another")
    if not planned:
        return
    n, k = rounds.pruning.schedule.rounds, rounds.k
    if not 0 <= rounds.t <= k * n + rounds.finish:
        raise RunError(f"it stands after {progress.stage} step {rounds.t}; the plan has {k * n + rounds.finish}")
    closed = sum(stage.steps for stage in pipeline.stages[:index])
    if memory.closed != closed:
        raise RunError(f"it counts {memory.closed} steps before stage {progress.stage}; the plan has {closed}")
    due = min(n, rounds.t // k if k else n) if rounds.t else 0
    if rounds.round != due:
        raise RunError(f"it has done {rounds.round} prune rounds after {progress.stage} step {rounds.t}; {due} were due")
    rewind = rounds.pruning.rewind
    if rewind is not None and n and rounds.t >= max(rewind, 1) and rounds.origin is None:
        raise RunError(f"it lacks the state of step {rewind}, to which a round rewinds")


def _check_masks(pipeline: Pipeline, saved: State) -> None:
    """Masks are boolean, of the right shapes, and what they cut off is exactly 0; everything else is finite."""
    target, learner = pipeline.rounds.target, pipeline.rounds.learner
    masks = target.masks()
    if set(saved["masks"]) != set(masks):
        raise RunError(f"it has masks of {_some(saved['masks'])}; the {target.name} of the configuration has {_some(masks)}")
    for name, mask in saved["masks"].items():
        if mask.dtype != torch.bool or mask.shape != masks[name].shape:
            raise RunError(f"the mask of {name} is {_form(mask)}, not {_form(masks[name])}")
    _load("learner", lambda: learner.load_state_dict(saved["learner"]))  # as it was saved: loading it all mends what is masked
    for name, tensor in target.tensors().items():
        if bool((tensor.detach()[~masks[name].to(tensor.device)] != 0).any()):
            raise RunError(f"{name} is masked and not 0")
    _check_finite(pipeline, "")


def _check_finite(pipeline: Pipeline, words: str) -> None:
    for name, tensor in _numbers(pipeline):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise RunError(f"{name} {words}is not finite")


def _numbers(pipeline: Pipeline) -> Iterator[tuple[str, Tensor]]:
    learner = pipeline.rounds.learner
    if isinstance(learner, SearchStrategy):
        for group, alpha in learner.alphas().items():
            yield f"alpha of {group}", alpha.detach()
    for name, value in learner.module.state_dict().items():
        if isinstance(value, Tensor):
            yield f"theta {name}", value


def _check_sparsity(pipeline: Pipeline, rows: Rows) -> None:
    """What the masks attain is what was asked, to the last entry, and what the journal said of the round."""
    rounds, target = pipeline.rounds, pipeline.rounds.target
    if not rounds.round:
        return
    attained = sparsity_of(target.masks())
    said = [row for row in rows if row["event"] == "prune" and row["stage"] == pipeline.progress.stage]
    if said and (said[-1].get("round"), said[-1].get("attained")) != (rounds.round, attained):
        raise RunError(
            f"after round {rounds.round} its masks have sparsity {attained:.6g}; the last round in metrics.jsonl is"
            f" {said[-1].get('round')!r} and attained {said[-1].get('attained')!r}"
        )
    before = {name: mask.clone() for name, mask in target.masks().items()}
    schedule = rounds.pruning.schedule
    asked = schedule.sparsity_after(rounds.round)
    prune(target, asked, importance=_even, earlier=[schedule.sparsity_after(r) for r in range(1, rounds.round)])
    if any(not torch.equal(mask, before[name]) for name, mask in target.masks().items()):
        raise RunError(f"its masks have sparsity {attained:.6g}, which leaves more than {asked:.6g} asks for in some pool")


def _even(tensors: Tensors, masks: Tensors, loss: object) -> Tensors:
    """No entry before another: to prune again to the same sparsity takes none, whatever the importance."""
    return {name: torch.zeros(tensor.shape) for name, tensor in tensors.items()}


def _some(masks: Mapping[str, Tensor]) -> str:
    return f"{len(masks)} tensors ({', '.join(sorted(masks)[:2])}, ...)" if len(masks) > 2 else ", ".join(sorted(masks)) or "none"


def _form(mask: Tensor) -> str:
    return f"{str(mask.dtype).removeprefix('torch.')} of shape {tuple(mask.shape)}"
