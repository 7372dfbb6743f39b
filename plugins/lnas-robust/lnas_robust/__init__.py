"""lnas-robust: DARTS that stops before it goes wrong (DARTS-ES, Zela et al. 2020; DARTS+, Liang et al. 2019).

The table of contents, and the plugin itself.  torch is not imported until one of its names is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_robust.lanczos import dominant_eigenvalue
    from lnas_robust.strategy import RobustDarts

__version__ = "0.1.0"

__all__ = ["RobustDarts", "dominant_eigenvalue"]

_MODULE_OF = {"RobustDarts": "lnas_robust.strategy", "dominant_eigenvalue": "lnas_robust.lanczos"}


@lnas.hookimpl
def lnas_strategies(register: lnas.Register) -> None:
    """DARTS with early stopping."""
    summary = "DARTS that stops when the curvature of its loss rises, or skip connections take over"
    register("robust-darts", "lnas_robust.strategy:RobustDarts", summary=summary)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lnas_robust' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
