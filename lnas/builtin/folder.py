"""One's own pictures: a folder with a folder for each class."""

import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeAlias

import torch
from PIL import Image

from lnas.builtin.augmentation import Augmentation, Crop, Cutout, Flip, Normalise
from lnas.builtin.picture_file import MOST_PIXELS, picture
from lnas.builtin.pictures import Labelled, Pictures
from lnas.core.errors import ConfigError, DataError
from lnas.core.random import stream

Listing: TypeAlias = Mapping[str, list[Path]]
"""class -> its pictures, both sorted by name."""

MOST_FILES = 5_000_000
"""In one folder; ImageNet-21k has 14 million in 22 thousand folders."""
MOST_CLASSES = 100_000

_SMALL_FILE = 32 * 1024  # bytes; a 32x32 JPEG has 1 to 2 kB, and opening it is mostly Python


def folder(
    *,
    root: Annotated[str, "folder with train/CLASS/* and test/CLASS/* (or val/), or with CLASS/* to be split"],
    size: Annotated[int, "height and width that every picture is brought to, in pixels"] = 32,
    test: Annotated[float, "share of each class that becomes the test split, where the folder has none of its own"] = 0.2,
    split_seed: Annotated[int, "seed of that split; apart from the run's seed, so that all runs share one test set"] = 0,
    most_pixels: Annotated[int, "refuse a picture with more pixels than this before it is decoded"] = MOST_PIXELS,
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
    if not 1 <= most_pixels <= MOST_PIXELS:
        raise ConfigError(f"most_pixels is {most_pixels}; it must lie in 1..{MOST_PIXELS}")
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
    if len(classes) > MOST_CLASSES:
        raise DataError(f"{str(folder)!r} holds {len(classes):,} classes; at most {MOST_CLASSES:,}")
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
            visible = ((entry.name, entry.is_symlink()) for entry in found if not entry.name.startswith("."))
            entries = sorted(islice(visible, MOST_FILES + 1))
    except OSError as error:
        raise DataError(f"{str(folder)!r} cannot be read ({error.strerror})") from error
    if len(entries) > MOST_FILES:
        raise DataError(f"{str(folder)!r} holds more than {MOST_FILES:,} files, the most that are read")
    for name, is_link in entries:
        if is_link and not Path(os.path.realpath(folder / name)).is_relative_to(top):
            raise DataError(f"{str(folder / name)!r} is a link out of {str(top)!r}; put the pictures themselves there")
    return [folder / name for name, _ in entries]


def _read(listing: Listing, classes: list[str], *, size: int, most_pixels: int) -> Labelled:
    """All files of a listing, in its order; large ones by several threads, for which small ones would only queue."""
    files = [file for name in listing for file in listing[name]]
    _check_memory(len(files), size)
    large = sum(file.stat().st_size for file in files) > _SMALL_FILE * len(files)
    pictures = torch.empty(len(files), size, size, 3, dtype=torch.uint8)

    def read(index: int) -> None:
        pictures[index] = picture(files[index], size, most_pixels)

    with warnings.catch_warnings(), ThreadPoolExecutor() as threads:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for _ in (threads.map if large else map)(read, range(len(files))):  # in order: the first broken picture is named
            pass
    number = {name: index for index, name in enumerate(classes)}
    labels = torch.tensor([number[name] for name in listing])
    counts = torch.tensor([len(of_one_class) for of_one_class in listing.values()])
    return pictures.permute(0, 3, 1, 2).contiguous(), labels.repeat_interleave(counts)


def _check_memory(number: int, size: int) -> None:
    """Refuse what the machine cannot hold before the first picture is read; all are held twice while they are put together."""
    needed, there = 2 * number * size * size * 3, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise DataError(
            f"{number:,} pictures of {size}x{size} need {needed:,} bytes of memory; this machine has {there:,}: use a smaller"
            " size"
        )
