"""Perturbation: what a supernet loses with a path."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

import lnas


@lnas.only_for("search")
def perturbation(tensors: lnas.Tensors, masks: lnas.Tensors, loss: lnas.Objective) -> lnas.Tensors:
    """The loss on the current batch without the path, for every live path (Wang et al. 2021, Section 4: DARTS-PT).

    The path whose removal hurts least goes first.  A path is taken out as pruning takes it out: its bit is cleared, and the
    strategy predicts with what is left, under its own gates.  So a softmax is renormalised (Eq. 7 of LNAS); the authors' code
    sets one gate to 0 and leaves the others as they are, under which `none` would always cost nothing.  It measures accuracy
    on the validation set unless told otherwise; here it is the loss on one batch, in the mode the supernet is in.

    It costs one forward pass for each live path.  All see the same random draws; masks, buffers and random states are put
    back.  A path without which a node has no input is not taken out: its score is the largest number.

    Raises:
        ConfigError: where the network is not known, or the masks are not those of a search space.
    """
    space = loss.module
    if not isinstance(space, lnas.SearchSpace) or any(mask is not space.alive.get(name) for name, mask in masks.items()):
        raise lnas.ConfigError("importance perturbation takes paths out of a search space; use it with alpha")
    needed = _inputs(space)
    places, losses = [], []
    with torch.no_grad(), _restored(space):
        for name, mask in masks.items():
            for edge, operation in mask.nonzero().tolist():
                with _without(mask, edge, operation):
                    if _inputs(space) == needed:
                        places.append((name, edge, operation))
                        losses.append(_drawn_alike(space, loss))
    measured = torch.stack(losses).cpu() if losses else torch.zeros(0)  # all at once: one wait for the device
    scores = {name: torch.full(mask.shape, torch.finfo(measured.dtype).max, dtype=measured.dtype) for name, mask in masks.items()}
    for (name, edge, operation), value in zip(places, measured, strict=True):
        scores[name][edge, operation] = value
    return scores


def _inputs(space: lnas.SearchSpace) -> int:
    """How many nodes have an input that computes something."""
    flat = {name: torch.zeros(alive.shape) for name, alive in space.alive.items()}
    return sum(int(spared.sum()) for spared in space.required(flat, "node").values())


@contextmanager
def _without(mask: Tensor, edge: int, operation: int) -> Iterator[None]:
    """One path out, and in again whatever is raised."""
    mask[edge, operation] = False
    try:
        yield
    finally:
        mask[edge, operation] = True


def _drawn_alike(space: nn.Module, loss: lnas.Objective) -> Tensor:
    """The loss, from the random states as they are, which do not move."""
    devices = sorted({value.device.index for value in space.parameters() if value.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        return loss().detach()


@contextmanager
def _restored(module: nn.Module) -> Iterator[None]:
    """Buffers get their values back, whatever is raised: running statistics move in training mode."""
    saved = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, value in saved:
            buffer.copy_(value)
