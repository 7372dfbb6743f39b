"""From a configuration to a run: everything is built, and whatever cannot work is refused, before the first step.

From here on there are no names, only pipelines, streams and directories.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import nn

from lnas.core.data import Dataset
from lnas.core.errors import PluginError
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.pipeline import Pipeline
from lnas.core.random import seeded
from lnas.core.rounds import Pruning
from lnas.core.space import SearchSpace
from lnas.core.stages import Retrain
from lnas.core.types import Loss
from lnas.host import runtime
from lnas.host.blame import attributing
from lnas.host.chosen import chosen
from lnas.host.config import Config, Layer, Merged, merge, read_toml
from lnas.host.contract import checked_dataset, checked_space, checked_strategy
from lnas.host.costs import checked_measures
from lnas.host.events import Described, Observer
from lnas.host.foreign import aside
from lnas.host.job import Job
from lnas.host.options import checked, options_of
from lnas.host.parts import CORRECT, LOSS, TRAINING, factory, imported
from lnas.host.pipelines import by_stage, make_pipeline
from lnas.host.plugins import Host
from lnas.host.present import check_present
from lnas.host.processes import ALONE, Processes
from lnas.host.prune_lines import RECIPES
from lnas.host.prunings import prune_line
from lnas.host.registry import Registry
from lnas.host.requirements import check
from lnas.host.rundir import RunDirectory
from lnas.host.spec import Spec
from lnas.host.stream import Stream


def resolve(
    host: Host,
    *,
    file: Layer | None = None,
    environment: Mapping[str, str] | None = None,
    command_line: Mapping[str, object] | None = None,
    load: Callable[[Host, Spec, int], Dataset] | None = None,
) -> tuple[Merged, Dataset]:
    """Merge every source of configuration; data set and strategy are loaded, since they may suggest settings.

    Args:
        host: where names come from.
        file: what `read_toml` gave.
        environment: `os.environ`.
        command_line: by the keys of `Config`.
        load: gives the data set of a specification and a seed, where the caller holds some already.
    """
    plain = merge(file, environment, command_line)
    check(plain.config.plugins, host.plugins)
    dataset = (load or _load)(host, plain.config.data, plain.config.seed)
    merged = merge(file, environment, command_line, dataset.suggested)
    strategy = host.registry.get("strategy", merged.config.strategy.name)
    wanted = getattr(strategy.load(), "suggested", {})
    if not isinstance(wanted, Mapping):
        raise PluginError(f"{strategy} has as `suggested` a {type(wanted).__name__}; it must be a mapping of settings")
    return merge(file, environment, command_line, dataset.suggested, wanted), dataset


def _load(host: Host, spec: Spec, seed: int) -> Dataset:
    return load_dataset(host, spec, seed=seed)


def load_dataset(host: Host, spec: Spec, *, seed: int) -> Dataset:
    """The data set of a specification, on the CPU."""
    with attributing(lambda: [host.registry.get("dataset", spec.name)]):
        return checked_dataset(factory(host.registry, "dataset", spec, seed=seed)())


def build(config: Config, host: Host, dataset: Dataset | None = None, processes: Processes = ALONE) -> Job:
    """Build all of a run.

    Args:
        config: resolved.
        host: where names come from.
        dataset: loaded already, if it is.
        processes: those that shall run it together.

    Raises:
        LnasError: for whatever cannot work.
    """
    with attributing(lambda: chosen(config, host.registry)):
        return _built(config, host, dataset, processes)


def _built(config: Config, host: Host, dataset: Dataset | None, processes: Processes) -> Job:
    registry, seed = host.registry, config.seed
    device = runtime.device(config.device, processes.place)
    runtime.choose_algorithms(device, deterministic=config.deterministic)
    make_space = factory(registry, "space", config.space, seed=seed)
    make_strategy = factory(registry, "strategy", config.strategy, seed=seed)
    lines = by_stage([prune_line(registry, spec, seed=seed) for spec in config.prune])
    training = checked("train", options_of(imported(TRAINING), "strategy"), config.train)
    loss: Loss = runtime.precise(imported(LOSS), config.precision, device)
    data = dataset or load_dataset(host, config.data, seed=seed)
    stream = Stream(data, batch=config.batch, seed=seed, validation=config.validation, place=processes.place)
    data.to(device)
    per_epoch = {"search": stream.steps_per_epoch("pairs"), "train": stream.steps_per_epoch("all")}
    search, train = config.epochs.search.steps(per_epoch["search"]), config.epochs.train.steps(per_epoch["train"])

    def make_search() -> SearchStrategy:
        runtime.seed_globally(seed)
        with seeded(seed, "supernet"):
            space: SearchSpace = checked_space(make_space(data.task))
        space.to(device, runtime.dtype(config.precision))
        return checked_strategy(make_strategy(space, loss, search, seed), space)

    def fit(network: nn.Module, horizon: int) -> Learner:
        network.to(device, runtime.dtype(config.precision))
        learner: Learner = imported(TRAINING)(network, loss, horizon, **training)
        return learner

    imported(TRAINING)(nn.Linear(1, 1), loss, **training)  # a setting out of range is refused now, not after the search
    prunings = {line.stage: line.pruning(per_epoch[line.stage]) for line in lines.values()}
    recipe = _recipe(config, prunings)

    def make() -> tuple[SearchSpace, Pipeline]:
        strategy = make_search()
        return strategy.space, make_pipeline(registry, recipe, strategy, fit, prunings, search=search, train=train, seed=seed)

    space, pipeline = make()
    if not any(isinstance(stage, Retrain) for stage in pipeline.stages):
        raise PluginError(f"recipe {recipe} trains no network; a run ends with one: give its Pipeline a Retrain stage")
    correct = runtime.precise(imported(CORRECT), config.precision, device)
    checked_measures(registry, config.cost)
    observers = tuple(_observer(registry, spec, seed) for spec in config.observe)
    line = lines.get("train")
    pruned = line.spec if line and prunings["train"].schedule.rounds else None
    return Job(
        config=config,
        recipe=recipe,
        host=host,
        device=device,
        dataset=data,
        stream=stream,
        space=space,
        pipeline=pipeline,
        again=make,
        correct=correct,
        network_pruning=pruned,
        observers=observers,
        processes=processes,
    )


def reopen(path: Path, host: Host, processes: Processes = ALONE) -> tuple[Job, RunDirectory]:
    """The run in a directory, built again from its own configuration, which every process reads.

    Raises:
        RunError: where there is no run.
        LnasError: where it can no longer be built here.
    """
    directory = RunDirectory.open(path)
    config = merge(read_toml(directory.config)).config
    check(config.plugins, host.plugins)
    check_present(directory, host.plugins)
    return build(config, host, processes=processes), directory


def _recipe(config: Config, prunings: Mapping[str, Pruning]) -> str:
    """The recipe by its name; one of the paper's by the stages that are pruned, since a plugin's target may be of either."""
    if config.recipe not in RECIPES:
        return config.recipe or "baseline"
    pruned = {stage for stage, pruning in prunings.items() if pruning.schedule.rounds}
    names = {(): "baseline", ("train",): "variant1", ("search",): "variant2", ("search", "train"): "generalized"}
    return names[tuple(sorted(pruned))]


def _observer(registry: Registry, spec: Spec, seed: int) -> Observer:
    make, words = factory(registry, "observer", spec, seed=seed), str(registry.get("observer", spec.name))
    with aside():
        made = make()
    if not isinstance(made, Observer):
        raise PluginError(f"{words} returned a {type(made).__name__}, not an Observer")
    return Described(made, words)
