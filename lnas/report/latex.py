"""A sweep as a table of LaTeX: a line for each row; where it reproduces the paper's Table 1, the printed figures beside ours."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from lnas.report.spread import measured
from lnas.report.text import line
from lnas.sweep.figures import percent
from lnas.sweep.hypothesis import recipe_of
from lnas.sweep.printed import PrintedRow, printed
from lnas.sweep.results import Results, Row
from lnas.sweep.statistics import Mean

NOTHING = "--"

_SPECIAL: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # \textquotedbl asks for the encoding T1
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "-": "{-}",  # two of them would become a dash
    "[": "{[}",  # after a line break it would begin an option
    "]": "{]}",
    "*": "{*}",
}


@dataclass(frozen=True)
class _Column:
    head: str
    measure: str
    words: Callable[[float], str]
    printed: Callable[[PrintedRow], str] | None = None
    """What the paper's table says there, where it has such a column."""
    always: bool = True
    """Whether it is there without the paper's table too."""


def rows_latex(results: Results) -> str:
    r"""A `tabular` in the manner of booktabs: the mean of each row, plus or minus half of its 95 % t interval, and n.

    The document needs \usepackage{booktabs,textcomp}.  Accuracies are percent, times seconds, costs the non-zero parameters and
    multiply-adds; beside the printed costs stands what `lnas.cost.nni_compat` counts, which is not an honest cost.  There is no
    interval of one trial, of values that are all equal, and where trials were stopped early.  What is printed is as the paper
    prints it; its hours of search, of another machine, are left out.  The same results give the same characters.
    """
    beside = results.kind == "table1"
    columns = [column for column in _COLUMNS if column.always or beside]
    heads = ["Row", "$n$"]
    for column in columns:
        heads += [column.head, "printed"] if beside and column.printed else [column.head]
    lines = [
        *([] if results.stopped_early is None else ["% no intervals: trials were stopped early, and those left were chosen"]),
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        _line(heads),
        r"\midrule",
        *(_line(_cells(results, row, columns, beside=beside)) for row in results.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """One line of text that LaTeX sets as it is: no character of it is a command."""
    return "".join(_SPECIAL.get(character, character) for character in line(text))


def _cells(results: Results, row: Row, columns: Iterable[_Column], *, beside: bool) -> Iterator[str]:
    finished = len(results.of(row.label))
    paper = printed(recipe_of(row), row.sparsity) if row.control is None else None
    yield escaped(row.label)
    yield str(finished)
    for column in columns:
        yield _spread(measured(results, row.label, column.measure), column.words, of=finished)
        if beside and column.printed:
            yield NOTHING if paper is None else column.printed(paper)


def _spread(mean: Mean, words: Callable[[float], str], *, of: int) -> str:
    if mean.mean is None:
        return NOTHING
    spread = "" if mean.half is None else rf" $\pm$ {words(mean.half)}"
    return f"{words(mean.mean)}{spread}" + ("" if mean.n == of else f" ($n = {mean.n}$)")


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _whole(number: float) -> str:
    return f"{number:,.0f}".replace(",", "{,}")


def _seconds(number: float) -> str:
    return f"{number:.1f}"


_COLUMNS = (
    _Column(r"Half-time (\%)", "half", percent, lambda row: percent(row.half)),
    _Column(r"End (\%)", "end", percent, lambda row: percent(row.end)),
    _Column(r"After the last prune (\%)", "ticket", percent),
    _Column(r"Validation (\%)", "validation", percent),
    _Column(r"Test (\%)", "test", percent),
    _Column("Parameters", "parameters", _whole),
    _Column("Multiply-adds", "macs_nonzero", _whole),
    _Column("NNI count", "nni_compat", _whole, lambda row: f"{row.cost / 1e6:.3f}M", always=False),
    _Column("Search (s)", "search_seconds", _seconds),
)
