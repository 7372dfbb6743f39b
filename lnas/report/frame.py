"""Records as a data frame of pandas, which lnas does without otherwise."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, TypeAlias

from lnas.core.errors import ConfigError

Cell: TypeAlias = str | int | float | bool | None
Record: TypeAlias = dict[str, Cell]
Columns: TypeAlias = Mapping[str, type]
"""What the cells of each column are where they are not None, in order: str, int, float or bool."""

# those that know a missing value: a column of whole numbers stays one where a run did not come that far
_DTYPES = {str: "string", int: "Int64", float: "float64", bool: "boolean"}


def frame(columns: Columns, records: Sequence[Record]) -> Any:
    """A `pandas.DataFrame`; a column has the same dtype whatever is missing in it.

    Raises:
        ConfigError: where pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        message = "a data frame needs pandas, which is not installed; install it: pip install pandas, or use to_records()"
        raise ConfigError(message) from error
    series = {
        name: pandas.Series([record[name] for record in records], dtype=_DTYPES[kind], name=name)
        for name, kind in columns.items()
    }
    return pandas.DataFrame(series)


def kind_of(cells: Sequence[Cell], declared: type | None = None) -> type:
    """What a column holds: what is declared, if all of its cells are that; else bool or float, where they are; else str.

    A number that nobody has declared counts as float, whatever each of them looks like.
    """
    known = [cell for cell in cells if cell is not None]
    kinds = [declared] if declared is not None else []
    if known:
        kinds.append(bool)
    return next((kind for kind in (*kinds, float) if all(_is(cell, kind) for cell in known)), str)


def _is(cell: Cell, kind: type) -> bool:
    if kind is int or kind is float:
        most = 2**63 - 1 if kind is int else 1e308
        return isinstance(cell, int | kind) and not isinstance(cell, bool) and -most <= cell <= most
    return isinstance(cell, kind)
