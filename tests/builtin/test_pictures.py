from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lnas.builtin.augmentation import Augmentation
from lnas.builtin.pictures import Labelled, Pictures
from lnas.core.errors import ConfigError, DataError
from lnas.core.types import Task
from lnas.testing.device import no_waiting


def made(count: int = 6, *, channels: int = 3, side: int = 8, seed: int = 0) -> Labelled:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randint(0, 256, (count, channels, side, side), generator=generator).to(torch.uint8)
    return pictures, torch.arange(count) % 2


def pictures(augmentation: Augmentation | None = None, **options: Any) -> Pictures:
    return Pictures(made(), made(4, seed=1), classes=("cat", "dog"), augmentation=augmentation, **options)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_what_it_says_of_itself() -> None:
    data = pictures(suggested={"batch": 32})
    assert data.task == Task((3, 8, 8), 2)
    assert data.classes == ("cat", "dog")
    assert (data.size("train"), data.size("test")) == (6, 4)
    assert data.labels("test").tolist() == [0, 1, 0, 1]
    assert data.suggested == {"batch": 32}
    assert pictures().suggested == {}


def test_normalisation_by_hand() -> None:
    # channel 0: 0, 0, 200, 200, mean 100 and deviation 100; channel 1 always 7, which becomes 0
    train = torch.tensor([[[[0, 200]], [[7, 7]]], [[[200, 0]], [[7, 7]]]], dtype=torch.uint8)
    test = torch.tensor([[[[150, 50]], [[7, 9]]]], dtype=torch.uint8)
    data = Pictures(
        (train, torch.tensor([0, 1])), (test, torch.tensor([1])), classes="ab", augmentation=Augmentation(normalise=True)
    )
    x, y = data.batch("test", torch.tensor([0]), None)
    assert x.tolist() == [[[[0.5, -0.5]], [[0.0, 2.0]]]]
    assert y.tolist() == [1]
    x, y = data.batch("train", torch.tensor([1, 0]), None)
    assert x.tolist() == [[[[1.0, -1.0]], [[0.0, 0.0]]], [[[-1.0, 1.0]], [[0.0, 0.0]]]]
    assert y.tolist() == [1, 0]
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)


def test_normalised_training_pictures_have_mean_0_and_deviation_1() -> None:
    x, _ = pictures().batch("train", torch.arange(6), None)
    deviation, mean = torch.std_mean(x.double(), dim=(0, 2, 3), correction=0)
    assert mean.abs().max() < 1e-6
    assert (deviation - 1).abs().max() < 1e-6


def test_without_normalisation_the_values_are_0_to_1() -> None:
    train, _ = made()
    x, _ = pictures(Augmentation(normalise=False)).batch("train", torch.arange(6), None)
    assert torch.equal(x, train.float() / 255)


def test_no_generator_means_no_augmentation() -> None:
    settings = Augmentation(crop=2, flip=True, cutout=4)
    x, _ = pictures(settings).batch("train", torch.arange(6), None)
    assert torch.equal(x, pictures().batch("train", torch.arange(6), None)[0])


def test_nothing_to_augment_leaves_the_pictures_alone() -> None:
    x, _ = pictures().batch("train", torch.arange(6), generator())
    assert torch.equal(x, pictures().batch("train", torch.arange(6), None)[0])


@pytest.mark.parametrize("settings", [Augmentation(2, True, 3), Augmentation(1), Augmentation(flip=True), Augmentation(cutout=4)])
def test_an_augmented_batch_is_a_function_of_the_generator_and_the_indices_alone(settings: Augmentation) -> None:
    data, indices = pictures(settings), torch.tensor([3, 0, 0, 5])
    first, _ = data.batch("train", indices, generator(7))
    torch.manual_seed(99)
    data.batch("test", torch.tensor([1]), generator(8))
    again, _ = data.batch("train", indices, generator(7))
    other, _ = data.batch("train", indices, generator(8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    pictures(Augmentation(2, True, 3)).batch("train", torch.arange(6), generator())
    assert torch.equal(before, torch.get_rng_state())


def test_augmentation_by_hand() -> None:
    settings = Augmentation(crop=2, flip=True, cutout=3, normalise=False)
    train, _ = made()
    indices = torch.tensor([5, 1, 2, 2])
    x, y = pictures(settings).batch("train", indices, generator(4))
    draws = settings.draw(4, 8, 8, generator(4)).tolist()
    assert y.tolist() == [1, 1, 0, 0]
    for at, (index, down, right, mirrored, row, column) in enumerate(zip(indices.tolist(), *draws, strict=True)):
        bordered = torch.nn.functional.pad(train[index].float() / 255, (2, 2, 2, 2))
        expected = bordered[:, 2 + down : 10 + down, 2 + right : 10 + right]
        expected = expected.flip(2) if mirrored else expected.clone()
        expected[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 0
        assert torch.equal(x[at], expected)


def test_a_border_is_black_and_a_cutout_is_the_mean() -> None:
    bright = torch.full((2, 1, 4, 4), 200, dtype=torch.uint8)
    bright[0] = 100  # mean 150, deviation 50: 200 becomes 1, black -3
    data = (bright, torch.tensor([0, 1]))
    shifted, _ = Pictures(data, data, classes="ab", augmentation=Augmentation(crop=3)).batch(
        "train", torch.ones(40).long(), generator()
    )
    assert shifted.unique().tolist() == [-3.0, 1.0]
    cut, _ = Pictures(data, data, classes="ab", augmentation=Augmentation(cutout=2)).batch(
        "train", torch.ones(40).long(), generator()
    )
    assert cut.unique().tolist() == [0.0, 1.0]


class Synchronisations(TorchDispatchMode):
    """Counts what would wait for an accelerator: reading a number, or a result whose shape depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in {"_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "_unique2", "equal"}:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_batch_needs_no_synchronisation() -> None:
    data = pictures(Augmentation(2, True, 3))
    with Synchronisations() as watch:
        data.batch("train", torch.arange(6), generator())
        data.batch("test", torch.arange(4), None)
    assert watch.found == []
    with Synchronisations() as watch:  # the watch itself works
        torch.ones(1).item()
    assert watch.found == ["aten._local_scalar_dense.default"]


def test_to_moves_what_a_batch_is_made_of_and_not_the_labels_for_splits() -> None:
    data = pictures(Augmentation(2, True, 3))
    data.to(torch.device("meta"))
    assert data.labels("train").device.type == "cpu"
    x, y = data.batch("train", torch.arange(6), generator())
    assert (x.device.type, tuple(x.shape), x.dtype) == ("meta", (6, 3, 8, 8), torch.float32)
    assert (y.device.type, tuple(y.shape), y.dtype) == ("meta", (6,), torch.int64)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_batch_on_cuda_is_that_of_the_cpu_and_does_not_wait() -> None:
    here, there = (pictures(Augmentation(2, True, 3)) for _ in range(2))
    there.to(torch.device("cuda"))
    there.batch("train", torch.arange(6), generator())
    with no_waiting():
        x, y = there.batch("train", torch.arange(6), generator(5))
    expected, labels = here.batch("train", torch.arange(6), generator(5))
    assert torch.equal(x.cpu(), expected)
    assert torch.equal(y.cpu(), labels)


TWO = torch.tensor([0, 1])
BYTES = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("x", "y", "classes", "message"),
    [
        (BYTES.float(), TWO, 2, r"the train pictures are float32 of shape \(2, 3, 8, 8\); they must be uint8 of shape"),
        (BYTES[0], TWO, 2, r"the train pictures are uint8 of shape \(3, 8, 8\); they must be"),
        (BYTES, TWO.int(), 2, r"the train labels are int32 of shape \(2,\); they must be int64 of shape \(2,\)"),
        (BYTES, TWO[:1], 2, r"the train labels are int64 of shape \(1,\); they must be int64 of shape \(2,\)"),
        (BYTES[:0], TWO[:0], 2, r"the train pictures are 3x8x8, 0 of them; at least one is needed"),
        (BYTES, TWO * 0, 1, r"at least two classes to tell apart, not 1"),
        (BYTES, TWO + 1, 2, r"the train labels go from 1 to 2; with 2 classes they must lie in 0..1"),
        (BYTES, TWO - 1, 2, r"the train labels go from -1 to 0; with 2 classes they must lie in 0..1"),
        (BYTES[:, :1], TWO, 2, r"training pictures are 1x8x8, test pictures 3x8x8; make them one size"),
    ],
)
def test_what_cannot_be_a_data_set_is_refused(x: Tensor, y: Tensor, classes: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Pictures((x, y), (BYTES, TWO), classes=[str(number) for number in range(classes)])
    assert "\n" not in str(caught.value)


def test_the_test_pictures_are_checked_too() -> None:
    with pytest.raises(DataError, match="the test labels go from 1 to 2"):
        Pictures((BYTES, TWO), (BYTES, TWO + 1), classes="ab")


def test_a_crop_as_large_as_the_picture_is_refused() -> None:
    with pytest.raises(ConfigError, match="crop is 8 pixels, but the pictures are 8x8; at most 7 works"):
        pictures(Augmentation(crop=8))
