"""The table at the end of a run: what a summary says, as rows of words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from rich import box
from rich.table import Table
from rich.text import Text

from lnas.report.documents import Collapse, Seconds, Summary
from lnas.report.pace import Pace, medians
from lnas.report.read import document
from lnas.report.text import line

Row: TypeAlias = tuple[str, str]
"""(label, value), both of one line and free of control characters."""

COLLAPSED = "Warning, collapsed"
"""The label of the row that a terminal shows in red."""
NOT_EXACT = "Not exact"
"""The label of the row that a terminal shows in yellow."""
_STYLES = {COLLAPSED: "bold red", NOT_EXACT: "yellow"}
_DIGEST = 19
"""Characters that are shown of one, of them 12 hexadecimal digits; summary.json has all."""


def rows(summary: Summary | Mapping[str, object], paces: Sequence[Pace] = ()) -> tuple[Row, ...]:
    """What is known, in the order a reader asks for it; a row that is not known is left out.

    Args:
        summary: of the run.
        paces: the epochs of its search, for the time that one took; the summary does not hold them.

    Raises:
        RunError: where a mapping is no summary.
    """
    known = summary if isinstance(summary, Summary) else document(Summary, summary, where="summary")
    return tuple((line(label, most=48), line(value)) for label, value in _rows(known, paces))


def rich_table(summary: Summary | Mapping[str, object], paces: Sequence[Pace] = ()) -> Table:
    """The rows of the same arguments for a terminal.  Nothing of a run is read as markup.

    Raises:
        RunError: where a mapping is no summary.
    """
    known = summary if isinstance(summary, Summary) else document(Summary, summary, where="summary")
    table = Table(title=Text(_title(known)), box=box.SIMPLE_HEAD, show_header=False, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows(known, paces):
        table.add_row(Text(label), Text(value), style=_STYLES.get(label))
    return table


def percent(fraction: float) -> str:
    """Two decimals: one of 10,000 pictures can be seen."""
    return f"{100 * fraction:.2f} %"


def duration(seconds: float) -> str:
    """In the largest two units: "41.2 s", "12 min 5 s", "5 h 12 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _title(summary: Summary) -> str:
    return " · ".join(line(part, most=120) for part in (summary.run, summary.recipe) if part)


def _rows(summary: Summary, paces: Sequence[Pace]) -> Iterator[Row]:
    if (accuracy := summary.accuracy) is not None:
        if accuracy.test is not None:
            yield "Accuracy, test", percent(accuracy.test)
        if accuracy.validation is not None:
            yield "Accuracy, validation", percent(accuracy.validation)
    if collapsed := {group: left for group, left in (summary.collapse or {}).items() if left.since is not None}:
        yield COLLAPSED, ", ".join(f"{group}: {_without_weights(left)}" for group, left in collapsed.items())
    if summary.exact is False:
        yield NOT_EXACT, "resumed on another torch, device or number of threads or processes"
    if (baseline := summary.baseline) is not None and baseline.validation is not None:
        yield "Baseline, validation", percent(baseline.validation) + (f" ({baseline.what})" if baseline.what else "")
    for name, sparsity in (summary.sparsity or {}).items():
        yield f"Sparsity of {name}", f"{sparsity.target:.4g} asked, {sparsity.attained:.4g} attained"
    if (parameters := summary.parameters) is not None:
        yield "Parameters, total", f"{parameters.total:,}"
        yield "Parameters, non-zero", _part(parameters.nonzero, parameters.total)
    if (macs := summary.macs) is not None:
        yield "Multiply-adds, dense", f"{macs.dense:,}"
        yield "Multiply-adds, non-zero", _part(macs.nonzero, macs.dense)
        yield "Multiply-adds, structural", _part(macs.structural, macs.dense)
    if (latency := summary.latency) is not None:
        circumstances = [
            "" if latency.batch is None else f"batch of {latency.batch}",
            latency.device,
            "" if latency.threads is None else f"{latency.threads} thread{'s' * (latency.threads != 1)}",
            "" if latency.repeats is None else f"median of {latency.repeats}",
        ]
        yield "Latency", f"{latency.ms:.3g} ms ({', '.join(c for c in circumstances if c)})"
    if summary.collapse:
        free = (f"{left.parameter_free} of {left.operations} in {group}" for group, left in summary.collapse.items())
        yield "Parameter-free operations", ", ".join(free)
    for name, figure in (summary.costs or {}).items():
        yield f"Cost, {name}", "could not be measured" if figure is None else f"{figure:,.6g}"
    seconds = summary.seconds or Seconds()
    if seconds.search is not None:
        yield "Time, search", duration(seconds.search)
    if paces:
        yield "Time per epoch, search", ", ".join(_pace(*median, first=not i) for i, median in enumerate(medians(paces)))
    if seconds.train is not None:
        yield "Time, train", duration(seconds.train)
    for label, spec in (("Strategy", summary.strategy), ("Space", summary.space)):
        if spec is not None:
            yield label, spec
    if summary.digest is not None:
        yield "Digest", summary.digest[:_DIGEST]


def _without_weights(left: Collapse) -> str:
    return f"{left.edges_without_weights} of {left.edges} edges have no weights, since search epoch {left.since}"


def _pace(live_paths: int, seconds: float, *, first: bool) -> str:
    time = f"{seconds:.2g} s" if seconds < 1 else duration(seconds)  # an epoch of a small search takes milliseconds
    paths = f" live path{'s' * (live_paths != 1)}" if first else ""
    return f"{time} with {live_paths:,}{paths}"


def _part(part: int, whole: int) -> str:
    return f"{part:,} ({percent(part / whole)})" if whole else f"{part:,}"
