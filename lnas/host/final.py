"""The tensors that a run ends with: what model.safetensors holds, and what its digest is over."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lnas.core.learner import SearchStrategy
from lnas.core.pipeline import Pipeline
from lnas.core.stages import Ticket


def final_tensors(pipeline: Pipeline, ticket: Ticket) -> dict[str, Tensor]:
    """Those of the network; where there is only a search, of what it searched ("module.") and alpha ("alpha.")."""
    if ticket.network is not None:
        return _tensors_of(ticket.network.state_dict())
    tensors = {f"module.{name}": tensor for name, tensor in _tensors_of(pipeline.module.state_dict()).items()}
    if isinstance(learner := pipeline.rounds.learner, SearchStrategy):
        tensors.update({f"alpha.{group}": alpha for group, alpha in learner.alphas().items()})
    return tensors


def _tensors_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Without the extra state that a module may have: it is no tensor, and safetensors cannot hold it."""
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
