"""Make any module searchable: put a `MixedOp` where a choice should be, and search it in a loop of your own.

python examples/own_supernet.py [STEPS]
"""

import sys

import torch
from torch import nn

import lnas

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 150


def activation() -> lnas.MixedOp:
    return lnas.MixedOp({"relu": nn.ReLU(), "tanh": nn.Tanh(), "linear": nn.Identity()})


def convolution(inputs: int, outputs: int) -> lnas.MixedOp:
    kernels = {f"conv_{k}x{k}": nn.Conv2d(inputs, outputs, k, padding=k // 2) for k in (1, 3, 5)}
    return lnas.MixedOp(kernels)


model = nn.Sequential(
    convolution(1, 8), activation(), nn.MaxPool2d(2), convolution(8, 16), activation(), nn.Flatten(), nn.Linear(256, 10)
)
space = lnas.ChoiceSpace(model)  # a group per choice, named by its place in the module
strategy = lnas.Darts(space, lnas.cross_entropy, steps, alpha_lr=3e-2)
alpha = lnas.Alpha(strategy)

digits = lnas.digits()
draws = lnas.stream(0, "my batches")
for step in range(1, steps + 1):
    theta_batch, alpha_batch = torch.randperm(digits.size("train"), generator=draws)[:128].split(64)
    metrics = strategy.step(digits.batch("train", theta_batch, draws), digits.batch("train", alpha_batch, draws))
    alpha.apply()  # what is pruned stays pruned
    if step == steps // 2:
        lnas.prune(alpha, 1 / 3, importance=lnas.probability)  # each choice loses its weakest candidate, at once
        print("candidates alive:", {name: int(mask.sum()) for name, mask in space.alive.items()})

print(f"loss {float(metrics['loss']):.3f}")
genotype = space.discretize(strategy.alphas(), "argmax")
print("chosen:", {name: genes[0].operation for name, genes in genotype.groups.items()})
network = space.derive(genotype)  # a plain module with the chosen candidates, and theta_0 in it
print(network)
