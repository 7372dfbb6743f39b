"""One's own pictures: a folder with a folder for each class."""

import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, TypeAlias

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lnas.builtin.augmentation import Augmentation, Crop, Cutout, Flip, Normalise
from lnas.builtin.pictures import Labelled, Pictures
from lnas.core.errors import ConfigError, DataError
from lnas.core.random import stream

Listing: TypeAlias = Mapping[str, list[Path]]
"""class -> its pictures, both sorted by name."""

_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_SMALL_FILE = 32 * 1024  # bytes; a 32x32 JPEG has 1 to 2 kB, and opening it is mostly Python
_MOST_PIXELS = 89_478_485  # where PIL itself begins to warn of a decompression bomb


def folder(
    *,
    root: Annotated[str, "folder with train/CLASS/* and test/CLASS/* (or val/), or with CLASS/* to be split"],
    size: Annotated[int, "height and width that every picture is brought to, in pixels"] = 32,
    test: Annotated[float, "share of each class that becomes the test split, where the folder has none of its own"] = 0.2,
    split_seed: Annotated[int, "seed of that split; apart from the run's seed, so that all runs share one test set"] = 0,
    most_pixels: Annotated[int, "refuse a picture with more pixels than this before it is decoded"] = _MOST_PIXELS,
    crop: Crop = 4,
    flip: Flip = True,
    cutout: Cutout = 0,
    normalise: Normalise = True,
) -> Pictures:
    """Pictures of `root`, as colour pictures of one size: the shorter side scaled to it, the middle cut out.

    The layout is the split one where there is a train/ beside a test/ or val/, or with folders in it.  With test/ there,
    val/ is not read: the validation split is held out of the training pictures.  Names that begin with a dot and
    files beside the class folders are passed over; anything else that is not a picture is an error.  Transparency is
    dropped, the orientation that a camera noted is applied.

    Raises:
        DataError: the first thing that is wrong with the folder; of broken pictures, training before test, by name.
        ConfigError: an option out of range.
    """
    augmentation = Augmentation(crop, flip, cutout, normalise)
    if size < 1:
        raise ConfigError(f"size is {size} pixels; it must be at least 1")
    augmentation.fit(size, size)
    if not 1 <= most_pixels <= _MOST_PIXELS:
        raise ConfigError(f"most_pixels is {most_pixels}; it must lie in 1..{_MOST_PIXELS}")
    if not 0 < test < 1:
        raise ConfigError(f"test is {test}; the share of pictures for testing must lie between 0 and 1")
    if not root:
        raise ConfigError("root is empty; name the folder that holds the pictures")
    training, testing = _splits(Path(os.path.expanduser(root)), test, split_seed)
    classes = list(training)
    return Pictures(
        _read(training, classes, size=size, most_pixels=most_pixels),
        _read(testing, classes, size=size, most_pixels=most_pixels),
        classes=classes,
        augmentation=augmentation,
    )


def _splits(root: Path, share: float, seed: int) -> tuple[Listing, Listing]:
    """The training and the test files of `root`, checked."""
    if not os.path.isdir(root):  # of os.path, as it is False where Path.is_dir raises: a name too long, no permission
        raise DataError(f"root {str(root)!r} {'is not a folder' if os.path.exists(root) else 'does not exist'}")
    top = Path(os.path.realpath(root))
    inside = {path.name: path for path in _folders(root, top)}
    held_out = inside.get("test", inside.get("val"))
    if "train" in inside and (held_out or _folders(inside["train"], top)):
        if held_out is None:
            raise DataError(f"{str(root)!r} has train/ but neither test/ nor val/; add one, or put the classes right below it")
        training, testing = _listing(inside["train"], top), _listing(held_out, top)
        strangers = sorted(set(testing) - set(training))
        if strangers:
            raise DataError(f"{str(held_out / strangers[0])!r} has no class of that name in {str(inside['train'])!r}")
        return training, testing
    return _divided(_listing(root, top), share, seed)


def _divided(listing: Listing, share: float, seed: int) -> tuple[Listing, Listing]:
    """Split each class by itself: `share` of its files, rounded, for testing; at least one on either side."""
    generator = stream(seed, "folder")
    training, testing = {}, {}
    for name, files in listing.items():
        if len(files) < 2:
            raise DataError(f"{str(files[0].parent)!r} holds one picture; a class needs at least 2 to be split")
        count = min(max(int(share * len(files) + 0.5), 1), len(files) - 1)
        order = torch.randperm(len(files), generator=generator).tolist()
        testing[name] = [files[i] for i in sorted(order[:count])]
        training[name] = [files[i] for i in sorted(order[count:])]
    return training, testing


def _listing(folder: Path, top: Path) -> Listing:
    """The classes of a folder and their files, none of them empty, at least two classes."""
    classes = _folders(folder, top)
    if not classes:
        raise DataError(f"{str(folder)!r} holds no class folders; put the pictures of each class into a folder of its own there")
    listing = {path.name: _entries(path, top) for path in classes}
    for path in classes:
        if not listing[path.name]:
            raise DataError(f"{str(path)!r} holds no pictures")
        for file in listing[path.name]:
            if not os.path.isfile(file):
                raise DataError(f"{str(file)!r} is not a file; the pictures of a class lie right in its folder")
    if len(classes) < 2:
        raise DataError(f"{str(folder)!r} holds one class, {classes[0].name!r}; at least two are needed to tell apart")
    return listing


def _folders(folder: Path, top: Path) -> list[Path]:
    """The folders in a folder."""
    return [path for path in _entries(folder, top) if os.path.isdir(path)]


def _entries(folder: Path, top: Path) -> list[Path]:
    """All that is not hidden in a folder, sorted by name; no link may lead out of `top`."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.is_symlink()) for entry in found if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{str(folder)!r} cannot be read ({error.strerror})") from error
    for name, is_link in entries:
        if is_link and not Path(os.path.realpath(folder / name)).is_relative_to(top):
            raise DataError(f"{str(folder / name)!r} is a link out of {str(top)!r}; put the pictures themselves there")
    return [folder / name for name, _ in entries]


def _read(listing: Listing, classes: list[str], *, size: int, most_pixels: int) -> Labelled:
    """All files of a listing, in its order; large ones by several threads, for which small ones would only queue."""
    files = [file for name in listing for file in listing[name]]
    large = sum(file.stat().st_size for file in files) > _SMALL_FILE * len(files)
    pictures = torch.empty(len(files), size, size, 3, dtype=torch.uint8)

    def read(index: int) -> None:
        pictures[index] = _picture(files[index], size, most_pixels)

    with warnings.catch_warnings(), ThreadPoolExecutor() as threads:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for _ in (threads.map if large else map)(read, range(len(files))):  # in order: the first broken picture is named
            pass
    labels = torch.tensor([classes.index(name) for name in listing])
    counts = torch.tensor([len(of_one_class) for of_one_class in listing.values()])
    return pictures.permute(0, 3, 1, 2).contiguous(), labels.repeat_interleave(counts)


def _picture(path: Path, size: int, most_pixels: int) -> Tensor:
    """(size, size, 3) uint8."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > most_pixels:
                raise DataError(f"{str(path)!r} is {image.width}x{image.height} pixels; at most {most_pixels} are allowed in all")
            if image.mode not in _EIGHT_BITS:
                raise DataError(f"{str(path)!r} has more than 8 bits a channel ({image.mode}); save it with 8")
            image.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size, at least this
            ImageOps.exif_transpose(image, in_place=True)
            colour = image.convert("RGBA" if image.has_transparency_data else "RGB").convert("RGB")
            square = ImageOps.fit(colour, (size, size), Image.Resampling.BICUBIC)
            return torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8).view(size, size, 3)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{str(path)!r} is not a picture") from error
    except Exception as error:  # a decoder raises whatever it stumbles on: OSError, SyntaxError, struct.error, zlib.error, ...
        raise DataError(f"{str(path)!r} cannot be read as a picture ({' '.join(str(error).split())})") from error
