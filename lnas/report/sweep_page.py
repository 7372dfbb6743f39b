"""The page of a sweep: one file that holds its whole report.  It has no script and asks for nothing from anywhere."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from lnas.core.genotype import Genotype
from lnas.host import durable
from lnas.report import sweep_words
from lnas.report.cells import draw_cell, equations, fits_a_page
from lnas.report.sweep_controls import held, kinds
from lnas.report.sweep_courses import draw_panel, panels
from lnas.report.sweep_front import draw_front, placed
from lnas.report.sweep_levels import draw_levels, has_levels, not_drawn
from lnas.report.sweep_numbers import VALIDATION, Quantity, accuracy, n_of
from lnas.report.sweep_table import COST_QUANTITIES, SEARCH, accuracy_table, cost_table
from lnas.report.text import line, plain
from lnas.sweep import figures
from lnas.sweep.findings import Finding
from lnas.sweep.printed import SOURCE
from lnas.sweep.results import Results, TrialResult
from lnas.sweep.verdicts import Verdict, method, why_none

_WIDE, _NARROW = 720, 368
_MOST_PANELS = 12
_MOST_ROWS_OF_CELLS = 12
"""Whose cells are side by side."""
_MOST_CELLS = 1_500_000
"""Characters of drawn cells; what is left over is not drawn."""
_MOST_FINDINGS = 12
"""That are shown before the rest is folded away."""
_NOTHING: Mapping[str, Genotype] = {}


@dataclass(frozen=True)
class _Group:
    name: str
    svg: str | None
    equations: tuple[str, ...]


@dataclass(frozen=True)
class _Cells:
    row: str
    groups: tuple[_Group, ...]


@dataclass(frozen=True)
class _Trial:
    trial: TrialResult
    link: str
    """Of its run directory, from that of the sweep; "" where it has none."""


def render(
    results: Results, verdicts: Sequence[Verdict], findings: Sequence[Finding], *, cells: Mapping[str, Genotype] = _NOTHING
) -> str:
    """The page.  The same values give the same characters.

    Args:
        results: of the sweep.
        verdicts: of `lnas.sweep.verdicts`.
        findings: of `lnas.sweep.checks`; none says that all checks passed.
        cells: an architecture for each label of a row that has one to be shown.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"line": line, "plain": plain, "span": figures.span, "percent": figures.percent}
    environment.filters |= {"probability": figures.probability, "difference": sweep_words.difference}
    environment.filters |= {"count": figures.count}
    package = package_files("lnas.report")
    template = environment.from_string(package.joinpath("sweep.html.jinja").read_text("utf-8"))
    measure, drawn = accuracy(results), panels(results)
    return template.render(
        style=package.joinpath("page.css").read_text("utf-8"),
        sweep=results,
        run=sweep_words.what_was_run(results),
        concluded=sweep_words.what_holds(results, verdicts),
        verdicts=verdicts,
        reason=why_none(results),
        method=method(results),
        violated=[finding for finding in findings if finding.severity == "violated"],
        noted=[finding for finding in findings if finding.severity == "noted"],
        rules=Counter(finding.rule for finding in findings if finding.severity == "violated"),
        most_findings=_MOST_FINDINGS,
        finished=sum(trial.state == "finished" for trial in results.trials),
        source=SOURCE,
        table=accuracy_table(results),
        costs=cost_table(results),
        measure=measure.name,
        seeds=n_of(n for row in results.rows if (n := len(results.of(row.label)))),
        levels=_levels(results, measure, name="levels"),
        elsewhere=not_drawn(results, measure),
        panels=[draw_panel(panel, name=f"course{index}") for index, panel in enumerate(drawn[:_MOST_PANELS])],
        left_out=max(0, len(drawn) - _MOST_PANELS),
        fronts=list(_fronts(results)),
        time=_levels(results, SEARCH, name="time"),
        shared=len({trial.search for trial in results.trials if trial.search is not None}),
        cells=list(_cells(dict(islice(cells.items(), _MOST_ROWS_OF_CELLS)))),
        cells_left=max(0, len(cells) - _MOST_ROWS_OF_CELLS),
        held=held(results, measure),
        kinds=kinds(results),
        trials=[_Trial(trial, _link(trial)) for trial in results.trials],
        not_exact=sum(trial.exact is False for trial in results.trials),
    )


def write(
    path: Path,
    results: Results,
    verdicts: Sequence[Verdict],
    findings: Sequence[Finding],
    *,
    cells: Mapping[str, Genotype] = _NOTHING,
) -> Path:
    """Write the page to `path`, whole or not at all, and return it.

    Args:
        path: in the directory of the sweep, from which it links to the directories of the trials.
        results: as in `render`.
        verdicts: as in `render`.
        findings: as in `render`.
        cells: as in `render`.

    Raises:
        RunError: where the file cannot be written.
    """
    durable.write_text(path, render(results, verdicts, findings, cells=cells))
    return path


def _levels(results: Results, quantity: Quantity, *, name: str) -> dict[str, str]:
    """The same figure for a wide and for a narrow screen: scaled down, its words would be too small to read."""
    if not has_levels(results, quantity):
        return {}
    return {
        screen: draw_levels(results, quantity, width=width, name=f"{name}-{screen}")
        for screen, width in (("wide", _WIDE), ("narrow", _NARROW))
    }


def _fronts(results: Results) -> Iterator[str]:
    """By validation: what is picked by an accuracy must not be picked by that of the test set."""
    for index, cost in enumerate(COST_QUANTITIES):
        if placed(results, VALIDATION, cost):
            yield draw_front(results, VALIDATION, cost, name=f"front{index}")


def _cells(cells: Mapping[str, Genotype]) -> Iterator[_Cells]:
    left = _MOST_CELLS
    for row, genotype in cells.items():
        groups = []
        for name in genotype.groups:
            svg = draw_cell(genotype, name) if left > 0 and fits_a_page(genotype, name) else ""
            words = equations(genotype, name) if left > 0 else ()
            left -= len(svg) + sum(map(len, words))
            groups.append(_Group(name, svg or None, words))
        yield _Cells(row, tuple(groups))


def _link(trial: TrialResult) -> str:
    """Never to somewhere else: a colon is written out, and the path stays one from here."""
    path = plain(trial.path).strip("/")
    return f"./{quote(path)}/" if path else ""
