"""lnas-drnas: search with gates drawn from a Dirichlet distribution on each edge (DrNAS, Chen et al. 2021).

The table of contents, and the plugin itself.  torch is not imported until `DrNas` is used.
"""

from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_drnas.strategy import DrNas

__version__ = "0.1.0"

__all__ = ["DrNas"]


@lnas.hookimpl
def lnas_strategies(register: lnas.Register) -> None:
    """DrNAS."""
    register("drnas", "lnas_drnas.strategy:DrNas", summary="gates drawn from a Dirichlet distribution, learned through the draw")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'lnas_drnas' has no attribute {name!r}")
    from lnas_drnas.strategy import DrNas

    return DrNas
