"""One bit flips, or a file ends early, anywhere in a checkpoint of a real run: it is noticed, and nothing is lost.

Half of the places are drawn over all bytes, half over the files, so that the small ones get their share.  Each time the
checkpoint must be refused by name, and the search for the newest must set it aside, with its damage, and give the one before.
Five of six tries are flips.  The same state, written by `torch.save` and read by `torch.load(weights_only=True)`, gets the same
damage at the same relative place: how often that is noticed is the other figure.  (torch is asked here only; lnas never is.)
"""

import os
import random
import shutil
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.chaos import small
from benchmarks.chaos.outcome import Outcome, progress
from lnas import RunError
from lnas.host import checkpoint

LONG = 1200
"""1,000 flips and 200 truncations."""
MOMENT = 13
"""Steps: the weights are pruned once, and the state to rewind to is there."""


@dataclass(frozen=True)
class Place:
    """Where a try does its damage."""

    file: Path
    share: float
    """Of the file, in [0, 1)."""
    of_all: float
    """The same place as a share of all files, where it was drawn over all bytes; else that of the file."""
    bit: int | None
    """None: the file ends here."""

    def damage(self, data: bytes, share: float) -> bytes:
        at = int(share * len(data))
        if self.bit is None:
            return data[:at]
        return data[:at] + bytes([data[at] ^ 1 << self.bit]) + data[at + 1 :]


def draw(files: list[Path], number: int, generator: random.Random) -> Place:
    """The place of a try: bytes weigh alike in the even ones, files in the odd ones; two of twelve cut."""
    bit = None if number // 2 % 6 == 5 else generator.randrange(8)
    if number % 2:
        file, share = generator.choice(files), generator.random()
        return Place(file, share, share, bit)
    sizes = [file.stat().st_size for file in files]
    at = generator.randrange(sum(sizes))
    of_all = at / sum(sizes)
    for file, size in zip(files, sizes, strict=True):
        if at < size:
            return Place(file, (at + 0.5) / size, of_all, bit)
        at -= size
    raise AssertionError("a place lies in a file")


def measure(count: int, seed: int, folder: Path) -> Outcome:
    run = small.left_after(MOMENT, folder / "run")
    newest = checkpoint.latest(run.checkpoints)
    assert newest is not None
    before = max(path for path in run.checkpoints.iterdir() if path != newest)
    state = checkpoint.load(newest)
    torch.save(state, pickled := folder / "checkpoint.pt")
    whole = pickled.read_bytes()
    generator, files = random.Random(seed), sorted(newest.iterdir())
    tried: Counter[str] = Counter()
    theirs: Counter[str] = Counter()
    broken = []
    for number in range(count):
        place = draw(files, number, generator)
        kind = "truncations" if place.bit is None else "flips"
        tried[kind] += 1
        tried[place.file.name] += 1
        if trouble := _ours(newest, before, place):
            broken.append(f"seed {seed}, try {number}: {place}: {trouble}")
        pickled.write_bytes(place.damage(whole, place.of_all))
        theirs[f"{kind}, torch.load: {_theirs(pickled, state)}"] += 1
        if number % 100 == 99:
            progress(f"damage: {number + 1} of {count}")
    figures = {
        **{f"{kind}, lnas: tried": tried[kind] for kind in ("flips", "truncations")},
        **{f"in {file.name} ({file.stat().st_size:,} bytes)": tried[file.name] for file in files},
        **dict(sorted(theirs.items())),
    }
    return Outcome(count, count - len(broken), figures, broken)


def _ours(newest: Path, before: Path, place: Place) -> str | None:
    """What went wrong; the checkpoint is whole again afterwards."""
    whole = place.file.read_bytes()
    damaged = place.damage(whole, place.share)
    place.file.write_bytes(damaged)
    aside = newest.with_name(f"{newest.name}.damaged")
    try:
        try:
            checkpoint.load(newest)
            return "it was loaded"
        except RunError:
            pass
        with small.quiet():
            found = checkpoint.latest(newest.parent)
        if found != before:
            return f"{found} was taken for the newest that is whole"
        if sorted(path.name for path in newest.parent.iterdir()) != sorted((before.name, aside.name)):
            return f"it left {sorted(os.listdir(newest.parent))}"
        if (aside / place.file.name).read_bytes() != damaged:
            return "the damaged file was changed"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        if aside.exists():
            if newest.exists():
                shutil.rmtree(newest)
            aside.rename(newest)
        place.file.write_bytes(whole)
    return None


def _theirs(file: Path, state: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = torch.load(file, weights_only=True)
        except Exception:
            return "an error"
    return "the same values" if same(loaded, state) else "other values, silently"


def same(one: object, other: object) -> bool:
    """Equal in kind, keys, dtype, shape and bits."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if (one.dtype, one.shape, one.layout) != (other.dtype, other.shape, other.layout):
            return False
        return checkpoint.digest({"": one}) == checkpoint.digest({"": other})
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)
