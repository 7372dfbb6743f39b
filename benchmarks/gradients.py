"""Whether the fast mixed operation computes what the reference one computes: outputs and all gradients, in float64."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

import lnas
from benchmarks.measured import Measured
from benchmarks.sizes import device
from benchmarks.timing import progress

Mixed = Literal["fast", "reference"]
Live = Literal["all", "half", "one", "none or one", "convolutions", "no convolutions"]


@dataclass(frozen=True)
class Case:
    """A small supernet: its sizes, a picture, and which paths are open."""

    channels: int
    layers: int
    nodes: int
    batch: int
    sides: tuple[int, int]
    live: Live = "all"
    checkpointing: bool = False
    fused: bool = True

    def space(self, mixed: Mixed) -> lnas.CellSpace:
        """The same theta for both ways to mix.

        It ends in a maximum over places: the mean of batch norms over a batch of 1 is 0, and its gradient rounding alone.
        """
        torch.manual_seed(0)
        space = lnas.CellSpace(
            lnas.Task((3, *self.sides), 10),
            channels=self.channels,
            layers=self.layers,
            nodes=self.nodes,
            mixed=mixed,
            activation_checkpointing=self.checkpointing and mixed == "fast",
        )
        space.pool = nn.AdaptiveMaxPool2d(1)
        if self.fused:
            for cell in space.cells:
                cell.fused_from = 0  # so small, they would not be fused
        return space.to(device(), torch.float64)

    def paths(self, space: lnas.CellSpace, draws: torch.Generator) -> dict[str, Tensor]:
        """(edges, operations) bool of each kind of cell."""
        found = {}
        for kind, alive in space.alive.items():
            convolves = torch.tensor(["conv" in name for name in space.operations[kind]]).expand_as(alive)
            order = torch.rand(alive.shape, generator=draws).argsort(1)
            found[kind] = {
                "all": torch.ones_like(alive),
                "half": order < alive.shape[1] // 2,
                "one": order == 0,
                "none or one": (order == 0) & (torch.rand(len(alive), 1, generator=draws) < 0.5),
                "convolutions": convolves,
                "no convolutions": ~convolves,
            }[self.live]
        return found


CASES = (
    Case(4, 3, 4, 2, (8, 8)),
    Case(4, 3, 4, 2, (8, 8), checkpointing=True),
    Case(4, 3, 4, 2, (8, 8), "half", fused=False),
    Case(8, 5, 4, 3, (16, 16)),
    Case(6, 4, 3, 2, (9, 14)),
    Case(4, 3, 2, 1, (12, 12)),
    Case(4, 3, 4, 2, (8, 8), "half"),
    Case(4, 3, 4, 3, (11, 7), "half", checkpointing=True),
    Case(4, 3, 4, 2, (8, 8), "one"),
    Case(4, 3, 4, 2, (8, 8), "none or one"),
    Case(4, 3, 3, 2, (10, 10), "convolutions"),
    Case(4, 3, 3, 2, (10, 10), "no convolutions"),
)


def results(case: Case, mixed: Mixed) -> Iterator[tuple[str, Tensor]]:
    """Logits in training and, after it, in evaluation mode, the loss, and its gradient by the pictures, each gate and theta."""
    draws = torch.Generator().manual_seed(1)
    space = case.space(mixed)
    paths = case.paths(space, draws)
    x = torch.randn(case.batch, *space.task.shape, generator=draws, dtype=torch.float64).to(device()).requires_grad_()
    y = torch.randint(10, (case.batch,), generator=draws).to(device())
    gates = {
        kind: torch.rand(mask.shape, generator=draws, dtype=torch.float64).to(device()).requires_grad_()
        for kind, mask in paths.items()
    }
    logits = space(x, gates, paths)
    loss = torch.nn.functional.cross_entropy(logits, y)
    leaves = {"pictures": x, **{f"gates {kind}": gate for kind, gate in gates.items()}, **dict(space.named_parameters())}
    slopes = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    yield "logits", logits.detach()
    yield "loss", loss.detach()
    yield from zip(leaves, slopes, strict=True)
    with torch.no_grad():
        yield "logits in evaluation mode", space.eval()(x, gates, paths)


def largest_error(these: Mapping[str, Tensor], those: Mapping[str, Tensor]) -> float:
    """The largest of the tensors' relative errors, each max |a - b| / max |b|; one that should be 0 and is not is infinite."""
    assert these.keys() == those.keys()
    worst = 0.0
    for name, value in these.items():
        distance, scale = (value - those[name]).detach().abs().max(), those[name].detach().abs().max()
        if distance.isnan() or distance > 0:
            worst = max(worst, float(distance / scale) if scale > 0 and distance.isfinite() else float("inf"))
    return worst


def measure(*, quick: bool) -> Measured:
    """float64_gradients: the largest relative error of `mixed="fast"` to `mixed="reference"` over all cases."""
    errors = {}
    for case in CASES[:: 2 if quick else 1]:
        errors[repr(case)] = largest_error(dict(results(case, "fast")), dict(results(case, "reference")))
        progress(f"{errors[repr(case)]:.1e} {case}")
    return Measured(ratios={"float64_gradients": max(errors.values())})
