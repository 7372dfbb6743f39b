"""From rows and seeds to a plan: every name is resolved, every row is built once, and whatever cannot work is refused."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from lnas.core.data import Dataset
from lnas.core.errors import ConfigError, LnasError
from lnas.host.assemble import build, load_dataset, resolve
from lnas.host.config import Config, Layer
from lnas.host.foreign import aside
from lnas.host.job import Job
from lnas.host.plugins import Host
from lnas.host.spec import Spec, shown
from lnas.sweep.controls import applies, controlled
from lnas.sweep.planned import PlannedRow, SweepPlan, Trial, as_run, check_names, text_of, trial_name
from lnas.sweep.results import Row
from lnas.sweep.sharing import key_of, search_of
from lnas.sweep.stopping import rule

SEEDS_AT_MOST, TRIALS_AT_MOST = 1000, 10_000


@dataclass
class Planner:
    """Makes the plan of a sweep.

    Attributes:
        host: where names come from.
        file: what a configuration file says of every trial.
        environment: `os.environ`.
        look: is shown each row's job once it is built, and the row.
    """

    host: Host
    file: Layer | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    look: Callable[[Row, Job], None] = lambda row, job: None
    _datasets: dict[str, Dataset] = field(default_factory=dict)

    def plan(
        self,
        planned: Sequence[PlannedRow],
        *,
        seeds: int,
        controls: Sequence[str] = (),
        threads: int = 1,
        kind: str = "sweep",
        scale: str | None = None,
        stopping: str | None = None,
    ) -> SweepPlan:
        """The plan.

        Args:
            planned: the rows, without controls.
            seeds: how many; they are 0, 1, ...
            controls: each stands behind every row that it applies to.
            threads: of torch, in every trial.
            kind: "sweep" or "table1".
            scale: of a "table1".
            stopping: the rule that stops trials early.

        Raises:
            LnasError: for whatever cannot work, in which row.
        """
        if not 1 <= seeds <= SEEDS_AT_MOST:
            raise ConfigError(f"seeds must be 1 to {SEEDS_AT_MOST}, not {seeds}; three are the fewest that allow a verdict")
        rule(stopping)
        check_names([row.row.label for row in planned])
        if (number := seeds * len(planned)) > TRIALS_AT_MOST:
            raise ConfigError(f"{len(planned)} rows with {seeds} seeds are {number:,} trials; at most {TRIALS_AT_MOST:,} are run")
        configured = self._with_controls([self._resolved(row) for row in planned], controls)
        built = [self._built(row, config) for row, config in configured]
        rows = tuple(row for row, _, _ in built)
        numbers = tuple(range(seeds))
        trials = tuple(self._trial(row, config, epochs, seed) for seed in numbers for row, config, epochs in built)
        check_names([row.label for row in rows])
        plan = SweepPlan(rows, trials, {}, kind, scale, numbers, threads, stopping)
        return self._shared(plan, [config for _ in numbers for _, config, _ in built])

    def _resolved(self, planned: PlannedRow) -> tuple[Row, Config]:
        with _in_row(planned.row), aside():
            merged, _ = resolve(
                self.host,
                file=self.file,
                environment={key: value for key, value in self.environment.items() if key not in ("LNAS_SEED", "LNAS_OUT")},
                command_line=planned.settings,
                load=self._load,
            )
        config = as_run(merged.config, 0)
        recipe = config.recipe or "baseline"
        label = planned.row.label if planned.row.recipe else planned.row.label.replace("pruned", recipe, 1)
        return replace(planned.row, label=label, recipe=recipe), config

    def _with_controls(self, rows: Sequence[tuple[Row, Config]], controls: Sequence[str]) -> list[tuple[Row, Config]]:
        found = []
        for row, config in rows:
            found.append((row, config))
            for control in controls:
                if applies(control, config, self.host):
                    other = replace(row, label=f"{row.label} {control}", control=control, of=row.label)
                    with _in_row(other), aside():
                        dataset = self._load(self.host, config.data, config.seed)
                        found.append((other, as_run(controlled(control, config, self.host, dataset), 0)))
        return found

    def _built(self, row: Row, config: Config) -> tuple[Row, Config, int]:
        """The row with its sparsity, and the epochs of its training; its job is looked at, and forgotten."""
        with _in_row(row), aside():
            job = build(config, self.host, self._load(self.host, config.data, config.seed))
            plan = job.plan()
        asked = {stage.sparsities[-1] for stage in plan.stages if stage.sparsities}
        train = next(stage for stage in reversed(plan.stages) if stage.name == "train")
        self.look(row, job)
        sparsity = row.sparsity if row.sparsity is not None or len(asked) != 1 else next(iter(asked))
        return replace(row, sparsity=sparsity), config, -(-train.steps // train.steps_per_epoch)

    def _trial(self, row: Row, config: Config, epochs: int, seed: int) -> Trial:
        return Trial(
            trial_name(row.label, seed), row.label, seed, text_of(as_run(config, seed)), None, row.sparsity or 0.0, epochs
        )

    def _shared(self, plan: SweepPlan, configs: Sequence[Config]) -> SweepPlan:
        """The same plan, in which a search that several trials begin with is done once."""
        first: dict[str, Config] = {}
        keys: list[str | None] = []
        for trial, config in zip(plan.trials, configs, strict=True):
            search = search_of(as_run(config, trial.seed), self.host)
            keys.append(None if search is None else key_of(search, self.host))
            if search is not None and keys[-1] is not None:
                first.setdefault(keys[-1], search)
        shared = [key if key is not None and keys.count(key) > 1 else None for key in keys]
        trials = tuple(replace(trial, search=key) for trial, key in zip(plan.trials, shared, strict=True))
        searches = {key: text_of(first[key]) for key in dict.fromkeys(key for key in shared if key is not None)}
        return replace(plan, trials=trials, searches=searches)

    def _load(self, host: Host, spec: Spec, seed: int) -> Dataset:
        known = self._datasets.get(str(spec))
        if known is None:
            known = self._datasets[str(spec)] = load_dataset(host, spec, seed=seed)
        return known


@contextmanager
def _in_row(row: Row) -> Iterator[None]:
    """An error of the block says in which row it is."""
    try:
        yield
    except LnasError as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (f"row {shown(row.label)}: {error.args[0]}", *error.args[1:])
        raise
