"""From a configuration to a run: everything is built, and whatever cannot work is refused, before the first step.

This is the only room where names become objects; from here on there are pipelines, streams and directories.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lnas.core.data import Dataset
from lnas.core.errors import ConfigError, PluginError
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.mask import check_feasible
from lnas.core.pipeline import Pipeline, Pruning
from lnas.core.random import seeded
from lnas.core.space import SearchSpace
from lnas.core.types import Loss
from lnas.host import runtime
from lnas.host.config import Config, Layer, Merged, merge, read_toml
from lnas.host.events import Observer
from lnas.host.job import Job
from lnas.host.options import checked, options_of
from lnas.host.parts import CORRECT, LOSS, TRAINING, factory, imported
from lnas.host.plugins import Host
from lnas.host.prunings import PruneLine, prune_line
from lnas.host.registry import Registry
from lnas.host.rundir import RunDirectory
from lnas.host.spec import Spec
from lnas.host.stream import Stream


def resolve(
    host: Host,
    *,
    file: Layer | None = None,
    environment: Mapping[str, str] | None = None,
    command_line: Mapping[str, object] | None = None,
) -> tuple[Merged, Dataset]:
    """Merge every source of configuration; the data set is loaded, since it may suggest settings.

    Args:
        host: where names come from.
        file: what `read_toml` gave.
        environment: `os.environ`.
        command_line: by the keys of `Config`.
    """
    plain = merge(file, environment, command_line)
    dataset = load_dataset(host, plain.config.data, seed=plain.config.seed)
    return merge(file, environment, command_line, dataset.suggested), dataset


def load_dataset(host: Host, spec: Spec, *, seed: int) -> Dataset:
    """The data set of a specification, on the CPU."""
    dataset: Dataset = factory(host.registry, "dataset", spec, seed=seed)()
    return dataset


def build(config: Config, host: Host, dataset: Dataset | None = None) -> Job:
    """Build all of a run.

    Args:
        config: resolved.
        host: where names come from.
        dataset: loaded already, if it is.

    Raises:
        LnasError: for whatever cannot work.
    """
    registry, seed = host.registry, config.seed
    device = runtime.device(config.device)
    make_space = factory(registry, "space", config.space, seed=seed)
    make_strategy = factory(registry, "strategy", config.strategy, seed=seed)
    lines = _by_stage([prune_line(registry, spec, seed=seed) for spec in config.prune])
    training = checked("train", options_of(imported(TRAINING), "strategy"), config.train)
    loss: Loss = runtime.precise(imported(LOSS), config.precision, device)
    data = dataset or load_dataset(host, config.data, seed=seed)
    stream = Stream(data, batch=config.batch, seed=seed, validation=config.validation)
    data.to(device)
    per_epoch = {"search": stream.steps_per_epoch("pairs"), "train": stream.steps_per_epoch("all")}
    search, train = config.epochs.search.steps(per_epoch["search"]), config.epochs.train.steps(per_epoch["train"])
    runtime.seed_globally(seed)
    with seeded(seed, "supernet"):
        space: SearchSpace = make_space(data.task)
    space.to(device, runtime.dtype(config.precision))
    strategy = make_strategy(space, loss, search, seed)
    if not isinstance(strategy, SearchStrategy):
        raise PluginError(f"strategy {config.strategy.name} returned a {type(strategy).__name__}, not a SearchStrategy")

    def fit(network: nn.Module, horizon: int) -> Learner:
        network.to(device, runtime.dtype(config.precision))
        learner: Learner = imported(TRAINING)(network, loss, horizon, **training)
        return learner

    imported(TRAINING)(nn.Linear(1, 1), loss, **training)  # a setting out of range is refused now, not after the search
    prunings = {line.stage: line.pruning(per_epoch[line.stage]) for line in lines.values()}
    pipeline = make_pipeline(
        registry, config.recipe or "baseline", strategy, fit, prunings, search=search, train=train, seed=seed
    )
    correct = runtime.precise(imported(CORRECT), config.precision, device)
    observers = tuple(_observer(registry, spec, seed) for spec in config.observe)
    line = lines.get("train")
    pruned = line.spec if line and prunings["train"].schedule.rounds else None
    return Job(config, host, device, data, stream, space, pipeline, correct, pruned, observers)


def reopen(path: Path, host: Host) -> tuple[Job, RunDirectory]:
    """The run in a directory, built again from its own configuration.

    Raises:
        RunError: where there is no run.
        LnasError: where it can no longer be built here.
    """
    directory = RunDirectory.open(path)
    return build(merge(read_toml(directory.config)).config, host), directory


def make_pipeline(
    registry: Registry,
    recipe: str,
    strategy: SearchStrategy,
    fit: Any,
    prunings: Mapping[str, Pruning],
    *,
    search: int,
    train: int,
    seed: int,
) -> Pipeline:
    """Call a recipe with the prunings it takes: `alpha` for the one of the search, `theta` for the one of training.

    Raises:
        ConfigError: where the recipe takes other prunings than there are, or a round does not fit.
        SparsityError: where the search cannot reach its sparsity.
    """
    component = registry.get("recipe", recipe)
    names = {"search": "alpha", "train": "theta"}
    named = {names[stage]: pruning for stage, pruning in prunings.items() if pruning.schedule.rounds}
    make = component.load()
    try:
        pipeline = make(strategy, fit, search=search, train=train, seed=seed, **named)
    except TypeError as error:
        raise ConfigError(f"{component} does not go with pruning {' and '.join(named) or 'nothing'}: {error}") from error
    if not isinstance(pipeline, Pipeline):
        raise PluginError(f"{component} returned a {type(pipeline).__name__}, not a Pipeline")
    _check_ahead(pipeline)
    return pipeline


def pipeline(
    recipe: str,
    space: SearchSpace,
    loss: Loss,
    *,
    search: int,
    train: int,
    strategy: str = "darts",
    prune: Sequence[str] = (),
    fit: Any = None,
    seed: int = 0,
    host: Host | None = None,
) -> Pipeline:
    """A recipe on your own space, loss and batches: drive it with `pipeline.step(train_batch, val_batch)` until `done`.

    Args:
        recipe: "baseline", "variant1", "variant2", "generalized", or a plugin's.
        space: e.g. `ChoiceSpace(model)`, on the device it shall run on.
        loss: `loss(network, batch)`.
        search: steps of the search.
        train: steps of training the derived network.
        strategy: as on the command line, e.g. "darts,unrolled=exact".
        prune: prune lines, e.g. ["alpha:iterative,sparsity=0.75,rounds=5"]; lengths in them are steps.
        fit: `fit(network, horizon)` makes the learner of the derived network; SGD with a cosine unless given.
        seed: root seed of every named stream.
        host: where names come from; all installed plugins unless given.

    Raises:
        LnasError: for whatever cannot work.
    """
    host = host or Host()
    lines = _by_stage([prune_line(host.registry, Spec.parse(line), seed=seed) for line in prune])
    like = next(space.parameters())

    def standard(network: nn.Module, horizon: int) -> Learner:
        learner: Learner = imported(TRAINING)(network.to(like.device, like.dtype), loss, horizon)
        return learner

    made = factory(host.registry, "strategy", Spec.parse(strategy), seed=seed)(space, loss, search, seed)
    prunings = {line.stage: line.pruning(1) for line in lines.values()}
    return make_pipeline(host.registry, recipe, made, fit or standard, prunings, search=search, train=train, seed=seed)


def _observer(registry: Registry, spec: Spec, seed: int) -> Observer:
    made = factory(registry, "observer", spec, seed=seed)()
    if not isinstance(made, Observer):
        raise PluginError(f"observer {spec.name} returned a {type(made).__name__}, not an Observer")
    return made


def _by_stage(lines: Iterable[PruneLine]) -> dict[str, PruneLine]:
    found: dict[str, PruneLine] = {}
    for line in lines:
        if line.stage in found:
            raise ConfigError(
                f"{found[line.stage].spec.name} and {line.spec.name} would both prune the {line.stage} stage; choose one"
            )
        found[line.stage] = line
    return found


def _check_ahead(pipeline: Pipeline) -> None:
    """Refuse, before the first step, rounds that do not fit and sparsities that the search cannot reach."""
    for stage in pipeline.stages:
        stage.loop()
    rounds = pipeline.rounds
    schedule = rounds.pruning.schedule
    if schedule.rounds:
        check_feasible(rounds.target, schedule.sparsity_after(schedule.rounds))
