"""lnas-tensorboard: an observer that writes event files for TensorBoard.

The table of contents, and the plugin itself.  torch is not imported until `Tensorboard` is used.
"""

from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_tensorboard.observer import Tensorboard

__version__ = "0.1.0"

__all__ = ["Tensorboard"]


@lnas.hookimpl
def lnas_observers(register: lnas.Register) -> None:
    """Event files for TensorBoard."""
    register("tensorboard", "lnas_tensorboard.observer:Tensorboard", summary="curves, configuration and results for TensorBoard")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'lnas_tensorboard' has no attribute {name!r}")
    from lnas_tensorboard.observer import Tensorboard

    return Tensorboard
