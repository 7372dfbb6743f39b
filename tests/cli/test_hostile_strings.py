"""Every string of a run, of a data set and of a plugin is hostile; whatever a command prints or writes is harmless."""

import json
import os
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from lnas.cli import main

Lnas = Callable[..., Result]

WORDS = (
    '\x1b[31m\x1b]0;title\x07\x9b5m<script>alert(1)</script>"><img src=x onerror=alert(1)>&lt;'
    "[/x][link=http://x.test]y[/link][bold]{{ 7*7 }}\u202e\u2028\x00\x08\r\nlnas: error: forged"
)
"""Escape sequences, HTML, markup of rich, a template, a change of direction, and a line that looks like one of ours."""
CLASS = WORDS.replace("/", "\u2215").replace("\x00", "")
"""What a folder may be called."""
TINY = "--epochs 2it:3it --space cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3 --batch 4"
KEPT = {"event", "stage", "state", "genes"}
"""Keys whose strings say what the rest means."""


def spoilt(value: object, key: str = "") -> object:
    """The document with every string that is only shown replaced, and one more of everything under a hostile key."""
    if isinstance(value, dict):
        made = {name: spoilt(entry, name) for name, entry in value.items()}
        plain = [entry for entry in made.values() if not isinstance(entry, dict | list)]
        return {**made, WORDS: plain[0]} if plain else made
    if isinstance(value, list):
        return [spoilt(entry, key) for entry in value]
    return WORDS if isinstance(value, str) and key not in KEPT else value


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of a hostile name with such pictures in it, and a run on them, spoilt afterwards."""
    here, before = tmp_path_factory.mktemp("hostile") / CLASS[:80], Path.cwd()
    for kind in ("a", "b"):
        for index in range(12):
            path = here / "pictures" / f"{kind}{CLASS[:90]}" / f"{index}{CLASS[:60]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (index, 9, 9)).save(path)
    os.chdir(here)
    line = f"run {TINY} --data folder,root=pictures,size=8 --prune theta:one-shot,sparsity=0.5 --name one"
    result = CliRunner().invoke(main, shlex.split(line), prog_name="lnas")
    assert result.exit_code == 0, result.output
    harmless(result)
    run = here / "runs" / "one"
    for name in ("summary.json", "environment.json", "status.json"):
        (run / name).write_text(json.dumps(spoilt(json.loads((run / name).read_text()))))
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "plugins": []}))
    rows = [spoilt(json.loads(row)) for row in (run / "metrics.jsonl").read_text().splitlines()]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    genotype = {"schema": 1, "groups": {WORDS: {"genes": [[WORDS, 0, 1], ["skip_connect", 0, 1]], "output": [1]}}}
    (run / "genotype.json").write_text(json.dumps(genotype))
    with (run / "config.toml").open("a") as file:
        file.write("# \x7f \u202e <script>[/x]\n".replace("\x7f", ""))
    (here / "runs" / CLASS[:80]).mkdir()
    for name in ("config.toml", "status.json", ".lnas-run"):
        (here / "runs" / CLASS[:80] / name).write_bytes((run / name).read_bytes() if (run / name).exists() else b"")
    yield here
    os.chdir(before)


def harmless(result: Result) -> None:
    """No character of it does anything but show; no line of it is one that the run wrote."""
    for text in (result.stdout, result.stderr):
        strange = [c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        assert not strange, ascii(text)
        assert not re.search(r"^lnas: error: forged", text, re.MULTILINE), text


COMMANDS = [
    *("show runs/one", "report runs/one", "eval runs/one", "cost runs/one", "verify runs/one", "resume runs/one"),
    *("runs list", "show latest", "cost --data folder,root=pictures,size=8 DARTS_V2 --layers 3 --channels 2"),
    *("show --json runs/one", "eval --json runs/one", "cost --json runs/one", "verify --json runs/one", "runs list --json"),
]


@pytest.mark.parametrize("line", COMMANDS)
def test_what_a_command_prints_is_shown_and_does_nothing(lnas: Lnas, hostile: Path, line: str) -> None:
    os.chdir(hostile)
    result = lnas(*shlex.split(line))
    assert "bug of lnas" not in result.stderr and "Traceback" not in result.output
    assert result.exit_code in (0, 2, 3), result.output
    harmless(result)
    if "--json" in line and result.exit_code == 0:
        json.loads(result.stdout)
        assert result.stdout.isascii() and result.stdout.count("\n") == 1
    if line == "show runs/one":
        assert "[/x][link=http://x.test]y[/link][bold]" in result.stdout  # no markup was read


class Page(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_holds_the_words_and_no_tag_of_theirs(lnas: Lnas, hostile: Path) -> None:
    os.chdir(hostile)
    assert lnas("report", "runs/one").exit_code == 0
    html = (hostile / "runs" / "one" / "report.html").read_text()
    page = Page(html)
    assert not page.tags & {"script", "img", "link", "iframe"} and not {name for name in page.attributes if name.startswith("on")}
    assert page.text.count("<script>alert(1)</script>") >= 5
    assert "{{ 7*7 }}" in page.text and "\x1b" not in html and "\u202e" not in html


@pytest.mark.parametrize(
    "words",
    [
        [WORDS.replace("\x00", "")],
        ["run", f"--{CLASS}"],
        ["run", "--name", CLASS],
        ["run", "--strategy", CLASS],
        ["run", "--prune", f"alpha:{CLASS}"],
        ["run", "--data", f"folder,root={CLASS}"],
        ["run", "--config", CLASS],
        ["run", "--out", CLASS],
        ["run", "--max-time", CLASS],
        ["run", "--device", CLASS],
        ["show", CLASS],
        ["resume", CLASS],
        ["eval", CLASS],
        ["report", CLASS],
        ["verify", CLASS],
        ["runs", "rm", "--yes", CLASS],
        ["runs", "list", "--out", CLASS],
        ["cost", CLASS],
        ["cost", "--space", CLASS],
        ["cost", "DARTS_V2", "--channels", CLASS],
        ["components", CLASS],
        ["components", "--kind", CLASS],
        ["completion", CLASS],
        ["plugins", "info", CLASS],
        ["plugins", "check", CLASS],
        ["plugins", "new", CLASS, "--kind", "strategy"],
        ["import-weights", CLASS, "x.safetensors"],
        ["config", "--epochs", CLASS],
        ["--plugin", CLASS, "components"],
        ["--disable-plugin", CLASS, "components"],
    ],
    ids=lambda words: " ".join("WORDS" if "script" in word else word for word in words),
)
def test_what_was_typed_is_shown_in_one_line_and_does_nothing(lnas: Lnas, words: list[str]) -> None:
    result = lnas(*words)
    harmless(result)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith("lnas: error: ") and result.stderr.count("\n") == 1 and len(result.stderr) < 1200
