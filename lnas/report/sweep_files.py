"""All that is written of a sweep beside its runs: the page, the tables for programs and for papers."""

from pathlib import Path

from lnas.core.errors import GenotypeError
from lnas.core.genotype import Genotype
from lnas.host import documents, durable
from lnas.report import sweep_page
from lnas.report.csv_table import rows_csv, trials_csv
from lnas.report.latex import rows_latex
from lnas.sweep.checks import check
from lnas.sweep.collect import collect
from lnas.sweep.results import Results
from lnas.sweep.verdicts import verdicts


def write(path: Path) -> Path:
    """Write report.html, trials.csv, rows.csv and table.tex of the sweep at `path`; returns the page.

    Raises:
        RunError: where there is no sweep, or a file cannot be written.
    """
    results = collect(path)
    page = path / "report.html"
    sweep_page.write(page, results, verdicts(results), check(results), cells=cells(path, results))
    for name, text in (
        ("trials.csv", trials_csv(results)),
        ("rows.csv", rows_csv(results)),
        ("table.tex", rows_latex(results)),
    ):
        durable.write_text(path / name, text)
    return page


def cells(path: Path, results: Results) -> dict[str, Genotype]:
    """For rows that are no control, the architecture of the first seed that finished; those of equal cells once."""
    found: dict[str, Genotype] = {}
    for row in results.rows:
        trials = results.of(row.label)
        if row.control is not None or not trials:
            continue
        try:
            document = documents.read(path / trials[min(trials)].path / "genotype.json")
            genotype = Genotype.from_json(document)
        except (OSError, ValueError, GenotypeError):
            continue
        if all(other != genotype for other in found.values()):
            found[row.label] = genotype
    return found
