"""lnas-mlflow: an observer that tracks runs with MLflow.

The table of contents, and the plugin itself.  Neither torch nor MLflow is imported until `Mlflow` is used.
"""

from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_mlflow.observer import Mlflow

__version__ = "0.1.0"

__all__ = ["Mlflow"]


@lnas.hookimpl
def lnas_observers(register: lnas.Register) -> None:
    """Runs of MLflow."""
    register("mlflow", "lnas_mlflow.observer:Mlflow", summary="configuration, curves and results as a run of MLflow")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'lnas_mlflow' has no attribute {name!r}")
    from lnas_mlflow.observer import Mlflow

    return Mlflow
