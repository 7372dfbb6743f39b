"""The parts that come with lnas in distributions of their own, for whoever names one that is not installed."""

from collections.abc import Mapping

EXTRAS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "channels": {"target": ("channels",)},
    "drnas": {"strategy": ("drnas",)},
    "gdas": {"strategy": ("gdas",)},
    "importances": {"importance": ("grasp", "perturbation", "snip", "synflow", "taylor")},
    "mlflow": {"observer": ("mlflow",)},
    "nasbench201": {"space": ("nasbench201",)},
    "pcdarts": {"strategy": ("pc-darts",)},
    "ray": {"executor": ("ray",)},
    "robust": {"strategy": ("robust-darts",)},
    "schedules": {"schedule": ("cubic", "exponential", "linear"), "target": ("nm",)},
    "slurm": {"executor": ("slurm",)},
    "tensorboard": {"observer": ("tensorboard",)},
}
"""Extra of `pip install 'lnas[EXTRA]'`, which installs lnas-EXTRA -> kind -> names of its parts."""


def offered_by(name: str, kind: str | None = None) -> tuple[str, str] | None:
    """The kind of the first-party part of that name, and the extra that it comes with; of any kind where none is given."""
    for extra, kinds in EXTRAS.items():
        for found, names in kinds.items():
            if kind in (None, found) and name in names:
                return found, extra
    return None


def missing(kind: str, name: str, extra: str) -> str:
    """What to do about a part whose distribution is not installed, in one line."""
    return f"{kind} {name!r} is not available: it comes with lnas-{extra}; install it with: pip install 'lnas[{extra}]'"
