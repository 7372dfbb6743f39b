"""What a sweep came to, for a terminal: a line for each row, then the verdicts in words."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnas.cli import output
from lnas.cli.tables import table
from lnas.report.text import line

if TYPE_CHECKING:
    from lnas.sweep.results import Results, Row

HEAD = ("row", "n", "best after the last prune", "validation, last weights", "test", "non-zero parameters", "search")
"""None is the best so far, which may be that of the network before it was pruned."""
HEAD_OF_TABLE1 = ("row", "n", "half", "printed", "end", "printed", "ticket", "test", "parameters")
WHAT_TABLE1_HAS = (
    "In percent. half, end: best validation accuracy up to half-time and to the end, which may be that of the network before it"
    " was pruned; printed: the paper's, on CIFAR-10, n = 1; ticket: the best after the last prune; test: of the last weights;"
    " parameters: those that are not zero."
)


def tell(path: Path, *, as_json: bool) -> None:
    """Print the results of the sweep at `path`."""
    from lnas.sweep.checks import check
    from lnas.sweep.collect import collect
    from lnas.sweep.verdicts import verdicts, why_none

    results = collect(path)
    said, findings, reason = verdicts(results), check(results), why_none(results)
    if as_json:
        output.document(_document(results, said, findings, reason, path))
        return
    if results.kind == "table1":
        output.result(table([_line_of_table1(results, row) for row in results.rows], head=HEAD_OF_TABLE1))
        output.text(WHAT_TABLE1_HAS)
    else:
        output.result(table([_line(results, row) for row in results.rows], head=HEAD))
    output.result("", *(line(f"{verdict.claim}: {verdict.sentence}") for verdict in said))
    if reason is not None:
        output.result(line(f"{reason}."))
    for finding in findings:
        if finding.severity == "violated":
            output.warn(f"check of {finding.rule}, {finding.where}: {finding.what}")
    for trial in results.trials:
        if trial.state in ("failed", "stopped"):
            output.text(f"{trial.name} {trial.state}: {trial.reason}")


def _line(results: "Results", row: "Row") -> tuple[str, ...]:
    from lnas.report.spread import measured
    from lnas.report.table import duration

    search = measured(results, row.label, "search_seconds").mean
    accuracies = (_accuracy(results, row, measure) for measure in ("ticket", "validation", "test"))
    return (*_begin(results, row), *accuracies, _parameters(results, row), "" if search is None else duration(search))


def _line_of_table1(results: "Results", row: "Row") -> tuple[str, ...]:
    from lnas.sweep.figures import percent
    from lnas.sweep.hypothesis import recipe_of
    from lnas.sweep.printed import printed

    paper = printed(recipe_of(row), row.sparsity) if row.control is None else None
    half, end = ("", "") if paper is None else (percent(paper.half), percent(paper.end))
    ours = {measure: _accuracy(results, row, measure, unit="") for measure in ("half", "end", "ticket", "test")}
    return (*_begin(results, row), ours["half"], half, ours["end"], end, ours["ticket"], ours["test"], _parameters(results, row))


def _begin(results: "Results", row: "Row") -> tuple[str, str]:
    return row.label, str(len(results.of(row.label)))


def _accuracy(results: "Results", row: "Row", measure: str, *, unit: str = " %") -> str:
    from lnas.report.spread import around, measured

    mean = measured(results, row.label, measure)
    return "" if mean.n == 0 else f"{around(mean)}{unit}{', all equal' if mean.equal else ''}"


def _parameters(results: "Results", row: "Row") -> str:
    from lnas.report.spread import measured

    mean = measured(results, row.label, "parameters").mean
    return "" if mean is None else f"{mean:,.0f}"


def _document(results: "Results", said: Any, findings: Any, reason: str | None, path: Path) -> dict[str, object]:
    from lnas.sweep.printed import PRINTED

    trials = [{key: value for key, value in asdict(trial).items() if key != "config"} for trial in results.trials]
    return {
        "schema": 1,
        "sweep": str(path),
        "kind": results.kind,
        "scale": results.scale,
        "rows": [asdict(row) for row in results.rows],
        **({"printed": [asdict(row) for row in PRINTED.values()]} if results.kind == "table1" else {}),
        "trials": trials,
        "verdicts": [asdict(verdict) for verdict in said],
        "no_verdicts": reason,
        "findings": [asdict(finding) for finding in findings],
    }
