"""The lottery ticket of a network from torchvision: train, prune 80 % of the weights, rewind, train again.

python examples/torchvision_ticket.py [STEPS]
"""

import sys

import torch
from torch.nn.functional import cross_entropy, interpolate
from torchvision.models import resnet18

import lnas

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 60
torch.manual_seed(0)
digits = lnas.digits()
model = resnet18(num_classes=10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
draws = lnas.stream(0, "my batches")


def batch(split: str, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = digits.batch(split, indices, None)
    return interpolate(x.expand(-1, 3, -1, -1), 32), y


def fit(indices: torch.Tensor) -> torch.Tensor:
    """One training step of your own."""
    x, y = batch("train", indices)
    optimizer.zero_grad()
    loss = cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


ticket = lnas.lottery_ticket(model, fit, schedule=lnas.OneShot(0.8), k=steps, optimizers=[optimizer])
while not ticket.done:
    metrics = ticket.step(torch.randperm(digits.size("train"), generator=draws)[:32])
print(f"loss {float(metrics['loss']):.3f}, attained sparsity {ticket.sparsity().attained:.4f}")

model.eval()
with torch.no_grad():
    x, y = batch("test", torch.arange(digits.size("test")))
    print(f"test accuracy {(model(x).argmax(1) == y).float().mean():.3f}")

parameters = lnas.cost.parameters(model)
macs = lnas.cost.multiply_adds(model, (3, 32, 32))
print(f"{parameters.nonzero:,} of {parameters.total:,} parameters; {macs.nonzero:,} of {macs.dense:,} multiply-adds")
