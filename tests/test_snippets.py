"""What the pages show is what happens: their fenced blocks are run, parsed or refused by this test.

The words after the language of a fence say what is done with it:

    python                runs, in one namespace a page, in an empty folder
    python notest REASON  is compiled only; the reason stands there for the reader of the source
    python file=NAME      is written to that file of the folder, then runs
    toml                  parses
    toml file=NAME        and is written to that file of the folder
    console               each line `$ lnas ...` parses: its commands and options exist
    console dry-run       and each `lnas run` runs with --dry-run added
    console run           each line `$ lnas ...` runs and leaves with 0
    console run exit=N    and leaves with N
"""

import re
import shlex
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parent.parent
PAGES = sorted({*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)})
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)(?P=ticks) *$", re.M | re.S)
LINK = re.compile(r"\]\((?!\w+:|#)(?P<target>[^)#\s]+)")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    marks: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        language, _, marks = found["info"].strip().partition(" ")
        yield Block(page, text.count("\n", 0, found.start()) + 1, language, marks.strip(), textwrap.dedent(found["text"]))


def keep(block: Block, mark: str) -> None:
    """Write the block to the file that `file=NAME` names, inside the folder."""
    kind, _, name = mark.partition("=")
    assert kind == "file" and Path(name).name == name, f"{block.place}: unknown mark {mark!r}"
    Path(name).write_text(block.text)


def run_python(block: Block, namespace: dict[str, object]) -> None:
    code = compile("\n" * block.line + block.text, str(block.page), "exec")
    kind, _, reason = block.marks.partition(" ")
    if kind == "notest":
        assert reason, f"{block.place}: notest needs a reason"
        return
    if block.marks:
        keep(block, block.marks)
    exec(code, namespace)


def run_toml(block: Block) -> None:
    tomllib.loads(block.text)
    if block.marks:
        keep(block, block.marks)


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of each line `$ lnas ...`; a line that ends in a backslash goes on."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True) if line.startswith("$ lnas") else []
        if words[1:2] == ["lnas"]:
            yield words[2:]


def run_console(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    from lnas.cli import main

    assert re.fullmatch(r"|dry-run|run|run exit=\d+", block.marks), f"{block.place}: unknown marks {block.marks!r}"
    expected = int(block.marks.partition("exit=")[2] or 0)
    for arguments in commands(block.text):
        runs = block.marks.startswith("run") or (block.marks == "dry-run" and arguments[:1] == ["run"])
        more = ["--dry-run"] if block.marks == "dry-run" and runs else []
        with monkeypatch.context() as patch:
            if not runs:  # a command that parses its arguments and does nothing
                patch.setattr(click.Command, "invoke", lambda self, context: None)
            result = CliRunner().invoke(main, [*arguments, *more], prog_name="lnas")
        shown = f"{block.place}: lnas {shlex.join(arguments)}\n{result.output}"
        assert result.exit_code == expected, shown
        assert result.exception is None or isinstance(result.exception, SystemExit), shown


def run_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    module = ModuleType("page_" + re.sub(r"\W", "_", page.stem))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in blocks(page):
        if block.language == "python":
            run_python(block, module.__dict__)
        elif block.language == "toml":
            run_toml(block)
        elif block.language == "console":
            run_console(block, monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_do_what_the_page_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, tmp_path, monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_that_a_page_links_to_are_there(page: Path) -> None:
    targets = [found["target"] for found in LINK.finditer(FENCE.sub("", page.read_text()))]
    assert [target for target in targets if not (page.parent / target).exists()] == []


FAULTS = {
    "a snippet raises": ("```python\n1 / 0\n```\n", ZeroDivisionError),
    "the second snippet does not know the name": ("```python\na = 1\n```\n\n```python\nb\n```\n", NameError),
    "a snippet in a list raises": ("- first\n\n  ```python\n  1 / 0\n  ```\n", ZeroDivisionError),
    "an untested snippet is no Python": ("```python notest it needs an accelerator\na b\n```\n", SyntaxError),
    "an untested snippet gives no reason": ("```python notest\na\n```\n", AssertionError),
    "an unknown mark": ("```python skip\na = 1\n```\n", AssertionError),
    "a file outside the folder": ("```toml file=../a.toml\na = 1\n```\n", AssertionError),
    "broken TOML": ("```toml\na = \n```\n", tomllib.TOMLDecodeError),
    "an unknown command": ("```console\n$ lnas rnu\n```\n", AssertionError),
    "an unknown option": ("```console\n$ lnas run --stratgy darts\n```\n", AssertionError),
    "an unknown strategy": ("```console dry-run\n$ lnas run --strategy drats\n```\n", AssertionError),
    "another exit code": ("```console run exit=2\n$ lnas --version\n```\n", AssertionError),
}


@pytest.mark.parametrize(("text", "error"), FAULTS.values(), ids=FAULTS)
def test_a_page_that_is_wrong_is_seen(text: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(error):
        run_page(page, tmp_path, monkeypatch)


def test_a_page_shares_its_names_and_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python file=written.py\na = 1\n```\n"
        "```python\nimport written\nassert written.a == a\n```\n"
        "```toml file=c.toml\nb = 2\n```\n"
        "```python\nfrom pathlib import Path\nassert Path('c.toml').read_text() == 'b = 2\\n'\n```\n"
        "```console run\n$ lnas --version   # says which\nlnas 1.2.3\n```\n"
        "```console run exit=2\n$ lnas \\\n    rnu\n```\n"
    )
    run_page(page, tmp_path, monkeypatch)
    assert (tmp_path / "written.py").exists()
