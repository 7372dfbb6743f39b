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
