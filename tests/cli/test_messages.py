"""Every command of docs/errors.md prints the message that stands there, leaves with 2, and changes nothing."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from lnas.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
MESSAGES = re.findall(r"^\$ lnas (.*)\n(lnas: error: .*)$", PAGE.read_text(), re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the page describes."""
    here = tmp_path_factory.mktemp("messages")
    (here / "empty").mkdir()
    (here / "runs" / "taken").mkdir(parents=True)
    (here / "mine.txt").touch()
    for place in ("one/cat", "broken/cat", "broken/dog", "text/cat", "text/dog"):
        (here / place).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (9, 9, 9)).save(here / place / f"{number}.png")
    (here / "broken/dog/0.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    (here / "text/cat/notes.txt").write_text("hello")
    (here / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (here / "unknown.toml").write_text('epoch = "5:5"\n')
    (here / "require.toml").write_text('plugins.require = ["lnas-cubic>=0.2"]\n')
    (here / "wrong.toml").write_text('batch = "many"\n')
    for name, gene, kinds in (
        ("operation", ["sep_conv_9x9", 0, 2], ("normal", "reduce")),
        ("backwards", ["skip_connect", 3, 2], ("normal", "reduce")),
        ("half", ["skip_connect", 0, 2], ("normal",)),
    ):
        groups = {kind: {"genes": [gene], "output": [2]} for kind in kinds}
        (here / f"{name}.json").write_text(json.dumps({"schema": 1, "groups": groups}))
    return here


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def test_the_page_has_its_messages() -> None:
    assert len(MESSAGES) == PAGE.read_text().count("$ lnas ") > 40


@pytest.mark.parametrize(("command", "message"), MESSAGES, ids=[command for command, _ in MESSAGES])
def test_a_message_is_what_the_page_says(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, message: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = tree(folder)
    result = CliRunner().invoke(main, shlex.split(command), prog_name="lnas")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"{message}\n"
    assert tree(folder) == before


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    from lnas.builtin import folder, picture_file
    from lnas.core import document, genotype
    from lnas.host import architectures, documents, models, packing, run_name, spec, toml
    from lnas.sweep import axes, directory, planning

    rows = {
        row.split("|")[1].strip(): row.split("|")[2] for row in PAGE.read_text().split("## Limits")[1].splitlines() if "|" in row
    }
    for what, numbers in {
        "a configuration": (toml.MOST_BYTES, toml.DEEPEST, toml.MOST_DOTS),
        "a specification, a list of options": (spec.MOST_CHARACTERS, spec.MOST_OPTIONS),
        "the name of a run": (run_name.LONGEST,),
        "any JSON": (document.DEEPEST, document.MOST_VALUES, document.MOST_DIGITS),
        "a JSON file of a run": (documents.MOST_BYTES,),
        "plan.json of a sweep": (directory.MOST_OF_A_PLAN, planning.TRIALS_AT_MOST, axes.ROWS_AT_MOST),
        "metrics.jsonl": (documents.MOST_OF_A_JOURNAL, documents.MOST_LINES, documents.MOST_OF_A_LINE),
        "a genotype": (
            architectures.MOST_BYTES,
            genotype.MOST_GROUPS,
            genotype.MOST_NODES,
            genotype.MOST_GENES,
            genotype.LONGEST_NAME,
        ),
        "a NAS-Bench-201 string": (architectures.MOST_CHARACTERS,),
        "a checkpoint": (packing.MOST_BYTES, packing.MOST_VALUES),
        "a finished network": (models.MOST_NUMBERS, models.MOST_CLASSES),
        "a folder of pictures": (folder.MOST_FILES, folder.MOST_CLASSES),
        "a picture": (picture_file.MOST_PIXELS, picture_file.MOST_BYTES),
    }.items():
        for number in numbers:
            assert re.search(rf"(?<![\d,]){number:,}(?![\d,])", rows[what]), (what, number)
