"""The trials of a sweep as records: one for each, all with the same keys."""

from lnas.report.frame import Columns, Record
from lnas.sweep.results import Results

_OF_A_ROW: Columns = {"row": str, "recipe": str, "sparsity": float, "control": str, "of": str}
_OF_A_TRIAL: Columns = {
    "name": str,
    "seed": int,
    "state": str,
    "reason": str,
    "before": float,
    "half": float,
    "end": float,
    "ticket": float,
    "best": float,
    "epochs": int,
    "validation": float,
    "test": float,
    "parameters": int,
    "macs_dense": int,
    "macs_nonzero": int,
    "macs_structural": int,
    "nni_compat": int,
    "search_seconds": float,
    "train_seconds": float,
    "search": str,
    "exact": bool,
    "digest": str,
    "path": str,
}
"""Fields of a `TrialResult` that are one cell."""


def trial_records(results: Results) -> tuple[Columns, list[Record]]:
    """The columns, and a record for each trial in the order of the results, planned ones too.

    The columns are sweep, what a `Row` and a `TrialResult` have in one cell, then "attained.TARGET" for the sparsities that
    were attained, and "varied.OPTION" for what else differs among the rows.
    """
    rows = {row.label: row for row in results.rows}
    targets = sorted({target for trial in results.trials for target in trial.attained})
    options = sorted({option for row in results.rows for option in row.varied})
    columns: dict[str, type] = {"sweep": str, **_OF_A_ROW, **_OF_A_TRIAL}
    columns |= {f"attained.{target}": float for target in targets}
    columns |= {f"varied.{option}": str for option in options}
    records = []
    for trial in results.trials:
        row = rows[trial.row]
        record: Record = {"sweep": results.name, "row": row.label}
        record |= {name: getattr(row, name) for name in _OF_A_ROW if name != "row"}
        record |= {name: getattr(trial, name) for name in _OF_A_TRIAL}
        record |= {f"attained.{target}": trial.attained.get(target) for target in targets}
        record |= {f"varied.{option}": row.varied.get(option) for option in options}
        records.append(record)
    return columns, records
