"""That all processes of a run hold the same: theta, alpha, masks, moments, the architecture, whatever a state holds."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from lnas.core.errors import PluginError
from lnas.core.pipeline import Pipeline
from lnas.host.processes import Processes


def settle(pipeline: Pipeline, processes: Processes) -> None:
    """Give every process the buffers of process 0, then compare the digests of all else, bit for bit.

    Running statistics are of each process' own share until then.  One message of 64 characters where all are the same; in
    one process nothing is done.

    Raises:
        PluginError: in every process, naming the learner and the first entry of the state that differs.
    """
    if processes.size == 1:
        return
    processes.follow(pipeline.module.buffers())
    state = pipeline.state_dict()
    rounds = {key: value for key, value in state["rounds"].items() if key != "origin"}  # with buffers of its own share
    entries = dict(_digests({**state, "rounds": rounds}, ""))
    whole = hashlib.sha256("".join(f"{name}={seal}\n" for name, seal in entries.items()).encode()).hexdigest()
    if len(set(processes.exchange(whole))) == 1:
        return
    rows = processes.exchange(entries)
    found = ((name, rank) for name in rows[0] for rank, row in enumerate(rows) if row.get(name) != rows[0][name])
    name, rank = next(found, ("/the names in its state", 1))
    progress = pipeline.progress
    raise PluginError(
        f"{type(pipeline.rounds.learner).__name__}: {_shown(name)} is not the same in process {rank} as in process 0 after"
        f" {progress.stage} step {progress.step}; a learner must pass its gradients through self.average, and all processes"
        " must run on machines of one kind"
    )


def _digests(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """The path and a digest of every leaf of a state."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _digests(entry, f"{name}/{key}")
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from _digests(entry, f"{name}/{index}")
    elif isinstance(value, Tensor):
        data = value.detach().cpu().contiguous()
        seal = hashlib.blake2b(f"{data.dtype}{tuple(data.shape)}".encode(), digest_size=16)
        if data.numel():
            seal.update(data.reshape(-1).view(torch.uint8).numpy().data)
        yield name, seal.hexdigest()
    else:
        yield name, repr(value)


def _shown(name: str) -> str:
    """/rounds/learner/alpha/normal as learner alpha normal."""
    return name.removeprefix("/rounds").removeprefix("/").replace("/", " ")
