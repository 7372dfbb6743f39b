"""Tables for the terminal: rows of words in columns, nothing of it read as markup."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lnas.report.text import line

if TYPE_CHECKING:
    from rich.table import Table


def table(rows: Iterable[Sequence[str]], *, head: Sequence[str] = (), widths: Sequence[int] = ()) -> "Table":
    """A table that stays within the terminal: cells are broken where they do not fit.

    Args:
        rows: cells; as many as there are columns.
        head: names of the columns; none are shown where it is empty.
        widths: of the columns, where they are not to be as the cells need them.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [[Text(line(cell)) for cell in row] for row in rows]
    made = Table(box=box.SIMPLE_HEAD, show_header=bool(head), show_edge=False, pad_edge=False)
    for index in range(len(head) or len(cells[0])):
        name, width = head[index] if head else "", widths[index] if widths else None
        made.add_column(Text(name), width=width, overflow="fold", no_wrap=index == 0, header_style="bold")
    for row in cells:
        made.add_row(*row)
    return made
