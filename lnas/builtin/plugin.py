"""The built-in parts, offered through the hooks that strangers use.  Names only: nothing is imported until it is used."""

from typing import Any

import pluggy

# `lnas.hookimpl` is this same marker; it lives on the host's floor, and imports point down.
hookimpl = pluggy.HookimplMarker("lnas")


@hookimpl
def lnas_strategies(register: Any) -> None:
    """DARTS, and the baseline that every search must beat."""
    register("darts", "lnas.builtin.darts:Darts", summary="differentiable architecture search, first order or unrolled")
    register("random", "lnas.builtin.random_search:RandomSearch", summary="random architectures, the best of them kept")


@hookimpl
def lnas_spaces(register: Any) -> None:
    """The cells of DARTS."""
    small = "channels=2,layers=3,nodes=2,network_channels=2,network_layers=3"
    summary = "normal and reduction cells of eight candidate operations"
    register("cells", "lnas.builtin.cells:CellSpace", summary=summary, small=small)


@hookimpl
def lnas_schedules(register: Any) -> None:
    """Never, once, or in rounds."""
    register("never", "lnas.builtin.schedules:Never", summary="prunes nothing")
    register("one-shot", "lnas.builtin.schedules:OneShot", summary="all at once, in one round")
    register("iterative", "lnas.builtin.schedules:Iterative", summary="the same fraction of the survivors in each round")


@hookimpl
def lnas_targets(register: Any) -> None:
    """The two things that the paper prunes."""
    register("alpha", "lnas.builtin.targets:Alpha", summary="paths of the supernet, while searching")
    register("theta", "lnas.builtin.targets:Theta", summary="weights of the derived network, while retraining")


@hookimpl
def lnas_importances(register: Any) -> None:
    """Which entries go first."""
    register("magnitude", "lnas.builtin.importances:magnitude", summary="the smallest absolute value goes first")
    register("probability", "lnas.builtin.importances:probability", summary="the least probable path of an edge goes first")
    register("random", "lnas.builtin.importances:random", summary="a random order, the control")
    register("shuffled", "lnas.builtin.importances:shuffled", summary="a random order with the counts of magnitude, the control")


@hookimpl
def lnas_recipes(register: Any) -> None:
    """The baseline and Algorithms 1 to 3."""
    register("baseline", "lnas.builtin.recipes:baseline", summary="search and retrain, nothing pruned")
    register("variant1", "lnas.builtin.recipes:variant1", summary="weights pruned while retraining (Algorithm 1)")
    register("variant2", "lnas.builtin.recipes:variant2", summary="paths pruned while searching (Algorithm 2)")
    register("generalized", "lnas.builtin.recipes:generalized", summary="paths, then weights (Algorithm 3)")


@hookimpl
def lnas_datasets(register: Any) -> None:
    """One that is embedded, torchvision's, and a folder of pictures."""
    register("digits", "lnas.builtin.datasets:digits", summary="1,797 handwritten digits of 8x8 pixels, embedded")
    register("cifar10", "lnas.builtin.datasets:cifar10", summary="60,000 colour pictures of 32x32 pixels, 10 classes")
    register("cifar100", "lnas.builtin.datasets:cifar100", summary="60,000 colour pictures of 32x32 pixels, 100 classes")
    register("mnist", "lnas.builtin.datasets:mnist", summary="70,000 handwritten digits of 28x28 pixels")
    register("fashion_mnist", "lnas.builtin.datasets:fashion_mnist", summary="70,000 pictures of clothes, 28x28 pixels")
    register("folder", "lnas.builtin.folder:folder", summary="your own pictures, one folder for each class")


@hookimpl
def lnas_executors(register: Any) -> None:
    """The engines of one machine."""
    register("serial", "lnas.builtin.executors:Serial", summary="one trial after the other, in this process")
    register("process", "lnas.builtin.process_executor:Process", summary="several at a time, in processes of this machine")
