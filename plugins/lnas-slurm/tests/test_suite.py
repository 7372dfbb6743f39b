"""The rules of executors, as anyone who writes one inherits them: on processes of this machine, and in this one."""

from pathlib import Path
from typing import ClassVar

import pytest

from lnas import Work
from lnas.testing import ExecutorSuite


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs leave their files in the working directory."""
    monkeypatch.chdir(tmp_path)


class TestLocal(ExecutorSuite):
    part: ClassVar[str] = "lnas_slurm.executor:Slurm"
    plugin: ClassVar[str] = "lnas_slurm"
    options: ClassVar[dict[str, object]] = {"cluster": "local", "poll": 0.05}

    def exercise(self) -> None:
        """What comes of a job is seen once, by the other rules."""
        engine = self.executor(1)
        engine.submit(Work("sum", "lnas.testing.work:add", {"left": 2, "right": 3}))
        engine.close()


class TestDebug(ExecutorSuite):
    part: ClassVar[str] = "lnas_slurm.executor:Slurm"
    plugin: ClassVar[str] = "lnas_slurm"
    options: ClassVar[dict[str, object]] = {"cluster": "debug"}
    own_workers: ClassVar[bool] = False
