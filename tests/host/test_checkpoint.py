import hashlib
import json
import math
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lnas.core.errors import PluginError, RunError
from lnas.core.types import State
from lnas.host import checkpoint, durable
from lnas.host.packing import pack, unpack

META = {"torch": "2.14", "threads": 1}


def same(one: object, other: object) -> bool:
    """Equal in kind, keys, order, dtype, shape and bits."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return (
            one.dtype == other.dtype
            and one.shape == other.shape
            and checkpoint.digest({"": one}) == checkpoint.digest({"": other})
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)  # repr tells -0.0 from 0.0, and nan is nan


def small(step: int = 0) -> State:
    return {"alpha": torch.arange(6.0).reshape(2, 3) + step, "step": step, "names": ["a", None, True]}


def saved(directory: Path, *steps: int) -> list[Path]:
    return [checkpoint.save(directory, small(step), step=step, meta=META) for step in steps]


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    shared = torch.arange(10.0)
    state: State = {
        "zero-d": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "bool": torch.tensor([True, False]),
        "int64": torch.tensor([2**62, -1]),
        "bf16": torch.tensor([1.5, -0.0], dtype=torch.bfloat16),
        "float64": torch.tensor([0.1], dtype=torch.float64),
        "complex64": torch.tensor([1 + 2j]),
        "not a number": torch.tensor([math.nan, math.inf]),
        "transposed": torch.arange(6.0).reshape(2, 3).t(),
        "parameter": nn.Parameter(torch.ones(2)),
        "shared": [shared, shared, shared[2:4], shared.view(2, 5)],
        "numbers": [0, -1, 2**70, 0.1, -0.0, 1e-320, math.nan, math.inf, -math.inf, True, False, None],
        "texts": ["", "ü", "\ud800", "\0", '"'],
        "nothing": {},
        "no list": [],
    }
    path = checkpoint.save(tmp_path / "checkpoints", state, step=7, meta=META)
    assert path.name == "step-00000007"
    assert same(checkpoint.load(path), {**state, "parameter": torch.ones(2)})
    assert checkpoint.describe(path) == META


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32])
def test_every_integer_dtype_survives(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {"x": torch.tensor([0, 1, 100]).to(dtype)}
    assert same(checkpoint.load(checkpoint.save(tmp_path, state, step=0, meta={})), state)


KEYS = st.text(st.characters(), max_size=4) | st.sampled_from(
    ["", "/", "a/b", "%2F", "$tensor", "$float", "$", "$$", "__metadata__", "0"]
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.integers(0, 3).map(lambda n: torch.ones(n))
)
STATES = st.dictionaries(
    KEYS,
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(STATES)
def test_keys_of_any_text_are_kept_apart(state: State) -> None:
    tensors, document = pack(state)
    assert "__metadata__" not in tensors
    text = json.dumps(document, allow_nan=False)
    for name in tensors:
        name.encode()  # safetensors keeps names as UTF-8
    assert same(unpack(tensors, json.loads(text)), state)


def test_a_separator_in_a_key_makes_no_other_tensor(tmp_path: Path) -> None:
    state = {"a/b": torch.tensor(1), "a": {"b": torch.tensor(2)}, "a%2Fb": torch.tensor(3), "": {"": torch.tensor(4)}}
    assert same(checkpoint.load(checkpoint.save(tmp_path, state, step=0, meta={})), state)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"a": {1: 2}}, "at /a has the key 1; keys of a state are texts"),
        ({"a": [(1, 2)]}, "at /a/0 is a tuple"),
        ({"a": {"b": {1, 2}}}, "at /a/b is a set"),
        ({"a": nn.Linear(1, 1)}, "at /a is a Linear"),
        ({"a": torch.zeros(1, dtype=torch.complex128)}, "at /a is a torch.complex128"),
        ({"a": torch.eye(2).to_sparse()}, "torch.sparse_coo tensor"),
    ],
)
def test_what_it_cannot_hold_is_refused_by_name(tmp_path: Path, state: State, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        checkpoint.save(tmp_path / "checkpoints", state, step=0, meta={})
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(PluginError, match=words):
        checkpoint.check(state)


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 30, 100_000_000)
    assert sorted(os.listdir(tmp_path)) == ["step-00000030", "step-100000000"]
    assert checkpoint.latest(tmp_path) == tmp_path / "step-100000000"


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([None, None, None, None], [3, 4]),
        ([(0, 0.5), (0, 0.4), None, (0, 0.1)], [1, 3, 4]),
        ([(0, 0.5), (0, 0.5), None, None], [2, 3, 4]),
        ([(0, 0.9), (1, 0.1), None, None], [2, 3, 4]),
        ([(0, 0.1), (0, 0.2), (0, 0.3), (0, 0.4)], [3, 4]),
        ([(0, 0.1), None, (0, 0.3), None], [3, 4]),
    ],
)
def test_the_newest_and_the_best_are_kept(tmp_path: Path, scores: list[tuple[int, float] | None], kept: list[int]) -> None:
    for step, score in enumerate(scores, 1):
        checkpoint.save(tmp_path, {"step": step}, step=step, meta=META, keep=2, score=score)
    assert sorted(os.listdir(tmp_path)) == [f"step-{step:08d}" for step in kept]


def test_a_best_one_that_was_damaged_is_none(tmp_path: Path) -> None:
    for step, score in enumerate([(0, 0.9), None, None], 1):
        if step == 3:
            (tmp_path / "step-00000001" / "MANIFEST.json").write_bytes(b"{}")
        checkpoint.save(tmp_path, {"step": step}, step=step, meta=META, keep=2, score=score)
    assert sorted(os.listdir(tmp_path)) == ["step-00000002", "step-00000003"]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path) is None
    assert checkpoint.latest(tmp_path / "missing") is None
    (tmp_path / "step-12").mkdir()
    (tmp_path / ".step-00000001.tmp").mkdir()
    assert checkpoint.latest(tmp_path) is None


def test_a_step_that_is_saved_already_is_left_alone(tmp_path: Path) -> None:
    [path] = saved(tmp_path, 3)
    before = (path / "MANIFEST.json").stat().st_ino
    saved(tmp_path, 3)
    assert (path / "MANIFEST.json").stat().st_ino == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def swap(path: Path) -> None:
    other = path.parent.parent / "step-00000001" / path.name
    shutil.copyfile(other, path)


DAMAGE = {
    "cut": cut,
    "flipped": flip,
    "emptied": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "of another checkpoint": swap,
    "extended": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
}


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "MANIFEST.json"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(tmp_path: Path, file: str, damage: str) -> None:
    older, newer = saved(tmp_path, 1, 2)
    DAMAGE[damage](newer / file)
    with pytest.raises(RunError, match="step-00000002"):
        checkpoint.load(newer)
    with pytest.warns(RuntimeWarning, match="it is kept as step-00000002.damaged"):
        assert checkpoint.latest(tmp_path) == older
    assert sorted(os.listdir(tmp_path)) == ["step-00000001", "step-00000002.damaged"]
    assert same(checkpoint.load(older), small(1))


def test_an_extra_file_is_damage(tmp_path: Path) -> None:
    [path] = saved(tmp_path, 1)
    (path / "extra").touch()
    with pytest.raises(RunError, match="holds MANIFEST.json, extra, state.json, tensors.safetensors; not"):
        checkpoint.load(path)


def test_every_bit_counts(tmp_path: Path) -> None:
    [path] = saved(tmp_path, 1)
    for file in path.iterdir():
        data = file.read_bytes()
        for bit in range(0, 8 * len(data), 7):  # 7 and 8 have no common factor: every place of a byte is met
            broken = bytearray(data)
            broken[bit // 8] ^= 1 << bit % 8
            file.write_bytes(broken)
            with pytest.raises(RunError):
                checkpoint.load(path)
        file.write_bytes(data)
    assert same(checkpoint.load(path), small(1))


def test_damaged_ones_are_never_overwritten(tmp_path: Path) -> None:
    for _ in range(3):
        [path] = saved(tmp_path, 5)
        flip(path / "state.json")
        with pytest.warns(RuntimeWarning):
            assert checkpoint.latest(tmp_path) is None
    assert sorted(os.listdir(tmp_path)) == ["step-00000005.2.damaged", "step-00000005.3.damaged", "step-00000005.damaged"]


def test_saving_over_a_damaged_one_sets_it_aside(tmp_path: Path) -> None:
    [path] = saved(tmp_path, 5)
    flip(path / "tensors.safetensors")
    with pytest.warns(RuntimeWarning):
        saved(tmp_path, 5)
    assert same(checkpoint.load(path), small(5))
    assert (tmp_path / "step-00000005.damaged").is_dir()


def test_a_checkpoint_under_another_name_is_no_later_one(tmp_path: Path) -> None:
    one, two = saved(tmp_path, 1, 2)
    shutil.copytree(one, tmp_path / "step-00000003")
    with pytest.warns(RuntimeWarning, match="is the checkpoint of step 1 under another name"):
        assert checkpoint.latest(tmp_path) == two


def seal(path: Path, **changes: object) -> None:
    """Rewrite a manifest with changes, as its author would have sealed it."""
    manifest = {**json.loads((path / "MANIFEST.json").read_text()), **changes}
    del manifest["sha256"]
    text = json.dumps(manifest, indent=1)
    manifest["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (path / "MANIFEST.json").write_text(json.dumps(manifest, indent=1))


@pytest.mark.parametrize("schema", [0, 2, None, "1"])
def test_another_schema_is_named_and_not_called_damaged(tmp_path: Path, schema: object) -> None:
    [path] = saved(tmp_path, 1)
    seal(path, schema=schema)
    with pytest.raises(RunError, match=f"has schema {schema!r}; this lnas reads schema 1"):
        checkpoint.latest(tmp_path)
    assert path.is_dir()


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json"])
def test_a_pickle_is_not_run_even_with_a_true_manifest(tmp_path: Path, file: str) -> None:
    [path] = saved(tmp_path, 1)
    data = pickle.dumps(Payload(tmp_path / "ran"))
    (path / file).write_bytes(data)
    files = json.loads((path / "MANIFEST.json").read_text())["files"]
    seal(path, files={**files, file: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}})
    with pytest.raises(RunError, match="holds no tensors and JSON as lnas writes them"):
        checkpoint.load(path)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_in_place_of_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    with pytest.raises(RunError, match="is no checkpoint; .* no pickle is ever read"):
        checkpoint.load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "files",
    [
        {},
        [],
        {"../../etc/passwd": {"size": 1, "sha256": ""}, "state.json": {"size": 1, "sha256": ""}},
        {"tensors.safetensors": 1, "state.json": 2},
        {"tensors.safetensors": {"size": 1}, "state.json": {"size": 1}},
    ],
)
def test_a_manifest_that_names_other_files_is_not_followed(tmp_path: Path, files: object) -> None:
    [path] = saved(tmp_path, 1)
    seal(path, files=files)
    with pytest.raises(RunError, match="does not name the step, files and meta"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        "1",
        '{"x": {"$tensor": "/elsewhere"}}',
        '{"x": {"$tensor": ["/alpha"]}}',
        '{"x": {"$float": "huge"}}',
        "{}",
        '{"alpha": {"$tensor": "/alpha"}, "again": {"$tensor": "/alpha"}}',
        "[" * 100_000,
    ],
)
def test_a_state_that_does_not_fit_its_tensors_is_refused(tmp_path: Path, document: str) -> None:
    [path] = saved(tmp_path, 1)
    (path / "state.json").write_text(document)
    files = json.loads((path / "MANIFEST.json").read_text())["files"]
    entry = {"size": len(document), "sha256": hashlib.sha256(document.encode()).hexdigest()}
    seal(path, files={**files, "state.json": entry})
    with pytest.raises(RunError):
        checkpoint.load(path)


class Killed(BaseException):
    """Stands for SIGKILL: nothing that catches errors catches it."""


EVENTS = ("fsync", "rename", "mkdir", "open", "unlink", "rmdir")
MOST = 30
"""More than a save has that removes an older one, in any version of Python."""


def counted(monkeypatch: pytest.MonkeyPatch, error: BaseException | None, at: int) -> list[str]:
    """Let the `at`-th file event of a save raise, and all that come after it; the events so far."""
    seen: list[str] = []
    real = {name: getattr(os, name) for name in EVENTS} | {"write_new": durable.write_new}

    def event(name: str) -> object:
        def call(*args: object, **keywords: object) -> object:
            seen.append(name)
            if error is not None and len(seen) > at:
                raise error
            return real[name](*args, **keywords)

        return call

    for name in EVENTS:
        monkeypatch.setattr(os, name, event(name))
    monkeypatch.setattr(durable, "write_new", event("write_new"))
    return seen


def test_a_save_syncs_its_files_then_itself_then_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, 1)
    seen = counted(monkeypatch, None, 0)
    saved(tmp_path, 2)
    file = ["write_new", "fsync"]
    assert [name for name in seen if name != "open"] == ["mkdir", *file, *file, *file, "fsync", "rename", "fsync"]


def test_the_directory_of_checkpoints_lasts_before_there_is_one_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    place, sync = tmp_path / "checkpoints" / "step-00000001", durable.sync_directory

    def recorded(path: Path) -> None:
        synced.append((str(path.relative_to(tmp_path)), place.exists()))
        sync(path)

    monkeypatch.setattr(durable, "sync_directory", recorded)
    saved(tmp_path / "checkpoints", 1)
    assert synced == [(".", False), ("checkpoints/.step-00000001.tmp", False), ("checkpoints", True)]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Killed()], ids=["disk full", "killed"])
@pytest.mark.parametrize("at", range(MOST))
def test_at_any_file_event_of_a_save_there_is_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, at: int
) -> None:
    saved(tmp_path, 1, 2)
    with monkeypatch.context() as patch:
        seen = counted(patch, error, at)
        try:
            saved(tmp_path, 3)
        except RunError as refused:
            assert f"cannot write {tmp_path}: No space left on device" in str(refused)
        except Killed:
            assert isinstance(error, Killed)
    assert len(seen) < MOST, "a save has more file events than this test knows of"
    path = checkpoint.latest(tmp_path)
    assert path is not None
    step = int(path.name.removeprefix("step-"))
    assert step in (2, 3)
    for path in checkpoint.every(tmp_path):  # the one that is removed, too: under its own name it is whole
        assert same(checkpoint.load(path), small(int(path.name.removeprefix("step-"))))
    saved(tmp_path, 3, 4)  # and what is left of the broken save is in nobody's way
    assert sorted(os.listdir(tmp_path)) == ["step-00000003", "step-00000004"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(RunError, match="cannot write .*checkpoints"):
        saved(tmp_path / "checkpoints", 1)


def test_digest_is_over_name_dtype_shape_and_bytes() -> None:
    expected = hashlib.sha256(b'["a", "bool", [1]]\n\x01["b", "float32", [2, 1]]\n\x00\x00\x80?\x00\x00\x00\x00').hexdigest()
    tensors = {"b": torch.tensor([[1.0], [0.0]]), "a": torch.tensor([True])}
    assert checkpoint.digest(tensors) == f"sha256:{expected}"
    assert checkpoint.digest(dict(sorted(tensors.items()))) == f"sha256:{expected}"


@pytest.mark.parametrize(
    "other",
    [
        {"b": torch.zeros(2)},
        {"a": torch.zeros(2, 1)},
        {"a": torch.zeros(2, dtype=torch.int32)},
        {"a": torch.tensor([0.0, -0.0])},
        {"a": torch.zeros(2), "b": torch.zeros(0)},
    ],
)
def test_digest_tells_tensors_apart(other: dict[str, Tensor]) -> None:
    assert checkpoint.digest(other) != checkpoint.digest({"a": torch.zeros(2)})


def test_digest_looks_through_strides() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert checkpoint.digest({"x": x.t().contiguous().t()}) == checkpoint.digest({"x": x})
