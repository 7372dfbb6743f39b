from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import ConfigError
from lnas.host.values import converted


def test_one_value_is_converted() -> None:
    assert converted(int, "12") == 12
    assert converted(int, 12) == 12
    assert converted(float | None, "none") is None
    assert converted(tuple[int, ...], "1+2") == (1, 2)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, "x", "must be a whole number, not 'x'"),
        (int, True, "must be a whole number, not True"),
        (int, 1.0, "must be a whole number, not 1.0"),
        (float, "nan", "must be a finite number, not 'nan'"),
        (float, None, "must be a number, not None"),
        (int | None, "x" * 200, f"must be a whole number or none, not '{'x' * 76}..."),
    ],
)
def test_what_is_none_is_said_in_words(annotation: object, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        converted(annotation, value)
    assert str(caught.value) == message


KINDS = [
    int,
    float,
    bool,
    str,
    Path,
    int | None,
    Literal["no", 3] | float,
    tuple[int, ...],
    tuple[float, int],
    bool | tuple[str, ...],
]


@given(st.integers(-(10**300), 10**300), st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(codec="ascii")))
def test_what_is_written_reads_back(whole: int, number: float, text: str) -> None:
    assert converted(int, str(whole)) == converted(int, f" +{abs(whole)} ") * (1 if whole >= 0 else -1) == whole
    assert converted(float, repr(number)) == number
    assert converted(tuple[float, ...], f"{number!r}+{number!r}") == (number, number)
    assert converted(str, text) == text


@given(
    st.sampled_from(KINDS),
    st.text() | st.text(st.sampled_from("0123456789.eE+-naif tru")) | st.integers() | st.floats() | st.none(),
)
def test_anything_is_a_value_or_one_line_of_error(kind: object, value: object) -> None:
    try:
        converted(kind, value)
    except ConfigError as error:
        assert str(error).startswith("must ") and len(str(error).splitlines()) == 1 and len(str(error)) < 300
