"""A run directory that somebody else made, or spoilt: every command that reads one says what is wrong in one line."""

import fcntl
import hashlib
import json
import os
import pickle
import shlex
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lnas.cli import main

Lnas = Callable[..., Result]
Spoil = Callable[[Path], object]

TINY = "--epochs 2it:2it --space cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3 --batch 16"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with a finished run `one`."""
    place, before = tmp_path_factory.mktemp("finished"), Path.cwd()
    os.chdir(place)
    line = f"run {TINY} --prune theta:one-shot,sparsity=0.5 --name one"
    result = CliRunner().invoke(main, shlex.split(line), prog_name="lnas")
    os.chdir(before)
    assert result.exit_code == 0, result.output
    return place


def holds(name: str, content: object) -> Spoil:
    """The file holds other bytes, or another document."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda run: (run / name).write_bytes(data)


def says(name: str, **fields: object) -> Spoil:
    """The document in the file has other fields; one in a field is written as "task.classes"."""

    def spoil(run: Path) -> None:
        document = json.loads((run / name).read_text())
        for key, value in fields.items():
            *outer, last = key.split("__")
            inner = document
            for word in outer:
                inner = inner[word]
            inner[last] = value
        (run / name).write_text(json.dumps(document))

    return spoil


def linked(name: str, target: str = "/etc/hostname") -> Spoil:
    """The file is a link out of the run."""

    def spoil(run: Path) -> None:
        (run / name).unlink()
        (run / name).symlink_to(target)

    return spoil


def tensors(header: object, data: bytes = b"") -> bytes:
    """A safetensors file with this header."""
    words = json.dumps(header).encode()
    return struct.pack("<Q", len(words)) + words + data


class Payload:
    """A pickle that makes a file where it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("payload",)


DEEP = b"[" * 5000 + b"]" * 5000
ROWS: list[tuple[str, Spoil, str]] = [
    (
        "show",
        holds("summary.json", b'{"parameters": {"total": NaN}}'),
        "summary.json: not a JSON document: NaN is no finite number",
    ),
    ("show --json", holds("summary.json", b'{"other": 1e999}'), "summary.json: not a JSON document: 1e999 is no finite number"),
    (
        "show",
        holds("summary.json", {"parameters": {"total": 10**30, "nonzero": 1}}),
        "parameters.total: Input should be less than",
    ),
    (
        "show",
        holds("summary.json", {"parameters": {"total": -1, "nonzero": 1}}),
        "parameters.total: Input should be greater than",
    ),
    ("show", holds("summary.json", {"accuracy": [1]}), "summary.json: accuracy: Input should be a valid dictionary"),
    ("show", holds("summary.json", DEEP), "summary.json: not a JSON document: nested too deep"),
    ("show", holds("summary.json", b'{"run": "a", "run": "b"}'), "summary.json: not a JSON document: the key 'run' stands twice"),
    ("show", holds("summary.json", b"\xff\xfe"), "summary.json: not a JSON document: byte 0 is not UTF-8"),
    ("show", holds("summary.json", b" " * 16_000_001), "summary.json cannot be read: larger than 16,000,000 bytes"),
    (
        "show",
        holds("summary.json", {"x\x1b[31m[/x]\n": {}, "sparsity": {"\x1b[31m\n": 3}}),
        "summary.json: sparsity.: Input should be",
    ),
    ("show", linked("summary.json"), "summary.json cannot be read: a link; a run holds its files itself"),
    ("show", holds("status.json", {"state": []}), "status.json: state: Input should be a valid string"),
    ("show", holds("status.json", b"null"), "status.json: a JSON object was expected, not None"),
    ("show", holds("config.toml", b"#" * 256_001), "config.toml cannot be read: larger than 256,000 bytes"),
    ("show", holds("metrics.jsonl", b"[" * 8_000_001), "metrics.jsonl cannot be read: line 1 is longer than 8,000,000 bytes"),
    ("show", holds("metrics.jsonl", b"{}\n" * 200_001), "metrics.jsonl cannot be read: more than 200,000 lines"),
    ("show", holds("metrics.jsonl", DEEP + b"\n{}\n"), "metrics.jsonl line 1: not a JSON document: nested too deep"),
    (
        "show",
        holds("metrics.jsonl", b'{"event": "epoch", "stage": "train", "epoch": 1e3}\n' * 2 + b"3\n{}\n"),
        "line 3: a JSON object",
    ),
    (
        "show",
        holds("metrics.jsonl", b'{"event": "epoch", "stage": "train", "epoch": -1}\n'),
        "line 1: epoch: Input should be greater",
    ),
    ("report", holds("environment.json", DEEP), "environment.json: not a JSON document: nested too deep"),
    ("report", holds("genotype.json", {"schema": 1, "groups": {"normal": {"genes": [["x", 3, 2]]}}}), "edges go to a later node"),
    (
        "report",
        holds("genotype.json", {"schema": 1, "groups": {"a": {"genes": [["x", 0, 1]] * 10_001}}}),
        "at most 10000 in all groups",
    ),
    ("report", linked("genotype.json"), "genotype.json cannot be read: a link"),
    ("report", linked("metrics.jsonl"), "metrics.jsonl cannot be read: a link"),
    ("eval", holds("model.json", b"{"), "model.json: not a JSON document: Expecting property name"),
    ("eval", holds("model.json", {"schema": 2}), "model.json is no network recipe of schema 1"),
    ("eval", says("model.json", task__classes=10**12), "model.json: a task has a shape of at most 100,000,000 numbers, and 1 to"),
    ("eval", says("model.json", task__shape=[1, 10**9, 10**9]), "model.json: a task has a shape"),
    ("eval", says("model.json", task__shape=[1, -8, 8]), "model.json: a task has a shape"),
    ("eval", says("model.json", task__shape="188"), "model.json: a task has a shape"),
    ("eval", says("model.json", task=None), "model.json and model.safetensors do not fit each other"),
    (
        "eval",
        says("model.json", space="cells,network_channels=1000000000"),
        "network_channels must be at most 65,536, not 1,000,000,000",
    ),
    ("eval", says("model.json", space="cels"), "unknown space 'cels'; did you mean 'cells'?"),
    ("eval", says("model.json", precision="\x1b[31m"), r"unknown precision '\x1b[31m'"),
    ("eval", says("model.json", pruned="theta:one-shot,sparsity=2"), "sparsity must be in [0, 1), not 2"),
    ("eval", says("model.json", genotype__schema=7), "genotype schema 7; this lnas reads schema 1"),
    ("cost", says("model.json", space="cells,network_channels=3"), "model.json and model.safetensors do not fit each other"),
    ("eval", holds("model.safetensors", pickle.dumps(Payload())), "model.safetensors: no file of tensors"),
    (
        "eval",
        holds("model.safetensors", tensors({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"0")),
        "no file of tensors",
    ),
    (
        "eval",
        holds("model.safetensors", tensors({"a": {"dtype": "F32", "shape": [0, 2**64 - 1], "data_offsets": [0, 0]}})),
        "no file of",
    ),
    ("eval", linked("model.safetensors"), "model.safetensors: a link; a run holds its files itself"),
    ("eval", lambda run: os.truncate(run / "model.safetensors", 10**13), "larger than"),
    ("eval", lambda run: (run / "model.safetensors").unlink(), "model.safetensors: No such file or directory"),
    ("eval", lambda run: (run / "model.json").unlink(), "is not finished; go on with: lnas resume"),
    ("eval", holds("config.toml", b"batch = 0\n"), "config.toml: batch must be at least 1, not 0"),
    ("eval --data digits,crap=1", lambda run: None, "option 'crap' does not exist; did you mean 'crop'?"),
]


def seal(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of the last checkpoint, and seal it again: that needs no secret."""
    path = max((run / "checkpoints").iterdir()) / "MANIFEST.json"
    manifest = json.loads(path.read_text())
    manifest.pop("sha256")
    change(manifest)
    whole = json.dumps(manifest, indent=1).encode()
    path.write_text(json.dumps({**manifest, "sha256": hashlib.sha256(whole).hexdigest()}, indent=1))


def huge(run: Path) -> None:
    """A file that takes nothing on the disk and does not fit into memory, with a true manifest."""
    os.truncate(max((run / "checkpoints").iterdir()) / "tensors.safetensors", 10**13)
    seal(run, lambda manifest: manifest["files"]["tensors.safetensors"].update(size=10**13))


def elsewhere(run: Path) -> None:
    """The checkpoints are a link to a folder outside, whose old ones a save would remove."""
    shutil.move(run / "checkpoints", run.parent / "others")
    (run / "checkpoints").symlink_to(run.parent / "others")


UNFINISHED: list[tuple[str, Spoil, str]] = [
    ("resume", holds("config.toml", b"batch = 0\n"), "config.toml: batch must be at least 1, not 0"),
    ("resume", holds("config.toml", b"\xff"), "config.toml is no text"),
    ("resume", lambda run: seal(run, lambda manifest: manifest.update(schema=2)), "has schema 2; this lnas reads schema 1"),
    ("resume", lambda run: seal(run, lambda manifest: manifest.update(schema=0)), "has schema 0; this lnas reads schema 1"),
    ("resume", huge, "bytes; this machine has the memory to load"),
    ("resume", elsewhere, "checkpoints is a link; a run holds its checkpoints itself"),
    (
        "resume",
        says("environment.json", plugins=[{"name": "gone", "version": "1"}]),
        "was made with plugin gone 1, which is not there",
    ),
    ("resume", holds("environment.json", DEEP), "environment.json"),
    ("resume", lambda run: os.truncate(run / "metrics.jsonl", 3), "has 3 bytes, but the checkpoint was made after"),
    ("resume", linked("metrics.jsonl"), "metrics.jsonl"),
    (
        "resume --require-exact",
        lambda run: seal(run, lambda m: m["meta"].update(torch="0.1")),
        "would not be exact: torch (0.1, now",
    ),
]


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """By name, but for the file of the lock, which names the process that held it last."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else b""
        if path.is_file() and not path.is_symlink() and status.st_size < 10**7:
            content = path.read_bytes()
        if path.name != "lock":
            times = () if path.is_dir() else (status.st_mtime_ns,)
            found[str(path.relative_to(folder))] = (status.st_mode, path.is_dir() or status.st_size, times, content)
    return found


def refused(lnas: Lnas, place: Path, line: str, message: str, code: int = 2) -> None:
    before = tree(place)
    command, *options = line.split(" ", 1)
    result = lnas(command, "runs/one", *shlex.split(" ".join(options)))
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.startswith("lnas: error: ") and message in result.stderr, result.stderr
    assert result.stderr.endswith("\n") and result.stderr[:-1].isprintable() and len(result.stderr) < 1000
    assert "Traceback" not in result.stderr
    assert tree(place) == before


@pytest.mark.parametrize(("line", "spoil", "message"), ROWS, ids=[f"{line} {m}" for line, _, m in ROWS])
def test_a_finished_run_that_is_spoilt(lnas: Lnas, finished: Path, tmp_path: Path, line: str, spoil: Spoil, message: str) -> None:
    shutil.copytree(finished / "runs", tmp_path / "runs")
    spoil(tmp_path / "runs" / "one")
    refused(lnas, tmp_path, line, message)


@pytest.mark.parametrize(("line", "spoil", "message"), UNFINISHED, ids=[f"{line} {m}" for line, _, m in UNFINISHED])
def test_an_unfinished_run_that_is_spoilt(
    lnas: Lnas, finished: Path, tmp_path: Path, line: str, spoil: Spoil, message: str
) -> None:
    shutil.copytree(finished / "runs", tmp_path / "runs")
    run = tmp_path / "runs" / "one"
    (run / "summary.json").unlink()
    says("status.json", state="interrupted")(run)
    spoil(run)
    refused(lnas, tmp_path, line, message)


def test_a_run_that_another_process_writes_is_refused_with_4(lnas: Lnas, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "runs", tmp_path / "runs")
    (tmp_path / "runs" / "one" / "summary.json").unlink()
    with open(tmp_path / "runs" / "one" / "lock", "w") as lock:
        lock.write("[/x]\x1b[31m\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(lnas, tmp_path, "resume", "is in use by process", code=4)


def test_nothing_is_written_through_a_link(lnas: Lnas, finished: Path, tmp_path: Path) -> None:
    """A report over a link replaces the link; what is half written does not follow one."""
    shutil.copytree(finished / "runs", tmp_path / "runs")
    run, outside = tmp_path / "runs" / "one", tmp_path / "outside"
    outside.write_text("mine")
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(outside)
    assert lnas("report", "runs/one").exit_code == 0
    assert not (run / "report.html").is_symlink() and outside.read_text() == "mine"
    (run / f".report.html.{os.getpid()}-{threading.get_native_id()}.tmp").symlink_to(outside)
    result = lnas("report", "runs/one")
    assert outside.read_text() == "mine"
    assert result.exit_code == 2 and "cannot write" in result.stderr
