"""The tutorial and the page for users do what they say: their files and commands, in order, and what these print.

The commands run as they stand, in an environment of their own that holds lnas and sees its dependencies, and none of the
other plugins of this checkout.  pip finds nothing but what is there (`PIP_NO_INDEX`), and so builds without isolation.  Two
commands cannot be as they stand: `TYPED` says what is done for them.
"""

import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import lnas

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "plugins" / "tutorial.md"
USING = ROOT / "docs" / "plugins" / "using.md"
TYPED = {
    "python -m build": "python -m build --no-isolation",  # an isolated one downloads hatchling
    "python -m pip install --quiet twine": "true",
    "python -m twine upload dist/*": "test -e dist/lnas_cosine-0.1.0.tar.gz",  # to publish is the reader's
}
FENCE = re.compile(r"^```(?P<info>[^`\n]*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Written:
    line: int
    name: str
    text: str


@dataclass(frozen=True)
class Typed:
    line: int
    command: str
    output: str


def steps(page: str) -> Iterator[Written | Typed]:
    """The files and the commands of a page, in order."""
    for block in FENCE.finditer(page):
        line = page.count("\n", 0, block.start()) + 2
        language, _, marks = block["info"].partition(" ")
        if marks.startswith("file="):
            yield Written(line, marks.removeprefix("file="), block["text"])
        elif (language, marks) != ("python", ""):  # those run in tests/test_snippets.py
            assert (language, marks) == ("console", ""), f"line {line}: {block['info']!r} is neither a file nor a console"
            yield from commands(line, block["text"])


def commands(line: int, text: str) -> Iterator[Typed]:
    """Each line `$ COMMAND` of a console, which goes on after a backslash, with the lines below it."""
    before, *parts = re.split(r"^\$ ", text, flags=re.M)
    assert not before.strip(), f"line {line}: a console begins with a command"
    for part in parts:
        command = re.findall(r"\A(?:.*\\\n)*.*", part)[0]
        yield Typed(line, command, part[len(command) + 1 :])
        line += part.count("\n")


def agrees(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed.

    A line `…` stands for any lines, and `…` within a line for any words; how wide a column is depends on such words, so that
    runs of blanks and of rules count as one.
    """
    pattern = ""
    for line in tidy(shown):
        if line == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(map(re.escape, line.split("…"))) + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in tidy(printed))) is not None


def tidy(text: str) -> list[str]:
    return [re.sub("─+", "─", re.sub(" +", " ", line)).rstrip() for line in text.strip("\n").split("\n")]


@dataclass
class Shell:
    """One who types: a folder, an environment, and the exit code of the last command."""

    folder: Path
    environment: Mapping[str, str]
    code: int = field(default=0, init=False)

    def run(self, command: str) -> str:
        script = f"(exit {self.code})\n{command}\ncode=$?; pwd >&3; exit $code"
        place, seen = os.pipe()
        done = subprocess.run(
            ["bash", "-c", script.replace(">&3", f">&{seen}")],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            pass_fds=[seen],
        )
        os.close(seen)
        with os.fdopen(place) as written:
            self.folder, self.code = Path(written.read().rstrip("\n")), done.returncode
        return done.stdout

    def follow(self, page: str) -> None:
        """Do what a page says.

        A command that shows an error or a broken rule must end with a code other than 0, any other with 0.
        """
        for step in steps(page):
            if isinstance(step, Written):
                assert Path(step.name).name == step.name
                (self.folder / step.name).write_text(step.text, encoding="utf-8")
                continue
            printed = self.run(TYPED.get(step.command, step.command))
            where = f"line {step.line}: {step.command}\n"
            assert agrees(step.output, printed), f"{where}the page shows\n{step.output}\nprinted was\n{printed}"
            fails = "lnas: error: " in step.output or " does not keep its contract" in step.output
            assert (self.code != 0) == fails, f"{where}ended with {self.code}"


def installed(folder: Path) -> dict[str, str]:
    """The variables of a shell in a new environment with lnas and no plugin.

    The dependencies are linked one by one: a whole site-packages would bring the other plugins of this checkout.
    """
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    programs = folder / "venv" / "bin"
    dependencies = folder / "dependencies"
    dependencies.mkdir()
    ours = re.compile(r"lnas([-_]\w+)?(-.*)?|.*\.pth|__pycache__", re.I)
    for place in (Path(place) for place in sys.path if place.endswith(("site-packages", "dist-packages"))):
        for item in place.iterdir():
            if not ours.fullmatch(item.name) and not (dependencies / item.name).exists():
                (dependencies / item.name).symlink_to(item)
    others = {name: value for name, value in os.environ.items() if not re.match("LNAS_|PYTHON|PIP_|COLUMNS|PYTEST_", name)}
    environment = {
        **others,
        "VIRTUAL_ENV": str(folder / "venv"),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as the value of `build_isolation`
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONUTF8": "1",
        "OMP_NUM_THREADS": "1",
    }

    def run(*command: str) -> str:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    site = Path(run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    run("python", "-m", "pip", "install", "--quiet", "--no-deps", "--editable", str(ROOT))
    return environment


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which somebody followed the tutorial."""
    folder = tmp_path_factory.mktemp("reader").resolve()
    Shell(folder, installed(tmp_path_factory.mktemp("environment"))).follow(PAGE.read_text(encoding="utf-8"))
    return folder


def test_every_command_of_the_tutorial_prints_what_it_shows(followed: Path) -> None:
    assert sorted(path.name for path in followed.iterdir()) == ["elsewhere", "lnas-cosine", "lnas-ranked"]


def test_every_command_of_the_page_for_users_prints_what_it_shows(tmp_path_factory: pytest.TempPathFactory) -> None:
    page = USING.read_text(encoding="utf-8")
    assert sum(isinstance(step, Typed) for step in steps(page)) > 15
    folder = tmp_path_factory.mktemp("user").resolve()
    Shell(folder, installed(tmp_path_factory.mktemp("environment"))).follow(page)


@pytest.mark.parametrize("name", ["hooks", "schedule", "strategy", "target", "tutorial", "using"])
def test_a_reader_is_told_the_name_of_each_file(name: str) -> None:
    """The words of a fence are not shown: the name stands in the paragraph before it."""
    page = PAGE.with_name(f"{name}.md").read_text(encoding="utf-8")
    files = [block for block in FENCE.finditer(page) if " file=" in block["info"]]
    assert files
    for block in files:
        before = page[: block.start()].rstrip().rpartition("\n\n")[2]
        assert f"`{block['info'].partition(' file=')[2]}`" in before, block["info"]


def test_what_is_built_holds_the_plugin_and_nothing_of_its_tests(followed: Path) -> None:
    with zipfile.ZipFile(followed / "lnas-cosine" / "dist" / "lnas_cosine-0.1.0-py3-none-any.whl") as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
        assert names == ["lnas_cosine.py"]
        assert wheel.read("lnas_cosine-0.1.0.dist-info/entry_points.txt").decode().split() == [
            "[lnas]",
            "cosine",
            "=",
            "lnas_cosine",
        ]


def test_its_first_plugin_is_as_short_as_the_page_says() -> None:
    first = next(step for step in steps(PAGE.read_text(encoding="utf-8")) if isinstance(step, Written))
    assert first.name == "lnas_cosine.py" and len(first.text.splitlines()) <= 25


def test_the_commands_that_are_not_run_as_they_stand_stand_there() -> None:
    typed = [step.command for step in steps(PAGE.read_text(encoding="utf-8")) if isinstance(step, Typed)]
    assert set(TYPED) <= set(typed)
    assert len(typed) > 30


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("", ""),
        ("a\n", "a\n"),
        ("…\nb\n", "b\n"),
        ("…\nb\n", "a\na\nb\n"),
        ("a  b\n────\n", "a      b   \n──────────\n"),
        ("took … ms\n", "took 3.5 ms\n"),
        ("…\ntrain …\n…\n", "search\ntrain 1 of 2\nend\n"),
    ],
)
def test_what_agrees(shown: str, printed: str) -> None:
    assert agrees(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("", "a\n"),
        ("a\n", ""),
        ("a\n", "a\nb\n"),
        ("a\nb\n", "b\na\n"),
        ("0.5\n", "0x5\n"),
        ("took … ms\n", "took 3.5\nms\n"),
        ("a\n…\nb\n", "a\nc\n"),
    ],
)
def test_what_does_not_agree(shown: str, printed: str) -> None:
    assert not agrees(shown, printed)


WRONG = {
    "another output": "```console\n$ echo a\nb\n```\n",
    "a command that fails": "```console\n$ false\n```\n",
    "a command that should fail": "```console\n$ echo 'lnas: error: x'\nlnas: error: x\n```\n",
    "a folder that is not gone into": "```console\n$ mkdir a\n$ test -d ../a\n```\n",
    "a file of another text": "```toml file=a.toml\na = 1\n```\n\n```console\n$ cat a.toml\na = 2\n```\n",
    "a block that is neither": "```console run\n$ true\n```\n",
}


@pytest.mark.parametrize("page", WRONG.values(), ids=WRONG)
def test_a_page_that_is_wrong_is_seen(page: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Shell(tmp_path, os.environ).follow(page)


def test_a_shell_keeps_its_folder_and_its_exit_code(tmp_path: Path) -> None:
    page = "```toml file=a.toml\na = 1\n```\n\n```console\n$ mkdir b\n$ cd b\n$ cat ../a.toml\na = 1\n$ echo $?\n0\n```\n"
    shell = Shell(tmp_path, os.environ)
    shell.follow(page)
    shell.follow("```console\n$ echo a \\\n    b\na b\n$ pwd | grep -c b$\n1\n```\n")
    assert (shell.folder, shell.code) == (tmp_path / "b", 0)
    shell.run("(exit 3)")
    assert shell.run("echo $?") == "3\n"


def test_the_page_is_of_this_version() -> None:
    assert f"lnas     lnas {lnas.__version__} " in PAGE.read_text(encoding="utf-8")
