"""Search, prune and retrain on pictures that you hold as tensors, with your own batches: Variant 2 in one loop.

python examples/own_pictures.py [STEPS]
"""

import sys

import torch

import lnas

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200

# Your pictures: uint8, (number, channels, height, width), and a class for each.  Here they are stripes, lying or standing.
generator = torch.Generator().manual_seed(0)
y = torch.randint(0, 2, (600,), generator=generator)
lying = torch.randint(0, 2, (600, 1, 16, 1), generator=generator).expand(-1, -1, -1, 16)
x = torch.where(y[:, None, None, None] == 0, lying, lying.transpose(2, 3)).mul(255).to(torch.uint8)
pictures = lnas.Pictures((x[:400], y[:400]), (x[400:], y[400:]), classes=["lying", "standing"])

space = lnas.CellSpace(pictures.task, channels=4, layers=3, nodes=2, network_channels=4, network_layers=3)
pipeline = lnas.pipeline(
    "variant2",
    space,
    lnas.cross_entropy,
    search=steps,
    train=steps,
    prune=["alpha:iterative,sparsity=0.75,rounds=3"],
)

draws = lnas.stream(0, "my batches")
while not pipeline.done:
    theta_batch, alpha_batch = torch.randperm(400, generator=draws)[:64].split(32)
    pipeline.step(pictures.batch("train", theta_batch, draws), pictures.batch("train", alpha_batch, draws))
    progress = pipeline.progress
    if progress.step % max(steps // 4, 1) == 0:
        print(f"{progress.stage}: step {progress.step} of {progress.steps}, round {progress.round} of {progress.rounds}")

ticket = pipeline.ticket
print("attained:", {name: round(sparsity.attained, 3) for name, sparsity in ticket.sparsity.items()})
for kind, genes in ticket.genotype.groups.items():
    print(kind, [f"{gene.source} -{gene.operation}-> {gene.node}" for gene in genes])

network = ticket.network.eval()
with torch.no_grad():
    inputs, labels = pictures.batch("test", torch.arange(200), None)
    print(f"test accuracy {(network(inputs).argmax(1) == labels).float().mean():.2f}")
