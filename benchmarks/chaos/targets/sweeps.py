"""Readers of the directory of a sweep, which may have come from somebody else, and of the files that ask for one."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.chaos.targets.expected import refused
from benchmarks.chaos.targets.files import folder
from lnas.sweep.call import Call
from lnas.sweep.collect import collect
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.planned import SweepPlan, Trial
from lnas.sweep.results import Row
from lnas.sweep.sources import OfTable1, of_file

ROWS = (Row("baseline", "baseline"), Row("variant1 p=0.5", "variant1", 0.5, varied={"batch": "32"}))
PLAN = SweepPlan(
    ROWS,
    (
        Trial("baseline-seed0", "baseline", 0, 'recipe = "baseline"\n', "0123456789abcdef"),
        Trial("variant1-p0.5-seed0", "variant1 p=0.5", 0, "", None, 0.5, 4),
    ),
    {"0123456789abcdef": 'recipe = "baseline"\n'},
    stopping="halving,eta=3",
)
ALONE = replace(PLAN, rows=ROWS[1:], trials=PLAN.trials[1:], searches={}, stopping=None, kind="table1", scale="tiny")
STATUS = {"state": "running", "seconds": 3.5, "executor": "process", "workers": 2, "most_workers": 4, "command": "lnas sweep"}


def plan(data: bytes) -> None:
    """A plan is written and read back; what it names lies in the sweep, and its results can be collected."""
    with folder({"plan.json": data}) as place, refused():
        directory = SweepDirectory.open(place)
        made = directory.plan()
        assert SweepPlan.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False))) == made
        for inner in (*(directory.run_of(trial.name) for trial in made.trials), *map(directory.search_of, made.searches)):
            assert inner.path.resolve().parent.parent == place.resolve(), inner.path
        assert len(collect(place).trials) == len(made.trials)


def status(data: bytes) -> None:
    """Whatever stands in status.json, a sweep has results; what is said of a call is written and read back."""
    with folder({"plan.json": _bytes(PLAN.to_json()), "status.json": data}) as place:
        directory = SweepDirectory.open(place)
        assert collect(place).workers >= 1
        if (call := Call.said(directory.read_status())) is not None:
            directory.write_status("running", seconds=directory.seconds(), call=call)
            assert Call.said(directory.read_status()) == call


def asked(data: bytes) -> None:
    """The file of a sweep is read or refused."""
    with folder({"sweep.toml": data}) as place, refused():
        of_file(place / "sweep.toml")


def table1(data: bytes) -> None:
    """The file of a Table 1 is read or refused."""
    with folder({"sweep.toml": data}) as place, refused():
        OfTable1.read(place / "sweep.toml", ("tiny", "small"), {"seed": None, "strategy": "darts"})


def _bytes(document: object) -> bytes:
    return json.dumps(document).encode()


TARGETS: Mapping[str, tuple[Callable[[bytes], None], Sequence[bytes]]] = {
    "sweep-plan": (plan, (_bytes(PLAN.to_json()), _bytes(ALONE.to_json()), b"{}")),
    "sweep-status": (status, (_bytes(STATUS), _bytes({**STATUS, "workers": None, "seconds": "nan"}), b"[]")),
    "sweep-file": (
        asked,
        (
            b'recipe = ["baseline", "variant1"]\nsparsity = [0.25, 0.5]\nseeds = 5\ncontrols = ["reinit"]\n',
            b'prune = [["theta:one-shot"], ["theta:iterative,rounds=3"]]\nspace = "cells,channels=4"\nbatch = 32\n',
            b'[data]\nname = "digits"\ncrop = 0\n',
        ),
    ),
    "table1-file": (
        table1,
        (
            b'reproduce = "table1"\nscale = "tiny"\nseeds = 3\nthreads = 1\nlevels = [0.25, 0.5]\nstrategy = "darts"\n',
            b'scale = "small"\nepochs = "4:8"\ndata = "folder,root=x"\ncontrols = ["all"]\n',
        ),
    ),
}
"""By name."""
