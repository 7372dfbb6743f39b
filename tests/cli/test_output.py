import io
import json
import sys
import warnings

import pytest
from rich.text import Text

from lnas.cli import output
from lnas.cli.tables import table


def test_markup_of_a_user_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    output.result("[/x] [red]:smile:", table([("[bold]a", "[/x]")], head=("[b]", "c")))
    assert capsys.readouterr().out.split() == ["[/x]", "[red]:smile:", "[b]", "c", "─" * 14, "[bold]a", "[/x]"]


def test_control_characters_of_a_user_are_taken_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.text("a\x1b[31mb\x07\nc")
    output.result("a\x1b[2Jb", table([("x\x1b]0;title\x07y\n\x08z",)]))
    output.note("a\x1b[31mb\nc")
    output.warn("d\re")
    output.fail("f\x00g")
    captured = capsys.readouterr()
    assert [line.rstrip() for line in captured.out.splitlines()] == ["ab", "c", "ab", "xy z"]
    assert captured.err == "ab c\nlnas: warning: de\nlnas: error: fg\n"


def test_a_document_is_one_line_of_ascii_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.document({"run": "runs/α\n\x1b", "x": 0.5})
    captured = capsys.readouterr().out
    assert captured.count("\n") == 1 and captured.isascii()
    assert json.loads(captured) == {"run": "runs/α\n\x1b", "x": 0.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.document({"x": float("nan")})


def test_a_long_line_is_not_broken_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.result(Text("word " * 100), table([("cell " * 100, "b")]))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_warning_is_one_line_without_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    before = warnings.showwarning
    with output.warnings_in_words():
        warnings.showwarning(UserWarning("ends at\n0.99"), UserWarning, "file.py", 3)
    assert capsys.readouterr().err == "lnas: warning: ends at 0.99\n"
    assert warnings.showwarning is before


def test_a_character_that_the_terminal_does_not_know_is_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(kept, encoding="ascii"))
    output.text("α")
    output.result(table([("θ", "b")], head=("c", "d")))
    sys.stdout.flush()
    words = kept.getvalue().decode("ascii").split()
    assert words[0] == "\\u03b1"
    assert [word for word in words if word.strip("-+|")] == ["\\u03b1", "c", "d", "\\u03b8", "b"]
