"""Data sets by name: digits, which is part of the package, and those of torchvision, read from a folder."""

import gzip
import os
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

import torch
from torch import Tensor

from lnas.builtin.augmentation import Augmentation, Crop, Cutout, Flip, Normalise
from lnas.builtin.pictures import Labelled, Pictures
from lnas.core.errors import DataError

Root: TypeAlias = Annotated[str, "the folder that torchvision downloaded the data into"]

_DIGITS = 1797


def digits(*, crop: Crop = 0, flip: Flip = False, cutout: Cutout = 0, normalise: Normalise = True) -> Pictures:
    """The 1,797 handwritten digits of UCI's optdigits, 1x8x8, part of the package (see digits/LICENCE.txt).

    Every fifth picture of each digit is a test picture (355 in all), whatever the seed of a run.
    """
    packed = resources.files("lnas.builtin").joinpath("digits", "digits.gz").read_bytes()
    values = torch.frombuffer(bytearray(gzip.decompress(packed)), dtype=torch.uint8).to(torch.int64)
    pictures = ((values[:-_DIGITS] * 255 + 8) // 16).to(torch.uint8).view(_DIGITS, 1, 8, 8)  # 0..16 to 0..255, rounded
    labels = values[-_DIGITS:].clone()
    test = torch.zeros(_DIGITS, dtype=torch.bool)
    for digit in range(10):
        test[(labels == digit).nonzero()[4::5]] = True
    return Pictures(
        (pictures[~test], labels[~test]),
        (pictures[test], labels[test]),
        classes=[str(digit) for digit in range(10)],
        augmentation=Augmentation(crop, flip, cutout, normalise),
        suggested=MappingProxyType(
            {
                "batch": 32,
                "space": {"channels": 8, "layers": 5, "network_channels": 16, "network_layers": 5},
                "epochs": "10:6",
            }
        ),
    )


def cifar10(*, root: Root, crop: Crop = 4, flip: Flip = True, cutout: Cutout = 0, normalise: Normalise = True) -> Pictures:
    """CIFAR-10: 60,000 colour pictures of 10 classes, 3x32x32 (Krizhevsky 2009)."""
    return _torchvision("CIFAR10", root, Augmentation(crop, flip, cutout, normalise))


def cifar100(*, root: Root, crop: Crop = 4, flip: Flip = True, cutout: Cutout = 0, normalise: Normalise = True) -> Pictures:
    """CIFAR-100: 60,000 colour pictures of 100 classes, 3x32x32 (Krizhevsky 2009)."""
    return _torchvision("CIFAR100", root, Augmentation(crop, flip, cutout, normalise))


def mnist(*, root: Root, crop: Crop = 2, flip: Flip = False, cutout: Cutout = 0, normalise: Normalise = True) -> Pictures:
    """MNIST: 70,000 handwritten digits, 1x28x28 (LeCun, Cortes and Burges 1998)."""
    return _torchvision("MNIST", root, Augmentation(crop, flip, cutout, normalise))


def fashion_mnist(*, root: Root, crop: Crop = 2, flip: Flip = True, cutout: Cutout = 0, normalise: Normalise = True) -> Pictures:
    """FashionMNIST: 70,000 grey pictures of 10 kinds of clothes, 1x28x28 (Xiao, Rasul and Vollgraf 2017)."""
    return _torchvision("FashionMNIST", root, Augmentation(crop, flip, cutout, normalise))


def _torchvision(name: str, root: str, augmentation: Augmentation) -> Pictures:
    """The data set `name` of torchvision, from disk only.

    CIFAR's own files are pickles; torchvision compares each with the published MD5 before it opens it.
    """
    folder = os.path.expanduser(root)
    if not os.path.isdir(folder):
        raise DataError(f"root {root!r} of {name} is not a folder; {_how_to_get(name, root)}")
    from torchvision import datasets  # here, as it takes a second and most runs do without it

    factory = getattr(datasets, name)
    try:
        parts = [factory(folder, train=train, download=False) for train in (True, False)]
    except RuntimeError as error:  # what torchvision raises where a file is missing or has another checksum
        raise DataError(f"root {root!r} does not hold a complete {name}; {_how_to_get(name, root)}") from error
    except (OSError, ValueError, AssertionError, EOFError) as error:
        raise DataError(f"{name} in {root!r} cannot be read ({_one_line(error)}); {_how_to_get(name, root)}") from error
    train, test = (_labelled(part) for part in parts)
    return Pictures(train, test, classes=parts[0].classes, augmentation=augmentation)


def _labelled(part: Any) -> Labelled:
    """The bytes of a torchvision data set: (N, H, W, C) in numpy for CIFAR, (N, H, W) in torch for MNIST."""
    data: Tensor = torch.as_tensor(part.data)
    pictures = data[:, None] if data.dim() == 3 else data.permute(0, 3, 1, 2)
    return pictures.contiguous(), torch.as_tensor(part.targets, dtype=torch.int64)


def _how_to_get(name: str, root: str) -> str:
    """One line that downloads the data."""
    program = f"from torchvision.datasets import {name}; {name}({root!r}, download=True)"
    return f'get it once with: python -c "{program}"'


def _one_line(error: Exception) -> str:
    """What went wrong, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
