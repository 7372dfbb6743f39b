"""A sweep of networks that learn nothing in no time, on the digits."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from lnas.core.executor import Executor
from lnas.host.plugins import Host
from lnas.sweep.axes import rows
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.engine import Engine
from lnas.sweep.planned import SweepPlan
from lnas.sweep.planning import Planner
from lnas.sweep.told import Counts, Told
from lnas.sweep.work import Surroundings

TINY = {
    "space": "cells,channels=1,layers=3,nodes=1,network_channels=2,network_layers=3",
    "epochs": "12it:12it",
    "batch": "16",
    "data": "digits",
}


@pytest.fixture(autouse=True)
def names_of_the_built_in_parts(built_in_parts_only: None) -> None:
    """A sweep is tested as it is without plugins."""


def planned(*, seeds: int = 1, controls: Sequence[str] = (), stopping: str | None = None, **settings: object) -> SweepPlan:
    """The plan of a tiny sweep."""
    return Planner(Host()).plan(rows({**TINY, **settings}), seeds=seeds, controls=controls, stopping=stopping)


def run(directory: SweepDirectory, plan: SweepPlan, executor: Executor, *, most: int | None = None) -> tuple[Counts, list[Told]]:
    """One call of a sweep, and what was told of it."""
    heard: list[Told] = []
    with directory.locked():
        engine = Engine(directory, plan, executor, Surroundings(str(Path.cwd())), heard.append, most=most)
        return engine.run("lnas sweep"), heard
