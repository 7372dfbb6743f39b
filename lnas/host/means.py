"""Means of what the steps of an epoch report, kept on the device so that a step needs no synchronisation."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lnas.core.errors import ContractError, NumericalError, PluginError
from lnas.core.types import Metrics, State
from lnas.host.processes import Processes

_NEVER = 2**62


@dataclass
class Means:
    """Sums, counts, and the first step whose value was not finite, by the name of the metric."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    broken: dict[str, Tensor] = field(default_factory=dict)
    """0-d int64: a step, or a number that no step reaches."""

    def add(self, metrics: Metrics, step: int) -> None:
        """Add what one step reported.

        Raises:
            ContractError: where a metric is no 0-d tensor.
        """
        if not isinstance(metrics, Mapping):
            raise ContractError("strategy", f"step must return metrics by name, not a {type(metrics).__name__}")
        for name, value in metrics.items():
            if not isinstance(value, Tensor) or value.dim():
                raise ContractError("strategy", f"metric {name!r} must be a 0-d tensor, not {_shown(value)}")
            value = value.detach()
            total = self.sums.get(name, torch.zeros((), dtype=torch.float64)).to(value.device)  # moves after a load only
            broken = self.broken.get(name, torch.tensor(_NEVER)).to(value.device)
            self.sums[name] = total + value
            self.counts[name] = self.counts.get(name, 0) + 1
            self.broken[name] = broken.minimum(torch.where(value.isfinite(), _NEVER, step))

    def merge(self, processes: Processes) -> None:
        """Take the means over all processes for the sums so far, and the first step in any; nothing where there is one.

        Raises:
            PluginError: where they do not report the same metrics.
        """
        if processes.size == 1:
            return
        mine = {name: [float(total), int(self.broken[name]), self.counts[name]] for name, total in self.sums.items()}
        rows = processes.exchange(mine)
        if any({n: v[2] for n, v in row.items()} != {n: v[2] for n, v in rows[0].items()} for row in rows):
            names = sorted({name for row in rows for name in row})
            raise PluginError(f"the processes do not report the same metrics as often; each must report {', '.join(names)}")
        for name, total in self.sums.items():
            values = [row[name][0] for row in rows]
            self.sums[name] = torch.full_like(total, sum(values) / len(values))
            self.broken[name] = torch.full_like(self.broken[name], min(row[name][1] for row in rows))

    def read(self, stage: str) -> dict[str, float | None]:
        """The means, None for one that is not finite.  One synchronisation for each name.

        Raises:
            NumericalError: where a loss ("loss", "..._loss") was not finite, naming the first, the stage and the step.
        """
        broken = {name: step for name, value in self.broken.items() if (step := int(value)) != _NEVER}
        losses = {name: step for name, step in broken.items() if name == "loss" or name.endswith("_loss")}
        if losses:
            name = min(losses, key=losses.__getitem__)
            raise NumericalError(
                f"the {name.replace('_', ' ')} was not finite after {stage} step {losses[name]}; the run has stopped;"
                " use a lower learning rate or a higher precision"
            )
        return {name: None if name in broken else float(total) / self.counts[name] for name, total in self.sums.items()}

    def state_dict(self) -> State:
        """The sums so far; nothing adds to these tensors in place."""
        return {"sums": dict(self.sums), "counts": dict(self.counts), "broken": dict(self.broken)}

    def load_state_dict(self, state: State) -> None:
        """Go on from `state`."""
        self.sums, self.counts, self.broken = dict(state["sums"]), dict(state["counts"]), dict(state["broken"])


def _shown(value: object) -> str:
    return f"one of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r:.40}"
