"""What a sweep is going to run: its rows, its trials, and the searches that several of them begin with."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lnas.core.errors import ConfigError
from lnas.core.one_line import cut, in_one_line
from lnas.host.config import Config, to_toml
from lnas.host.run_name import LONGEST, run_name
from lnas.host.spec import shown
from lnas.sweep.results import Row
from lnas.sweep.stopping import rule

SCHEMA = 1


@dataclass(frozen=True)
class PlannedRow:
    """A row before its names are resolved.

    Attributes:
        row: what the table shows of it.
        settings: what one would type for `lnas run`, by option ("recipe", "sparsity", "space"), without the seed.
    """

    row: Row
    settings: Mapping[str, object]


@dataclass(frozen=True)
class Trial:
    """One run of the sweep.

    Attributes:
        name: of its directory.
        row: label of its row.
        seed: root seed.
        config: resolved, as TOML.
        search: the key of the search that it begins with; None where it does its own.
        sparsity: asked of its row, for `nni_compat`.
        epochs: of its training.
    """

    name: str
    row: str
    seed: int
    config: str
    search: str | None = None
    sparsity: float = 0.0
    epochs: int = 1


@dataclass(frozen=True)
class SweepPlan:
    """All of it, in plain values: what plan.json holds.

    Attributes:
        rows: in the order of the table.
        trials: in the order in which they begin.
        searches: key -> the configuration of the run that does this search, as TOML.
        kind: "sweep" or "table1".
        scale: of a "table1".
        seeds: of every row.
        threads: of torch, in every trial: results depend on them.
        stopping: the rule that stops trials early, or None.
    """

    rows: tuple[Row, ...]
    trials: tuple[Trial, ...]
    searches: Mapping[str, str] = field(default_factory=dict)
    kind: str = "sweep"
    scale: str | None = None
    seeds: tuple[int, ...] = (0,)
    threads: int = 1
    stopping: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The document that `from_json` reads back."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "SweepPlan":
        """What `to_json` gave.

        Raises:
            ConfigError: where it is none.
        """
        try:
            if document["schema"] != SCHEMA:
                raise ConfigError(f"a plan of schema {shown(document['schema'])}; this lnas reads schema {SCHEMA}")
            values = {key: value for key, value in document.items() if key != "schema"}
            rows, trials = [Row(**row) for row in values["rows"]], [Trial(**trial) for trial in values["trials"]]
            cls(**{**values, "rows": rows, "trials": trials})  # it has no key that is unknown
            plan = TypeAdapter(cls).validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"no plan of a sweep: {cut('.'.join(map(str, first['loc'])))}: {cut(first['msg'])}") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"no plan of a sweep: {in_one_line(error)}") from None
        plan._require_whole()
        return plan

    def _require_whole(self) -> None:
        """Refuse what no planner has made: a name may be a path to somewhere else."""
        labels, names = [row.label for row in self.rows], [trial.name for trial in self.trials]
        try:
            for name in (*names, *self.searches):
                run_name(name)
        except ConfigError as error:
            raise ConfigError(f"no plan of a sweep: name {error}") from None
        for what, several in (("rows", labels), ("trials", names), ("seeds", self.seeds)):
            if not several or len(set(several)) < len(several):
                raise ConfigError(f"no plan of a sweep: its {what} must be there, and each once")
        if any(not row.recipe or not 0 <= (row.sparsity or 0.0) < 1 or row.of not in {None, *labels} for row in self.rows):
            raise ConfigError("no plan of a sweep: a row has no recipe, a sparsity outside [0, 1), or is held against none")
        runs = [(trial.row, trial.seed) for trial in self.trials]
        if not {*runs} <= {(label, seed) for label in labels for seed in self.seeds} or len({*runs}) < len(runs):
            raise ConfigError("no plan of a sweep: a trial must be of one of its rows and seeds, and the only one of both")
        searches = {None, *self.searches}
        for trial in self.trials:
            if trial.search not in searches:
                raise ConfigError(f"no plan of a sweep: trial {trial.name} has a search that is not there")
            if trial.epochs < 1 or not 0 <= trial.sparsity < 1:
                raise ConfigError(f"no plan of a sweep: trial {trial.name} has no epochs, or a sparsity outside [0, 1)")
        if self.threads < 1 or self.kind not in ("sweep", "table1"):
            raise ConfigError("no plan of a sweep: threads must be at least 1, and kind sweep or table1")
        rule(self.stopping)


def trial_name(label: str, seed: int) -> str:
    """The name of a trial's directory: "variant1 p=0.25" and 3 give "variant1-p0.25-seed3".

    What is too long for a run is cut, and ends with a hash of the label, so that names stay as distinct as labels.
    """
    stem = re.sub(r"[^A-Za-z0-9._]+", "-", label.replace("=", "")).lstrip("-.").rstrip("-")
    end = f"-seed{seed}"
    if len(stem) + len(end) > LONGEST:
        end = f"-{hashlib.sha256(label.encode()).hexdigest()[:8]}{end}"
        stem = stem[: LONGEST - len(end)].rstrip("-.")
    return f"{stem}{end}"


def check_names(labels: Sequence[str]) -> None:
    """Refuse two rows whose trials would share directories, also where a file system does not tell capitals apart.

    Raises:
        ConfigError: naming both.
    """
    found: dict[str, int] = {}
    for number, label in enumerate(labels):
        name = trial_name(label, 0)
        first = found.setdefault(name.lower(), number)
        if first != number:
            raise ConfigError(
                f"trials of {labels[first]!r} and of {label!r} would both be called {name}; give their values different words"
            )


def as_run(config: Config, seed: int) -> Config:
    """The configuration of one trial: it has its place from the sweep, and no name."""
    return replace(config, seed=seed, out="runs", name=None)


def text_of(config: Config) -> str:
    """As TOML, without where its run lies."""
    return "".join(line for line in to_toml(config).splitlines(keepends=True) if not line.startswith("out = "))


def difference(there: SweepPlan, wanted: SweepPlan) -> str:
    """The first thing in which two plans that are not equal differ, in words."""
    for key in ("kind", "scale", "seeds", "threads", "stopping"):
        if (old := getattr(there, key)) != (new := getattr(wanted, key)):
            return f"{key} {json.dumps(old)}, not {json.dumps(new)}"
    old_rows, new_rows = [row.label for row in there.rows], [row.label for row in wanted.rows]
    if old_rows != new_rows:
        missing = [label for label in new_rows if label not in old_rows]
        more = [label for label in old_rows if label not in new_rows]
        return (
            f"it has no row {missing[0]!r}"
            if missing
            else f"it has a row {more[0]!r}"
            if more
            else "its rows are in another order"
        )
    for old_trial, new_trial in zip(there.trials, wanted.trials, strict=True):
        before, after = old_trial.config.splitlines(), new_trial.config.splitlines()
        for line in after:
            if line not in before:
                return f"trial {old_trial.name} was planned without {line!r}"
        if before != after:
            return f"trial {old_trial.name} was planned with {next(line for line in before if line not in after)!r}"
    return "it shares its searches otherwise"
