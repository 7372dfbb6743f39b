import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lnas.builtin.augmentation import Augmentation, moved, outside_cutout
from lnas.core.errors import ConfigError

PICTURE = torch.tensor([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], dtype=torch.uint8)  # 1x1x3x3


def one(number: int) -> torch.Tensor:
    return torch.tensor([number])


@pytest.mark.parametrize(
    ("down", "right", "mirrored", "expected"),
    [
        (0, 0, 0, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        (0, 0, 1, [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        (1, 0, 0, [[4, 5, 6], [7, 8, 9], [0, 0, 0]]),
        (-1, 0, 0, [[0, 0, 0], [1, 2, 3], [4, 5, 6]]),
        (0, 1, 0, [[2, 3, 0], [5, 6, 0], [8, 9, 0]]),
        (0, -2, 0, [[0, 0, 1], [0, 0, 4], [0, 0, 7]]),
        (1, 1, 0, [[5, 6, 0], [8, 9, 0], [0, 0, 0]]),
        (1, 1, 1, [[0, 6, 5], [0, 9, 8], [0, 0, 0]]),
    ],
)
def test_moved(down: int, right: int, mirrored: int, expected: list[list[int]]) -> None:
    assert moved(PICTURE, one(0), one(down), one(right), one(mirrored))[0, 0].tolist() == expected


def test_moved_moves_every_picture_and_all_its_channels_by_its_own_amount() -> None:
    pictures = torch.cat([PICTURE, PICTURE + 10]).repeat(1, 2, 1, 1)
    pictures[:, 1] += 100
    x = moved(pictures, torch.tensor([1, 0, 1]), torch.tensor([0, 1, 0]), torch.tensor([0, 0, 2]), torch.tensor([0, 0, 0]))
    assert x[0].tolist() == pictures[1].tolist()
    assert x[1, 1].tolist() == [[104, 105, 106], [107, 108, 109], [0, 0, 0]]
    assert x[2, 0].tolist() == [[13, 0, 0], [16, 0, 0], [19, 0, 0]]


@pytest.mark.parametrize(
    ("row", "column", "side", "expected"),
    [
        (1, 1, 1, ["1111", "1011", "1111", "1111"]),
        (2, 2, 2, ["1111", "1001", "1001", "1111"]),
        (0, 3, 2, ["1100", "1111", "1111", "1111"]),
        (3, 0, 3, ["1111", "1111", "0011", "0011"]),
    ],
)
def test_cutout_is_a_square_cut_off_at_the_border(row: int, column: int, side: int, expected: list[str]) -> None:
    kept = outside_cutout(one(row), one(column), side=side, height=4, width=4)
    assert ["".join(str(int(cell)) for cell in line) for line in kept[0, 0]] == expected


@given(crop=st.integers(0, 4), flip=st.booleans(), seed=st.integers(0, 2**32))
def test_draws_stay_in_range(crop: int, flip: bool, seed: int) -> None:
    down, right, mirrored, row, column = Augmentation(crop, flip, 3).draw(500, 6, 7, torch.Generator().manual_seed(seed))
    for shift in (down, right):
        assert set(shift.tolist()) == set(range(-crop, crop + 1))
    assert set(mirrored.tolist()) == ({0, 1} if flip else {0})
    assert set(row.tolist()) == set(range(6))
    assert set(column.tolist()) == set(range(7))


def test_draws_of_one_setting_do_not_depend_on_another() -> None:
    plain = Augmentation(2, False, 0).draw(50, 8, 8, torch.Generator().manual_seed(3))
    more = Augmentation(2, True, 4).draw(50, 8, 8, torch.Generator().manual_seed(3))
    assert torch.equal(plain[[0, 1, 3, 4]], more[[0, 1, 3, 4]])
    assert not torch.equal(plain[2], more[2])


def test_shifts_are_uniform() -> None:
    down = Augmentation(1).draw(30_000, 8, 8, torch.Generator().manual_seed(0))[0]
    counts = torch.bincount(down + 1)
    assert counts.sum() == 30_000
    assert (counts - 10_000).abs().max() < 4 * 82  # four standard deviations: sqrt(30000 * 1/3 * 2/3) = 81.6


@pytest.mark.parametrize("settings", [{"crop": -1}, {"cutout": -2}])
def test_negative_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"^(crop|cutout) is -\d pixels; it must be 0 \(none\) or more$"):
        Augmentation(**settings)


def test_settings_that_can_leave_nothing_of_a_picture_are_refused() -> None:
    Augmentation(crop=7, cutout=7).fit(8, 9)
    with pytest.raises(ConfigError, match=r"^crop is 8 pixels, but the pictures are 8x9; at most 7 works$"):
        Augmentation(crop=8).fit(8, 9)
    with pytest.raises(ConfigError, match=r"^cutout is 9 pixels, but the pictures are 12x9; at most 8 works$"):
        Augmentation(cutout=9).fit(12, 9)
