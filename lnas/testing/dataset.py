"""What every data set keeps: batches are a function of the indices and the stream, and of nothing else."""

import unittest
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lnas.core.data import Dataset, Split
from lnas.core.errors import LnasError
from lnas.core.random import stream
from lnas.core.types import Task
from lnas.host.config import merge
from lnas.host.spec import Spec
from lnas.host.stream import Stream
from lnas.testing.device import META
from lnas.testing.part import PartSuite
from lnas.testing.states import copied, difference
from lnas.testing.suite import require

SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")
MOST = 8
"""Examples of a batch that is looked at."""
FEWEST = 3
"""Training examples of a class: one for validation, one for each half of the search."""
LARGEST = 1000.0
"""No input of a network is further from 0 than this."""


class DatasetSuite(PartSuite):
    """The rules of data sets.

    Attributes:
        moves: whether the data set can be tried on a device without values (torch's "meta"), to see that `to` moves it.
    """

    kind = "dataset"
    moves: ClassVar[bool] = True

    def given(self) -> tuple[Any, ...]:
        """Nothing: a data set has options only."""
        return ()

    def exercise(self) -> None:
        """Two batches of each split, one of them augmented, and a move."""
        data = self.make()
        for split in SPLITS:
            data.labels(split)
            data.batch(split, _some(data, split), None)
            data.batch(split, _some(data, split), stream(0, "augment"))
        data.to(torch.device("cpu"))

    def test_it_is_a_data_set(self) -> None:
        """The part makes a `Dataset`."""
        made = self.make()
        require(isinstance(made, Dataset), f"{self.label()} made a {type(made).__name__}, which is no Dataset")

    def test_it_says_what_its_task_is(self) -> None:
        """`task` has the shape of one example and the number of classes, and `classes` a name for each."""
        data = self.make()
        task, classes = data.task, data.classes
        require(isinstance(task, Task), f"{self.label()}.task is a {type(task).__name__}, not a Task")
        whole = isinstance(task.shape, tuple) and all(type(length) is int and length > 0 for length in task.shape)
        require(whole and bool(task.shape), f"{self.label()}.task.shape is {task.shape!r}; it must be a tuple of whole numbers")
        require(type(task.classes) is int and task.classes > 1, f"{self.label()} has {task.classes!r} classes; at least 2")
        texts = isinstance(classes, tuple) and all(isinstance(name, str) and name for name in classes)
        require(texts, f"{self.label()}.classes is {classes!r}; it must be a tuple of names")
        require(len(set(classes)) == len(classes), f"{self.label()}.classes has one name twice: {classes!r}")
        require(len(classes) == task.classes, f"{self.label()} has {len(classes)} names for {task.classes} classes")

    def test_labels_say_the_class_of_each_example(self) -> None:
        """`labels` is (size,) int64 on the CPU, each of them one of the classes."""
        data = self.make()
        for split in SPLITS:
            size, labels = data.size(split), data.labels(split)
            require(type(size) is int and size > 0, f"size({split!r}) is {size!r}; it must be a whole number above 0")
            require(isinstance(labels, Tensor), f"labels({split!r}) is a {type(labels).__name__}, not a tensor")
            given = f"{labels.dtype} of shape {tuple(labels.shape)} on {labels.device}"
            right = labels.dtype == torch.int64 and labels.shape == (size,) and labels.device.type == "cpu"
            require(right, f"labels({split!r}) is {given}; it must be torch.int64 of shape ({size},) on the CPU")
            low, high = int(labels.min()), int(labels.max())
            inside = low >= 0 and high < data.task.classes
            require(inside, f"labels({split!r}) go from {low} to {high}; there are the classes 0 to {data.task.classes - 1}")

    def test_every_class_has_examples(self) -> None:
        """Each class has at least three training examples and one test example."""
        data = self.make()
        for split, fewest in (("train", FEWEST), ("test", 1)):
            labels = data.labels(split)
            counts = torch.bincount(labels[labels >= 0], minlength=len(data.classes)).tolist()
            for name, count in zip(data.classes, counts, strict=False):
                require(count >= fewest, f"class {name!r} has {count} {split} examples; there must be at least {fewest}")

    def test_a_batch_is_inputs_and_classes(self) -> None:
        """A batch is `(x, y)`: x float of the task's shape, finite and of the size of a network's input; y the labels."""
        data = self.make()
        for split in SPLITS:
            for augment in (None, stream(0, "augment")):
                indices = _some(data, split)
                batch = data.batch(split, indices, augment)
                require(isinstance(batch, tuple | list) and len(batch) == 2, f"a batch is a {type(batch).__name__}, not (x, y)")
                x, y = batch
                shape = (len(indices), *data.task.shape)
                given = f"{x.dtype} of shape {tuple(x.shape)}"
                right = x.is_floating_point() and x.shape == shape
                require(right, f"x of a {split} batch is {given}; it must be floating point of shape {shape}, by the task")
                large = float(x.abs().max()) if bool(x.isfinite().all()) else float("nan")
                require(large <= LARGEST, f"x of a {split} batch goes up to {large:g}; it must be finite, and normalised")
                same = y.dtype == torch.int64 and torch.equal(y.cpu(), data.labels(split)[indices])
                require(same, f"y of a {split} batch is {y.tolist()}; labels({split!r}) at those indices are others")

    def test_a_batch_is_made_of_its_examples(self) -> None:
        """Any indices, in any order, the same one twice too, give the rows that each gives alone, bit for bit."""
        data = self.make()
        for split in SPLITS:
            indices = _some(data, split)
            mixed = torch.cat([indices.flip(0), indices[:1]])
            x, _ = data.batch(split, mixed, None)
            for row, index in enumerate(mixed.tolist()):
                alone = data.batch(split, torch.tensor([index]), None)[0][0]
                found = difference(alone, x[row], "x")
                require(not found, f"{split} example {index} is another one alone and as row {row} of a batch: {found}")

    def test_batches_without_a_stream_are_always_the_same(self) -> None:
        """With `augment=None` nothing is random: not in a second call, and not in a data set made again."""
        first, again = self.make(), self.make()
        for split in SPLITS:
            indices = _some(first, split)
            batch = copied(first.batch(split, indices, None))
            first.batch(split, indices, stream(0, "augment"))
            for how, other in (("a second time", first), ("of an equal data set", again)):
                found = difference(batch, copied(other.batch(split, indices, None)), "batch")
                require(not found, f"a {split} batch without augmentation is another one {how}: {found}")

    def test_augmentation_depends_on_the_stream_alone(self) -> None:
        """A generator in the same state gives the same batch, whatever was asked before, in any equal data set."""
        first, again = self.make(), self.make()
        indices = _some(first, "train")
        batch = copied(first.batch("train", indices, stream(0, "augment")))
        first.batch("train", indices.flip(0), stream(1, "augment"))
        for how, other in (("a second time", first), ("of an equal data set", again)):
            found = difference(batch, copied(other.batch("train", indices, stream(0, "augment"))), "batch")
            require(not found, f"an augmented batch is another one {how}, with the generator in the same state: {found}")

    def test_batches_are_copies(self) -> None:
        """Whoever writes into a batch changes no example, and the indices stay as they are."""
        data = self.make()
        for split in SPLITS:
            indices = _some(data, split)
            before, labels, kept = copied(data.batch(split, indices, None)), data.labels(split).clone(), indices.clone()
            for tensor in data.batch(split, indices, None):
                tensor.fill_(0)
            require(torch.equal(indices, kept), f"batch({split!r}, indices) changed its indices")
            found = difference(before, copied(data.batch(split, indices, None)), "batch")
            found = found or difference(labels, data.labels(split), "labels")
            require(not found, f"a {split} batch was written into, and with it the data set: {found}; hand out copies")

    def test_an_index_beyond_the_end_is_refused(self) -> None:
        """There is no example number `size`."""
        data = self.make()
        for split in SPLITS:
            beyond = torch.tensor([data.size(split)])
            try:
                data.batch(split, beyond, None)
            except (IndexError, ValueError, KeyError, LnasError):
                continue
            require(False, f"batch({split!r}, [{int(beyond)}]) gave an example; there are {data.size(split)}, from 0")

    def test_it_moves_to_the_device(self) -> None:
        """After `to(device)` batches come from there, and labels from the CPU still."""
        data = self.make()
        device = torch.device("cuda" if torch.cuda.is_available() else META)
        if device.type == META and not self.moves:
            raise unittest.SkipTest("the suite says that it cannot be tried: moves = False; and there is no GPU here")
        data.to(device)
        for augment in (None, stream(0, "augment")):
            try:
                batch = data.batch("train", _some(data, "train"), augment)
            except NotImplementedError as error:
                raise unittest.SkipTest(
                    f"it cannot be tried on a device without values: {' '.join(str(error).split())}"
                ) from None
            for name, tensor in zip("xy", batch, strict=True):
                require(
                    tensor.device.type == device.type, f"after to({str(device)!r}), {name} of a batch lies on {tensor.device}"
                )
        place = data.labels("train").device.type
        require(place == "cpu", f"after to({str(device)!r}), labels lie on {place}; they must stay on the CPU")

    def test_what_it_suggests_is_a_configuration(self) -> None:
        """`suggested` is a mapping that the configuration of a run accepts."""
        data = self.make()
        require(isinstance(data.suggested, Mapping), f"{self.label()}.suggested is {data.suggested!r}, no mapping")
        try:
            merge(command_line={"data": Spec("under-test")}, suggested=data.suggested)
        except LnasError as error:
            require(False, f"{self.label()}.suggested is {dict(data.suggested)!r}: {error}")

    def test_a_run_can_draw_from_it(self) -> None:
        """It can be split into validation and the two halves of a search, and batches be drawn from all."""
        data = self.make()
        try:
            drawn = Stream(data, batch=2, seed=0)
            drawn.draw("pairs", 0)
            drawn.draw("all", drawn.steps_per_epoch("all"))
            next(iter(drawn.validation_batches()))
            next(iter(drawn.test_batches()))
        except LnasError as error:
            require(False, f"a run with batches of 2 cannot use {self.label()}: {error}")


def _some(data: Dataset, split: Split) -> Tensor:
    """A few indices, the first and the last among them, in no order."""
    size = data.size(split)
    picked = sorted({i * (size - 1) // (MOST - 1) for i in range(MOST)})
    return torch.tensor([*picked[1::2], *picked[::2]])
