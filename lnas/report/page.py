"""report.html: one file that holds the whole report of a run.  It has no script and asks for nothing from anywhere."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from lnas.core.genotype import Genotype
from lnas.host import durable
from lnas.host.collapse import ParameterFree, parameter_free
from lnas.host.registry import Registry
from lnas.report.accuracy import curves, draw_accuracy
from lnas.report.cells import draw_cell, equations, fits_a_page
from lnas.report.course import Course, courses, draw_course
from lnas.report.layers import layer_sparsities
from lnas.report.pace import draw_pace, paces
from lnas.report.paths import draw_paths, path_histories
from lnas.report.read import RunFiles, read
from lnas.report.sections import added
from lnas.report.table import percent, rows
from lnas.report.text import line, plain

_WIDE, _NARROW = 720, 368
_MOST_ROWS, _ROWS_OF_A_FIGURE = 3000, 40
"""Of paths that are drawn in all, and what a figure costs however small it is: together some 10 seconds."""


@dataclass(frozen=True)
class _Drawing:
    group: str
    svg: str | None


@dataclass(frozen=True)
class _Course:
    course: Course
    svg: str | None


@dataclass(frozen=True)
class _Cell:
    group: str
    svg: str | None
    equations: tuple[str, ...]
    free: ParameterFree


def render(run: Path, registry: Registry | None = None) -> str:
    """The page.  The same files give the same characters.

    Args:
        run: the directory.
        registry: whose parts add sections; there are none without it.

    Raises:
        RunError: where `run` is no run directory, or naming the file in it that cannot be understood.
    """
    return _page(read(run), registry)


def write(run: Path, registry: Registry | None = None) -> Path:
    """Write the page to report.html in the run directory, whole or not at all, and return its path.

    Raises:
        RunError: as `render`, and where the file cannot be written.
    """
    path = run / "report.html"
    durable.write_text(path, render(run, registry))
    return path


def _page(files: RunFiles, registry: Registry | None) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"line": line, "plain": plain, "percent": percent}
    package = package_files("lnas.report")
    template = environment.from_string(package.joinpath("page.html.jinja").read_text("utf-8"))
    return template.render(
        style=package.joinpath("page.css").read_text("utf-8"),
        run=files,
        headline=_headline(files),
        rows=() if files.summary is None else rows(files.summary, paces(files)),
        accuracy=_accuracy(files),
        pace=_pace(files),
        rewinds=[prune for prune in files.prunes if prune.rewind is not None],
        paths=list(_paths(files)),
        courses=list(_courses(files)),
        layers=layer_sparsities(files),
        cells=[] if files.genotype is None else list(_cells(files.genotype, files)),
        sections=[] if registry is None else added(registry, files),
        environment=[(line(key, most=48), line(_words(value))) for key, value in files.environment.items() if key != "command"],
        command=plain(str(files.environment.get("command", ""))),
    )


def _headline(files: RunFiles) -> str:
    """One sentence: what the run came to, or where it stands."""
    summary, status = files.summary, files.status
    if summary is None:
        if status is not None and status.state == "finished":
            return "The training of this run is finished, but it left no summary."
        where = "" if status is None else f": {status.state}"
        if status is not None and status.stage is not None and status.step is not None:
            where += f", {status.stage} step {status.step:,}" + ("" if status.steps is None else f" of {status.steps:,}")
        return f"This run has not finished{where}."
    parts = []
    if summary.accuracy is not None and summary.accuracy.test is not None:
        parts.append(f"{percent(summary.accuracy.test)} of the test pictures right")
    if summary.parameters is not None:
        parts.append(f"{summary.parameters.nonzero:,} non-zero parameters")
    if summary.macs is not None:
        parts.append(f"{summary.macs.nonzero:,} non-zero multiply-adds")
    return ", ".join(parts) + "." if parts else "This run left an empty summary."


def _accuracy(files: RunFiles) -> dict[str, str]:
    """The same figure for a wide and for a narrow screen: scaled down, its words would be too small to read."""
    if not curves(files):
        return {}
    return {name: draw_accuracy(files, width=width, name=name) for name, width in (("wide", _WIDE), ("narrow", _NARROW))}


def _pace(files: RunFiles) -> dict[str, str]:
    """As `_accuracy`; nothing where the search was not pruned, or where there is no second epoch to compare with."""
    if len(paces(files)) < 2 or not any(prune.stage == "search" for prune in files.prunes):
        return {}
    return {name: draw_pace(files, width=width, name=f"pace-{name}") for name, width in (("wide", _WIDE), ("narrow", _NARROW))}


def _courses(files: RunFiles) -> Iterator[_Course]:
    for index, course in enumerate(courses(files)):
        drawn = index < _MOST_ROWS // _ROWS_OF_A_FIGURE
        yield _Course(course, draw_course(course, name=f"course{index}") if drawn else None)


def _paths(files: RunFiles) -> Iterator[_Drawing]:
    left = _MOST_ROWS
    for index, history in enumerate(path_histories(files)):
        left -= max(len(history.edges) * (len(history.operations) + 1), _ROWS_OF_A_FIGURE)
        yield _Drawing(history.group, draw_paths(history, name=f"paths{index}") if left >= 0 else None)


def _cells(genotype: Genotype, files: RunFiles) -> Iterator[_Cell]:
    space = next((start.space for start in files.starts if start.space), None) or {}
    for group in genotype.groups:
        candidates = space[group].operations if group in space else ()
        svg = draw_cell(genotype, group) if fits_a_page(genotype, group) else None
        yield _Cell(group, svg, equations(genotype, group), parameter_free(genotype, group, candidates))


def _words(value: object) -> str:
    """A value of environment.json on one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value) or "none"
    if isinstance(value, dict):
        return " ".join(_words(item) for item in value.values())
    return "none" if value is None else json.dumps(value)
