"""lnas-ray: an executor that runs the trials of a sweep as tasks of Ray.

The table of contents, and the plugin itself.  Neither torch nor Ray is imported until `Ray` is used.
"""

from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_ray.executor import Ray

__version__ = "0.1.0"

__all__ = ["Ray"]


@lnas.hookimpl
def lnas_executors(register: lnas.Register) -> None:
    """Trials as tasks."""
    register("ray", "lnas_ray.executor:Ray", summary="trials as tasks of Ray, on this machine or on a cluster")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'lnas_ray' has no attribute {name!r}")
    from lnas_ray.executor import Ray

    return Ray
