import gzip
import hashlib
import pickle
import struct
from importlib import resources
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torchvision import datasets as published

from lnas.builtin import datasets
from lnas.builtin.datasets import cifar10, cifar100, digits, fashion_mnist, mnist
from lnas.core.errors import ConfigError, DataError
from lnas.core.types import Task


def test_digits_are_those_of_the_original() -> None:
    packed = resources.files("lnas.builtin").joinpath("digits", "digits.gz").read_bytes()
    assert len(packed) < 50_000
    values = gzip.decompress(packed)
    assert len(values) == 1797 * 65
    assert hashlib.sha256(values).hexdigest() == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    assert sorted(set(values[: 1797 * 64])) == list(range(17))
    assert [values[1797 * 64 :].count(digit) for digit in range(10)] == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_licence_of_digits_lies_beside_them() -> None:
    text = resources.files("lnas.builtin").joinpath("digits", "LICENCE.txt").read_text()
    assert "CC BY 4.0" in text and "10.24432/C50P49" in text and "Alpaydin" in text


def test_digits() -> None:
    data = digits()
    assert data.task == Task((1, 8, 8), 10)
    assert data.classes == tuple("0123456789")
    assert (data.size("train"), data.size("test")) == (1442, 355)
    assert data.suggested["batch"] == 32
    # every fifth of 178, 182, ..., 180 pictures
    assert torch.bincount(data.labels("test")).tolist() == [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]
    assert torch.bincount(data.labels("train")).tolist() == [143, 146, 142, 147, 145, 146, 145, 144, 140, 144]


def test_the_first_digit_is_a_zero() -> None:
    x, y = digits(normalise=False).batch("train", torch.tensor([0]), None)
    expected = [0, 0, 80, 207, 143, 16, 0, 0]  # 5, 13, 9 and 1 sixteenths of 255
    assert (x[0, 0, 0] * 255).round().long().tolist() == expected
    assert y.tolist() == [0]
    x, _ = digits(normalise=False).batch("train", torch.arange(1442), None)
    assert (x.min().item(), x.max().item()) == (0.0, 1.0)
    assert len(x.unique()) == 17


def test_the_split_of_digits_does_not_depend_on_the_global_generator() -> None:
    torch.manual_seed(1)
    first = digits()
    torch.manual_seed(2)
    second = digits()
    for split in ("train", "test"):
        every = torch.arange(first.size(split))
        for mine, theirs in zip(first.batch(split, every, None), second.batch(split, every, None), strict=True):
            assert torch.equal(mine, theirs)


def test_options_reach_the_pictures() -> None:
    plain, cut = (digits(crop=0, cutout=side, normalise=False) for side in (0, 4))
    every = torch.arange(100)
    x, _ = plain.batch("train", every, torch.Generator().manual_seed(0))
    y, _ = cut.batch("train", every, torch.Generator().manual_seed(0))
    assert torch.equal(x, plain.batch("train", every, None)[0])
    assert (y <= x).all() and (y.sum() < x.sum()).item()
    with pytest.raises(ConfigError, match="crop is 8 pixels"):
        digits(crop=8)
    with pytest.raises(ConfigError, match="cutout is -1 pixels"):
        digits(cutout=-1)


def idx(array: numpy.ndarray[Any, Any]) -> bytes:
    """The file format of MNIST: 0, 0, type (8 is a byte), dimensions, lengths, values."""
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(root: Path, name: str) -> tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]:
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    pictures = numpy.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=numpy.uint8)
    labels = (numpy.arange(12) % 10).astype(numpy.uint8)
    for prefix, part in (("train", slice(None)), ("t10k", slice(0, 5))):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pictures[part]))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels[part]))
    return pictures, labels


@pytest.mark.parametrize(("factory", "name"), [(mnist, "MNIST"), (fashion_mnist, "FashionMNIST")])
def test_mnist_and_fashion_mnist(tmp_path: Path, factory: Any, name: str) -> None:
    pictures, labels = write_mnist(tmp_path, name)
    data = factory(root=str(tmp_path), normalise=False)
    assert data.task == Task((1, 28, 28), 10)
    assert (data.size("train"), data.size("test")) == (12, 5)
    assert data.classes == tuple(getattr(published, name).classes)
    assert data.suggested == {}
    x, y = data.batch("train", torch.arange(12), None)
    assert (x * 255).round().to(torch.uint8).tolist() == pictures[:, None].tolist()
    assert y.tolist() == labels.tolist()


def test_a_damaged_mnist_is_one_line(tmp_path: Path) -> None:
    write_mnist(tmp_path, "MNIST")
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + b"\0" * 3)
    with pytest.raises(DataError, match=r"^MNIST in '.*' cannot be read \(.*\); get it once with: python -c") as caught:
        mnist(root=str(tmp_path))
    assert "\n" not in str(caught.value)


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[numpy.ndarray[Any, Any], list[int]]:
    """The layout of CIFAR with 6 training pictures and 2 test pictures; torchvision is given their checksums."""
    kind = getattr(published, name)
    base = root / kind.base_folder
    base.mkdir()
    key, count = ("labels", 10) if name == "CIFAR10" else ("fine_labels", 100)
    pictures = numpy.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=numpy.uint8)
    labels = [3, 9, 0, 1, 2, 5]

    def write(file: str, content: Any) -> str:
        (base / file).write_bytes(pickle.dumps(content))
        return hashlib.md5((base / file).read_bytes()).hexdigest()

    def part(file: str, some: slice) -> list[str]:
        return [file, write(file, {"data": pictures[some].reshape(-1, 3072), key: labels[some]})]

    meta = dict(kind.meta, md5=write(kind.meta["filename"], {kind.meta["key"]: [f"class {i}" for i in range(count)]}))
    monkeypatch.setattr(kind, "train_list", [part("first", slice(0, 4)), part("second", slice(4, 6))])
    monkeypatch.setattr(kind, "test_list", [part("third", slice(0, 2))])
    monkeypatch.setattr(kind, "meta", meta)
    return pictures, labels


@pytest.mark.parametrize(("factory", "name", "count"), [(cifar10, "CIFAR10", 10), (cifar100, "CIFAR100", 100)])
def test_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: Any, name: str, count: int) -> None:
    pictures, labels = write_cifar(tmp_path, monkeypatch, name)
    data = factory(root=str(tmp_path), normalise=False)
    assert data.task == Task((3, 32, 32), count)
    assert data.classes == tuple(f"class {i}" for i in range(count))
    x, y = data.batch("train", torch.arange(6), None)
    assert (x * 255).round().to(torch.uint8).tolist() == pictures.tolist()
    assert y.tolist() == labels
    assert data.batch("test", torch.arange(2), None)[1].tolist() == labels[:2]


def test_a_cifar_that_was_tampered_with_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch, "CIFAR10")
    (tmp_path / published.CIFAR10.base_folder / "first").write_bytes(b"cbuiltins\nexit\n(tR.")  # exits when it is loaded
    with pytest.raises(DataError, match="does not hold a complete CIFAR10"):
        cifar10(root=str(tmp_path))


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion_mnist"])
def test_what_was_not_downloaded_is_one_line_that_says_how_to_get_it(tmp_path: Path, name: str) -> None:
    factory = getattr(datasets, name)
    absent, endless = tmp_path / "absent", tmp_path / ("x" * 300)
    for root, what in (
        (tmp_path, "does not hold a complete"),
        (absent, "of .* is not a folder"),
        (endless, "of .* is not a folder"),
    ):
        with pytest.raises(DataError, match=f"^root '.*' {what}") as caught:
            factory(root=str(root))
        message = str(caught.value)
        assert "\n" not in message
        command = message.split('get it once with: python -c "')[1].removesuffix('"')
        compile(command, "command", "exec")
        assert "download=True" in command and repr(str(root)) in command
    assert list(tmp_path.iterdir()) == []
