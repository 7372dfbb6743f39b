"""Named random streams from one root seed: adding a draw to one never moves another."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derived_seed(seed: int, name: str) -> int:
    """A 63-bit seed that depends on the root seed and the stream's name alone (sha256)."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str) -> torch.Generator:
    """The random stream `name` of the root seed, at its beginning, on the CPU."""
    return torch.Generator().manual_seed(derived_seed(seed, name))


@contextmanager
def seeded(seed: int, name: str) -> Iterator[None]:
    """Run code that draws from torch's global CPU generator on a named stream instead, and put the global one back."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, name))  # torch.manual_seed would seed every GPU too
        yield
