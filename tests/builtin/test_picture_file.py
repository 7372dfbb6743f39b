"""A picture that anybody may have made is read within limits, or refused by name."""

import logging
import os
import subprocess
import threading
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lnas.builtin import picture_file
from lnas.builtin.picture_file import MOST_BYTES, MOST_PIXELS, picture
from lnas.core.errors import DataError


def refused(path: Path, words: str, most_pixels: int = MOST_PIXELS) -> None:
    with pytest.raises(DataError) as caught:
        picture(path, 8, most_pixels)
    assert str(caught.value).startswith(repr(str(path))) and words in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG of 8 bit grey that says it has this size, whatever it holds."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def test_a_bomb_is_known_by_its_header_whatever_pil_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No byte is decoded: there is none."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png(10_000, 8945))
    refused(path, "is 10000x8945 pixels; at most 89000000 are allowed in all", most_pixels=89_000_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as some libraries set it
    path.write_bytes(png(2**31 - 1, 2**31 - 1))
    refused(path, f"at most {MOST_PIXELS} are allowed in all")
    path.write_bytes(png(1, 0))
    refused(path, "picture")


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (8, 8)).save(path)
    assert picture(path, 8, 64).shape == (8, 8, 3)
    os.truncate(path, MOST_BYTES + 1)
    refused(path, f"has {MOST_BYTES + 1:,} bytes; a picture has at most {MOST_BYTES:,}")


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_several_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    path, frames = tmp_path / f"a.{suffix}", [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 90)]
    frames[0].save(path)
    assert picture(path, 8, 64).shape == (8, 8, 3)
    frames[0].save(path, save_all=True, append_images=frames[1:])
    refused(path, "has several frames; save the one that is meant as a picture of its own")


def test_a_photograph_with_a_preview_is_the_photograph(tmp_path: Path) -> None:
    """Many telephones write such files, and call them .jpg."""
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8), (200, 0, 0)).save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8), (0, 0, 200))])
    with Image.open(path) as image:
        assert image.format == "MPO" and image.n_frames == 2
    assert picture(path, 8, 64)[4, 4].tolist() == pytest.approx([200, 0, 0], abs=4)


def test_no_other_program_reads_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PIL hands PostScript, under whatever name, to Ghostscript."""

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError(f"a program was called: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", never)
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    refused(path, "is not a picture")
    with pytest.raises((AssertionError, OSError)), Image.open(path) as image:  # what would have happened
        image.load()


def test_what_a_decoder_says_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        logging.getLogger("PIL.TiffImagePlugin").error("a second line")
        raise ValueError("a\n\x1b[31m" + "b" * 1000)

    monkeypatch.setattr(Image, "open", fails)
    (tmp_path / "x.png").touch()
    refused(tmp_path / "x.png", "cannot be read as a picture (a ?[31mbbb")
    assert capfd.readouterr() == ("", "")


def test_large_pictures_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads read pictures: each may hold one of the largest in memory, but not all at once."""
    monkeypatch.setattr(picture_file, "_MANY_PIXELS", 63)
    inside, most = 0, 0
    convert = Image.Image.convert

    def counted(self: Image.Image, *arguments: object, **options: object) -> Image.Image:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threading.Event().wait(0.01)
        made = convert(self, *arguments, **options)  # type: ignore[arg-type]
        inside -= 1
        return made

    monkeypatch.setattr(Image.Image, "convert", counted)
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    threads = [threading.Thread(target=picture, args=(path, 8, 64)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@given(
    st.binary(max_size=80), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"\xff\xd8\xff\xe0", b"II*\0", b"P6 "])
)
def test_any_bytes_are_a_picture_or_one_line_of_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.png"
    path.write_bytes(magic + data)
    try:
        made = picture(path, 4, 10_000)
    except DataError as error:
        assert str(error).isprintable()
    else:
        assert made.shape == (4, 4, 3) and made.dtype == torch.uint8
