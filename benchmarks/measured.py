"""What a benchmark hands back."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measured:
    """Ratios, lower is better, and figures that mean something on this machine only.

    Attributes:
        ratios: by key.
        figures: by name, of each variant.
    """

    ratios: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
