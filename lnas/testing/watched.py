"""A tiny run from its beginning to its end, with someone who watches: whole, interrupted and resumed, or failing."""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lnas.builtin.pictures import Pictures
from lnas.core.data import Dataset, Split
from lnas.core.random import stream
from lnas.core.types import Batch, State
from lnas.host.assemble import build
from lnas.host.config import Config, to_toml
from lnas.host.events import Event, Observer
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory
from lnas.host.spec import Spec
from lnas.testing.subjects import OPERATIONS

Change = Callable[[int, Tensor], Tensor]
"""`change(number, x)`: the inputs of the training batch of that number, 1 and up, as the run gets them."""

CONFIG = Config(
    prune=(Spec("alpha", "one-shot", {"sparsity": "0.5"}), Spec("theta", "one-shot", {"sparsity": "0.5"})),
    space=Spec(
        "cells",
        options={"layers": "3", "nodes": "2", "network_layers": "3", "operations": "+".join(OPERATIONS)}
        | {"channels": "2", "network_channels": "2"},
    ),
    epochs="2it:4it",  # type: ignore[arg-type]
    batch=4,
    device="cpu",
)
"""Both stages, a prune round in each."""
SEARCHED = 4
"""Training batches of its search."""


@dataclass
class Ear(Observer):
    """Hands events on to an observer, and keeps them, what it raised and how long it took."""

    observer: Observer | None = None
    events: list[Event] = field(default_factory=list)
    errors: list[tuple[Event, Exception]] = field(default_factory=list)

    def notify(self, event: Event) -> None:
        """Keep the event, and hand it on."""
        self.events.append(event)
        try:
            if self.observer is not None:
                self.observer.notify(event)
        except Exception as error:
            self.errors.append((event, error))


class Altered(Dataset):
    """36 grey pictures of 8x8 to train on, of 3 classes, whose batches `change` may alter."""

    def __init__(self, change: Change) -> None:
        pictures = torch.randint(256, (48, 1, 8, 8), dtype=torch.uint8, generator=stream(0, "pictures"))
        labels = torch.arange(48) % 3
        self._inner = Pictures((pictures[:36], labels[:36]), (pictures[36:], labels[36:]), classes=("a", "b", "c"))
        self._change = change
        self._drawn = 0
        self.task, self.classes, self.suggested = self._inner.task, self._inner.classes, self._inner.suggested

    def size(self, split: Split) -> int:
        """36 or 12."""
        return self._inner.size(split)

    def labels(self, split: Split) -> Tensor:
        """A third each."""
        return self._inner.labels(split)

    def batch(self, split: Split, indices: Tensor, augment: torch.Generator | None) -> Batch:
        """Pictures and labels."""
        x, y = self._inner.batch(split, indices, augment)
        if augment is not None:
            self._drawn += 1
            x = self._change(self._drawn, x)
        return x, y

    def to(self, device: torch.device) -> None:
        """Move the pictures."""
        self._inner.to(device)


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A folder that is the working directory meanwhile, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lnas-", ignore_cleanup_errors=True) as folder, contextlib.chdir(folder):
        yield Path(folder)


def run(folder: Path, observers: Sequence[Observer] = (), change: Change = lambda number, x: x) -> State:
    """Begin the run in `folder / "run"`, or go on with it; what it leaves that is the same in every equal run."""
    job = build(CONFIG, Host(entry_points=False), Altered(change))
    path = folder / "run"
    if path.exists():
        directory = RunDirectory.open(path)
    else:
        named = {"name": "run", "recipe": job.recipe, "data": "pictures", "seed": 0}
        directory = RunDirectory.create(folder, config=to_toml(CONFIG), **named)  # type: ignore[arg-type]
    summary = job.run(directory, observers=observers)
    lines = directory.metrics.read_text().splitlines()
    return {
        "digest": summary["digest"],
        "accuracy": summary["accuracy"],
        "journal": [_without_time(json.loads(line)) for line in lines],
        "genotype": json.loads(directory.genotype.read_text()),
    }


@dataclass(frozen=True)
class Recording:
    """A whole run that nobody disturbed.

    Attributes:
        outcome: what `run` gave.
        events: all of them.
        place: the folder that they speak of.
        files: what the run left, by place within the folder.
    """

    outcome: State
    events: tuple[Event, ...]
    place: Path
    files: Mapping[Path, bytes]

    def written(self, folder: Path) -> list[Event]:
        """Write the files to another folder; the events, as if the run had been there."""
        for path, content in self.files.items():
            whole = folder / path
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_bytes(content)
        return [self._of(event, folder) for event in self.events]

    def _of(self, event: Event, folder: Path) -> Event:
        values = {name: getattr(event, name) for name in ("directory", "path") if hasattr(event, name)}
        return replace(event, **{name: folder / path.relative_to(self.place) for name, path in values.items()})


@cache
def recorded() -> Recording:
    """The run, done once in a process, for it is always the same."""
    with empty_folder() as folder:
        ear = Ear()
        outcome = run(folder, [ear])
        files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return Recording(outcome, tuple(ear.events), folder, files)


def interrupted(number: int, x: Tensor) -> Tensor:
    """A change: in the training stage somebody presses Ctrl-C."""
    if number == SEARCHED + 3:
        raise KeyboardInterrupt
    return x


def broken(number: int, x: Tensor) -> Tensor:
    """A change: in the training stage pictures are no numbers any more."""
    return x * float("nan") if number > SEARCHED else x


def seconds_of(observer: Observer, events: Sequence[Event]) -> list[float]:
    """How long each event takes the observer."""
    taken = []
    for event in events:
        began = time.perf_counter()
        observer.notify(event)
        taken.append(time.perf_counter() - began)
    return taken


def _without_time(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if "second" not in key and "time" not in key}
