"""lnas-slurm: an executor that runs the trials of a sweep as jobs of Slurm.

The table of contents, and the plugin itself.  Neither torch nor submitit is imported until `Slurm` is used.
"""

from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_slurm.executor import Slurm

__version__ = "0.1.0"

__all__ = ["Slurm"]


@lnas.hookimpl
def lnas_executors(register: lnas.Register) -> None:
    """Trials as jobs."""
    register("slurm", "lnas_slurm.executor:Slurm", summary="trials as jobs of Slurm")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'lnas_slurm' has no attribute {name!r}")
    from lnas_slurm.executor import Slurm

    return Slurm
