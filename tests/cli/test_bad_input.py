"""Bad input, by command: one line on standard error, exit code 2, nothing of any folder touched, before the first step."""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

Lnas = Callable[..., Result]

TINY = "--epochs 1:1 --space cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3"


def genotype(change: Callable[[dict[str, Any]], object]) -> str:
    cell = {"genes": [["skip_connect", 0, 2], ["skip_connect", 1, 2]], "output": [2]}
    document = {"schema": 1, "groups": {kind: json.loads(json.dumps(cell)) for kind in ("normal", "reduce")}}
    change(document["groups"])
    return json.dumps(document)


def gene(*words: object) -> str:
    return genotype(lambda groups: groups["normal"]["genes"].append(list(words)))


GENOTYPES: dict[str, tuple[str | bytes, str]] = {
    "operation": (gene("skip_conect", 0, 3), ": normal cell: unknown operation 'skip_conect'; did you mean 'skip_connect'?"),
    "later": (gene("skip_connect", 4, 3), ": group 'normal': skip_connect goes from node 4 to node 3"),
    "self": (gene("skip_connect", 3, 3), ": group 'normal': skip_connect goes from node 3 to node 3; edges go to a later node"),
    "weight": (gene("skip_connect", 0, 3, "x"), ": group 'normal': the weight of skip_connect must be a finite number, not 'x'"),
    "nan": (gene("skip_connect", 0, 3, float("nan")), ": not a JSON document: NaN is no finite number"),
    "infinite": (gene("skip_connect", 0, 3, 1.0).replace("1.0", "1e999"), ": not a JSON document: 1e999 is no finite number"),
    "node": (gene("skip_connect", 0, 10**12), ": group 'normal': ['skip_connect', 0, 1000000000000] is no gene"),
    "digits": (gene("skip_connect", 0, 10**60), ": not a JSON document: a whole number has 61 digits; at most 40"),
    "word": (gene("x" * 5000, 0, 3), ": group 'normal': an operation has 5,000 characters; at most 1000"),
    "escape": (gene("\x1b[31m[/x]<script>\n", 0, 3), r": normal cell: unknown operation '\x1b[31m[/x]<script>\n'"),
    "many": (
        genotype(lambda groups: groups["normal"].update(genes=[["none", 0, 2]] * 10_001)),
        ": group 'normal' has 10001 genes",
    ),
    "groups": (
        genotype(lambda groups: groups.update({str(i): {"genes": []} for i in range(999)})),
        ": the genotype has 1,001 groups",
    ),
    "cell": (genotype(lambda groups: groups.pop("reduce")), ": the genotype has no 'reduce' cell"),
    "output": (genotype(lambda groups: groups["normal"].update(output=[9])), ": normal cell:"),
    "key": (
        genotype(lambda groups: None).replace('"reduce"', '"normal"'),
        ": not a JSON document: the key 'normal' stands twice",
    ),
    "schema": (
        genotype(lambda groups: None).replace('"schema": 1', '"schema": 2'),
        ": genotype schema 2; this lnas reads schema 1",
    ),
    "truth": (
        genotype(lambda groups: None).replace('"schema": 1', '"schema": true'),
        ": genotype schema True; this lnas reads schema 1",
    ),
    "nested": ("[" * 100_000, ": not a JSON document: nested too deep; at most 64 lists and objects may lie in each other"),
    "values": ("[" + "0," * 1_000_001 + "0]", ": more than 1,000,000 values, the most that are read"),
    "list": ("[]", ': a genotype is a JSON object with "schema" and "groups"'),
    "large": (b" " * 10_000_001, " cannot be read: larger than 10,000,000 bytes, the most that is read"),
    "latin": (b'{"\xe9": 1}', " is no text: byte 2 is not UTF-8; a genotype file is a JSON document"),
}
"""What a genotype file holds, and what follows its name in the message."""

RUN = {
    "--strategy drats": "unknown strategy 'drats'; did you mean 'darts'?",
    "--prune alfa:iterative": "unknown target 'alfa'; did you mean 'alpha'?",
    "--prune alpha:itertive": "unknown schedule 'itertive'; did you mean 'iterative'?",
    "--prune alpha": "prune line 'alpha' names no schedule",
    "--prune alpha:iterative,importance=magnitud": "unknown importance 'magnitud'; did you mean 'magnitude'?",
    "--prune alpha:iterative,spasity=0.5": "unknown option 'spasity'; did you mean 'sparsity'?",
    "--prune alpha:iterative --prune alpha:one-shot": "alpha has 2 prune lines",
    "--recipe varient1": "unknown recipe 'varient1'; did you mean 'variant1'?",
    "--recipe variant1 --prune alpha:iterative": "recipe variant1 contradicts the prune lines alpha:iterative",
    "--data digit": "unknown dataset 'digit'; did you mean 'digits'?",
    "--strategy darts,unroled=exact": "option 'unroled' does not exist; did you mean 'unrolled'?",
    "--space cels": "unknown space 'cels'; did you mean 'cells'?",
    "--space cells,chanels=4": "option 'chanels' does not exist; did you mean 'channels'?",
    "--data digits,crap=1": "option 'crap' does not exist; did you mean 'crop'?",
    "--train lrr=1": "option 'lrr' does not exist; did you mean 'lr'?",
    "--prune theta:one-shot,sparsity=-0.1": "sparsity must be in [0, 1), not -0.1",
    "--prune theta:one-shot,sparsity=1": "sparsity must be in [0, 1), not 1",
    "--prune alpha:iterative,sparsity=1.5": "sparsity must be in [0, 1), not 1.5",
    "--prune alpha:iterative,sparsity=nan": "sparsity must be a finite number, not 'nan'",
    "--prune alpha:iterative,sparsity=half": "sparsity must be a number, not 'half'",
    "--prune alpha:iterative,scope=global,sparsity=0.98": "alpha sparsity 0.98",
    "--recipe variant1 --sparsity half": "sparsity must be a number in [0, 1), not 'half'",
    "--recipe variant1 --sparsity -0.1": "sparsity must be a number in [0, 1), not '-0.1'",
    "--recipe variant1 --sparsity 1": "sparsity must be a number in [0, 1), not '1'",
    "--recipe variant1 --sparsity nan": "sparsity must be a number in [0, 1), not 'nan'",
    "--recipe variant1 --sparsity inf": "sparsity must be a number in [0, 1), not 'inf'",
    "--sparsity 0.5": "sparsity 0.5 has nothing to prune",
    "--prune alpha:iterative,rounds=0": "rounds must be a whole number of at least 1, not 0",
    "--prune alpha:iterative,rounds=99": "99 prune rounds do not fit into 20 search steps",
    "--prune theta:iterative,rounds=99": "99 prune rounds do not fit into 40 train steps",
    "--space cells,channels=0": "channels must be a whole number of at least 1, not 0",
    "--space cells,layers=0": "layers must be a whole number of at least 1, not 0",
    "--space cells,channels=x": "channels must be a whole number, not 'x'",
    "--epochs 0": "--epochs must be SEARCH:TRAIN",
    "--epochs 1:0": "--epochs must be SEARCH:TRAIN",
    "--epochs ten": "--epochs must be SEARCH:TRAIN",
    "--batch 0": "--batch must be at least 1, not 0",
    "--batch 1.5": "--batch must be a whole number, not '1.5'",
    "--batch 9999": "batch is 9999, but each half of the training examples left by validation number 648",
    "--validation 0": "--validation must be between 0 and 1",
    "--validation 1": "--validation must be between 0 and 1",
    "--validation nan": "--validation must be a finite number",
    "--train lr=fast": "lr must be a number, not 'fast'",
    "--train lr=-1": "lr must be",
    "--seed -1": "--seed must be from 0 to",
    "--seed x": "--seed must be a whole number, not 'x'",
    "--data folder": "option 'root' is needed",
    "--data folder,root=missing": "'missing' does not exist",
    "--data folder,root=empty": "'empty' holds no class folders",
    "--data folder,root=one": "'one' holds one class, 'a'",
    "--data folder,root=broken": "'broken/a/z.png' is not a picture",
    "--data folder,root=text": "'text/a/notes.txt' is not a picture",
    "--data cifar10,root=missing": "'missing' of CIFAR10 is not a folder; get it once with",
    "--data cifar10,root=empty": "'empty' does not hold a complete CIFAR10; get it once with",
    "--config missing.toml": "missing.toml: there is no such file",
    "--config binary.toml": "binary.toml is no text",
    "--config broken.toml": "broken.toml is not TOML",
    "--config key.toml": "key.toml: unknown key 'stratgy'; did you mean 'strategy'?",
    "--config type.toml": "type.toml: batch must be a whole number, not 'many'",
    "--config nan.toml": "nan.toml: validation must be a finite number",
    "--config empty": "empty is a directory",
    "--device gpu": "device 'gpu' is not there",
    "--device cuda:999": "device 'cuda:999' is not there",
    "--precision float16": "--precision must be float32, tf32, bf16 or float64, not 'float16'",
    "--out file": "cannot write runs into file",
    "--out file/below": "cannot write runs into file/below",
    "--name taken": "runs/taken is there already",
    **dict.fromkeys(
        (
            f"--name {name}"
            for name in ("../x", "'[/x]'", "'<script>'", "'a\x1b[31mb'", "/tmp/x", ".", "''", "-x", "größe", "x" * 300)
        ),
        "--name must be 1 to 100 of the letters a-z and A-Z, digits, '.', '_' and '-'",
    ),
    "--prune alpha:iterative,rounds=1000000000": "1000000000 prune rounds do not fit into 20 search steps",
    "--space cells,channels=1000000000": "space cells: channels must be at most 65,536, not 1,000,000,000",
    "--space cells,layers=100000000000": "space cells: layers must be at most 1,000, not 100,000,000,000",
    "--space cells,nodes=101": "space cells: nodes must be at most 100, not 101",
    f"--space cells,nodes={'9' * 999}": "nodes must be at most 100, not 999,999",
    f"--space cells,{'x' * 9000}=1": "a line of 9008 characters is too long; at most 8192",
    "--data folder,root=animated": "'animated/a/z.gif' has several frames; save the one that is meant as a picture of its own",
    "--data folder,root=bomb": "'bomb/a/z.png' cannot be read as a picture (Image size (90000000 pixels) exceeds limit of",
    "--data folder,root=deep": "'deep/a/z.png' has more than 8 bits a channel (I;16); save it with 8",
    "--data folder,root=escape": r"'escape/a/\x1b[31m\n[b]<script>.png' is not a picture",
    "--data folder,root=eps": "'eps/a/z.png' is not a picture",
    "--data folder,root=linked": "'linked/a/z.png' is a link out of",
    "--data folder,root=loop": "'loop/a/z.png' is not a file",
    "--data folder,root=nested": "'nested/a/z.png' is not a file; the pictures of a class lie right in its folder",
    "--data folder,root=pipe": "'pipe/a/z.png' is not a file",
    "--data folder,root=single": "'single/a' holds one picture; a class needs at least 2 to be split",
    "--data folder,root=truncated": "'truncated/a/z.png' cannot be read as a picture",
    "--data folder,root=twice --batch 64": "batch is 64, but each half of the training examples left by validation number",
    "--data folder,root=untested": "'untested' has train/ but neither test/ nor val/",
    "--data folder,root=twice,size=10000000": "need 4,800,000,000,000,000 bytes of memory",
    "--data folder,root=twice,most_pixels=10": "'twice/a/0.png' is 8x8 pixels; at most 10 are allowed in all",
    "--config deep.toml": "deep.toml is nested too deep; at most 8 tables and lists may lie in each other",
    "--config dots.toml": "dots.toml has more than 500 dots in line 1",
    "--config large.toml": "large.toml cannot be read: larger than 256,000 bytes",
    "--config loop.toml": "loop.toml cannot be read: Too many levels of symbolic links",
    "--config pipe.toml": "pipe.toml cannot be read: no regular file",
    "--config /dev/zero": "/dev/zero cannot be read: no regular file",
    "--config twice.toml": "twice.toml is not TOML: Cannot overwrite a value",
    "--config escape.toml": r"escape.toml: unknown key '\x1b[31m[/x]'",
    "--config parts.toml": "parts.toml: space: layers must be text, a number, true, false or a list of those",
    "--max-time soon": "--max-time must be a duration such as 90s, 45m, 2h30m or 1:30:00, not 'soon'",
    "--max-time 0s": "--max-time must be a duration",
    "--stop-signal KILL": "unknown signal 'KILL'",
}

OTHERS = {
    "config --batch 0": "--batch must be at least 1, not 0",
    "config --config key.toml": "key.toml: unknown key 'stratgy'",
    "cost": "cost needs either a GENOTYPE, FILE or RUN, or --space SPEC",
    "cost DARTS_V2 --space cells": "cost needs either a GENOTYPE, FILE or RUN, or --space SPEC",
    "cost DARTS_V3": "unknown architecture 'DARTS_V3'; did you mean 'DARTS_V",
    "cost binary.toml": "binary.toml is no text",
    "cost file": "file: not a JSON document",
    "cost '|x~0|'": "unknown NAS-Bench-201 operation 'x'",
    "cost empty": "empty is no run",
    **{f"cost {name}.json": f"{name}.json{message}" for name, (_, message) in GENOTYPES.items()},
    "cost pipe.toml": "pipe.toml cannot be read: no regular file",
    "cost '|none~0|none~0|+|none~0|none~1|+|none~0|none~1|none~2|'": "has one operation on each of the edges",
    "cost '|none~0|+|none~0|none~1|+|none~0|none~1|none~9|'": "has one operation on each of the edges",
    f"cost '|{'x' * 2000}~0|'": "an architecture string of 2004 characters is too long; at most 1000",
    "cost DARTS_V2 --channels 1000000000000": "channels must be at most 65,536, not 1,000,000,000,000",
    "cost DARTS_V2 --layers 100000000000": "layers must be at most 1,000, not 100,000,000,000",
    "cost DARTS_V2 --classes 1000000000000": "out of memory, or too large to count; use smaller sizes",
    "cost DARTS_V2 --size 1000000000 --layers 3 --channels 2": "out of memory, or too large to count; use smaller sizes",
    "cost DARTS_V2 --data folder,root=pipe": "'pipe/a/z.png' is not a file",
    "cost DARTS_V2 --size 0": "cost: invalid value for '--size': 0 is not in the range x>=1",
    "cost DARTS_V2 --channels x": "cost: invalid value for '--channels': 'x' is not a valid integer range",
    "cost DARTS_V2 --against fvcore": "unknown counter 'fvcore'",
    "cost DARTS_V2 --data digit": "unknown dataset 'digit'; did you mean 'digits'?",
    "cost --space cels": "unknown space 'cels'; did you mean 'cells'?",
    "cost --space cells,channels=4 --channels 8": "channels is given twice",
    "show missing": "missing is no run",
    "show empty": "empty is no run",
    "show file": "file is no run",
    "show latest": "there is no run in runs",
    "eval missing": "missing is no run",
    "report missing": "missing is no run",
    "verify missing": "missing",
    "runs rm missing": "missing",
    "import-weights missing.pt x.safetensors": "missing.pt",
    "plugins info '[/x]'": "unknown plugin '[/x]'",
    "plugins check missing": "missing is neither an active plugin nor a .py file nor a folder with a pyproject.toml",
    "plugins new ../x --kind strategy": "../x",
    "--plugin missing.py components": "--plugin missing.py: there is no such file",
    "--disable-plugin a:b components": "--disable-plugin: 'a:b' is no name of a plugin",
    "resume missing": "missing is no run",
    "resume latest": "there is no run in runs",
    "components drats": "unknown part 'drats'; did you mean 'darts'?",
    "components --kind strat": "unknown kind of component 'strat'; did you mean 'strategy'?",
    "completion csh": "unknown shell 'csh'",
}


def picture(path: Path, shade: int = 0, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade, shade, shade)).save(path, **options)
    return path


def bomb(path: Path) -> None:
    Image.new("1", (10_000, 9_000)).save(path)


PICTURES: dict[str, Callable[[Path], object]] = {
    "broken": lambda a: (a / "z.png").write_bytes(b"\x89PNG and no more"),
    "text": lambda a: (a / "notes.txt").write_text("not a picture"),
    "animated": lambda a: picture(a / "z.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), (9, 9, 9))]),
    "bomb": lambda a: bomb(a / "z.png"),
    "deep": lambda a: Image.new("I;16", (8, 8), 40_000).save(a / "z.png"),
    "escape": lambda a: (a / "\x1b[31m\n[b]<script>.png").write_text("text"),
    "eps": lambda a: (a / "z.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"),
    "linked": lambda a: (a / "z.png").symlink_to("/etc/passwd"),
    "loop": lambda a: (a / "z.png").symlink_to("z.png"),
    "nested": lambda a: (a / "z.png").mkdir(),
    "pipe": lambda a: os.mkfifo(a / "z.png"),  # must not be waited for
    "truncated": lambda a: (a / "z.png").write_bytes((a / "0.png").read_bytes()[:44]),
    "twice": lambda a: None,
}
"""What is wrong with a folder of pictures that is as it should be otherwise; given its first class."""

FILES = {
    "binary.toml": b"\xff\xfe\x00",
    "broken.toml": b"batch =\n",
    "key.toml": b'stratgy = "darts"\n',
    "type.toml": b'batch = "many"\n',
    "nan.toml": b"validation = nan\n",
    "deep.toml": b"a = " + b"[" * 20 + b"]" * 20,
    "dots.toml": b"a" + b".a" * 501 + b" = 1\n",
    "large.toml": b"#" * 256_001,
    "twice.toml": b"batch = 1\nbatch = 2\n",
    "escape.toml": b'"\\u001b[31m[/x]" = 1\n',
    "parts.toml": b'space = {name = "cells", layers = {a = 1}}\n',
    "file": b"a file",
    **{f"{name}.json": text.encode() if isinstance(text, str) else text for name, (text, _) in GENOTYPES.items()},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the tables name."""
    here = tmp_path_factory.mktemp("bad")
    for name, spoil in PICTURES.items():
        for index in range(10):
            picture(here / name / "ab"[index % 2] / f"{index // 2}.png", index)
        spoil(here / name / "a")
    for path in ("one/a/0.png", "single/a/0.png", "single/b/0.png", "untested/train/a/0.png", "untested/train/b/0.png"):
        picture(here / path)
    (here / "empty").mkdir()
    (here / "runs" / "taken").mkdir(parents=True)
    (here / "loop.toml").symlink_to("loop.toml")
    os.mkfifo(here / "pipe.toml")
    for name, content in FILES.items():
        (here / name).write_bytes(content)
    return here


@pytest.fixture
def folder(lnas: Lnas, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a command; nothing may change in it, so that all share it."""
    monkeypatch.chdir(prepared)
    return prepared


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """By name: what it is, when it and its entries changed, and what it holds."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_nlink, content)
    return found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        *((f"run {TINY} {options}", message) for options, message in RUN.items()),
        *((f"run {TINY} --dry-run {options}", message) for options, message in list(RUN.items())[:1]),
        *OTHERS.items(),
    ],
)
def test_bad_input_is_one_line_and_leaves_the_disk_alone(lnas: Lnas, folder: Path, line: str, message: str) -> None:
    before = tree(folder)
    result = lnas(*shlex.split(line))
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith("lnas: error: ") and message in result.stderr, result.stderr
    assert result.stderr.endswith("\n") and result.stderr[:-1].isprintable()  # one line, and no escape sequence
    assert "Traceback" not in result.stderr
    assert tree(folder) == before


def test_the_tables_are_long() -> None:
    assert len({*RUN, *OTHERS}) >= 150


def test_an_environment_variable_that_is_wrong_is_named(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNAS_BATCH", "many")
    result = lnas("config")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "lnas: error: LNAS_BATCH must be a whole number, not 'many'\n"


@pytest.mark.parametrize("line", ["run --config empty.toml --batch 0", "run --data folder,root=missing --dry-run"])
def test_nothing_of_a_traceback_is_shown_unless_debug_asks_for_it(lnas: Lnas, tmp_path: Path, line: str) -> None:
    (tmp_path / "empty.toml").write_text("")
    assert "Traceback" not in lnas(*shlex.split(line)).stderr
    assert "Traceback" in lnas(*shlex.split(line), "--debug").stderr
