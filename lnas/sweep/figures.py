"""Figures of a sweep as words, and back: fractions in hundredths with two decimals, so that one picture of 10,000 can be seen."""

from lnas.sweep.statistics import Interval


def count(number: int, thing: str) -> str:
    """A count and its noun: "1 level", "1,200 rows"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def read(text: str) -> float:
    """The number that a configuration has as text; nan where it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def percent(fraction: float) -> str:
    """Without its sign, as a column has it: "76.52"."""
    return f"{100 * fraction:.2f}"


def signed(fraction: float) -> str:
    """A difference in hundredths: "+0.41"; what rounds to zero has no sign."""
    words = f"{100 * fraction:+.2f}"
    return "0.00" if float(words) == 0 else words


def span(interval: Interval) -> str:
    """Of such a difference: "-2.10 to +1.30"."""
    return f"{signed(interval[0])} to {signed(interval[1])}"


def percentage_points(fraction: float) -> str:
    """A margin of accuracy: "1 percentage point", "0.5 percentage points"."""
    number = f"{100 * fraction:g}"
    return f"{number} percentage point{'s' * (number != '1')}"


def probability(p: float) -> str:
    """A p-value with three digits: "0.0312", "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3g}"
