from lnas.sweep.figures import count, percent, percentage_points, probability, signed, span


def test_fractions_are_hundredths_with_two_decimals() -> None:
    assert [percent(value) for value in (0.7652, 1.0, 0.00004)] == ["76.52", "100.00", "0.00"]
    assert [signed(value) for value in (0.0041, -0.021, 0.00001, -0.00001)] == ["+0.41", "-2.10", "0.00", "0.00"]
    assert span((-0.021, 0.013)) == "-2.10 to +1.30"


def test_a_margin_is_in_percentage_points() -> None:
    words = [percentage_points(value) for value in (0.01, 0.005, 0.0)]
    assert words == ["1 percentage point", "0.5 percentage points", "0 percentage points"]


def test_a_p_value_has_the_digits_that_tell_it_from_its_limit() -> None:
    assert [probability(value) for value in (0.0004, 0.0312, 0.0496, 0.0504, 1.0)] == [
        "< 0.001",
        "0.0312",
        "0.0496",
        "0.0504",
        "1",
    ]


def test_a_count_has_its_noun() -> None:
    assert [count(number, "row") for number in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
