from collections.abc import Callable

import pytest

from lnas.testing import Suite, judge
from lnas.testing.suite import rules

Broken = Callable[[type[Suite]], dict[str, str]]


@pytest.fixture
def broken() -> Broken:
    """`broken(suite)`: the messages of the rules that are broken, by the names of the rules."""

    def found(suite: type[Suite]) -> dict[str, str]:
        return {verdict.rule: verdict.message for verdict in judge(suite) if verdict.outcome == "broken"}

    return found


@pytest.fixture
def names() -> Callable[[type[Suite]], set[str]]:
    """`names(suite)`: the names of its rules."""
    return lambda suite: {name.removeprefix("test_") for name, _ in rules(suite)}
