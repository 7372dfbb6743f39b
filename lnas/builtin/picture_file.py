"""One picture out of a file that anybody may have made: its kind, its size and its pixels are bounded before it is decoded."""

import logging
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lnas.core.errors import DataError

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "PPM", "TIFF", "WEBP", "AVIF", "QOI", "TGA", "PCX", "JPEG2000")
"""Those that a library of ours decodes.  Of the others, one calls another program (EPS), and some are no pictures."""
MOST_PIXELS = 89_478_485
"""Of one picture: as RGB a quarter of a GiB.  It is known from the header, and here PIL begins to warn as well."""
MOST_BYTES = 4 * MOST_PIXELS + 1_000_000
"""Of one file: no picture of that many pixels with 8 bits a channel takes more, with a million for what it says of itself."""

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else what PIL says of a broken TIFF goes to standard error

_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_PHOTOGRAPH = "MPO"  # a JPEG of many telephones: the photograph, and after it a preview or a map of depths
_MANY_PIXELS = 16_777_216  # decoded one picture at a time, for each thread would take a GiB for the largest
_MANY = threading.Lock()


def picture(path: Path, size: int, most_pixels: int) -> Tensor:
    """(size, size, 3) uint8: the shorter side scaled to `size`, the middle cut out.  May be called by several threads.

    Raises:
        DataError: naming the file, where it is no picture, has more pixels, bytes or frames than are allowed, or is broken.
    """
    try:
        if (length := path.stat().st_size) > MOST_BYTES:
            raise DataError(f"{str(path)!r} has {length:,} bytes; a picture has at most {MOST_BYTES:,}")
        with Image.open(path, formats=_known()) as image:
            pixels = image.width * image.height
            if pixels > most_pixels:
                raise DataError(f"{str(path)!r} is {image.width}x{image.height} pixels; at most {most_pixels} are allowed in all")
            if image.mode not in _EIGHT_BITS:
                raise DataError(f"{str(path)!r} has more than 8 bits a channel ({image.mode}); save it with 8")
            if image.format != _PHOTOGRAPH and getattr(image, "is_animated", False):
                raise DataError(f"{str(path)!r} has several frames; save the one that is meant as a picture of its own")
            image.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size, at least this
            with _turn(image.width * image.height):
                ImageOps.exif_transpose(image, in_place=True)
                colour = image.convert("RGBA" if image.has_transparency_data else "RGB").convert("RGB")
                square = ImageOps.fit(colour, (size, size), Image.Resampling.BICUBIC)
            return torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8).view(size, size, 3)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{str(path)!r} is not a picture") from error
    except Exception as error:  # a decoder raises whatever it stumbles on: OSError, SyntaxError, struct.error, zlib.error, ...
        raise DataError(f"{str(path)!r} cannot be read as a picture ({_words(error)})") from error


def _known() -> tuple[str, ...]:
    """The formats that this PIL was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _turn(pixels: int) -> AbstractContextManager[object]:
    return _MANY if pixels > _MANY_PIXELS else nullcontext()


def _words(error: Exception) -> str:
    """On one line, short, and without what a terminal would act on: a decoder may quote the file."""
    words = "".join(character if character.isprintable() else "?" for character in " ".join(str(error).split()))
    return words if len(words) <= 200 else f"{words[:197]}..."
