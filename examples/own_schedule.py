"""A schedule of your own, by name: the same module becomes a plugin once a distribution names it.

python examples/own_schedule.py [STEPS]
"""

import sys
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn

import lnas

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 120


@dataclass(frozen=True)
class Cubic(lnas.PruningSchedule):
    """Prune fast early and gently late: s (1 - (1 - r/n)^3) (Zhu and Gupta 2017)."""

    sparsity: Annotated[float, "fraction removed in the end, in [0, 1)"] = 0.75
    rounds: Annotated[int, "how many rounds"] = 5

    def sparsity_after(self, round: int) -> float:
        return self.sparsity * (1 - (1 - round / self.rounds) ** 3)


@lnas.hookimpl
def lnas_schedules(register: lnas.Register) -> None:
    register("my-cubic", f"{__name__}:Cubic", summary="fast early, gently late")


print("cubic:", [round(Cubic(0.8, 5).sparsity_after(r), 3) for r in range(6)])
print("geometric:", [round(lnas.Iterative(0.8, 5).sparsity_after(r), 3) for r in range(6)])

host = lnas.Host(plugins=[sys.modules[__name__]])
model = nn.Sequential(
    lnas.MixedOp({"narrow": nn.Conv2d(1, 8, 3, padding=1), "wide": nn.Conv2d(1, 8, 5, padding=2)}),
    nn.Flatten(),
    nn.Linear(512, 10),
)
pipeline = lnas.pipeline(
    "variant1",
    lnas.ChoiceSpace(model),
    lnas.cross_entropy,
    search=steps,
    train=steps,
    prune=["theta:my-cubic,sparsity=0.8,rounds=2,rewind=none"],
    host=host,
)
digits = lnas.digits()
draws = lnas.stream(0, "my batches")
while not pipeline.done:
    theta_batch, alpha_batch = torch.randperm(digits.size("train"), generator=draws)[:128].split(64)
    pipeline.step(digits.batch("train", theta_batch, draws), digits.batch("train", alpha_batch, draws))
print("attained:", pipeline.ticket.sparsity["theta"])
