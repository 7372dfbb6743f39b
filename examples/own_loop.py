"""Prune inside a training loop of your own: LeNet-300-100, iterative magnitude pruning with rewinding to theta_0.

python examples/own_loop.py [STEPS]
"""

import copy
import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import lnas

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 150
torch.manual_seed(0)
digits = lnas.digits()
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1.2e-3)
draws = lnas.stream(0, "my batches")

theta = lnas.Theta(model, [optimizer], output_rate=0.5)  # the output layer is pruned at half the rate
schedule = lnas.Iterative(sparsity=1 - 0.8**7, rounds=7)  # 20 % of the survivors each round
theta_0 = copy.deepcopy(model.state_dict())


def train() -> None:
    for _ in range(steps):
        x, y = digits.batch("train", torch.randperm(digits.size("train"), generator=draws)[:60], None)
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        theta.apply()  # a pruned weight is exactly 0, and so are its moments


def accuracy() -> float:
    x, y = digits.batch("test", torch.arange(digits.size("test")), None)
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


train()
print(f"dense: test accuracy {accuracy():.3f}")
earlier: list[float] = []
for round in range(1, schedule.rounds + 1):
    sparsity = schedule.sparsity_after(round)
    lnas.prune(theta, sparsity, earlier=earlier)
    earlier.append(sparsity)
    model.load_state_dict(theta_0)  # rewind
    optimizer.state.clear()
    theta.apply()
    train()
    kept = 1 - lnas.sparsity_of(theta.masks())
    print(f"round {round}: {kept:.1%} of the weights kept, test accuracy {accuracy():.3f}")
