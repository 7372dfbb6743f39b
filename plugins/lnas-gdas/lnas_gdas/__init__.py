"""lnas-gdas: search with one sampled path of each edge (GDAS, Dong and Yang 2019).

The table of contents, and the plugin itself.  torch is not imported until `Gdas` is used.
"""

from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_gdas.strategy import Gdas

__version__ = "0.1.0"

__all__ = ["Gdas"]


@lnas.hookimpl
def lnas_strategies(register: lnas.Register) -> None:
    """GDAS."""
    register("gdas", "lnas_gdas.strategy:Gdas", summary="samples and computes one path of each edge (Gumbel-softmax)")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'lnas_gdas' has no attribute {name!r}")
    from lnas_gdas.strategy import Gdas

    return Gdas
