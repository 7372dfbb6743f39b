import pytest

from lnas.report.text import line, plain


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain é α 猫", "plain é α 猫"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07rest", "rest"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("a\x00b\x08c\x7fd", "abcd"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("tab\tand\r\nline", "tab\tand\nline"),
    ],
)
def test_what_a_terminal_or_a_page_would_obey_is_taken_out(given: str, shown: str) -> None:
    assert plain(given) == shown
    assert shown.encode("utf-8").decode("utf-8") == shown


def test_a_line_is_one_line() -> None:
    assert line("two\nlines\tand  \x1b[2J more ") == "two lines and more"


def test_a_long_line_keeps_both_ends() -> None:
    assert line("abcdefghij", most=10) == "abcdefghij"
    assert line("abcdefghijk", most=10) == "abcde…hijk"
    assert len(line("x" * 500, most=9)) == 9
