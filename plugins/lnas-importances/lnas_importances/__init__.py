"""lnas-importances: which weights and which paths matter, measured on the loss.

The table of contents, and the plugin itself.  torch is not imported until an importance is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_importances.flow import synflow
    from lnas_importances.gradients import grasp, snip, taylor
    from lnas_importances.removal import perturbation

__version__ = "0.1.0"

__all__ = ["grasp", "perturbation", "snip", "synflow", "taylor"]

_MODULE_OF = {
    "grasp": "lnas_importances.gradients",
    "perturbation": "lnas_importances.removal",
    "snip": "lnas_importances.gradients",
    "synflow": "lnas_importances.flow",
    "taylor": "lnas_importances.gradients",
}


@lnas.hookimpl
def lnas_importances(register: lnas.Register) -> None:
    """Four for weights, one for paths."""
    register("snip", "lnas_importances.gradients:snip", summary="connection sensitivity, |g · theta|")
    register("taylor", "lnas_importances.gradients:taylor", summary="first-order change of the loss, squared: (g · theta)^2")
    register("grasp", "lnas_importances.gradients:grasp", summary="what a weight's removal does to the gradient flow, theta · Hg")
    register("synflow", "lnas_importances.flow:synflow", summary="synaptic flow, without data; for theta, in many rounds")
    register(
        "perturbation",
        "lnas_importances.removal:perturbation",
        summary="the supernet's loss without the path; for alpha",
    )


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lnas_importances' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
