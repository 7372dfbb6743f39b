"""From what a user calls an architecture to a network: a published name, a genotype file, a string, a run, or a space.

A network that is not trained is drawn from the root seed 0.  No parameter of it is masked, so none is exactly 0: where a
draw or an initial bias is, it is made 1, for else it would count as pruned.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from lnas.core.errors import ConfigError, GenotypeError, UnknownNameError
from lnas.core.genotype import Genotype
from lnas.core.random import seeded
from lnas.core.types import Task
from lnas.host import documents, models
from lnas.host.parts import factory, imported
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory
from lnas.host.spec import Spec

PUBLISHED = "lnas.builtin.genotypes:GENOTYPES"
CELLS = "lnas.builtin.network:CellNetwork"
BENCH = "lnas.builtin.nasbench201"

MOST_BYTES = 10_000_000
"""A larger genotype file is refused before it is read."""
MOST_CHARACTERS = 1000
"""Of an architecture string."""


def network(
    text: str, host: Host, *, task: Task | None = None, channels: int | None = None, layers: int | None = None
) -> tuple[nn.Module, Task]:
    """The network of an architecture, and the task it is for; that of a run is trained, any other fresh.

    Args:
        text: a published name, the path of a genotype file or of a run directory, or a NAS-Bench-201 string.
        host: where the parts of a run come from.
        task: 3x32x32 pictures of 10 classes unless given.
        channels: C; 36 unless given, or 16 for NAS-Bench-201.
        layers: cells; 20 unless given.  For NAS-Bench-201, those of each stage, and 5.

    Raises:
        UnknownNameError: where it is none of these.
        GenotypeError: where the file or the string is no architecture that can be built.
        RunError: where the directory is no finished run.
        ConfigError: where a size is below 1, or one is given for a run, which has its own.
    """
    if (path := _path(text)) is not None and path.is_dir():
        if any(given is not None for given in (task, channels, layers)):
            raise ConfigError(f"{text} is a run, and its network has its own sizes; leave out those that were given")
        trained, made_for, _ = models.loaded(RunDirectory.open(path), host)
        return trained, made_for
    found, task = genotype(text), task or Task()
    if set(found.groups) == {imported(f"{BENCH}:GROUP")}:
        make, depth = imported(f"{BENCH}:NasBench201Network"), "cells"
    else:
        make, depth = imported(CELLS), "layers"
    sizes = {name: size for name, size in (("channels", channels), (depth, layers)) if size is not None}
    try:
        with seeded(0, "network"):
            made: nn.Module = make(found, task, **sizes)
    except GenotypeError as error:
        raise GenotypeError(f"{text}: {error}") from None
    return _unmasked(made), task


def supernet(
    text: str, host: Host, *, task: Task | None = None, channels: int | None = None, layers: int | None = None
) -> tuple[nn.Module, Task]:
    """The supernet of a search space, and the task it is for.

    Args:
        text: the specification of the space, e.g. "cells,nodes=3".
        host: where the space comes from.
        task: 3x32x32 pictures of 10 classes unless given.
        channels: its option of that name.
        layers: its option of that name.

    Raises:
        ConfigError: where the space or an option does not exist, or is given twice.
    """
    spec, task = Spec.parse(text), task or Task()
    sizes = {name: str(size) for name, size in (("channels", channels), ("layers", layers)) if size is not None}
    for name in sizes:
        if name in spec.options:
            raise ConfigError(f"{name} is given twice, in {text} and by itself; leave out one of the two")
    make = factory(host.registry, "space", replace(spec, options={**spec.options, **sizes}), seed=0)
    with seeded(0, "supernet"):
        made: nn.Module = make(task)
    return _unmasked(made), task


def genotype(text: str) -> Genotype:
    """The genotype of a published name, a file or a NAS-Bench-201 string.  Raises as `network` does."""
    published = imported(PUBLISHED)
    if text in published:
        known: Genotype = published[text]
        return known
    if text.lstrip().startswith("|"):
        if len(text) > MOST_CHARACTERS:
            raise GenotypeError(f"an architecture string of {len(text)} characters is too long; at most {MOST_CHARACTERS}")
        parsed: Genotype = imported(f"{BENCH}:parse_nasbench201")(text)
        return parsed
    path = _path(text)
    if path is None or not path.exists():
        unknown = UnknownNameError("architecture", text if len(text) <= 80 else f"{text[:77]}...", published)
        raise GenotypeError(f"{unknown}, or the path of a genotype file or a run directory, or a NAS-Bench-201 string")
    return _read(path)


def _unmasked(fresh: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.masked_fill_(parameter == 0, 1.0)
    return fresh


def _path(text: str) -> Path | None:
    """The text as a path, where the system knows such paths at all."""
    try:
        path = Path(text)
        path.exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return None
    return path if text else None  # no text would be the folder we are in


def _read(path: Path) -> Genotype:
    try:
        content = documents.content(path, most=MOST_BYTES, through_links=True)
    except OSError as error:
        raise GenotypeError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return Genotype.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise GenotypeError(f"{path} is no text: byte {error.start} is not UTF-8; a genotype file is a JSON document") from None
    except GenotypeError as error:
        raise GenotypeError(f"{path}: {error}") from None
