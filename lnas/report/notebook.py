"""A small table for a notebook: no script, no colours of its own, so that it reads in light and in dark."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from lnas.report.text import line

_CELL = Markup("padding: 0.2em 1em 0.2em 0; text-align: left; vertical-align: top; color: inherit; background: none")
_HEAD = Markup("; border-bottom: 1px solid")
_NOTE = Markup("margin: 0.4em 0; color: inherit")


def table_html(title: str, rows: Sequence[Sequence[str]], *, head: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """HTML that stands for itself; nothing of a run in it is read as markup.

    Args:
        title: stands above the table.
        rows: cells; the first of a row is its heading.
        head: names of the columns; none are shown where it is empty.
        notes: lines below the table.
    """
    parts = [Markup('<div style="overflow-x: auto">'), _line(Markup("<strong>{}</strong>").format(line(title)))]
    if rows:
        parts.append(Markup('<table style="border-collapse: collapse">'))
        if head:
            parts.append(_row("th", head, "th", style=_CELL + _HEAD, scope="col"))
        parts += [_row("th", row, "td", style=_CELL, scope="row") for row in rows]
        parts.append(Markup("</table>"))
    parts += [_line(escape(line(note))) for note in notes]
    return "\n".join([*parts, Markup("</div>")])


def _row(first: str, cells: Sequence[str], others: str, *, style: Markup, scope: str) -> Markup:
    made = []
    for index, cell in enumerate(cells):
        tag = first if index == 0 else others
        attribute = f' scope="{scope}"' if tag == "th" else ""
        made.append(Markup(f'<{tag}{attribute} style="{style}">') + escape(line(cell)) + Markup(f"</{tag}>"))
    return Markup("<tr>") + Markup("").join(made) + Markup("</tr>")


def _line(words: Markup) -> Markup:
    return Markup('<p style="{}">{}</p>').format(_NOTE, words)
