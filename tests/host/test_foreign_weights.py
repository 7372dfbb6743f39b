"""The one reader of pickles: what it takes, and all that it refuses without having run it."""

import io
import pickle
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lnas.core.errors import ConfigError
from lnas.host.foreign_weights import read

MOST = 10_000_000


@pytest.fixture
def module() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def save(value: object, path: Path, *, legacy: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def load(path: Path, *, key: str | None = None, prefix: str = "", most: int = MOST) -> dict[str, Tensor]:
    return read(path, key=key, prefix=prefix, most=most)


def same(one: dict[str, Tensor], other: dict[str, Any]) -> bool:
    return list(one) == list(other) and all(
        torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one
    )


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_weights_come_back_as_they_were(tmp_path: Path, module: nn.Module, legacy: bool) -> None:
    assert same(load(save(module.state_dict(), tmp_path / "a.pt", legacy=legacy)), module.state_dict())
    odd = {
        "half": torch.ones(2).half(),
        "bf16": torch.ones(2).bfloat16(),
        "view": torch.arange(6.0).reshape(2, 3).t(),
        "none": torch.ones(0),
    }
    assert same(load(save(odd, tmp_path / "b.pt", legacy=legacy)), odd)
    parameters = OrderedDict(module.named_parameters())
    assert same(load(save(parameters, tmp_path / "c.pt", legacy=legacy)), parameters)


def test_a_key_and_a_prefix_are_what_they_say(tmp_path: Path, module: nn.Module) -> None:
    weights = module.state_dict()
    parallel = {f"module.{name}": tensor for name, tensor in weights.items()}
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9).state_dict()
    path = save(
        {"epoch": 3, "state_dict": parallel, "optimizer": optimizer, "ema": {"model": weights}, "a/b": weights}, tmp_path / "a.pt"
    )
    assert same(load(path, key="state_dict", prefix="module."), weights)
    assert same(load(path, key="state_dict"), parallel)
    assert same(load(path, key="ema/model"), weights)
    assert same(load(path, key="a/b"), weights)
    with pytest.raises(ConfigError, match=r"several keys; choose one with --key: 'state_dict', 'ema/model', 'a/b'$"):
        load(path)
    with pytest.raises(ConfigError, match=r"no key 'sate_dict'; keys with tensors are: state_dict, ema/model, a/b$"):
        load(path, key="sate_dict")
    with pytest.raises(ConfigError, match="what lies under 'epoch' is no mapping of names to tensors"):
        load(path, key="epoch")
    with pytest.raises(ConfigError, match="no name that begins with 'net.'; its names begin as 'module.0.weight'"):
        load(path, key="state_dict", prefix="net.")


def test_the_one_key_is_said(tmp_path: Path, module: nn.Module) -> None:
    path = save(
        {"epoch": 3, "model": {"net": module.state_dict()}, "optimizer": {"state": {0: {"m": torch.ones(1)}}}}, tmp_path / "a.pt"
    )
    with pytest.raises(ConfigError, match=r"holds its tensors under a key; add --key model/net$"):
        load(path)


def test_names_that_meet_are_refused(tmp_path: Path) -> None:
    path = save({"a.w": torch.ones(1), "w": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(ConfigError, match="without 'a.' two tensors are called 'w'"):
        load(path, prefix="a.")
    for name in ("a.", "__metadata__", "a.__metadata__", "x\x1b[0m"):
        with pytest.raises(ConfigError, match="is no name for a tensor"):
            load(save({"a.b": torch.ones(1), name: torch.ones(1)}, tmp_path / "b.pt"), prefix="a.")


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_code_in_a_file_is_not_run(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "ran"
    for value in (
        Payload(mark),
        {"w": torch.ones(2), "x": Payload(mark)},
        {"state_dict": {"w": torch.ones(2)}, "x": Payload(mark)},
    ):
        path = save(value, tmp_path / "a.pt", legacy=legacy)
        for key in (None, "state_dict"):
            with pytest.raises(ConfigError, match="holds more than tensors: it would call .*; nothing in it was run"):
                load(path, key=key)
    assert not mark.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.load(path, weights_only=False)
    assert mark.exists(), "the payload is none, and the test shows nothing"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_plain_pickle_is_not_run(tmp_path: Path, protocol: int) -> None:
    path, mark = tmp_path / "a.pt", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Payload(mark), protocol))
    with pytest.raises(ConfigError, match="nothing in it was run|is no file of torch.save that can be read"):
        load(path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()


def packed(path: Path) -> None:
    save({"w": torch.ones(2)}, path.with_name("b.pt"))
    with zipfile.ZipFile(path.with_name("b.pt")) as one, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as other:
        for name in one.namelist():
            other.writestr(name, one.read(name))


def in_tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            member, data = tarfile.TarInfo(name), pickle.dumps(0, 2)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(1, 1)).save(str(path))


def other_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")


def rewritten(path: Path, change: Callable[[str, bytes], bytes], *, twice: str = "") -> None:
    """An archive of whole records, some of them others than torch.save wrote."""
    save({"w": torch.arange(1.0, 4)}, path.with_name("b.pt"))
    with warnings.catch_warnings(), zipfile.ZipFile(path.with_name("b.pt")) as one, zipfile.ZipFile(path, "w") as other:
        warnings.simplefilter("ignore")
        for name in one.namelist():
            for _ in range(1 + (bool(twice) and name.endswith(twice))):
                other.writestr(name, change(name, one.read(name)))


def values(data: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, old: data if name.endswith("data/0") else old


def bit_flipped(path: Path) -> None:
    save({"w": torch.arange(1.0, 4)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(torch.arange(1.0, 4).numpy().tobytes()) + 5] ^= 1
    path.write_bytes(data)


def after(path: Path, junk: bytes) -> None:
    save({"w": torch.ones(2)}, path)
    path.write_bytes(junk + path.read_bytes())


def cut(path: Path, *, legacy: bool) -> None:
    save({"w": torch.ones(20)}, path, legacy=legacy)
    path.write_bytes(path.read_bytes()[:-30])


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a module": (
        lambda p: save(nn.Linear(1, 1), p),
        r"it would call 'torch.nn.modules.linear.Linear'; nothing in it was run: have",
    ),
    "a legacy module": (lambda p: save(nn.Linear(1, 1), p, legacy=True), r"it would call '\S+'; nothing in it was run"),
    "TorchScript": (script, r"is a TorchScript program, not weights; save the state_dict\(\)"),
    "packed": (packed, "is a packed archive; torch.save does not pack"),
    "the tar format": (in_tar, "in the .tar format of torch before 0.1.10"),
    "another archive": (other_archive, "is an archive, but none that torch.save wrote"),
    "cut": (lambda p: cut(p, legacy=False), "is a broken archive"),
    "cut, legacy": (lambda p: cut(p, legacy=True), "is no file of torch.save that can be read"),
    "no file of torch": (lambda p: p.write_bytes(b"\x80\x02junk"), "is no file of torch.save that can be read"),
    "text": (lambda p: p.write_text("weights"), "is no file of torch.save that can be read|nothing in it was run"),
    "empty": (lambda p: p.touch(), "is no file of torch.save that can be read"),
    "missing": (lambda p: None, "cannot be read: No such file or directory"),
    "a folder": (Path.mkdir, "is no regular file"),
    "a list": (lambda p: save([torch.ones(1)], p), "holds a list, and no tensors by name"),
    "a tensor": (lambda p: save(torch.ones(1), p), "holds a Tensor, and no tensors by name"),
    "nothing": (lambda p: save({}, p), "holds nothing, and no tensors by name"),
    "numbers": (lambda p: save({"a": 1}, p), "is no mapping of names to tensors: 'a' is a int"),
    "sparse": (lambda p: save({"a": torch.eye(2).to_sparse()}, p), "'a' is a float32 sparse_coo tensor"),
    "nested": (
        lambda p: save({"a": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, p),
        "'a' is a nested tensor, which a safetensors file cannot hold",
    ),
    "quantized": (
        lambda p: save({"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)}, p),
        "'a' is a quantized tensor, which a safetensors",
    ),
    "meta": (lambda p: save({"a": torch.ones(2, device="meta")}, p), "'a' is a meta tensor, which a safetensors file"),
    "too short": (lambda p: rewritten(p, values(b"\0")), "is damaged: 'w' asks for 12 bytes of values, and no record"),
    "too long": (lambda p: rewritten(p, values(bytes(13))), "is damaged: 'w' asks for 12 bytes of values, and no record"),
    "empty values": (lambda p: rewritten(p, values(b"")), "is damaged: 'w' asks for 12 bytes of values, and no record"),
    "a flipped bit": (bit_flipped, "is a broken archive: Bad CRC-32 for file 'a/data/0'"),
    "two of a name": (lambda p: rewritten(p, lambda name, old: old, twice="data/0"), "two of its records have the same name"),
    "another byte order": (
        lambda p: rewritten(p, lambda name, old: b"big" if name.endswith("byteorder") else old),
        "was written by a machine of another byte order",
    ),
    "after junk": (lambda p: after(p, b"junk"), "has something before the archive that torch.save wrote"),
    "after the head of a pickle": (lambda p: after(p, b"\x80\x02"), "is no file of torch.save that can be read|nothing in it"),
    "after another archive": (
        lambda p: after(p, save({"w": torch.zeros(2)}, p).read_bytes()),
        "is damaged|is a broken archive|is no file of torch.save",
    ),
    "complex128": (lambda p: save({"a": torch.ones(1, dtype=torch.complex128)}, p), "'a' is a complex128 strided tensor"),
    "a view that claims too much": (
        lambda p: save({"a": torch.ones(1).expand(10**6, 10**6)}, p),
        "holds tensors of 4,000,000,000,000 bytes; at most 10,000,000 are read: see --max-size",
    ),
}


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_weights_is_refused_in_one_line(tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    make(tmp_path / "a.pt")
    with pytest.raises(ConfigError, match=words) as refused:
        load(tmp_path / "a.pt")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = save({"w": torch.ones(1000)}, tmp_path / "a.pt")
    assert len(load(path, most=path.stat().st_size)) == 1
    with pytest.raises(ConfigError, match=r"has [\d,]+ bytes; at most 4,000 are read: see --max-size"):
        load(path, most=4000)


def test_a_changed_byte_anywhere_is_seen_or_harmless(tmp_path: Path) -> None:
    """Every byte of the archive in turn: what is read is what was saved, or nothing is."""
    weights = {"w": torch.arange(1.0, 4)}
    path = save(weights, tmp_path / "a.pt")
    data, refused = path.read_bytes(), 0
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            assert same(load(path), weights), place
        except ConfigError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 300


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_views_that_ask_for_more_than_the_memory_are_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    path = save({name: torch.zeros(1).expand(30_000, 30_000) for name in "abc"}, tmp_path / "a.pt", legacy=legacy)
    assert path.stat().st_size < 3000
    monkeypatch.setattr("lnas.host.documents.most_of_tensors", lambda: 10_799_999_999)
    words = r"holds tensors of 10,800,000,000 bytes; at most 10,799,999,999 are read on this machine, half of its memory"
    with pytest.raises(ConfigError, match=words):
        load(path, most=2**35)
    monkeypatch.setattr("lnas.host.documents.most_of_tensors", lambda: 10_800_000_000)
    assert len(load(path, most=2**35)) == 3


def test_values_in_one_memory_are_read(tmp_path: Path) -> None:
    base = torch.arange(12.0)
    shared = {"all": base, "half": base[6:], "every": base[::2], "one": base[3:4].expand(5)}
    assert same(load(save(shared, tmp_path / "a.pt")), shared)
