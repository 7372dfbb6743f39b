"""A run of three seconds, finished and killed, and `look`: what `verify` finds, having changed nothing."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lnas.host.assemble import build
from lnas.host.config import Config, to_toml
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory
from lnas.host.switches import Switches
from lnas.host.verify import Finding, verify
from lnas.report.page import write

CONFIG = Config(
    space="cells,channels=1,layers=1,nodes=1,network_channels=1,network_layers=1",  # type: ignore[arg-type]
    epochs="6it:6it",  # type: ignore[arg-type]
    batch=256,
    prune=("alpha:iterative,rounds=3,sparsity=0.5", "theta:iterative,rounds=2,sparsity=0.5"),  # type: ignore[arg-type]
)

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from lnas.host.assemble import reopen
from lnas.host.events import Observer, StepDone
from lnas.host.plugins import Host
from lnas.host.switches import Switches

torch.set_num_threads(1)

class Killer(Observer):
    def notify(self, event):
        if isinstance(event, StepDone) and (event.progress.stage, event.progress.step) == ("search", 4):
            os.kill(os.getpid(), signal.SIGKILL)

job, directory = reopen(Path(sys.argv[1]), Host(switches=Switches.of({}, no_plugins=True)))
job.run(directory, observers=[Killer()])
"""


@pytest.fixture(scope="session")
def host() -> Host:
    return Host(switches=Switches.of({}, no_plugins=True))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, host: Host) -> Iterator[Path]:
    """finished, and killed after search step 4 with a checkpoint of step 2, which has masks."""
    out = tmp_path_factory.mktemp("runs")
    place = {"recipe": "generalized", "data": "digits", "seed": 0, "config": to_toml(CONFIG)}
    killed = RunDirectory.create(out, name="killed", **place)  # type: ignore[arg-type]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LNAS_")}
    done = subprocess.run([sys.executable, "-c", KILLED, str(killed.path)], env={**environment, "OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL
    finished = RunDirectory.create(out, name="finished", **place)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        build(CONFIG, host).run(finished, command=["lnas", "run"])
    write(finished.path)
    yield out


@pytest.fixture
def finished(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs / "finished", tmp_path / "finished"))


@pytest.fixture
def killed(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs / "killed", tmp_path / "killed"))


def tree(path: Path) -> dict[str, object]:
    """Every file with its bytes and times, every folder with its times."""
    return {
        str(entry): (entry.stat().st_mtime_ns, entry.stat().st_mode, entry.read_bytes() if entry.is_file() else None)
        for entry in [path, *path.rglob("*")]
    }


@dataclass(frozen=True)
class Looked:
    findings: tuple[Finding, ...]

    @property
    def newest(self) -> str:
        return max((f.file for f in self.findings if re.fullmatch(r"checkpoints/step-\d+", f.file)), default="none")

    def files(self, verdict: str) -> set[str]:
        """With a verdict; the last checkpoint is called NEWEST."""
        return {f.file.replace(self.newest, "NEWEST") for f in self.findings if f.verdict == verdict}

    @property
    def words(self) -> str:
        return "\n".join(f"{finding.file}: {finding.words}" for finding in self.findings)


Look = Callable[[Path], Looked]


@pytest.fixture
def look(host: Host) -> Look:
    def looked(path: Path) -> Looked:
        before = tree(path)
        found = Looked(verify(path, host))
        assert tree(path) == before
        return found

    return looked
