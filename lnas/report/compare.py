"""Any runs side by side: what they came to, in what their configurations differ, and the pairs among them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lnas.core.errors import ConfigError
from lnas.report.run import Run
from lnas.report.table import Row, rows
from lnas.sweep.figures import signed, span
from lnas.sweep.statistics import Paired, paired

NOTHING = "–"
_ELSEWHERE = ("Strategy", "Space")
"""Rows of a run's own table: where they differ, the settings say so."""
_PLACE = ("name", "out")
_NO_PART = (*_PLACE, "seed", "keep", "observe", "cost", "plugins.require")
"""Settings in which two runs of one configuration may differ."""


@dataclass(frozen=True)
class Pairing:
    """Test accuracies of two configurations, paired by seed: the later minus the first.

    Attributes:
        first: names of the runs that are held against.
        later: names of the others; the pair of each has the same seed.
        seeds: of the pairs.
        difference: in fractions of 1.
    """

    first: tuple[str, ...]
    later: tuple[str, ...]
    seeds: tuple[int, ...]
    difference: Paired


@dataclass(frozen=True)
class Comparison:
    """Several runs, in the order in which they were given.

    Attributes:
        names: of the runs; its path where two are called the same.
        table: a label, and a cell for each run.
        settings: those that differ: a value for each run, None where a run has none.
        pairings: of the first configuration with each other one of which runs have the same seeds and see the same pictures.
        warnings: what keeps the runs from being compared, or their differences from being read as they stand, a line each.
    """

    names: tuple[str, ...]
    table: tuple[tuple[str, tuple[str, ...]], ...]
    settings: Mapping[str, tuple[str | None, ...]]
    pairings: tuple[Pairing, ...]
    warnings: tuple[str, ...]


def compare(runs: Sequence[Run]) -> Comparison:
    """Lay runs side by side.

    Raises:
        ConfigError: where they are fewer than two, one is given twice, or a configuration is no TOML.
        RunError: naming the file of a run that cannot be understood.
    """
    if len(runs) < 2:
        raise ConfigError(f"{len(runs)} run{'s' * (len(runs) != 1)} cannot be compared; give two or more")
    _check_distinct(runs)
    names = _names(runs)
    settings, pairings = _differing(runs), tuple(_pairings(runs, names))
    return Comparison(
        names=names,
        table=tuple(_side_by_side([list(_rows(run)) for run in runs])),
        settings=settings,
        pairings=pairings,
        warnings=(*_warnings(runs, names, settings), *_of_several(pairings)),
    )


def to_json(runs: Sequence[Run], comparison: Comparison) -> dict[str, Any]:
    """The comparison of these runs as a JSON document; the summary of a run that has not finished is null."""
    told = [
        {
            "name": name,
            "path": str(run.path),
            "state": run.state,
            "recipe": run.settings.get("recipe"),
            "data": _data(run),
            "seed": run.seed,
            "summary": None if run.summary is None else run.summary.model_dump(mode="json"),
        }
        for name, run in zip(comparison.names, runs, strict=True)
    ]
    return {
        "schema": 1,
        "runs": told,
        "settings": dict(comparison.settings),
        "pairings": [asdict(pairing) for pairing in comparison.pairings],
        "warnings": list(comparison.warnings),
    }


def sentence(pairing: Pairing) -> str:
    """A pairing in words: n, the mean difference, and its intervals where there are any."""
    found = pairing.difference
    assert found.mean is not None, "a pairing has a pair"
    about = f"{', '.join(pairing.later)} minus {', '.join(pairing.first)}, test accuracy"
    mean = f"{signed(found.mean)} points"
    if found.interval is None or found.bootstrap is None:
        why = "all differences are equal, " if found.degenerate else ""
        return f"{about}: {mean}, n = {found.n}, {why}no interval"
    intervals = f"95 % interval {span(found.interval)}, bootstrap {span(found.bootstrap)}"
    return f"{about}: {mean}, n = {found.n}, {intervals}{', which disagree' if found.disagree else ''}"


def _check_distinct(runs: Sequence[Run]) -> None:
    found: dict[object, Run] = {}
    for run in runs:
        other = found.setdefault(run.path.resolve(), run)
        if other is not run:
            same = "" if other.path == run.path else f" and {other.path} are the same run"
            raise ConfigError(f"{run.path}{same or ' is given twice'}; name each run once")


def _names(runs: Sequence[Run]) -> tuple[str, ...]:
    names = [run.name for run in runs]
    return tuple(str(run.path) if names.count(run.name) > 1 else run.name for run in runs)


def _rows(run: Run) -> Iterator[Row]:
    yield "State", run.state
    yield "Recipe", run.settings.get("recipe", NOTHING)
    yield "Data", _data(run)
    yield "Seed", run.settings.get("seed", NOTHING)
    if run.summary is not None:
        yield from (row for row in rows(run.summary) if row[0] not in _ELSEWHERE)


def _side_by_side(tables: Sequence[Sequence[Row]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each label once; one that only a later table has follows the label that it follows there."""
    order: list[str] = []
    for table in tables:
        at = 0
        for label, _ in table:
            if label not in order:
                order.insert(at, label)
            at = order.index(label) + 1
    cells = [dict(table) for table in tables]
    for label in order:
        yield label, tuple(known.get(label, NOTHING) for known in cells)


def _differing(runs: Sequence[Run]) -> dict[str, tuple[str | None, ...]]:
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    values = {key: tuple(run.settings.get(key) for run in runs) for key in keys if key not in _PLACE}
    return {key: said for key, said in values.items() if len(set(said)) > 1}


def _pairings(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Pairing]:
    groups: dict[tuple[tuple[str, str], ...], dict[int, tuple[str, float]]] = {}  # by configuration
    for run, name in zip(runs, names, strict=True):
        test = _test(run)
        group = groups.setdefault(_configuration(run), {})
        if test is not None and run.seed is not None:
            group.setdefault(run.seed, (name, test))  # the first of two equal runs
    (reference, first), *others = groups.items()
    for configuration, later in others:
        if _pictures(configuration) == _pictures(reference) and (seeds := sorted(first.keys() & later.keys())):
            difference = paired({seed: later[seed][1] for seed in seeds}, {seed: first[seed][1] for seed in seeds})
            yield Pairing(_of(first, seeds), _of(later, seeds), tuple(seeds), difference)


def _of(group: Mapping[int, tuple[str, float]], seeds: Iterable[int]) -> tuple[str, ...]:
    return tuple(group[seed][0] for seed in seeds)


def _configuration(run: Run) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in run.settings.items() if key not in _NO_PART))


def _pictures(configuration: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What says which pictures a run sees: the data, and the share that is held out."""
    return {key: value for key, value in configuration if key.partition(".")[0] in ("data", "validation")}


def _test(run: Run) -> float | None:
    return None if run.summary is None or run.summary.accuracy is None else run.summary.accuracy.test


def _data(run: Run) -> str:
    options = [f"{key.removeprefix('data.')}={value}" for key, value in run.settings.items() if key.startswith("data.")]
    return ",".join([run.settings.get("data", NOTHING), *options])


def _warnings(runs: Sequence[Run], names: Sequence[str], settings: Mapping[str, object]) -> Iterator[str]:
    if any(key == "data" or key.startswith("data.") for key in settings):
        yield f"the data differ ({' | '.join(map(_data, runs))}): accuracies on different pictures are not paired"
    if "validation" in settings:
        shares = " | ".join(run.settings.get("validation", NOTHING) for run in runs)
        yield f"the shares held out for validation differ ({shares}): runs that train on different pictures are not paired"
    for run, name in zip(runs, names, strict=True):
        if run.summary is None:
            yield f"{name} has not finished ({run.state}): it has no accuracy to compare"
        elif run.summary.exact is False:
            yield f"{name} is not exact: it was resumed on another torch, device or number of threads or processes"
    if len({tuple(str(run.files.environment.get(key)) for key in ("device_name", "threads")) for run in runs}) > 1:
        yield "the runs were on different machines or numbers of threads: latency and times are not comparable"


def _of_several(pairings: Sequence[Pairing]) -> Iterator[str]:
    if len(pairings) > 1:
        yield f"the intervals of the {len(pairings)} differences are not corrected for several comparisons"
