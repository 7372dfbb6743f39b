"""JSON is read exactly, or refused in one line before much is built of it."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.document import DEEPEST, MOST_VALUES, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**38), 10**38) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_reads_back(value: object) -> None:
    text = json.dumps(value, allow_nan=False)
    read = parse(text)
    assert read == value and repr(read) == repr(value)
    assert parse(text.encode()) == parse(b"\xef\xbb\xbf" + text.encode()) == value


@given(st.text() | st.text(st.sampled_from('[]{}",:0123456789.eE+-NaInfity \\u')) | st.binary())
def test_anything_else_is_refused_in_one_line(given: str | bytes) -> None:
    try:
        parse(given)
    except ValueError as error:
        assert type(error) is ValueError
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON document: Expecting value"),
        (b"\xff", "not a JSON document: byte 0 is not UTF-8"),
        ("NaN", "not a JSON document: NaN is no finite number"),
        ("[-Infinity]", "not a JSON document: -Infinity is no finite number"),
        ("1e400", "not a JSON document: 1e400 is no finite number"),
        ("0." + "1" * 2000, "is no finite number"),
        ("9" * 41, "not a JSON document: a whole number has 41 digits; at most 40"),
        ("9" * 10_000_000, "a whole number has 10,000,000 digits; at most 40"),
        ('{"a": 1, "a": 1}', "not a JSON document: the key 'a' stands twice in an object"),
        ('{"\\u001b\\n": 1, "\\u001b\\n": 1}', r"the key '\x1b\n' stands twice in an object"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested too deep; at most 64 lists and objects may lie in each other"),
        ('{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1), "nested too deep"),
        ("[" * 900 + "]" * 900, "nested too deep"),
        ("[" * 500_000, "nested too deep"),
        ("[" * 100_000_000, "more than 1,000,000 values, the most that are read"),
        ("[" + "0," * MOST_VALUES + "0]", "more than 1,000,000 values, the most that are read"),
        ("[" + "{}," * MOST_VALUES + "0]", "more than 1,000,000 values, the most that are read"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_limit_is_named_and_costs_no_time(text: str | bytes, message: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert message in str(caught.value) and len(str(caught.value)) < 200
    assert time.process_time() - began < 3


def test_the_limits_themselves_are_read() -> None:
    assert parse("[" * DEEPEST + "]" * DEEPEST) is not None
    assert parse("9" * 40) == 10**40 - 1
    assert len(parse("[" + "0," * (MOST_VALUES - 2) + "0]")) == MOST_VALUES - 1
    assert parse("[1,2]", most_values=2) == [1, 2]
    with pytest.raises(ValueError, match="more than 1 values"):
        parse("[1,2]", most_values=1)
