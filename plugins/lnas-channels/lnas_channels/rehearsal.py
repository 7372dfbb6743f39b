"""The rehearsal: whether a network can lose channels at all, tried on a copy before anything is trained."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

import lnas
from lnas_channels.copies import copy_of, difference, scramble, trial_copy
from lnas_channels.cuts import dead_channels, without, zero
from lnas_channels.groups import Group

MOST_NAMED = 3
"""Groups that an error names."""


def rehearse(module: nn.Module, groups: Sequence[Group], inputs: Sequence[Tensor]) -> None:
    """Cut a copy of a network by half, and compare it with its masked self, in both modes.

    Raises:
        PluginError: naming groups, where a smaller network would not compute the same.
    """
    copy = trial_copy(module)
    scramble(copy)
    found = _trial(copy, groups, inputs)
    if not found:
        return
    culprits: list[str] = []
    for group in groups:
        reason = _trial(copy, [group], inputs)
        if reason:
            culprits, found = [*culprits, group.name], reason
        if len(culprits) == MOST_NAMED:
            break
    names = ", ".join(culprits) or ", ".join(group.name for group in groups[:MOST_NAMED])
    raise lnas.PluginError(f"channels: a network without channels of {names} would not compute the same; exclude them: {found}")


def _trial(network: nn.Module, groups: Sequence[Group], inputs: Sequence[Tensor]) -> str:
    """What goes wrong, if anything does, where about half of each group goes; the network stays as it is."""
    generator = lnas.stream(0, "channels/rehearsal")
    masks = {}
    for group in groups:
        count = len(group.entries)
        masks[group.name] = torch.randperm(count, generator=generator) >= count // 2
    dead = dead_channels(groups, masks)
    masked = copy_of(network)
    zero(masked, dead)
    try:
        small = without(masked, dead)
    except lnas.SparsityError as error:
        return str(error)
    return difference(masked, small, inputs) or difference(masked, small, inputs, training=True)
