"""The batches of a run: which examples each step sees, as a function of the seed and the step's number alone."""

import hashlib
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lnas.core.data import Dataset, Split
from lnas.core.errors import ConfigError, DataError, PluginError
from lnas.core.random import stream
from lnas.core.stages import Draws
from lnas.core.types import Batch
from lnas.host.launch import ONE, Place
from lnas.host.runtime import undisturbed

_LOOKED_AT, _AT_ONCE = 1024, 64
"""Examples in a fingerprint, and in each batch that is made for it."""


class Stream:
    """Endless batches for training, and all of the held-out ones for evaluation.

    Each class is split by itself: `validation` of its training examples, rounded and at least one, are held out; the rest
    falls into the halves "theta" and "alpha" for a search, which differ by one example at most, and is whole for
    retraining.  The split depends on the seed, `validation` and the labels alone.

    Nothing is consumed: batch 7 is batch 7 whether or not batch 6 was drawn, so there is no state to save.

    Args:
        dataset: the examples, already where they shall be.
        batch: examples a batch.
        seed: the root seed.
        validation: the share held out, between 0 and 1.
        place: of this process.  A step's batch is that of all processes together, `batch` for each; it is made whole in
            each of them, so that its augmentation is that of one process with as large a batch, and each keeps its rows.

    Raises:
        ConfigError: `batch` below 1; a `validation` that is no share, or leaves a class less than one example a half.
        DataError: no training examples, or a class with fewer than three.
    """

    def __init__(self, dataset: Dataset, *, batch: int, seed: int, validation: float = 0.1, place: Place = ONE) -> None:
        if batch < 1:
            raise ConfigError(f"batch is {batch}; it must be at least 1")
        if not 0 < validation < 1:
            raise ConfigError(f"validation is {validation}; the share of training examples held out must lie between 0 and 1")
        self._dataset = dataset
        self._place = place
        self._batch = batch
        self._whole = batch * place.size
        self._seed = seed
        self._validation, rest = _held_out(dataset, validation, stream(seed, "split"))
        self._parts = {"all": torch.cat(rest).sort().values, **_halves(rest, stream(seed, "halves"))}
        self._orders: dict[str, tuple[int, Tensor]] = {}

    @property
    def sizes(self) -> Mapping[str, int]:
        """The number of examples: in training (of which theta and alpha are the halves), validation and test."""
        return {
            "train": len(self._parts["all"]),
            "theta": len(self._parts["theta"]),
            "alpha": len(self._parts["alpha"]),
            "validation": len(self._validation),
            "test": self._dataset.size("test"),
        }

    def fingerprint(self) -> str:
        """A sha256 over the labels of both splits and up to 1,024 training examples as they are, evenly spaced."""
        seal = hashlib.sha256()
        for split in ("train", "test"):
            seal.update(_bytes(self._dataset.labels(split)))
        number = len(self._dataset.labels("train"))
        chosen = torch.arange(0, number, max(1, -(-number // _LOOKED_AT)))
        with undisturbed():
            for part in torch.split(chosen, _AT_ONCE):
                for tensor in _tensors(self._dataset.batch("train", part, None)):
                    seal.update(_bytes(tensor))
        return seal.hexdigest()[:16]

    def steps_per_epoch(self, draws: Draws) -> int:
        """Full batches of all processes an epoch: what is left over at its end is dropped.

        Raises:
            ConfigError: a batch is larger than what it is drawn from.
        """
        fewest = min(len(self._parts[part]) for part in _parts(draws))
        if self._whole > fewest:
            source = "each half of the training examples" if draws == "pairs" else "the training examples"
            given = f"{self._batch} in each of {self._place.size} processes" if self._place.size > 1 else f"{self._batch}"
            most = fewest // self._place.size
            raise ConfigError(
                f"batch is {given}, but {source} left by validation number {fewest}; "
                + (f"use --batch {most} or less" if most else "start fewer processes")
            )
        return fewest // self._whole

    def draw(self, draws: Draws, step: int, attempt: int = 0) -> tuple[Batch, Batch | None]:
        """The batches of step number `step`, 0 and up, of a stage: (theta, alpha) for "pairs", (batch, None) for "all".

        Each part is put into a new order every epoch; no example comes twice within one.  With an `attempt` above 0 they are
        others in the place of that step's, drawn from all of each part; those of the steps after it stay as they are.

        Raises:
            PluginError: where there are several processes and a batch of the data set cannot be cut.
        """
        again = f"/attempt {attempt}" if attempt else ""
        batches = [
            self._own(
                self._dataset.batch(
                    "train",
                    self._others(f"{draws}/{part}/{step}{again}", part) if attempt else self._ordered(draws, part, step),
                    stream(self._seed, f"augment/{draws}/{part}/{step}{again}"),
                )
            )
            for part in _parts(draws)
        ]
        return batches[0], batches[1] if draws == "pairs" else None

    def validation_batches(self) -> Iterator[Batch]:
        """The held-out examples as they are, or this process' share of them; the last batch may be short."""
        return self._all("train", self._validation)

    def test_batches(self) -> Iterator[Batch]:
        """The test examples as they are, or this process' share; the last batch may be short.  For one final reading."""
        return self._all("test", torch.arange(self._dataset.size("test")))

    def _all(self, split: Split, indices: Tensor) -> Iterator[Batch]:
        for start in range(self._place.rank * self._batch, len(indices), self._whole):
            yield self._dataset.batch(split, indices[start : start + self._batch], None)

    def _own(self, batch: Batch) -> Batch:
        """This process' rows of the batch of all."""
        if self._place.size == 1:
            return batch
        first = self._place.rank * self._batch
        return _rows(batch, slice(first, first + self._batch), self._whole)

    def _ordered(self, draws: Draws, part: str, step: int) -> Tensor:
        """The examples of a step, by the order of its epoch."""
        epoch, position = divmod(step, self.steps_per_epoch(draws))
        return self._order(part, epoch)[position * self._whole : (position + 1) * self._whole]

    def _others(self, name: str, part: str) -> Tensor:
        """As many examples of a part, drawn from the stream of that name."""
        members = self._parts[part]
        return members[torch.randperm(len(members), generator=stream(self._seed, f"others/{name}"))[: self._whole]]

    def _order(self, part: str, epoch: int) -> Tensor:
        """The examples of a part in the order of an epoch; the last one asked for is kept."""
        known, order = self._orders.get(part, (None, None))
        if order is None or known != epoch:
            members = self._parts[part]
            order = members[torch.randperm(len(members), generator=stream(self._seed, f"order/{part}/{epoch}"))]
            self._orders[part] = epoch, order
        return order


def _parts(draws: Draws) -> tuple[str, ...]:
    """What each batch of a step is drawn from."""
    return ("theta", "alpha") if draws == "pairs" else ("all",)


def _rows(batch: Batch, rows: slice, number: int) -> Batch:
    """Some of the `number` examples of a batch that is made of tensors with a row for each, in dicts, lists and tuples."""
    if isinstance(batch, Tensor) and batch.dim() and len(batch) == number:
        return batch[rows]
    if isinstance(batch, Mapping):
        return {key: _rows(value, rows, number) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_rows(value, rows, number) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(_rows(value, rows, number) for value in batch)
    given = f"tensor of shape {tuple(batch.shape)}" if isinstance(batch, Tensor) else type(batch).__name__
    raise PluginError(
        f"a batch of this data set cannot be shared out among processes: it holds a {given};"
        f" tensors with one row for each of its {number} examples can"
    )


def _tensors(batch: Batch) -> Iterator[Tensor]:
    """Those of a batch that is made of dicts, lists and tuples, in order; what else is in it is passed over."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _tensors(value)
    elif isinstance(batch, list | tuple):
        for value in batch:
            yield from _tensors(value)


def _bytes(tensor: Tensor) -> bytes:
    value = tensor.detach().cpu().contiguous()
    return f"{value.dtype}{tuple(value.shape)}".encode() + value.reshape(-1).view(torch.uint8).numpy().tobytes()


def _held_out(dataset: Dataset, share: float, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
    """The validation examples, sorted, and what is left of each class, in random order."""
    labels = dataset.labels("train")
    if not len(labels):
        raise DataError("there are no training examples")
    numbers = {int(label): int((labels == label).sum()) for label in torch.unique(labels)}
    label, fewest = min(numbers.items(), key=lambda pair: pair[1])  # what works for the smallest class works for all
    if fewest < 3:
        raise DataError(
            f"class {dataset.classes[label]!r} has only {fewest} of the training examples; at least 3 are needed: one for "
            "validation, one for each half of the search"
        )
    if fewest - _count(share, fewest) < 2:
        raise ConfigError(
            f"validation {share} holds out {_count(share, fewest)} of the {fewest} training examples of class "
            f"{dataset.classes[label]!r}; one must be left for each half of the search: at most "
            f"{math.floor(1000 * (fewest - 2) / fewest) / 1000} works"
        )
    held, rest = [], []
    for label, number in numbers.items():
        count = _count(share, number)
        members = (labels == label).nonzero()[:, 0]
        members = members[torch.randperm(number, generator=generator)]
        held.append(members[:count])
        rest.append(members[count:])
    return torch.cat(held).sort().values, rest


def _count(share: float, number: int) -> int:
    """How many of `number` examples are held out."""
    return max(1, int(share * number + 0.5))


def _halves(classes: list[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Every other example, class after class: halves that differ by one in each class and in all."""
    mixed = torch.cat([members[torch.randperm(len(members), generator=generator)] for members in classes])
    return {"theta": mixed[::2].sort().values, "alpha": mixed[1::2].sort().values}
