import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import ConfigError
from lnas.host.epochs import Epochs, Length


@pytest.mark.parametrize(
    ("given", "epochs", "text"),
    [
        ("10:20", Epochs(Length(10), Length(20)), "10:20"),
        ("10", Epochs(Length(10), Length(10)), "10:10"),
        (3, Epochs(Length(3), Length(3)), "3:3"),
        ("10ep:500it", Epochs(Length(10), Length(500, "it")), "10:500it"),
        ("500it", Epochs(Length(500, "it"), Length(500, "it")), "500it:500it"),
        (" 1 : 2 ", Epochs(Length(1), Length(2)), "1:2"),
    ],
)
def test_lengths_are_read_and_written(given: object, epochs: Epochs, text: str) -> None:
    assert Epochs.of(given) == epochs
    assert str(epochs) == text
    assert Epochs.of(text) == epochs
    assert Epochs.of(epochs) is epochs


@pytest.mark.parametrize(
    "given", ["", "0", "0:20", "10:0", "-1", "1.5", "1:2:3", ":", "10:", "x", "10s", "²", "9" * 20, 0, -3, True, 1.5, None]
)
def test_anything_else_is_refused(given: object) -> None:
    with pytest.raises(
        ConfigError, match=r"must be SEARCH:TRAIN, or one value for both, .* not " + ("'" if isinstance(given, str) else "")
    ):
        Epochs.of(given)


def test_a_length_is_at_least_one() -> None:
    with pytest.raises(ConfigError, match="at least 1 epoch or step, not 0"):
        Length(0)


def test_steps() -> None:
    assert Length(10).steps(7) == 70
    assert Length(500, "it").steps(7) == 500


LENGTHS = st.builds(Length, st.integers(1, 10**9 - 1), st.sampled_from(["ep", "it"]))


@given(st.builds(Epochs, LENGTHS, LENGTHS))
def test_what_is_written_reads_back(epochs: Epochs) -> None:
    assert Epochs.of(str(epochs)) == epochs


@given(
    st.text() | st.text(st.sampled_from("0123456789:epit ")) | st.integers() | st.floats() | st.none() | st.lists(st.integers())
)
def test_anything_is_lengths_or_one_line_of_error(value: object) -> None:
    try:
        epochs = Epochs.of(value)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 300
    else:
        assert Epochs.of(str(epochs)) == epochs


def test_a_number_of_too_many_digits_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be SEARCH:TRAIN"):
        Epochs.of(10**10_000)
