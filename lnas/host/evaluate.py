"""Accuracy of a learner as it stands, measured without a trace: modes, buffers and random state stay as they were."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

import torch
from torch import Tensor

from lnas.core.errors import DataError
from lnas.core.learner import Learner
from lnas.core.types import Batch, Predict
from lnas.host.processes import ALONE, Processes
from lnas.host.runtime import undisturbed

Correct: TypeAlias = Callable[[Predict, Batch], tuple[Tensor, int]]
"""`correct(network, batch)`: how many examples the network gets right, a 0-d tensor on the device, of how many."""


def accuracy(learner: Learner, batches: Iterable[Batch], correct: Correct, processes: Processes = ALONE) -> float:
    """The fraction of examples that the learner gets right, in evaluation mode and without gradients.

    One synchronisation with the device, at the end.

    Args:
        learner: the same in each process, buffers too.
        batches: this process' share of them.
        correct: counts.
        processes: those that count together; all get the same answer.

    Raises:
        DataError: where there are no examples.
    """
    modes = [(module, module.training) for module in learner.module.modules()]
    learner.module.eval()
    right: Tensor | None = None
    total = 0
    try:
        with torch.no_grad(), undisturbed():
            for batch in batches:
                count, examples = correct(learner.predict, batch)
                right = count.double() if right is None else right + count
                total += examples
    finally:
        for module, training in modes:  # not `train()`: a part may have been in evaluation mode on purpose
            module.training = training
    counts = processes.exchange([0.0 if right is None else float(right), total])
    examples = sum(number for _, number in counts)
    if not examples:
        raise DataError("there are no examples to measure the accuracy on; give the data set at least one")
    return float(sum(count for count, _ in counts)) / examples
