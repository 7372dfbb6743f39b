"""What a sweep came to, for a terminal: a line for each row, then the verdicts in words."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnas.cli import output
from lnas.cli.tables import table

if TYPE_CHECKING:
    from lnas.sweep.results import Results, Row
    from lnas.sweep.statistics import Mean

HEAD = ("row", "n", "validation", "test", "non-zero parameters", "search")


def tell(path: Path, *, as_json: bool) -> None:
    """Print the results of the sweep at `path`."""
    from lnas.sweep.checks import check
    from lnas.sweep.collect import collect
    from lnas.sweep.verdicts import verdicts

    results = collect(path)
    said, findings = verdicts(results), check(results)
    if as_json:
        output.document(_document(results, said, findings, path))
        return
    output.result(table([_line(results, row) for row in results.rows], head=HEAD))
    output.result("", *(f"{verdict.claim}: {verdict.sentence}" for verdict in said))
    for finding in findings:
        if finding.severity == "violated":
            output.warn(f"check of {finding.rule}, {finding.where}: {finding.what}")
    for trial in results.trials:
        if trial.state in ("failed", "stopped"):
            output.text(f"{trial.name} {trial.state}: {trial.reason}")


def _line(results: "Results", row: "Row") -> tuple[str, ...]:
    from lnas.report.table import duration
    from lnas.sweep.statistics import interval

    trials = results.of(row.label).values()
    validation, test, parameters, search = (
        interval([value for trial in trials if (value := getattr(trial, name)) is not None])
        for name in ("end", "test", "parameters", "search_seconds")
    )
    return (
        row.label,
        str(len(trials)),
        _percent(validation),
        _percent(test),
        "" if parameters.mean is None else f"{parameters.mean:,.0f}",
        "" if search.mean is None else duration(search.mean),
    )


def _percent(mean: "Mean") -> str:
    if mean.mean is None:
        return ""
    half = "" if mean.interval is None else f" ± {50 * (mean.interval[1] - mean.interval[0]):.2f}"
    return f"{100 * mean.mean:.2f}{half} %"


def _document(results: "Results", said: Any, findings: Any, path: Path) -> dict[str, object]:
    trials = [{key: value for key, value in asdict(trial).items() if key != "config"} for trial in results.trials]
    return {
        "schema": 1,
        "sweep": str(path),
        "kind": results.kind,
        "scale": results.scale,
        "rows": [asdict(row) for row in results.rows],
        "trials": trials,
        "verdicts": [asdict(verdict) for verdict in said],
        "findings": [asdict(finding) for finding in findings],
    }
