import pytest

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
