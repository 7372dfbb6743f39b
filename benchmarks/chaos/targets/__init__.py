"""What is fuzzed: each target takes arbitrary bytes, and raises where a reader does anything but read them or refuse them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.chaos.targets import files, sweeps, texts


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        check: raises for bytes at which a promise breaks.
        corpus: where mutations begin: what is read, and what is nearly.
    """

    check: Callable[[bytes], None]
    corpus: Sequence[bytes]


TARGETS: Mapping[str, Target] = {
    name: Target(check, corpus) for name, (check, corpus) in sorted({**texts.TARGETS, **files.TARGETS, **sweeps.TARGETS}.items())
}
"""By name."""
