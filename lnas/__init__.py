"""lnas: neural architecture search that prunes its way to a lottery ticket.

The table of contents: every public name, and the module where it is defined.  A name is imported when it is first used,
so that `import lnas` costs nothing: torch is not imported until something needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Alpha",
    "Augmentation",
    "Batch",
    "BatchLoss",
    "CellNetwork",
    "CellSpace",
    "ChoiceSpace",
    "ConfigError",
    "Darts",
    "DataError",
    "Dataset",
    "EpochDone",
    "Event",
    "Executor",
    "Finished",
    "Fit",
    "Gates",
    "Gene",
    "Genotype",
    "GenotypeError",
    "Host",
    "Importance",
    "Iterative",
    "Learner",
    "LnasError",
    "Loss",
    "MaskTarget",
    "Metrics",
    "MixedOp",
    "MixedOperation",
    "NasBench201Network",
    "Never",
    "NumericalError",
    "Objective",
    "Observer",
    "OneShot",
    "Outcome",
    "Paths",
    "Pictures",
    "Pipeline",
    "PluginError",
    "PluginFailedError",
    "Pool",
    "Predict",
    "Progress",
    "Pruned",
    "Pruning",
    "PruningSchedule",
    "RandomSearch",
    "Register",
    "Resumed",
    "Retrain",
    "RolledBack",
    "Rounds",
    "Run",
    "RunError",
    "RunFiles",
    "RunInUseError",
    "RunStarted",
    "Saved",
    "Search",
    "SearchSpace",
    "SearchStrategy",
    "Sparsity",
    "SparsityError",
    "Stage",
    "StagePlan",
    "StageStarted",
    "State",
    "StepDone",
    "Stopped",
    "Sweep",
    "Switches",
    "Task",
    "Tensors",
    "Theta",
    "Ticket",
    "UnknownNameError",
    "WeightTraining",
    "Work",
    "cross_entropy",
    "digits",
    "drop_parameters",
    "folder",
    "genotype",
    "hookimpl",
    "load_model",
    "load_optimizer_state",
    "lottery_control",
    "lottery_ticket",
    "magnitude",
    "mask_moments",
    "only_for",
    "optimizer_state",
    "parse_nasbench201",
    "pipeline",
    "probability",
    "prune",
    "random",
    "relax",
    "require_finite",
    "seeded",
    "sparsity_of",
    "stream",
    "unparse_nasbench201",
]

_MODULE_OF = {
    "Alpha": "lnas.builtin.targets",
    "Augmentation": "lnas.builtin.augmentation",
    "Batch": "lnas.core.types",
    "BatchLoss": "lnas.core.objective",
    "CellNetwork": "lnas.builtin.network",
    "CellSpace": "lnas.builtin.cells",
    "ChoiceSpace": "lnas.builtin.choices",
    "ConfigError": "lnas.core.errors",
    "Darts": "lnas.builtin.darts",
    "DataError": "lnas.core.errors",
    "Dataset": "lnas.core.data",
    "EpochDone": "lnas.host.events",
    "Event": "lnas.host.events",
    "Executor": "lnas.core.executor",
    "Finished": "lnas.host.events",
    "Fit": "lnas.core.stages",
    "Gates": "lnas.core.space",
    "Gene": "lnas.core.genotype",
    "Genotype": "lnas.core.genotype",
    "GenotypeError": "lnas.core.errors",
    "Host": "lnas.host.plugins",
    "Importance": "lnas.core.mask",
    "Iterative": "lnas.builtin.schedules",
    "Learner": "lnas.core.learner",
    "LnasError": "lnas.core.errors",
    "Loss": "lnas.core.types",
    "MaskTarget": "lnas.core.mask",
    "Metrics": "lnas.core.types",
    "MixedOp": "lnas.builtin.choices",
    "MixedOperation": "lnas.builtin.mixed",
    "NasBench201Network": "lnas.builtin.nasbench201",
    "Never": "lnas.builtin.schedules",
    "NumericalError": "lnas.core.errors",
    "Objective": "lnas.core.objective",
    "Observer": "lnas.host.events",
    "OneShot": "lnas.builtin.schedules",
    "Outcome": "lnas.core.executor",
    "Paths": "lnas.core.space",
    "Pictures": "lnas.builtin.pictures",
    "Pipeline": "lnas.core.pipeline",
    "PluginError": "lnas.core.errors",
    "PluginFailedError": "lnas.core.errors",
    "Pool": "lnas.core.mask",
    "Predict": "lnas.core.types",
    "Progress": "lnas.core.pipeline",
    "Pruned": "lnas.host.events",
    "Pruning": "lnas.core.rounds",
    "PruningSchedule": "lnas.core.schedule",
    "RandomSearch": "lnas.builtin.random_search",
    "Register": "lnas.host.hookspecs",
    "Resumed": "lnas.host.events",
    "Retrain": "lnas.core.stages",
    "RolledBack": "lnas.host.events",
    "Rounds": "lnas.core.rounds",
    "Run": "lnas.report.run",
    "RunError": "lnas.core.errors",
    "RunFiles": "lnas.report.read",
    "RunInUseError": "lnas.core.errors",
    "RunStarted": "lnas.host.events",
    "Saved": "lnas.host.events",
    "Search": "lnas.core.stages",
    "SearchSpace": "lnas.core.space",
    "SearchStrategy": "lnas.core.learner",
    "Sparsity": "lnas.core.rounds",
    "SparsityError": "lnas.core.errors",
    "Stage": "lnas.core.stages",
    "StagePlan": "lnas.host.plan",
    "StageStarted": "lnas.host.events",
    "State": "lnas.core.types",
    "StepDone": "lnas.host.events",
    "Stopped": "lnas.host.events",
    "Sweep": "lnas.report.sweep",
    "Switches": "lnas.host.switches",
    "Task": "lnas.core.types",
    "Tensors": "lnas.core.mask",
    "Theta": "lnas.builtin.targets",
    "Ticket": "lnas.core.stages",
    "UnknownNameError": "lnas.core.errors",
    "WeightTraining": "lnas.builtin.weights",
    "Work": "lnas.core.executor",
    "cross_entropy": "lnas.builtin.classification",
    "digits": "lnas.builtin.datasets",
    "drop_parameters": "lnas.core.optimizers",
    "folder": "lnas.builtin.folder",
    "genotype": "lnas.builtin.genotypes",
    "hookimpl": "lnas.host.hookspecs",
    "load_model": "lnas.host.models",
    "load_optimizer_state": "lnas.core.optimizers",
    "lottery_control": "lnas.builtin.tickets",
    "lottery_ticket": "lnas.builtin.tickets",
    "magnitude": "lnas.core.mask",
    "mask_moments": "lnas.core.optimizers",
    "only_for": "lnas.core.mask",
    "optimizer_state": "lnas.core.optimizers",
    "parse_nasbench201": "lnas.builtin.nasbench201",
    "pipeline": "lnas.host.pipelines",
    "probability": "lnas.builtin.importances",
    "prune": "lnas.core.mask",
    "random": "lnas.builtin.importances",
    "relax": "lnas.core.space",
    "require_finite": "lnas.core.space",
    "seeded": "lnas.core.random",
    "sparsity_of": "lnas.core.mask",
    "stream": "lnas.core.random",
    "unparse_nasbench201": "lnas.builtin.nasbench201",
}

if TYPE_CHECKING:
    from lnas import cost as cost
    from lnas.builtin.augmentation import Augmentation
    from lnas.builtin.cells import CellSpace
    from lnas.builtin.choices import ChoiceSpace, MixedOp
    from lnas.builtin.classification import cross_entropy
    from lnas.builtin.darts import Darts
    from lnas.builtin.datasets import digits
    from lnas.builtin.folder import folder
    from lnas.builtin.genotypes import genotype
    from lnas.builtin.importances import probability, random
    from lnas.builtin.mixed import MixedOperation
    from lnas.builtin.nasbench201 import NasBench201Network, parse_nasbench201, unparse_nasbench201
    from lnas.builtin.network import CellNetwork
    from lnas.builtin.pictures import Pictures
    from lnas.builtin.random_search import RandomSearch
    from lnas.builtin.schedules import Iterative, Never, OneShot
    from lnas.builtin.targets import Alpha, Theta
    from lnas.builtin.tickets import lottery_control, lottery_ticket
    from lnas.builtin.weights import WeightTraining
    from lnas.core.data import Dataset
    from lnas.core.errors import (
        ConfigError,
        DataError,
        GenotypeError,
        LnasError,
        NumericalError,
        PluginError,
        PluginFailedError,
        RunError,
        RunInUseError,
        SparsityError,
        UnknownNameError,
    )
    from lnas.core.executor import Executor, Outcome, Work
    from lnas.core.genotype import Gene, Genotype
    from lnas.core.learner import Learner, SearchStrategy
    from lnas.core.mask import Importance, MaskTarget, Pool, Tensors, magnitude, only_for, prune, sparsity_of
    from lnas.core.objective import BatchLoss, Objective
    from lnas.core.optimizers import drop_parameters, load_optimizer_state, mask_moments, optimizer_state
    from lnas.core.pipeline import Pipeline, Progress
    from lnas.core.random import seeded, stream
    from lnas.core.rounds import Pruning, Rounds, Sparsity
    from lnas.core.schedule import PruningSchedule
    from lnas.core.space import Gates, Paths, SearchSpace, relax, require_finite
    from lnas.core.stages import Fit, Retrain, Search, Stage, Ticket
    from lnas.core.types import Batch, Loss, Metrics, Predict, State, Task
    from lnas.host.events import (
        EpochDone,
        Event,
        Finished,
        Observer,
        Pruned,
        Resumed,
        RolledBack,
        RunStarted,
        Saved,
        StageStarted,
        StepDone,
        Stopped,
    )
    from lnas.host.hookspecs import Register, hookimpl
    from lnas.host.models import load_model
    from lnas.host.pipelines import pipeline
    from lnas.host.plan import StagePlan
    from lnas.host.plugins import Host
    from lnas.host.switches import Switches
    from lnas.report.read import RunFiles
    from lnas.report.run import Run
    from lnas.report.sweep import Sweep


def __getattr__(name: str) -> object:
    if name == "cost":  # a public module: `lnas.cost.multiply_adds`
        return import_module("lnas.cost")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lnas' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__", "cost"]
