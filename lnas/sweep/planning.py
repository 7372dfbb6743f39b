"""From rows and seeds to a plan: every name is resolved, every row is built once, and whatever cannot work is refused."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from lnas.core.data import Dataset
from lnas.core.errors import ConfigError, LnasError
from lnas.host.assemble import build, load_dataset, resolve
from lnas.host.config import Config
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
    """Makes the plan of a sweep.  The settings of its rows hold what the user's file and environment say; neither is read here.

    Attributes:
        host: where names come from.
        look: is shown each row's job once it is built, and the row.
        notes: what a user should know of the plans that were made, in a line each.
    """

    host: Host
    look: Callable[[Row, Job], None] = lambda row, job: None
    notes: list[str] = field(default_factory=list)
    _datasets: dict[str, Dataset] = field(default_factory=dict)

    def plan(
        self,
        planned: Sequence[PlannedRow],
        *,
        seeds: int,
        controls: Sequence[str] = (),
        lenient: bool = False,
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
            lenient: leave out a control that cannot be, with a note, instead of refusing it.
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
        _check_number(len(planned), seeds)
        resolved = [self._resolved(row) for row in planned]
        wanted = [self._applying(row, config, controls) for row, config in resolved]
        _check_number(len(resolved) + sum(map(len, wanted)), seeds)
        self._note_idle(controls, wanted, lenient=lenient)
        built = self._all_built(resolved, wanted, lenient=lenient)
        rows = tuple(row for row, _, _ in built)
        numbers = tuple(range(seeds))
        trials = tuple(self._trial(row, config, epochs, seed) for seed in numbers for row, config, epochs in built)
        check_names([row.label for row in rows])
        plan = SweepPlan(rows, trials, {}, kind, scale, numbers, threads, stopping)
        return self._shared(plan, [config for _ in numbers for _, config, _ in built])

    def _resolved(self, planned: PlannedRow) -> tuple[Row, Config]:
        with _in_row(planned.row), aside():
            merged, _ = resolve(self.host, file=None, environment={}, command_line=planned.settings, load=self._load)
        config = as_run(merged.config, 0)
        recipe = config.recipe or "baseline"
        label = planned.row.label if planned.row.recipe else planned.row.label.replace("pruned", recipe, 1)
        return replace(planned.row, label=label, recipe=recipe), config

    def _applying(self, row: Row, config: Config, controls: Sequence[str]) -> tuple[str, ...]:
        with _in_row(row), aside():
            return tuple(control for control in controls if applies(control, config, self.host))

    def _note_idle(self, controls: Sequence[str], wanted: Sequence[Sequence[str]], *, lenient: bool) -> None:
        """Whoever asks for all controls knows that not each applies."""
        for control in () if lenient else controls:
            if not any(control in names for names in wanted):
                self.notes.append(f"control {control} applies to no row of this sweep")

    def _all_built(
        self, resolved: Sequence[tuple[Row, Config]], wanted: Sequence[Sequence[str]], *, lenient: bool
    ) -> list[tuple[Row, Config, int]]:
        """Every row with its controls behind it."""
        found = []
        left_out: dict[str, list[str]] = {}
        for (row, config), controls in zip(resolved, wanted, strict=True):
            found.append(self._built(row, config))
            for control in controls:
                try:
                    found.append(self._built(*self._control(control, row, config)))
                except ConfigError as error:
                    if not lenient:
                        raise
                    left_out.setdefault(control, []).append(str(error))
        for control, reasons in left_out.items():
            number = f"{len(reasons)} row{'s' * (len(reasons) != 1)}"
            self.notes.append(f"control {control} is left out behind {number}; {reasons[0]}")
        return found

    def _control(self, control: str, row: Row, config: Config) -> tuple[Row, Config]:
        other = replace(row, label=f"{row.label} {control}", control=control, of=row.label)
        with _in_row(other), aside():
            dataset = self._load(self.host, config.data, config.seed)
            return other, as_run(controlled(control, config, self.host, dataset), 0)

    def _built(self, row: Row, config: Config) -> tuple[Row, Config, int]:
        """The row with its sparsity, and the epochs of its training; its job is looked at, and forgotten."""
        with _in_row(row), aside():
            job = build(config, self.host, self._load(self.host, config.data, config.seed))
            plan = job.plan()
            self.look(row, job)
        asked = {stage.sparsities[-1] for stage in plan.stages if stage.sparsities}
        train = next(stage for stage in reversed(plan.stages) if stage.name == "train")
        sparsity = row.sparsity if row.sparsity is not None or len(asked) != 1 else next(iter(asked))
        if row.control is not None and not asked:  # a dense network has none of the row's
            sparsity = None
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
        times = Counter(keys)
        shared = [key if times[key] > 1 else None for key in keys]
        trials = tuple(replace(trial, search=key) for trial, key in zip(plan.trials, shared, strict=True))
        searches = {key: text_of(first[key]) for key in dict.fromkeys(key for key in shared if key is not None)}
        return replace(plan, trials=trials, searches=searches)

    def _load(self, host: Host, spec: Spec, seed: int) -> Dataset:
        known = self._datasets.get(str(spec))
        if known is None:
            known = self._datasets[str(spec)] = load_dataset(host, spec, seed=seed)
        return known


def _check_number(rows: int, seeds: int) -> None:
    if (number := seeds * rows) > TRIALS_AT_MOST:
        raise ConfigError(f"{rows} rows with {seeds} seeds are {number:,} trials; at most {TRIALS_AT_MOST:,} are run")


@contextmanager
def _in_row(row: Row) -> Iterator[None]:
    """An error of the block says in which row it is."""
    try:
        yield
    except LnasError as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (f"row {shown(row.label)}: {error.args[0]}", *error.args[1:])
        raise
