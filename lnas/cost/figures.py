"""The figures of a network as values, and the one that needs no forward pass: its parameters."""

from dataclasses import dataclass
from typing import Any

from torch import nn

SCHEMA = 1


@dataclass(frozen=True)
class Parameters:
    """Entries of all parameters, a shared one once, and those that are not exactly 0.

    A masked entry is 0, and so are the biases of a fresh network.
    """

    total: int
    nonzero: int


@dataclass(frozen=True)
class MultiplyAdds:
    """Multiply-adds of convolutions and linear layers; `lnas.cost` defines the three ways to count them."""

    dense: int
    nonzero: int
    structural: int


@dataclass(frozen=True)
class Latency:
    """The median time of one forward pass, and what it depends on."""

    ms: float
    device: str
    threads: int
    batch: int
    repeats: int


@dataclass(frozen=True)
class Cost:
    """What a network costs; the latency is None where none was measured."""

    parameters: Parameters
    macs: MultiplyAdds
    latency: Latency | None = None

    def to_json(self) -> dict[str, Any]:
        """The document that `lnas cost --json` prints."""
        return {
            "schema": SCHEMA,
            "parameters": self.parameters.total,
            "macs": {"dense": self.macs.dense, "nonzero": self.macs.nonzero, "structural": self.macs.structural},
            "latency_ms": None if self.latency is None else self.latency.ms,
        }


def parameters(network: nn.Module) -> Parameters:
    """Count the parameters of a network; buffers do not count."""
    every = list(network.parameters())
    return Parameters(sum(p.numel() for p in every), sum(int(p.detach().count_nonzero()) for p in every))
