"""What is done to a picture before the network sees it: settings, the random draws, and the moves on a whole batch."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import torch
from torch import Tensor

from lnas.core.errors import ConfigError

Crop: TypeAlias = Annotated[int, "pixels of black border from which a random crop of the old size is taken; 0 for none"]
Flip: TypeAlias = Annotated[bool, "mirror half of the training pictures, left to right"]
Cutout: TypeAlias = Annotated[int, "side of the square that is blanked out at a random place, in pixels; 0 for none"]
Normalise: TypeAlias = Annotated[bool, "give each channel mean 0 and deviation 1 over the training pictures; else 0 to 1"]


@dataclass(frozen=True)
class Augmentation:
    """Settings of the changes to a picture; `normalise` holds for every batch, the others for augmented ones.

    Order as in DARTS: crop, flip, normalise, cutout.  The border of a crop is black, a cutout has the value 0 after
    normalisation, which is the mean colour.
    """

    crop: Crop = 0
    flip: Flip = False
    cutout: Cutout = 0
    normalise: Normalise = True

    def __post_init__(self) -> None:
        for name, value in (("crop", self.crop), ("cutout", self.cutout)):
            if value < 0:
                raise ConfigError(f"{name} is {value} pixels; it must be 0 (none) or more")

    def fit(self, height: int, width: int) -> None:
        """Refuse a crop or a cutout that can leave nothing of a picture."""
        for name, value in (("crop", self.crop), ("cutout", self.cutout)):
            if value >= min(height, width):
                raise ConfigError(
                    f"{name} is {value} pixels, but the pictures are {height}x{width}; at most {min(height, width) - 1} works"
                )

    def draw(self, size: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """All that is random about a batch: (5, size) int64 on the CPU, in the order of the arguments of `moved`.

        Rows: shift down and right in -crop..crop, mirrored 0 or 1, row and column of the cutout's centre.  Every row is
        drawn whatever the settings, so that turning one of them on does not move the others.
        """
        choices = torch.tensor([2 * self.crop + 1, 2 * self.crop + 1, 2 if self.flip else 1, height, width])
        unit = torch.rand((5, size), generator=generator, dtype=torch.float64)
        draws = (unit * choices[:, None]).long()  # below `choices`: a double below 1 times a small integer
        draws[:2] -= self.crop
        return draws


def moved(pictures: Tensor, indices: Tensor, down: Tensor, right: Tensor, mirrored: Tensor) -> Tensor:
    """The pictures at `indices`, each cropped at its own shift and mirrored or not; black where there was no pixel.

    Args:
        pictures: (N, C, H, W).
        indices: (B,) int64, as all that follow.
        down: row of the old picture at which row 0 of the new one lies.
        right: the same for columns, before mirroring.
        mirrored: 1 or 0.
    """
    channels, height, width = pictures.shape[1:]
    device = pictures.device
    columns = torch.arange(width, device=device)
    rows = torch.arange(height, device=device) + down[:, None]  # (B, H)
    columns = torch.where(mirrored[:, None] == 1, columns.flip(0), columns) + right[:, None]  # (B, W)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    found = pictures[
        indices[:, None, None, None],
        torch.arange(channels, device=device)[:, None, None],
        rows.clamp(0, height - 1)[:, None, :, None],
        columns.clamp(0, width - 1)[:, None, None, :],
    ]
    return found * inside[:, None]


def outside_cutout(row: Tensor, column: Tensor, *, side: int, height: int, width: int) -> Tensor:
    """(B, 1, H, W) bool: False in a square around each (row, column), cut off at the border ("Cutout", DeVries and Taylor 2017).

    The square begins `side // 2` before its centre.
    """
    rows = torch.arange(height, device=row.device) - (row[:, None] - side // 2)  # (B, H), 0..side - 1 within the square
    columns = torch.arange(width, device=row.device) - (column[:, None] - side // 2)
    hit = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    return ~hit[:, None]
