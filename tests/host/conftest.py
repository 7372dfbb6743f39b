import pytest


@pytest.fixture(autouse=True)
def names_of_the_built_in_parts(built_in_parts_only: None) -> None:
    """The host is tested as it is without plugins."""
