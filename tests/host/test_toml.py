import datetime
import math
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import ConfigError
from lnas.host.toml import MOST_BYTES, dump, load, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
SCALARS = st.one_of(TEXT, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.floats(allow_nan=False))
TABLES = st.recursive(
    st.dictionaries(TEXT, SCALARS | st.lists(SCALARS, max_size=3), max_size=4),
    lambda tables: st.dictionaries(TEXT, SCALARS | tables | st.lists(tables, max_size=2), max_size=4),
    max_leaves=6,
)


@given(TABLES)
def test_what_is_written_reads_back(table: dict[str, object]) -> None:
    assert tomllib.loads(dump(table)) == table


def test_a_document_reads_well() -> None:
    table = {
        "a": 1,
        "sub": {"x": 0.5, "deep": {"y": True}},
        "b": None,
        "c": ["p", 2],
        "d d": 'q"\\\n\x7f',
        "e": [{"f": 1, "g": None}],
    }
    assert dump(table) == (
        'a = 1\nc = ["p", 2]\n"d d" = "q\\"\\\\\\u000a\\u007f"\ne = [{f = 1}]\n\n[sub]\nx = 0.5\n\n[sub.deep]\ny = true\n'
    )
    assert math.isnan(tomllib.loads(dump({"n": math.nan}))["n"])


@pytest.mark.parametrize("value", [b"x", {1}, datetime.date(2026, 1, 1), [None]])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no form in a configuration file"):
        dump({"a": value})


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n[b]\r\nc = 'x'\r\n")
    assert load(path) == {"a": 1, "b": {"c": "x"}}
    path.write_bytes(b"")
    assert load(path) == {}


FILES = {
    "binary": (b"\x89PNG\r\n\x1a\n\x00\xff", "is no text: byte 0 is not UTF-8; a configuration is a TOML file"),
    "zeros": (b"\x00" * 20, "is not TOML: Invalid"),
    "not TOML": (b"seed: 3", "is not TOML: Expected '=' after a key in a key/value pair (at line 1, column 5)"),
    "a key twice": (b"a = 1\na = 2\n", "is not TOML: Cannot overwrite a value (at line 2, column 6)"),
    "deep": (b"a = " + b"[" * 100_000, "is not TOML: "),
    "deep tables": (b"[a" + b".a" * 400 + b"]\n", "is nested too deep; at most 8 tables and lists may lie in each other"),
    "a long key": (b"a" + b".a" * 100_000 + b" = 1\n", "has more than 500 dots in line 1, the most that are read"),
    "a huge number": (b"a = " + b"9" * 10_000, "is not TOML: "),
    "too large": (b"#" * (MOST_BYTES + 1), "cannot be read: larger than 256,000 bytes, the most that is read"),
}


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_a_bad_file_is_refused_in_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path} {message}")
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file$"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="is a directory; a configuration is a TOML file$"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: File name too long$"):
        load(tmp_path / ("x" * 1000))
    with pytest.raises(ConfigError, match="cannot be read: embedded null byte$"):
        load(tmp_path / "a\0b")
    with pytest.raises(ConfigError, match="cannot be read: Not a directory$"):
        (tmp_path / "x").write_text("")
        load(tmp_path / "x" / "y.toml")


@given(st.binary() | st.text(st.sampled_from("ab.=[]{}\"', \n#01e+-_:T\\")).map(str.encode))
def test_any_bytes_are_a_table_or_one_line_of_error(content: bytes) -> None:
    try:
        table = parse(content, where="x.toml")
    except ConfigError as error:
        assert str(error).startswith("x.toml ") and len(str(error).splitlines()) == 1
    else:
        assert isinstance(table, dict)
