"""Labels say what was run: recipe, seed and sparsity, controls, and everything in which two rows differ."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from lnas.core.errors import ConfigError
from lnas.host.prune_lines import short
from lnas.host.spec import Spec
from lnas.sweep.figures import read
from lnas.sweep.findings import Finding, Severity
from lnas.sweep.results import Results, Row, TrialResult

NEVER_COMPARED = ("name", "out", "keep", "observe", "cost", "plugins")
"""Settings that change no number of a trial."""

_SPARSITY = re.compile(r"(?<![\w-])sparsity=([^\s,;\"'\]]+)")
_THETA = re.compile(r"(?<![\w-])theta:")

SAYS: Mapping[str, tuple[str, str]] = {
    "random-mask": ("prune", "importance=shuffled"),
    "reinit": ("prune", "rewind=fresh"),
    "random-alpha": ("prune", "importance=random"),
    "random-search": ("strategy", "random"),
}
"""What the configuration of a control says, and under which key."""

MAY_DIFFER: Mapping[str, tuple[str, ...]] = {
    "random-mask": ("prune",),
    "reinit": ("prune",),
    "random-alpha": ("prune",),
    "random-search": ("strategy", "epochs.search"),
    "dense": ("recipe", "prune", "space.network_channels"),
}
"""In what a control differs from its row; all else is equal, or it is no control.  Names are those of `_one_by_one`."""

_PARTS = ("space", "strategy", "data")


def labels(results: Results) -> Iterator[Finding]:
    """The configuration of every trial is what its row says."""
    rows = {row.label: row for row in results.rows}
    for trial in results.trials:
        if trial.row not in rows:
            yield Finding("violated", "labels", trial.name, f"it belongs to row {trial.row!r}, which the sweep does not have")
            continue
        if trial.config:
            for what in _faults(rows[trial.row], trial):
                yield Finding("violated", "labels", trial.name, what)
        elif trial.state == "finished":
            yield Finding("violated", "labels", trial.name, "nothing says what was run: it has no configuration")
    for row in results.rows:
        of = rows.get(row.of or "")
        if row.control is not None and (of is None or of.control is not None):
            yield Finding(
                "violated", "labels", row.label, f"it is held against {row.of!r}, which is no row that a control can have"
            )
    yield from _unsaid(results, rows)


def twins(results: Results) -> Iterator[Finding]:
    """Two rows with the same weights are one configuration under two names, or came to the same network.

    A dense control may have the width of another, or of the row that prunes nothing, for widths are whole numbers: that is noted.
    """
    order = {row.label: place for place, row in enumerate(results.rows)}
    dense = {row.label for row in results.rows if row.control == "dense"}
    found: dict[tuple[int, str], list[TrialResult]] = {}
    for trial in results.trials:
        if trial.state == "finished" and trial.digest and trial.row in order:
            found.setdefault((trial.seed, trial.digest), []).append(trial)
    for (seed, _), trials in sorted(found.items()):
        first, *others = sorted(trials, key=lambda trial: order[trial.row])
        for other in others:
            if other.row == first.row:
                continue
            severity: Severity = "noted"
            why = "two configurations that came to one network"
            if first.config and not _differing(first, other, ()):
                if {first.row, other.row} & dense:
                    why = "the width of both, a whole number, is the same"
                else:
                    severity, why = "violated", "one configuration under two names"
            what = f"the same weights as {first.row} with seed {seed}: {why}"
            yield Finding(severity, "twins", other.row, what)


def _faults(row: Row, trial: TrialResult) -> Iterator[str]:
    config, prune = trial.config, trial.config.get("prune", "")
    if "seed" in config and config["seed"] != str(trial.seed):
        yield f"it stands under seed {trial.seed}, and was run with seed {config['seed']}"
    if row.control == "dense":
        if _THETA.search(prune):
            yield f"it is a dense control, and prunes: {prune}"
    elif row.recipe and "recipe" in config and short(config["recipe"]) != short(row.recipe):
        yield f"it stands under {row.recipe}, and was run as {config['recipe']}"
    if row.sparsity is not None and f"p={row.sparsity:g}" in row.label.split() and row.control != "dense":
        found = _SPARSITY.findall(prune)  # none where a schedule has another name for it
        if not prune or any(read(text) != row.sparsity for text in found):
            yield f"it stands under p={row.sparsity:g}, and pruned: {prune or 'nothing'}"
    if row.control is not None and row.control in SAYS:
        key, wanted = SAYS[row.control]
        said = config.get(key, "")
        if not re.search(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])", said):
            yield f"it is a {row.control} control, and its {key} is {said or 'not given'}, without {wanted}"


def _unsaid(results: Results, rows: Mapping[str, Row]) -> Iterator[Finding]:
    """Rows that differ in a setting which neither their recipe, their sparsity nor their label says.

    A control is compared with its row, every other row with the first that has its data set and strategy: both suggest settings.
    """
    for row in results.rows:
        other = rows.get(row.of or "") if row.control is not None else _first_like(row, results.rows)
        allowed = MAY_DIFFER.get(row.control) if row.control is not None else ("recipe", "prune", *row.varied)
        if other is None or allowed is None:
            continue
        allowed = (*allowed, *other.varied) if row.control is None else allowed
        for one, another in _paired(results, row, other):
            if one.config and another.config and (keys := _differing(one, another, allowed)):
                mine, others = _one_by_one(one.config), _one_by_one(another.config)
                what = ", ".join(f"{key} {mine.get(key, 'unset')}, not {others.get(key, 'unset')}" for key in keys)
                yield Finding("violated", "labels", row.label, f"it differs from {other.label} in what no label says: {what}")
                break


def _first_like(row: Row, rows: Iterable[Row]) -> Row:
    def suggests(one: Row) -> tuple[str | None, ...]:
        return one.varied.get("data"), one.varied.get("strategy")

    return next(one for one in rows if one.control is None and suggests(one) == suggests(row))


def _paired(results: Results, first: Row, second: Row) -> Iterator[tuple[TrialResult, TrialResult]]:
    others = results.of(second.label)
    for seed, trial in results.of(first.label).items():
        if seed in others:
            yield trial, others[seed]


def _differing(one: TrialResult, other: TrialResult, allowed: Collection[str]) -> list[str]:
    """Keys in which two configurations differ; an option of a part ("space.layers") is allowed with the part."""
    skipped = {*NEVER_COMPARED, *allowed, "seed"}
    first, second = _one_by_one(one.config), _one_by_one(other.config)
    keys = sorted(first.keys() | second.keys())
    return [
        key for key in keys if key not in skipped and key.partition(".")[0] not in skipped and first.get(key) != second.get(key)
    ]


def _one_by_one(config: Mapping[str, str]) -> dict[str, str]:
    """The options of a part, and the two lengths of a run, as keys of their own."""
    found = dict(config)
    for key in _PARTS:
        try:
            part = Spec.parse(config.get(key, ""))
        except ConfigError:  # as it stands
            continue
        found[key] = part.name
        found |= {f"{key}.{option}": value for option, value in part.options.items()}
    if "epochs" in config:
        search, _, train = found.pop("epochs").partition(":")
        found |= {"epochs.search": search, "epochs.train": train or search}
    return found
