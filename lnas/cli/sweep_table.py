"""What a sweep came to, for a terminal: a line for each row, then the verdicts in words."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnas.cli import output
from lnas.cli.tables import table
from lnas.report.text import line

if TYPE_CHECKING:
    from rich.table import Table

    from lnas.sweep.results import Results, Row

HEAD = ("row", "n", "best after the last prune", "validation, last weights", "test", "non-zero parameters", "search")
"""None is the best so far, which may be that of the network before it was pruned."""


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
        output.result(_beside_the_printed(results))
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
    from lnas.report.spread import around, measured
    from lnas.report.table import duration

    accuracies = (measured(results, row.label, measure) for measure in ("ticket", "validation", "test"))
    parameters, search = (measured(results, row.label, measure) for measure in ("parameters", "search_seconds"))
    return (
        row.label,
        str(len(results.of(row.label))),
        *("" if mean.n == 0 else f"{around(mean)} %{', all equal' if mean.equal else ''}" for mean in accuracies),
        "" if parameters.mean is None else f"{parameters.mean:,.0f}",
        "" if search.mean is None else duration(search.mean),
    )


def _beside_the_printed(results: "Results") -> "Table":
    """The accuracies in percent as the report has them, with the columns of the paper's Table 1 beside ours."""
    from lnas.report.sweep_table import accuracy_table

    ours = accuracy_table(results)
    head = [", ".join(filter(None, (column.title, column.note))) for column in ours.columns]
    return table([(one.row.label, *(entry.text for entry in one.entries)) for one in ours.lines], head=("row", *head))


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
