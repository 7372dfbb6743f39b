"""lnas-nasbench201: the search space of NAS-Bench-201 (Dong and Yang 2020).

The table of contents, and the plugin itself.  torch is not imported until a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_nasbench201.enumeration import architectures
    from lnas_nasbench201.isomorphism import canonical, isomorphic, unique
    from lnas_nasbench201.space import NasBench201Space

__version__ = "0.1.0"

__all__ = ["NasBench201Space", "architectures", "canonical", "isomorphic", "unique"]

_MODULE_OF = {
    "NasBench201Space": "lnas_nasbench201.space",
    "architectures": "lnas_nasbench201.enumeration",
    "canonical": "lnas_nasbench201.isomorphism",
    "isomorphic": "lnas_nasbench201.isomorphism",
    "unique": "lnas_nasbench201.isomorphism",
}


@lnas.hookimpl
def lnas_spaces(register: lnas.Register) -> None:
    """The cells of NAS-Bench-201."""
    small = "channels=2,cells=1,network_channels=2,network_cells=1"
    register("nasbench201", "lnas_nasbench201.space:NasBench201Space", summary="the 15,625 cells of NAS-Bench-201", small=small)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lnas_nasbench201' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
