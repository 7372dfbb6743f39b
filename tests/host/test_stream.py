from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lnas.core.data import Dataset, Split
from lnas.core.errors import ConfigError, DataError
from lnas.core.stages import Draws
from lnas.core.types import Task
from lnas.host.stream import Stream


class Numbers(Dataset):
    """Examples that are their own index: a batch is (split, indices, the first random number of the augmentation)."""

    def __init__(self, counts: Sequence[int], test: int = 5) -> None:
        self.task = Task((1,), len(counts))
        self.classes = tuple("abcdefgh"[: len(counts)])
        self.suggested = {}
        labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
        self._labels = {"train": labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]}
        self._labels["test"] = torch.zeros(test, dtype=torch.int64)

    def size(self, split: Split) -> int:
        return len(self._labels[split])

    def labels(self, split: Split) -> Tensor:
        return self._labels[split]

    def batch(self, split: Split, indices: Tensor, augment: torch.Generator | None) -> Any:
        return split, tuple(indices.tolist()), None if augment is None else torch.rand(1, generator=augment).item()

    def to(self, device: torch.device) -> None:
        raise AssertionError("a stream does not move the data")


def seen(batches: Iterable[Any]) -> list[int]:
    return [index for _, indices, _ in batches for index in indices]


def epoch(stream: Stream, draws: Draws, number: int = 0) -> tuple[list[Any], list[Any]]:
    steps = stream.steps_per_epoch(draws)
    pairs = [stream.draw(draws, step) for step in range(number * steps, (number + 1) * steps)]
    return [first for first, _ in pairs], [second for _, second in pairs if second is not None]


def counts(data: Numbers, indices: Iterable[int]) -> list[int]:
    return torch.bincount(data.labels("train")[list(indices)], minlength=len(data.classes)).tolist()


def test_sizes_by_hand() -> None:
    # 20 and 10 examples: 4 and 2 held out, 24 left, 12 in each half
    stream = Stream(Numbers([20, 10]), batch=5, seed=0, validation=0.2)
    assert dict(stream.sizes) == {"train": 24, "theta": 12, "alpha": 12, "validation": 6, "test": 5}
    assert stream.steps_per_epoch("pairs") == 2  # 12 // 5
    assert stream.steps_per_epoch("all") == 4  # 24 // 5


def test_every_class_is_split_by_itself() -> None:
    data = Numbers([20, 10, 7])
    stream = Stream(data, batch=1, seed=3, validation=0.2)
    theta, alpha = epoch(stream, "pairs")
    assert counts(data, seen(stream.validation_batches())) == [4, 2, 1]
    assert [a + b for a, b in zip(counts(data, seen(theta)), counts(data, seen(alpha)), strict=True)] == [16, 8, 6]
    assert max(abs(a - b) for a, b in zip(counts(data, seen(theta)), counts(data, seen(alpha)), strict=True)) <= 1


sizes = st.lists(st.integers(3, 30), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    sizes=sizes, batch=st.integers(1, 3), seed=st.integers(0, 2**40), validation=st.floats(0.01, 0.3), number=st.integers(0, 3)
)
def test_what_an_epoch_sees(sizes: list[int], batch: int, seed: int, validation: float, number: int) -> None:
    data = Numbers(sizes)
    stream = Stream(data, batch=1, seed=seed, validation=validation)
    batch = min(batch, stream.sizes["alpha"])
    stream = Stream(data, batch=batch, seed=seed, validation=validation)
    held = seen(stream.validation_batches())
    theta, alpha = (seen(batches) for batches in epoch(stream, "pairs", number))
    everything = seen(epoch(stream, "all", number)[0])
    for part, expected in (
        (held, stream.sizes["validation"]),
        (theta, stream.sizes["alpha"] // batch * batch),  # the smaller half decides how long an epoch is
        (alpha, stream.sizes["alpha"] // batch * batch),
        (everything, stream.sizes["train"] // batch * batch),
    ):
        assert len(set(part)) == len(part) == expected
    assert not set(held) & set(theta + alpha + everything)
    assert not set(theta) & set(alpha)
    assert stream.sizes["theta"] - stream.sizes["alpha"] in (0, 1)
    assert stream.sizes["theta"] + stream.sizes["alpha"] == stream.sizes["train"]
    assert stream.sizes["train"] + stream.sizes["validation"] == sum(sizes)
    assert all(count >= 1 for count in counts(data, held))


def test_halves_and_the_rest_are_the_same_examples() -> None:
    stream = Stream(Numbers([15, 15]), batch=1, seed=1)
    theta, alpha = epoch(stream, "pairs")
    assert len(theta) == len(alpha) == 13  # 15 - 2 (1.5, rounded) each
    assert sorted(seen(theta) + seen(alpha)) == sorted(seen(epoch(stream, "all")[0]))


def test_a_step_is_the_same_whatever_was_drawn_before() -> None:
    straight = Stream(Numbers([20, 10]), batch=3, seed=5)
    forward = [straight.draw("pairs", step) for step in range(12)]
    fresh = Stream(Numbers([20, 10]), batch=3, seed=5)
    assert [fresh.draw("pairs", step) for step in reversed(range(12))] == forward[::-1]
    assert [Stream(Numbers([20, 10]), batch=3, seed=5).draw("pairs", 7)] == forward[7:8]
    torch.manual_seed(12)
    fresh.draw("all", 3)
    assert fresh.draw("pairs", 7) == forward[7]


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    Stream(Numbers([20, 10]), batch=3, seed=5).draw("pairs", 0)
    assert torch.equal(before, torch.get_rng_state())


def test_two_epochs_have_different_orders_and_steps_different_augmentation() -> None:
    stream = Stream(Numbers([40, 40]), batch=4, seed=0)
    first, second = epoch(stream, "all", 0)[0], epoch(stream, "all", 1)[0]
    assert seen(first) != seen(second)
    assert sorted(seen(first)) == sorted(seen(second))
    drawn = [number for _, _, number in first + second + epoch(stream, "pairs")[0] + epoch(stream, "pairs")[1]]
    assert len(set(drawn)) == len(drawn)


def test_another_seed_gives_another_split_and_order() -> None:
    first, second = (Stream(Numbers([40, 40]), batch=4, seed=seed) for seed in (0, 1))
    assert seen(first.validation_batches()) != seen(second.validation_batches())
    assert first.draw("all", 0) != second.draw("all", 0)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_split_does_not_depend_on_the_batch(batch: int) -> None:
    first, second = (Stream(Numbers([14, 14]), batch=size, seed=0, validation=0.15) for size in (1, batch))
    assert seen(first.validation_batches()) == seen(second.validation_batches())
    for mine, theirs in zip(epoch(first, "pairs"), epoch(second, "pairs"), strict=True):
        assert set(seen(theirs)) <= set(seen(mine))
        assert len(seen(theirs)) == 12 // batch * batch


def test_a_larger_validation_split_holds_the_smaller_one() -> None:
    small, large = (Stream(Numbers([30, 30]), batch=1, seed=0, validation=share) for share in (0.1, 0.2))
    assert set(seen(small.validation_batches())) < set(seen(large.validation_batches()))


def test_evaluation_sees_every_example_once_as_it_is() -> None:
    stream = Stream(Numbers([20, 20], test=7), batch=3, seed=0)
    test = list(stream.test_batches())
    assert test == [("test", (0, 1, 2), None), ("test", (3, 4, 5), None), ("test", (6,), None)]
    assert [len(indices) for _, indices, _ in stream.validation_batches()] == [3, 1]
    assert {(split, number) for split, _, number in stream.validation_batches()} == {("train", None)}


def test_an_order_is_made_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(Numbers([20, 20]), batch=3, seed=0)
    made: list[int] = []
    randperm = torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda number, **rest: made.append(number) or randperm(number, **rest))
    epoch(stream, "pairs")
    assert made == [18, 18]


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_below_1_is_refused(batch: int) -> None:
    with pytest.raises(ConfigError, match=f"^batch is {batch}; it must be at least 1$"):
        Stream(Numbers([20, 10]), batch=batch, seed=0)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    # 27 left: 14 and 13
    stream = Stream(Numbers([20, 10]), batch=14, seed=0)
    with pytest.raises(
        ConfigError, match="^batch is 14, but each half of the training examples left by .* 13; use --batch 13 or less$"
    ):
        stream.steps_per_epoch("pairs")
    with pytest.raises(ConfigError, match="^batch is 14"):
        stream.draw("pairs", 0)
    assert stream.steps_per_epoch("all") == 1
    assert Stream(Numbers([20, 10]), batch=13, seed=0).steps_per_epoch("pairs") == 1
    with pytest.raises(
        ConfigError, match="^batch is 28, but the training examples left by validation number 27; use --batch 27 or less$"
    ):
        Stream(Numbers([20, 10]), batch=28, seed=0).steps_per_epoch("all")


@pytest.mark.parametrize("validation", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_validation_that_is_no_share_is_refused(validation: float) -> None:
    with pytest.raises(
        ConfigError, match=r"^validation is \S+; the share of training examples held out must lie between 0 and 1$"
    ):
        Stream(Numbers([20, 10]), batch=1, seed=0, validation=validation)


def test_a_validation_that_leaves_a_class_too_little_is_refused_with_the_largest_that_works() -> None:
    # of 10, 0.9 takes 9
    with pytest.raises(ConfigError, match="validation 0.9 holds out 9 of the 10 .* class 'b'; .*: at most 0.8 works$"):
        Stream(Numbers([20, 10]), batch=1, seed=0, validation=0.9)
    assert Stream(Numbers([20, 10]), batch=1, seed=0, validation=0.8).sizes["train"] == 6


@given(fewest=st.integers(3, 2000))
def test_the_largest_validation_that_is_named_works(fewest: int) -> None:
    with pytest.raises(ConfigError) as caught:
        Stream(Numbers([fewest]), batch=1, seed=0, validation=0.9999)
    named = float(str(caught.value).split("at most ")[1].split(" ")[0])
    assert Stream(Numbers([fewest]), batch=1, seed=0, validation=named).sizes["alpha"] >= 1


def test_a_class_with_too_few_examples_is_refused() -> None:
    with pytest.raises(DataError, match="^class 'b' has only 2 of the training examples; at least 3 are needed"):
        Stream(Numbers([20, 2]), batch=1, seed=0)
    with pytest.raises(DataError, match="^there are no training examples$"):
        Stream(Numbers([0]), batch=1, seed=0)
    assert Stream(Numbers([3]), batch=1, seed=0).sizes["alpha"] == 1
