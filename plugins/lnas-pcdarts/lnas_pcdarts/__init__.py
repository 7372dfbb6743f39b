"""lnas-pcdarts: search with partial channels and normalised edges (PC-DARTS, Xu et al. 2020).

The table of contents, and the plugin itself.  torch is not imported until `PcDarts` is used.
"""

from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_pcdarts.strategy import PcDarts

__version__ = "0.1.0"

__all__ = ["PcDarts"]


@lnas.hookimpl
def lnas_strategies(register: lnas.Register) -> None:
    """PC-DARTS."""
    register("pc-darts", "lnas_pcdarts.strategy:PcDarts", summary="DARTS on a quarter of the channels, with normalised edges")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'lnas_pcdarts' has no attribute {name!r}")
    from lnas_pcdarts.strategy import PcDarts

    return PcDarts
