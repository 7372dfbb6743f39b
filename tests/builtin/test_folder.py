import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from lnas.builtin.folder import folder
from lnas.core.errors import ConfigError, DataError
from lnas.core.types import Task

COLOURS = {"cat": (200, 30, 40), "dog": (10, 220, 60), "eel": (5, 6, 250)}


def save(path: Path, colour: Any = (1, 2, 3), *, mode: str = "RGB", size: tuple[int, int] = (8, 8), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


def split_layout(root: Path, *, test: str = "test") -> Path:
    """cat, dog and eel with 3 pictures each for training and 1 for testing; picture i has red + i."""
    for name, (red, green, blue) in COLOURS.items():
        for i in range(3):
            save(root / "train" / name / f"{i}.png", (red + i, green, blue))
        save(root / test / name / "0.png", (red + 3, green, blue))
    return root


def class_layout(root: Path, number: int = 10) -> Path:
    for name, (red, green, blue) in COLOURS.items():
        for i in range(number):
            save(root / name / f"{i:03}.png", (red + i, green, blue))
    return root


def load(root: Path, **options: Any) -> Any:
    return folder(root=str(root), **{"size": 8, "crop": 0, "normalise": False, **options})


def values(data: Any, split: str) -> list[list[int]]:
    """The colour of the first pixel of each picture."""
    x, _ = data.batch(split, torch.arange(data.size(split)), None)
    return (x[:, :, 0, 0] * 255).round().long().tolist()


def refused(root: Path, message: str, **options: Any) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(root, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("test", ["test", "val"])
def test_a_folder_with_a_split_of_its_own(tmp_path: Path, test: str) -> None:
    data = load(split_layout(tmp_path, test=test))
    assert data.task == Task((3, 8, 8), 3)
    assert data.classes == ("cat", "dog", "eel")
    assert data.labels("train").tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.labels("test").tolist() == [0, 1, 2]
    assert values(data, "train") == [[r + i, g, b] for r, g, b in COLOURS.values() for i in range(3)]
    assert values(data, "test") == [[r + 3, g, b] for r, g, b in COLOURS.values()]


def test_val_is_left_alone_beside_test(tmp_path: Path) -> None:
    split_layout(tmp_path)
    (tmp_path / "val" / "no class").mkdir(parents=True)
    assert load(tmp_path).size("test") == 3


def test_a_folder_of_classes_is_split_class_by_class(tmp_path: Path) -> None:
    data = load(class_layout(tmp_path))
    assert torch.bincount(data.labels("train")).tolist() == [8, 8, 8]
    assert torch.bincount(data.labels("test")).tolist() == [2, 2, 2]
    found = sorted(values(data, "train") + values(data, "test"))
    assert found == sorted([r + i, g, b] for r, g, b in COLOURS.values() for i in range(10))


def test_the_split_depends_on_its_seed_and_share_alone(tmp_path: Path) -> None:
    class_layout(tmp_path)
    torch.manual_seed(5)
    first = values(load(tmp_path), "test")
    assert values(load(tmp_path, crop=2, flip=False, size=16), "test") == first
    assert values(load(tmp_path, split_seed=1), "test") != first
    assert load(tmp_path, test=0.5).size("test") == 15
    assert load(tmp_path, test=0.001).size("test") == 3  # at least one of each class
    assert load(tmp_path, test=0.999).size("train") == 3


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "train"):
        for i in range(5):
            save(tmp_path / name / f"{i}.png")
    assert load(tmp_path).classes == ("bus", "train")


def test_a_class_may_be_missing_from_the_test_split(tmp_path: Path) -> None:
    split_layout(tmp_path)
    (tmp_path / "test" / "eel" / "0.png").unlink()
    (tmp_path / "test" / "eel").rmdir()
    data = load(tmp_path)
    assert data.classes == ("cat", "dog", "eel")
    assert data.labels("test").tolist() == [0, 1]


def test_order_is_by_name_and_not_by_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(class_layout(tmp_path))

    class Backwards:
        def __init__(self, path: Any) -> None:
            with os_scandir(path) as found:
                self._entries = sorted(found, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> Any:
            return iter(self._entries)

        def __exit__(self, *error: object) -> None:
            self._entries = []

    os_scandir = os.scandir
    monkeypatch.setattr(os, "scandir", Backwards)
    second = load(tmp_path)
    assert second.classes == first.classes
    assert values(second, "train") == values(first, "train")
    assert values(second, "test") == values(first, "test")


def test_hidden_names_and_files_beside_the_class_folders_are_passed_over(tmp_path: Path) -> None:
    split_layout(tmp_path)
    (tmp_path / "README.md").write_text("what it is")
    (tmp_path / "train" / "labels.csv").write_text("0,1")
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / "cat" / ".DS_Store").write_bytes(b"\0")
    assert load(tmp_path).size("train") == 9


def test_all_kinds_of_pictures_become_colour(tmp_path: Path) -> None:
    split_layout(tmp_path)
    cat = tmp_path / "train" / "cat"
    save(cat / "3.png", 77, mode="L")
    save(cat / "4.png", 1, mode="1")
    save(cat / "5.png", (9, 8, 7, 0), mode="RGBA")
    save(cat / "6.png", (66, 128), mode="LA")
    save(cat / "7.gif", (255, 0, 0))
    save(cat / "8.bmp", (3, 2, 1))
    save(cat / "9.jpg", 128, mode="L", quality=100)
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 40, 50, 60])
    palette.save(cat / "a.png", transparency=b"\x00\x80")
    assert values(load(tmp_path), "train")[3:11] == [
        [77, 77, 77],
        [255, 255, 255],
        [9, 8, 7],
        [66, 66, 66],
        [255, 0, 0],
        [3, 2, 1],
        [128, 128, 128],
        [40, 50, 60],
    ]


def test_a_picture_of_the_right_size_is_kept_to_the_byte(tmp_path: Path) -> None:
    split_layout(tmp_path)
    noise = torch.randint(0, 256, (8, 8, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    Image.fromarray(noise.numpy()).save(tmp_path / "train" / "cat" / "0.png")
    x, _ = load(tmp_path).batch("train", torch.tensor([0]), None)
    assert torch.equal((x[0] * 255).round().to(torch.uint8), noise.permute(2, 0, 1))


@pytest.mark.parametrize("wide", [True, False])
def test_the_central_square_is_what_is_scaled(tmp_path: Path, wide: bool) -> None:
    split_layout(tmp_path)
    picture = Image.new("RGB", (40, 20) if wide else (20, 40), (0, 0, 255))
    picture.paste((255, 0, 0), (10, 0, 30, 20) if wide else (0, 10, 20, 30))
    picture.save(tmp_path / "train" / "cat" / "0.png")
    x, _ = load(tmp_path, size=10).batch("train", torch.tensor([0]), None)
    assert x.shape == (1, 3, 10, 10)
    inner = x[0, :, :, 1:-1] if wide else x[0, :, 1:-1]  # at the cut the filter still sees the blue beyond it
    assert (inner[0] == 1).all() and (inner[2] == 0).all()
    assert (x[0, 0] > 0.9).all()


def test_a_large_jpeg_keeps_the_detail_that_its_size_can_show(tmp_path: Path) -> None:
    split_layout(tmp_path)
    picture = Image.new("RGB", (320, 320), (250, 250, 250))
    for left in range(0, 320, 20):  # stripes of 2 pixels each once scaled to 64
        picture.paste((10, 10, 10), (left, 0, left + 10, 320))
    picture.save(tmp_path / "train" / "cat" / "0.jpg", quality=95)
    (tmp_path / "train" / "cat" / "0.png").unlink()
    x, _ = load(tmp_path, size=64).batch("train", torch.tensor([0]), None)
    assert (x[0, :, :, 0::4] < 0.15).all() and (x[0, :, :, 1::4] < 0.15).all()
    assert (x[0, :, :, 2::4] > 0.85).all() and (x[0, :, :, 3::4] > 0.85).all()


def test_the_orientation_that_a_camera_noted_is_applied(tmp_path: Path) -> None:
    split_layout(tmp_path)
    picture = Image.new("RGB", (8, 8), (0, 0, 0))
    picture.paste((255, 255, 255), (0, 0, 8, 4))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half
    picture.save(tmp_path / "train" / "cat" / "0.png", exif=exif)
    x, _ = load(tmp_path).batch("train", torch.tensor([0]), None)
    assert (x[0, :, :4] == 0).all() and (x[0, :, 4:] == 1).all()


def test_large_files_are_read_by_threads_in_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = values(load(split_layout(tmp_path)), "train")
    monkeypatch.setattr("lnas.builtin.folder._SMALL_FILE", 0)
    assert values(load(tmp_path), "train") == first
    for broken in ("test/cat/0.png", "train/eel/0.png", "train/dog/1.png"):
        (tmp_path / broken).write_text("text")
    refused(tmp_path, "train/dog/1.png' is not a picture$")


def test_options_reach_the_pictures(tmp_path: Path) -> None:
    split_layout(tmp_path)
    x, _ = folder(root=str(tmp_path)).batch("train", torch.arange(9), None)
    assert x.shape == (9, 3, 32, 32)
    deviation, mean = torch.std_mean(x.double(), dim=(0, 2, 3), correction=0)
    assert mean.abs().max() < 1e-6 and (deviation - 1).abs().max() < 1e-6
    shifted, _ = load(tmp_path, crop=4).batch("train", torch.arange(9), torch.Generator().manual_seed(0))
    assert (shifted == 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "^size is 0 pixels; it must be at least 1$"),
        ({"size": 4, "crop": 4}, "^crop is 4 pixels, but the pictures are 4x4; at most 3 works$"),
        ({"cutout": -1}, "^cutout is -1 pixels"),
        ({"test": 0.0}, "^test is 0.0; the share of pictures for testing must lie between 0 and 1$"),
        ({"test": 1.0}, "^test is 1.0; "),
        ({"test": float("nan")}, "^test is nan; "),
        ({"most_pixels": 0}, r"^most_pixels is 0; it must lie in 1\.\.89478485$"),
        ({"most_pixels": 10**9}, "^most_pixels is 1000000000; "),
    ],
)
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(class_layout(tmp_path, 2), **options)


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "absent", "^root '.*absent' does not exist$")
    refused(tmp_path / ("x" * 300), "does not exist$")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "^root '.*file' is not a folder$")
    with pytest.raises(ConfigError, match="^root is empty"):
        folder(root="")


def test_too_few_classes_or_pictures_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "holds no class folders; put the pictures of each class into a folder of its own there$")
    save(tmp_path / "loose.png")
    refused(tmp_path, "holds no class folders")
    save(tmp_path / "cat" / "0.png")
    refused(tmp_path, "holds one class, 'cat'; at least two are needed to tell apart$")
    (tmp_path / "dog").mkdir()
    refused(tmp_path, "dog' holds no pictures$")
    save(tmp_path / "dog" / "0.png")
    refused(tmp_path, "cat' holds one picture; a class needs at least 2 to be split$")


def test_a_split_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    root = split_layout(tmp_path)
    save(root / "test" / "fox" / "0.png")
    refused(root, "test/fox' has no class of that name in '.*train'$")
    (root / "test").rename(tmp_path / ".test")
    refused(root, "has train/ but neither test/ nor val/; add one, or put the classes right below it$")
    (root / "test").mkdir()
    refused(root, "test' holds no class folders")


def test_what_is_not_a_picture_is_refused(tmp_path: Path) -> None:
    root = class_layout(tmp_path, 3)
    (root / "dog" / "notes.txt").write_text("these are dogs")
    refused(root, "dog/notes.txt' is not a picture$")
    (root / "dog" / "notes.txt").write_bytes(b"")
    refused(root, "dog/notes.txt' is not a picture$")
    (root / "dog" / "notes.txt").unlink()
    (root / "dog" / "more").mkdir()
    refused(root, "dog/more' is not a file; the pictures of a class lie right in its folder$")
    (root / "dog" / "more").rmdir()
    os.mkfifo(root / "dog" / "pipe")  # must not be waited for
    refused(root, "dog/pipe' is not a file")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_a_broken_picture_is_refused(tmp_path: Path, suffix: str) -> None:
    root = class_layout(tmp_path, 3)
    noise = torch.randint(0, 256, (40, 40, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    path = root / "dog" / f"broken.{suffix}"
    Image.fromarray(noise.numpy()).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(root, rf"dog/broken\.{suffix}' (is not a picture|cannot be read as a picture \(.+\))$")


def test_a_name_with_a_line_break_stays_on_one_line(tmp_path: Path) -> None:
    root = class_layout(tmp_path, 3)
    (root / "dog" / "a\nb.png").write_text("text")
    refused(root, r"dog/a\\nb.png' is not a picture$")


def test_a_picture_with_more_than_8_bits_is_refused(tmp_path: Path) -> None:
    root = class_layout(tmp_path, 3)
    save(root / "dog" / "deep.png", 40_000, mode="I;16")
    refused(root, r"dog/deep.png' has more than 8 bits a channel \(I;16\); save it with 8$")


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    root = class_layout(tmp_path, 3)
    assert load(root, most_pixels=64).size("train") == 6
    refused(root, r"cat/00\d.png' is 8x8 pixels; at most 63 are allowed in all$", most_pixels=63)
    save(root / "dog" / "bomb.png", 0, mode="1", size=(10_000, 9_000))  # past where PIL warns
    refused(root, "dog/bomb.png' cannot be read as a picture .*exceeds limit of 89478485 pixels")
    save(root / "dog" / "bomb.png", 0, mode="1", size=(14_000, 13_000))  # past where PIL raises
    refused(root, "dog/bomb.png' cannot be read as a picture .*exceeds limit of 178956970 pixels")


def test_links_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    root, outside = class_layout(tmp_path / "root", 3), save(tmp_path / "outside" / "0.png")
    (root / "dog" / "inside.png").symlink_to(root / "cat" / "000.png")
    assert sum(load(root).size(split) for split in ("train", "test")) == 10
    link = root / "dog" / "link.png"
    link.symlink_to(outside)
    refused(root, "dog/link.png' is a link out of '.*root'; put the pictures themselves there$")
    link.unlink()
    link.symlink_to("../../outside/0.png")
    refused(root, "dog/link.png' is a link out of")
    link.unlink()
    (root / "fox").symlink_to(outside.parent)
    refused(root, "root/fox' is a link out of")


def test_links_to_nothing_are_refused(tmp_path: Path) -> None:
    root = class_layout(tmp_path, 3)
    (root / "dog" / "gone.png").symlink_to(root / "dog" / "absent.png")
    refused(root, "dog/gone.png' is not a file")
    (root / "dog" / "gone.png").unlink()
    (root / "dog" / "gone.png").symlink_to(root / "dog" / "gone.png")
    refused(root, "dog/gone.png' is not a file")


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    class_layout(tmp_path / "there", 3)
    (tmp_path / "here").symlink_to(tmp_path / "there")
    assert load(tmp_path / "here").size("train") == 6
