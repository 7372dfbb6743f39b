"""A run directory under anything that may happen to it, in any order, beside a model that knows what must be in it."""

import copy
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from unittest.mock import patch

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from torch import Tensor, nn

import lnas
from lnas.host import checkpoint, runtime
from lnas.host.evaluate import Correct
from lnas.host.packing import pack
from lnas.host.rundir import RunDirectory
from lnas.host.runner import Result, run
from lnas.host.signals import Interrupted
from lnas.host.stream import Stream
from lnas.report.read import read

SEED, STEPS, EPOCH = 5, 12, 4
PRUNED = (4, 8)
"""Steps after which weights are pruned and the rest set back to those of step 1."""


class Points(lnas.Dataset):
    task = lnas.Task((3,), 2)
    classes = ("left", "right")
    suggested: ClassVar[dict[str, Any]] = {}

    def __init__(self, before: Callable[[int], None]) -> None:
        self.y = torch.arange(26) % 2
        self.x = torch.randn(26, 3, generator=torch.Generator().manual_seed(0)) + self.y[:, None]
        self.before, self.drawn = before, 0

    def size(self, split: Any) -> int:
        return 20 if split == "train" else 6

    def labels(self, split: Any) -> Tensor:
        return self.y[:20] if split == "train" else self.y[20:]

    def batch(self, split: Any, indices: Tensor, augment: torch.Generator | None) -> tuple[Tensor, Tensor]:
        if augment is not None:
            self.drawn += 1
            self.before(self.drawn)
        places = indices + (20 if split == "test" else 0)
        return self.x[places] + (0 if augment is None else 0.1 * torch.randn(len(indices), 3)), self.y[places]

    def to(self, device: torch.device) -> None: ...


def loss(network: Any, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(network(batch[0]), batch[1])


correct: Correct = lambda network, batch: ((network(batch[0]).argmax(1) == batch[1]).sum(), len(batch[1]))  # noqa: E731


def make_pipeline() -> lnas.Pipeline:
    pruning = lnas.Pruning(
        lambda learner: lnas.Theta(learner.module, learner.optimizers), lnas.Iterative(0.5, 2), lnas.magnitude, rewind=1
    )
    stage = lnas.Retrain(
        lambda genotype: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)),
        lambda network, horizon: lnas.WeightTraining(network, loss, horizon, lr=0.1),
        pruning,
        STEPS,
        SEED,
    )
    return lnas.Pipeline(stage, ticket=lnas.Ticket(genotype=lnas.Genotype({}, {})))


def make_stream(before: Callable[[int], None] = lambda number: None) -> Stream:
    return Stream(Points(before), batch=4, seed=SEED)


def rows(directory: RunDirectory) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in directory.rows()]


def frozen(pipeline: lnas.Pipeline) -> tuple[str, Any]:
    """The whole state, to compare."""
    tensors, document = pack(pipeline.state_dict())
    return checkpoint.digest(tensors), copy.deepcopy(document)


class Straight(NamedTuple):
    """By a plain loop, and by a run that nothing happened to."""

    states: list[tuple[str, Any]]
    """After so many steps."""
    rows: list[dict[str, Any]]
    digest: str


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Straight:
    pipeline, stream = make_pipeline(), make_stream()
    states = [frozen(pipeline)]
    with runtime.undisturbed():
        runtime.seed_globally(SEED)
        for step in range(STEPS):
            pipeline.step(*stream.draw("all", step))
            states.append(frozen(pipeline))
    directory = make_directory(tmp_path_factory.mktemp("straight"))
    result = go(directory, make_pipeline())
    return Straight(states, rows(directory), result.digest)


def make_directory(out: Path) -> RunDirectory:
    return RunDirectory.create(out, name="run", recipe="toy", data="points", seed=SEED, config="seed = 5\n")


def go(
    directory: RunDirectory,
    pipeline: lnas.Pipeline,
    before: Callable[[int], None] = lambda number: None,
    observers: tuple[lnas.Observer, ...] = (),
    every: float = 1e9,
) -> Result:
    with patch("lnas.host.keeper.COST", 0), patch("os.fsync"), runtime.undisturbed():  # a save at the end of every epoch
        return run(
            pipeline,
            make_stream(before),
            directory,
            correct=correct,
            seed=SEED,
            device=torch.device("cpu"),
            observers=observers,
            checkpoint_seconds=every,
        )


class Died(BaseException):
    """The process is gone."""


class Watch(lnas.Observer):
    """Where the run began, and what it saved."""

    def __init__(self, pipeline: lnas.Pipeline) -> None:
        self.pipeline = pipeline
        self.began: tuple[int, tuple[str, Any]] | None = None
        self.saved: list[int] = []

    def notify(self, event: lnas.Event) -> None:
        if isinstance(event, lnas.RunStarted):
            self.began = event.done, frozen(self.pipeline)
        elif isinstance(event, lnas.Saved):
            self.saved.append(int(event.path.name.removeprefix("step-")))


FILES = st.sampled_from(["MANIFEST.json", "state.json", "tensors.safetensors"])
BITS = st.integers(0, 7)


class Runs(RuleBasedStateMachine):
    straight: ClassVar[Straight]
    root: ClassVar[Path]

    @initialize()
    def begin(self) -> None:
        self.out = Path(tempfile.mkdtemp(dir=self.root))
        self.directory = make_directory(self.out)
        self.good: set[int] = set()
        """The steps of checkpoints that were saved, and that no rule has damaged."""
        self.damaged: dict[str, bytes] = {}
        """What was set aside, by name."""
        self.to_be_set_aside: list[bytes] = []

    def teardown(self) -> None:
        shutil.rmtree(self.out)

    @property
    def newest(self) -> int:
        return max(self.good, default=0)

    def bytes_of(self, path: Path) -> bytes:
        return b"\0".join(file.name.encode() + file.read_bytes() for file in sorted(path.iterdir()))

    def attempt(self, steps: int, end: str, every: float) -> None:
        """Resume, do so many steps, and die before the next, or be asked to stop in the last."""
        if self.to_be_set_aside and not self.good:
            return self.refused()
        begun = self.newest
        after = begun + steps
        died = self.out / "as it was when it died"

        def before(number: int) -> None:
            if end == "die" and number == steps + 1:
                shutil.copytree(self.directory.path, died)
                raise Died
            if end == "stop" and number == steps:
                signal.raise_signal(signal.SIGTERM)

        pipeline = make_pipeline()
        watch = Watch(pipeline)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # damage is announced
            try:
                result = go(self.directory, pipeline, before, (watch,), every)
            except Died:
                shutil.rmtree(self.directory.path)  # and what it still wrote, for here it did not really die
                os.rename(died, self.directory.path)
            except Interrupted:
                watch.saved.append(after)
            else:
                assert after >= STEPS and result.digest == self.straight.digest
                assert rows(self.directory) == self.straight.rows
        assert watch.began == (begun, self.straight.states[begun])
        self.directory = RunDirectory.open(self.directory.path)
        self.good = {step for step in {*self.good, *watch.saved} if self.place(step).exists()}
        assert self.newest == max([begun, *watch.saved]), "the newest is never removed"
        for path in self.directory.checkpoints.glob("*.damaged"):
            self.damaged.setdefault(path.name, self.bytes_of(path))
        assert not [content for content in self.to_be_set_aside if content not in self.damaged.values()]

    def refused(self) -> None:
        """What no whole checkpoint is left of is not begun again under the same name; the user begins anew."""
        for _ in range(2):
            with warnings.catch_warnings(), pytest.raises(lnas.RunError, match="no checkpoint of .* is whole"):
                warnings.simplefilter("ignore", RuntimeWarning)
                go(self.directory, make_pipeline())
            kept = [self.bytes_of(path) for path in self.directory.checkpoints.glob("*.damaged")]
            assert not [content for content in self.to_be_set_aside if content not in kept]
        shutil.rmtree(self.out)
        self.begin()

    def place(self, step: int) -> Path:
        return self.directory.checkpoints / f"step-{step:08d}"

    @rule(steps=st.integers(0, 5), every=st.sampled_from([0.0, 1e9]))
    def step_and_die(self, steps: int, every: float) -> None:
        self.attempt(steps, "die", every)

    @rule(steps=st.integers(1, 5), every=st.sampled_from([0.0, 1e9]))
    def step_and_stop(self, steps: int, every: float) -> None:
        self.attempt(steps, "stop", every)

    @rule(end=st.sampled_from(["die", "stop"]), every=st.sampled_from([0.0, 1e9]))
    def to_the_next_round(self, end: str, every: float) -> None:
        later = [step for step in PRUNED if step > self.newest]
        if later:
            self.attempt(later[0] - self.newest, end, every)

    @rule()
    def to_the_end(self) -> None:
        self.attempt(STEPS - self.newest, "", 1e9)

    @precondition(lambda self: self.good)
    @rule(kind=st.sampled_from(["flip", "cut", "remove", "swap"]), name=FILES, other=FILES, share=st.floats(0, 0.999), bit=BITS)
    def damage_the_newest(self, kind: str, name: str, other: str, share: float, bit: int) -> None:
        place = self.place(self.newest)
        file, whole = place / name, (place / name).read_bytes()
        at = int(share * len(whole))  # sizes differ from run to run, for seconds do
        if kind == "flip" or (kind == "swap" and name == other):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        elif kind == "cut":
            file.write_bytes(whole[:at])
        elif kind == "remove":
            file.unlink()
        else:
            file.write_bytes((place / other).read_bytes())
            (place / other).write_bytes(whole)
        with pytest.raises(lnas.RunError):
            checkpoint.load(place)
        self.good.remove(self.newest)
        self.to_be_set_aside.append(self.bytes_of(place))

    @rule(text=st.text(max_size=20), cut=st.integers(0, 400))
    def tear_the_journal(self, text: str, cut: int) -> None:
        journal = self.directory.metrics
        if not journal.exists():
            return
        data = journal.read_bytes()
        kept = checkpoint.load(self.place(self.newest))["metrics"] if self.good else 0
        journal.write_bytes(data[: max(kept, len(data) - cut)] + text.replace("\n", " ").encode())

    @rule()
    def a_second_writer(self) -> None:
        with self.directory.locked(), pytest.raises(lnas.RunInUseError, match=f"in use by process {os.getpid()}"):
            go(RunDirectory.open(self.directory.path), make_pipeline())

    @rule()
    def read_it(self) -> None:
        files = read(self.directory.path)
        assert [epoch.step for epoch in files.epochs] == [row["step"] for row in rows(self.directory) if row["event"] == "epoch"]
        assert files.status is not None and files.status.state in ("running", "interrupted", "failed", "finished")
        assert self.directory.finished() == (files.status.state == "finished" and self.directory.summary.exists())

    @invariant()
    def the_journal_is_a_beginning_of_the_straight_one(self) -> None:
        if hasattr(self, "directory"):
            found = rows(self.directory)
            assert found == self.straight.rows[: len(found)]

    @invariant()
    def the_newest_is_whole(self) -> None:
        if hasattr(self, "directory") and self.good:
            checkpoint.load(self.place(self.newest))

    @invariant()
    def what_was_set_aside_is_there(self) -> None:
        if hasattr(self, "directory"):
            for name, content in self.damaged.items():
                assert self.bytes_of(self.directory.checkpoints / name) == content


def test_a_run_directory_survives_whatever_happens_to_it(
    straight: Straight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runs, "straight", straight, raising=False)
    monkeypatch.setattr(Runs, "root", tmp_path, raising=False)
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    found = [Phase.explicit, Phase.generate]  # a run that fails is short enough to be read as it is
    given = settings(
        max_examples=10, stateful_step_count=10, deadline=None, derandomize=True, suppress_health_check=slow, phases=found
    )
    run_state_machine_as_test(Runs, settings=given)
