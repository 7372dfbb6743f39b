"""Readers of files: TOML, JSON, tensors, checkpoints, journals, pictures."""

import datetime
import hashlib
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from safetensors import torch as safetensors

from benchmarks.chaos.targets.expected import refused
from lnas.builtin.genotypes import GENOTYPES
from lnas.builtin.picture_file import picture
from lnas.core.document import parse
from lnas.core.genotype import Genotype
from lnas.host import checkpoint, toml
from lnas.host.config import merge, read_toml, to_toml
from lnas.host.packing import pack, plain, read, tensors_of, unpack, written
from lnas.host.rundir import RunDirectory
from lnas.report import read as report

SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A disk would be written a million times."""


@contextmanager
def folder(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder that holds these files."""
    with tempfile.TemporaryDirectory(prefix="lnas-fuzz-", dir=SCRATCH) as place:
        for name, data in files.items():
            (Path(place) / name).write_bytes(data)
        yield Path(place)


def document(data: bytes) -> None:
    """A JSON document that is read is written and read back."""
    with refused(ValueError):
        value = parse(data)
        assert parse(json.dumps(value, allow_nan=False)) == value


def table(data: bytes) -> None:
    """A TOML document that holds what a configuration may hold is written and read back."""
    with refused():
        value = toml.parse(data, where="x.toml")
        if not _has_time(value):
            again = toml.parse(toml.dump(value).encode(errors="replace"), where="x.toml")
            assert repr(again) == repr(value) or sorted(again) == sorted(value)  # tables come last; nan is not nan


def config(data: bytes) -> None:
    """A configuration file that is read is written and read back."""
    with folder({"x.toml": data}) as place, refused():
        made = merge(read_toml(place / "x.toml")).config
        (place / "y.toml").write_text(to_toml(made), encoding="utf-8")
        assert merge(read_toml(place / "y.toml")).config == made


def genotype(data: bytes) -> None:
    """A genotype is written and read back."""
    with refused():
        made = Genotype.loads(data.decode(errors="replace"))
        assert Genotype.loads(json.dumps(made.to_json(), allow_nan=False)) == made


def tensors(data: bytes) -> None:
    """Tensors are written and read back."""
    with refused(ValueError):
        made = tensors_of(data)
        again = tensors_of(safetensors.save(plain(made)))
        assert checkpoint.digest(again) == checkpoint.digest(made)


def state(data: bytes) -> None:
    """The document of a state, with the tensors that it names, is packed again."""
    with refused(ValueError):
        value = read(data)
        names = set(_named(value))
        made = unpack({name: torch.zeros(1) for name in names}, value)
        held, packed = pack(made)
        assert len(held) == len(names) and repr(read(written(packed))) == repr(packed)


def sealed(data: bytes) -> None:
    """A checkpoint with a true seal, of which a byte says where the tensors end and the state begins."""
    cut = int.from_bytes(data[:2], "big") % max(1, len(data) - 1) if len(data) > 2 else 0
    body = data[2:]
    parts = {"tensors.safetensors": body[:cut], "state.json": body[cut:]}
    _load({**parts, "MANIFEST.json": _seal(_manifest(parts))})


def manifest(data: bytes) -> None:
    """A manifest with a true seal, of which the rest is anything."""
    try:
        value = json.loads(data)
        unsealed = {key: entry for key, entry in value.items() if key != "sha256"} if isinstance(value, dict) else value
        _load({**_EMPTY, "MANIFEST.json": _seal(unsealed) if isinstance(unsealed, dict) else data})
    except (ValueError, RecursionError):
        _load({**_EMPTY, "MANIFEST.json": data})


def journal(data: bytes) -> None:
    """A journal is read by a run and by its report; what both read has the same epochs."""
    with folder({"config.toml": b"", "metrics.jsonl": data}) as place:
        with refused():
            report.read(place)
        with refused():
            RunDirectory(place).rows()


def documents(data: bytes) -> None:
    """The files of a run that a report reads; a byte says which one is meant."""
    names = ("summary.json", "status.json", "environment.json", "genotype.json", "config.toml")
    name = names[data[0] % len(names)] if data else names[0]
    with folder({"config.toml": b"", name: data[1:]}) as place, refused():
        report.read(place)


def pictures(data: bytes) -> None:
    """A picture of any format."""
    with folder({"x.png": data}) as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with refused():
            assert picture(place / "x.png", 8, 1_000_000).shape == (8, 8, 3)


def _has_time(value: object) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_time, value.values() if isinstance(value, dict) else value))
    return isinstance(value, datetime.date | datetime.time)


def _named(value: object) -> Iterator[str]:
    """The tensors that a document names."""
    if isinstance(value, dict) and set(value) == {"$tensor"} and isinstance(value["$tensor"], str):
        yield value["$tensor"]
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _named(entry)


def _seal(manifest: Mapping[str, object]) -> bytes:
    """As anybody can: it is a checksum, and no signature."""
    whole = json.dumps(manifest, indent=1).encode()
    return json.dumps({**manifest, "sha256": hashlib.sha256(whole).hexdigest()}, indent=1).encode()


def _manifest(parts: Mapping[str, bytes]) -> dict[str, object]:
    files = {name: {"size": len(part), "sha256": hashlib.sha256(part).hexdigest()} for name, part in parts.items()}
    return {"schema": 1, "step": 1, "files": files, "meta": {}}


def _load(files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix="lnas-fuzz-", dir=SCRATCH) as place:
        directory = Path(place) / "step-00000001"
        directory.mkdir()
        for name, data in files.items():
            (directory / name).write_bytes(data)
        with refused():
            pack(checkpoint.load(directory))


def _drawn(kind: str, mode: str = "RGB") -> bytes:
    target = BytesIO()
    Image.radial_gradient("L").resize((9, 7)).convert(mode).save(target, kind)
    return target.getvalue()


_STATE = {"a": torch.arange(3), "b": [{"c": torch.zeros(2, 0)}, float("nan"), None, "$x"], "$d": {"e": 1.5}}
_TENSORS, _DOCUMENT = pack(_STATE)
_SAVED, _WRITTEN = safetensors.save(plain(_TENSORS)), written(_DOCUMENT)
_EMPTY = {"tensors.safetensors": safetensors.save({}), "state.json": b"{}"}
_EPOCH = b'{"event":"epoch","stage":"train","epoch":1,"step":3,"validation_accuracy":0.5,"alpha":{"a":[[0.5,0.5]]}}\n'
_START = b'{"event":"start","stage":"search","space":{"a":{"edges":[[0,1]],"operations":["x","y"]}}}\n'
_PRUNE = b'{"event":"prune","stage":"train","round":1,"step":3,"target":"theta","asked":0.5,"attained":0.5,"layers":{"a":0.5}}\n'
_TOML = (
    b'recipe = "variant2"\nstrategy = "darts"\nprune = ["alpha:iterative,rounds=3"]\nepochs = "1:2"\nbatch = 8\n',
    b'seed = 7\n[space]\nname = "cells"\nlayers = 3\n\n[train]\nlr = 0.1\n[plugins]\nrequire = ["a>=1"]\n',
)

TARGETS: dict[str, tuple[Callable[[bytes], None], Sequence[bytes]]] = {
    "document": (
        document,
        (b'{"a": [1, 2.5, "x", null, true]}', b'"\\ud800"', b"[[[[[]]]]]", b"1e400", b'{"a":1,"a":2}', b"NaN"),
    ),
    "toml": (table, (*_TOML, b"a.b.c = [1, {d = 2}]\n[[e]]\nf = 1979-05-27T07:32:00Z\n", b"a = nan\n")),
    "config": (config, _TOML),
    "genotype": (genotype, [json.dumps(GENOTYPES[name].to_json()).encode() for name in ("DARTS_V2", "NASNet")]),
    "tensors": (tensors, (_SAVED, safetensors.save({}))),
    "state": (state, (_WRITTEN, b'{"a": {"$float": "nan"}}', b"[]")),
    "sealed": (sealed, (len(_SAVED).to_bytes(2, "big") + _SAVED + _WRITTEN,)),
    "manifest": (manifest, (json.dumps(_manifest(_EMPTY)).encode(), b"{}")),
    "journal": (journal, (_START + _EPOCH + _PRUNE, _EPOCH[:40], b"{}\n")),
    "documents": (
        documents,
        (
            b'\x00{"run": "a", "accuracy": {"test": 0.5}, "parameters": {"total": 3, "nonzero": 2}, "costs": {"a": null}}',
            b'\x01{"state": "finished", "stage": "train", "step": 3, "steps": 3}',
            b'\x02{"torch": "2.14", "threads": 2, "plugins": [{"name": "a", "version": "1"}]}',
            b'\x03{"schema": 1, "groups": {"normal": {"genes": [["a", 0, 2, 0.5]], "output": [2]}}}',
            b"\x04seed = 1\n",
        ),
    ),
    "pictures": (pictures, [_drawn(kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")] + [_drawn("GIF", "P")]),
}
"""By name: what is called, and its corpus."""
