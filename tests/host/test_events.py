"""What observers are told, that it is frozen, and that no observer can change or break a run."""

import dataclasses
import os
import random
import signal
import sys
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy
import pytest
import torch

import lnas
from lnas.core.errors import LnasError
from lnas.host import checkpoint
from lnas.host.assemble import build, reopen, resolve
from lnas.host.config import to_toml
from lnas.host.events import Audience, Described
from lnas.host.job import Job
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory

SPACE = "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3,operations=none+skip_connect+sep_conv_3x3"
GIVEN: dict[str, object] = {
    **{"space": f"{SPACE},drop_path=0.3", "epochs": "4it:4it", "batch": 8, "device": "cpu"},
    **{"prune": ("alpha:one-shot,sparsity=0.5",), "train": "lr=0.05"},
}


class Told(lnas.Observer):
    """Remembers events, and does something first."""

    first: ClassVar[Callable[[lnas.Event], None]] = staticmethod(lambda event: None)
    events: ClassVar[list[lnas.Event]] = []

    def notify(self, event: lnas.Event) -> None:
        type(self).first(event)
        self.events.append(event)


class Loud(lnas.Observer):
    def __init__(self) -> None:
        print("made")

    def notify(self, event: lnas.Event) -> None:
        print("told")


class Plugin:
    __name__ = "watchers"
    __version__ = "1.2"

    @lnas.hookimpl
    def lnas_observers(self, register: lnas.Register) -> None:
        register("told", f"{__name__}:Told")
        register("loud", f"{__name__}:Loud")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This module can be imported by its name, the working directory is empty, and nobody waits for the disk."""
    monkeypatch.setitem(sys.modules, __name__, type(sys)(__name__))
    for part in (Told, Loud):
        monkeypatch.setattr(sys.modules[__name__], part.__name__, part, raising=False)
    monkeypatch.setattr(Told, "events", [])
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.chdir(tmp_path)


def job(*observe: str, **given: object) -> Job:
    host = Host([Plugin()], entry_points=False)
    merged, dataset = resolve(host, command_line={**GIVEN, "observe": observe, **given})
    return build(merged.config, host, dataset)


def directory(made: Job, name: str = "run") -> RunDirectory:
    """Below the working directory, and named relative to it, as the command line does."""
    return RunDirectory.create(Path("runs"), name=name, recipe="", data="", seed=0, config=to_toml(made.config))


def digest(*observe: str, name: str = "run", **given: object) -> str:
    made = job(*observe, **given)
    return str(made.run(directory(made, name))["digest"])


def doing(monkeypatch: pytest.MonkeyPatch, first: Callable[[lnas.Event], None]) -> None:
    monkeypatch.setattr(Told, "first", staticmethod(first))


def vandalise(event: lnas.Event) -> None:
    """All that an observer can reach without looking for what it was not given."""
    torch.manual_seed(7), random.seed(7), numpy.random.seed(7)
    torch.rand(3), random.random(), numpy.random.random()
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    os.chdir("/")
    print("{}")
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, field.name, None)
        if not isinstance(value, str | float | int | None):
            with pytest.raises((TypeError, AttributeError)):
                value["loss"] = 0.0
        if isinstance(value, lnas.Progress):
            object.__setattr__(value, "step", 10**6)
            object.__setattr__(value, "stage", "nowhere")
        object.__setattr__(event, field.name, None)


def test_an_observer_that_tries_everything_changes_no_digest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = torch.get_default_dtype(), torch.get_num_threads(), os.getcwd()
    expected = digest(name="alone")
    doing(monkeypatch, vandalise)
    assert digest("told", name="watched") == expected
    assert len(Told.events) > 10
    assert (torch.get_default_dtype(), torch.get_num_threads(), os.getcwd()) == before
    assert torch.is_grad_enabled()
    alone, watched = (Path("runs", name, "genotype.json").read_bytes() for name in ("alone", "watched"))
    assert alone == watched
    assert capsys.readouterr().out == ""


def leaves(value: object) -> list[object]:
    """The values inside frozen dataclasses, tuples and read-only mappings."""
    if isinstance(value, tuple):
        return [leaf for part in value for leaf in leaves(part)]
    if isinstance(value, MappingProxyType):
        return [leaf for pair in value.items() for leaf in leaves(pair)]
    if dataclasses.is_dataclass(value):
        assert type(value).__dataclass_params__.frozen  # type: ignore[attr-defined]
        return [leaf for field in dataclasses.fields(value) for leaf in leaves(getattr(value, field.name))]
    return [value]


def test_all_that_is_told_is_plain_and_frozen() -> None:
    digest("told")
    assert {type(event).__name__ for event in Told.events} == {
        *("RunStarted", "StageStarted", "StepDone", "EpochDone", "Pruned", "Saved", "Finished")
    }
    kinds = {type(leaf) for event in Told.events for leaf in leaves(event)}
    assert kinds <= {str, int, float, bool, type(None), type(Path())}
    epoch = next(event for event in Told.events if isinstance(event, lnas.EpochDone))
    with pytest.raises(TypeError):
        epoch.metrics["loss"] = 0.0  # type: ignore[index]


def test_a_mapping_that_is_handed_in_is_copied() -> None:
    given = {"a": 1.0}
    event = lnas.Pruned(lnas.Progress("search", "pairs", 1, 2, 1, 1), "alpha", 0.5, 0.5, given, None)
    given["a"] = 2.0
    assert event.layers == {"a": 1.0}


def test_the_first_event_describes_the_run() -> None:
    made = job("told")
    made.run(directory(made))
    started = Told.events[0]
    assert isinstance(started, lnas.RunStarted)
    assert (started.directory, started.recipe, started.done) == (Path("runs/run"), "variant2", 0)
    assert [(stage.name, stage.steps, stage.rounds) for stage in started.stages] == [("search", 4, 1), ("train", 4, 0)]
    assert started.stages == made.plan().stages
    table = tomllib.loads(Path("runs/run/config.toml").read_text())
    assert set(started.config) == {*table} - {"train"} | {f"train.{key}" for key in table["train"]}
    shown = {key: started.config[key] for key in ("batch", "epochs", "prune", "train.lr", "seed")}
    assert shown == {"batch": "8", "epochs": "4it:4it", "prune": "alpha:one-shot,sparsity=0.5", "train.lr": "0.05", "seed": "0"}


@pytest.mark.parametrize("error", [ValueError("no\nway"), SystemExit(3)], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["RunStarted", "StepDone", "Saved", "Finished"])
def test_an_observer_that_raises_is_named_once_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, kind: str
) -> None:
    def refuse(event: lnas.Event) -> None:
        if type(event).__name__ == kind:
            raise error

    class Log(lnas.Observer):
        heard: ClassVar[list[str]] = []

        def notify(self, event: lnas.Event) -> None:
            self.heard.append(type(event).__name__)

    monkeypatch.setattr(Log, "heard", [])
    doing(monkeypatch, refuse)
    made = job("told", epochs="1it:1it", prune=())
    with pytest.warns(RuntimeWarning) as caught:
        made.run(directory(made), observers=[Log()])
    words = {"ValueError": "ValueError: no way", "SystemExit": "SystemExit: 3"}[type(error).__name__]
    [warning] = [str(warning.message) for warning in caught]
    assert warning == f"observer told of plugin watchers (1.2) failed and hears no more of this run: {words}"
    assert kind not in [type(event).__name__ for event in Told.events]
    assert Log.heard[0] == "RunStarted" and Log.heard[-1] == "Finished"


def test_an_observer_that_nobody_described_is_named_by_its_class() -> None:
    class Broken(lnas.Observer):
        def notify(self, event: lnas.Event) -> None:
            raise KeyError("gone")

    audience = Audience([Broken()])
    with pytest.warns(RuntimeWarning, match=r"^observer Broken failed and hears no more of this run: KeyError: 'gone'$"):
        audience.tell(lnas.Resumed(lnas.Progress("search", "pairs", 0, 1, 0, 0), ()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audience.tell(lnas.Resumed(lnas.Progress("search", "pairs", 0, 1, 0, 0), ()))


def test_a_keyboard_interrupt_is_the_users() -> None:
    class Slow(lnas.Observer):
        def notify(self, event: lnas.Event) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Audience([Slow()]).tell(lnas.Resumed(lnas.Progress("search", "pairs", 0, 1, 0, 0), ()))


def test_what_an_observer_prints_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    made = job("loud", epochs="1it:1it", prune=())
    made.run(directory(made))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("made\ntold\n")


class Signals(lnas.Observer):
    """Sends SIGTERM when a search step is done."""

    def notify(self, event: lnas.Event) -> None:
        if isinstance(event, lnas.StepDone) and event.done == 2:
            signal.raise_signal(signal.SIGTERM)


def test_a_run_that_is_interrupted_says_so_and_goes_on() -> None:
    made = job("told")
    place = directory(made)
    with pytest.raises(LnasError, match="SIGTERM after search step"):
        made.run(place, observers=[Signals()])
    saved, stopped = Told.events[-2:]
    assert isinstance(saved, lnas.Saved) and isinstance(stopped, lnas.Stopped)
    assert saved.path == checkpoint.latest(place.checkpoints)
    assert stopped.progress == saved.progress
    assert (stopped.progress.stage, stopped.progress.step, stopped.reason) == ("search", 2, "interrupted")
    assert stopped.error.startswith("SIGTERM after search step 2 of 4; a checkpoint is saved; go on with: lnas resume")

    first = [dataclasses.replace(e, seconds=0.0) if isinstance(e, lnas.EpochDone) else e for e in Told.events]
    Told.events.clear()
    again, place = reopen(Path("runs/run"), Host([Plugin()], entry_points=False))
    again.run(place)
    started, resumed, stage, *rest = Told.events
    assert isinstance(started, lnas.RunStarted) and started.done == 2
    assert isinstance(resumed, lnas.Resumed) and resumed.differences == () and resumed.progress.step == 2
    assert isinstance(stage, lnas.StageStarted) and stage.progress.step == 2
    whole = [e for e in [*first, *rest] if isinstance(e, lnas.StepDone)]
    assert [event.done for event in whole] == [1, 2, 3, 4, 5, 6, 7, 8], "nothing is told twice or left out"


def test_a_run_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    made = job("told", train="lr=1e30", epochs="1it:4it", prune=())
    with pytest.raises(LnasError) as failed:
        made.run(directory(made))
    stopped = Told.events[-1]
    assert isinstance(stopped, lnas.Stopped)
    assert (stopped.reason, stopped.progress.stage, stopped.error) == ("failed", "train", str(failed.value))


def test_a_full_disk_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    def fill(event: lnas.Event) -> None:
        if isinstance(event, lnas.StageStarted) and event.progress.stage == "train":
            monkeypatch.setattr(os, "fsync", full)

    doing(monkeypatch, fill)
    made = job("told", epochs="1it:1it", prune=())
    with pytest.raises(LnasError, match="No space left"):
        made.run(directory(made))
    assert isinstance(Told.events[-1], lnas.Stopped)
    assert "No space left on device" in Told.events[-1].error


def test_a_described_observer_is_told_what_is_told() -> None:
    inner = Told()
    outer = Described(inner, "observer told of plugin x")
    event = lnas.Saved(lnas.Progress("search", "pairs", 1, 1, 0, 0), Path("x"))
    outer.notify(event)
    assert Told.events == [event]
    assert str(outer) == "observer told of plugin x"
