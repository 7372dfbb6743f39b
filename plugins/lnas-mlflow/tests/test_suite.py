import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest
from lnas_mlflow import Mlflow

import lnas
from lnas.testing import ObserverSuite


class TestMlflow(ObserverSuite):
    part = "lnas_mlflow.observer:Mlflow"
    plugin = "lnas_mlflow"
    options: ClassVar[Mapping[str, object]] = {}


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One database for all rules: its tables take seconds, and SQLAlchemy 2.1 warns of what MLflow 3.17 does with them, once."""
    place = tmp_path_factory.mktemp("store")
    TestMlflow.options = {"uri": f"sqlite:///{place}/mlflow.db", "experiment": "suite"}
    with contextlib.chdir(place), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
        Mlflow(**TestMlflow.options).notify(lnas.RunStarted(place, "", {}, (), 0))  # type: ignore[arg-type]
    yield
    TestMlflow.options = {}
