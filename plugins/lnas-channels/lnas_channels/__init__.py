"""lnas-channels: prune whole channels, and make the network physically smaller.

The table of contents, and the plugin itself.  torch is not imported until `Channels` is used.
"""

from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_channels.target import Channels

__version__ = "0.1.0"

__all__ = ["Channels"]


@lnas.hookimpl
def lnas_targets(register: lnas.Register) -> None:
    """Whole channels of a network in training."""
    register("channels", "lnas_channels.target:Channels", summary="whole channels, while retraining; leaves a smaller network")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'lnas_channels' has no attribute {name!r}")
    from lnas_channels.target import Channels

    return Channels
