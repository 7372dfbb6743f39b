from types import MappingProxyType
from typing import ClassVar

import pytest
import torch

import lnas
from lnas.testing import DatasetSuite, judge
from lnas.testing.suite import rules


class Sound(lnas.Dataset):
    """Points of three classes; every class below is this one, but for one thing."""

    task = lnas.Task((4,), 3)
    classes = ("a", "b", "c")
    suggested = MappingProxyType({"batch": 4, "epochs": "1:2"})

    def __init__(self) -> None:
        x = torch.randn(42, 4, generator=lnas.stream(0, "points"))
        y = torch.arange(42) % 3
        self.x = {"train": x[:30], "test": x[30:]}
        self.y = {"train": y[:30], "test": y[30:]}
        self.device = torch.device("cpu")

    def size(self, split):
        return len(self.y[split])

    def labels(self, split):
        return self.y[split]

    def batch(self, split, indices, augment):
        x = self.x[split][indices].clone()
        if augment is not None:
            x += self.noise(x.shape, augment).to(x.device)
        return x.to(self.device), self.y[split][indices].to(self.device)

    def noise(self, shape, augment):
        return 0.1 * torch.randn(shape, generator=augment)

    def to(self, device):
        self.device = torch.device(device)


class NoDataset:
    task, classes, suggested = Sound.task, Sound.classes, Sound.suggested
    size, labels, batch, noise, to, __init__ = Sound.size, Sound.labels, Sound.batch, Sound.noise, Sound.to, Sound.__init__


class TwoNames(Sound):
    classes = ("a", "b")


class SameNames(Sound):
    classes = ("a", "b", "b")


class ListedShape(Sound):
    task = lnas.Task([4], 3)


class FloatLabels(Sound):
    def labels(self, split):
        return self.y[split].int()


class LabelsFromOne(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.y = {split: y + 1 for split, y in self.y.items()}


class Missing(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.y = {"train": self.y["train"], "test": self.y["test"].clamp(max=1)}


class Rare(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.y = {"train": (torch.arange(30) % 15).clamp(max=2), "test": self.y["test"]}


class Flat(Sound):
    task = lnas.Task((2, 2), 3)


class Bytes(Sound):
    def batch(self, split, indices, augment):
        x, y = super().batch(split, indices, augment)
        return (x * 10).to(torch.uint8), y


class Far(Sound):
    def batch(self, split, indices, augment):
        x, y = super().batch(split, indices, augment)
        return x * 1e6, y


class OtherLabels(Sound):
    def batch(self, split, indices, augment):
        x, y = super().batch(split, indices, augment)
        return x, y.flip(0)


class InOrder(Sound):
    def batch(self, split, indices, augment):
        return super().batch(split, indices.sort().values if augment is None else indices, augment)


class OfTheBatch(Sound):
    def batch(self, split, indices, augment):
        x, y = super().batch(split, indices, augment)
        return x - x.mean(0), y


class NeverStill(Sound):
    drawn = 0

    def batch(self, split, indices, augment):
        self.drawn += 1
        return super().batch(split, indices, torch.Generator().manual_seed(self.drawn) if augment is None else augment)


class OneMore(Sound):
    made: ClassVar[list[int]] = [0]

    def __init__(self) -> None:
        super().__init__()
        self.made[0] += 1
        self.x = {split: x + self.made[0] for split, x in self.x.items()}


class OwnNoise(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.own = torch.Generator().manual_seed(1)

    def noise(self, shape, augment):
        return 0.1 * torch.randn(shape, generator=self.own)


class GlobalNoise(Sound):
    def noise(self, shape, augment):
        return 0.1 * torch.randn(shape)


class Views(Sound):
    def batch(self, split, indices, augment):
        if augment is None and len(indices) > 1:
            self.seen = getattr(self, "seen", None)
            if self.seen is None or not torch.equal(self.seen[0], indices):
                self.seen = indices.clone(), super().batch(split, indices, None)
            return self.seen[1]
        return super().batch(split, indices, augment)


class Wraps(Sound):
    def batch(self, split, indices, augment):
        return super().batch(split, indices % self.size(split), augment)


class Stays(Sound):
    def to(self, device):
        pass


class TakesLabelsAlong(Sound):
    def labels(self, split):
        return self.y[split].to(self.device)


class SuggestsNonsense(Sound):
    suggested = MappingProxyType({"batch": "many"})


class SuggestsNothing(Sound):
    suggested = None


class NoRoom(Sound):
    def batch(self, split, indices, augment):
        if split == "test" and len(indices) < 3 and augment is None and len(indices) > 1:
            raise lnas.DataError("test batches hold 3 examples")
        return super().batch(split, indices, augment)


TASK, LABELS, EVERY = "it_says_what_its_task_is", "labels_say_the_class_of_each_example", "every_class_has_examples"
BATCH, ROWS = "a_batch_is_inputs_and_classes", "a_batch_is_made_of_its_examples"
STILL = "batches_without_a_stream_are_always_the_same"
AUGMENTED, COPIES, BEYOND = "augmentation_depends_on_the_stream_alone", "batches_are_copies", "an_index_beyond_the_end_is_refused"
MOVES, SUGGESTS, DRAWN = "it_moves_to_the_device", "what_it_suggests_is_a_configuration", "a_run_can_draw_from_it"
BROKEN = {
    NoDataset: {"it_is_a_data_set"},
    TwoNames: {TASK},
    SameNames: {TASK},
    ListedShape: {TASK},
    FloatLabels: {LABELS},
    LabelsFromOne: {LABELS, EVERY},
    Missing: {EVERY},
    Rare: {EVERY, DRAWN},
    Flat: {BATCH},
    Bytes: {BATCH},
    Far: {BATCH},
    OtherLabels: {BATCH},
    InOrder: {BATCH, ROWS},
    OfTheBatch: {ROWS},
    NeverStill: {STILL, ROWS, COPIES},
    OneMore: {STILL, AUGMENTED},
    OwnNoise: {AUGMENTED},
    GlobalNoise: {AUGMENTED, "the_global_random_state_is_left_alone"},
    Views: {COPIES},
    Wraps: {BEYOND},
    Stays: {MOVES},
    TakesLabelsAlong: {MOVES},
    SuggestsNonsense: {SUGGESTS},
    SuggestsNothing: {SUGGESTS},
    NoRoom: {DRAWN},
}


def found(part: type) -> dict[str, str]:
    suite = type("Of", (DatasetSuite,), {"part": part})
    return {verdict.rule: verdict.message for verdict in judge(suite) if verdict.outcome == "broken"}


def test_a_sound_one_keeps_all() -> None:
    assert found(Sound) == {}


@pytest.mark.parametrize("part", BROKEN, ids=lambda part: part.__name__)
def test_the_broken_rule_is_named(part: type) -> None:
    assert found(part).keys() == BROKEN[part]


def test_every_rule_of_data_sets_can_be_broken() -> None:
    own = {name.removeprefix("test_") for name, _ in rules(DatasetSuite) if name in vars(DatasetSuite)}
    assert own <= set().union(*BROKEN.values())


def test_the_message_says_what_came_out_and_what_should_have() -> None:
    assert found(LabelsFromOne)["labels_say_the_class_of_each_example"] == (
        "labels('train') go from 1 to 3; there are the classes 0 to 2"
    )
    assert found(Rare)["every_class_has_examples"] == "class 'a' has 2 train examples; there must be at least 3"
